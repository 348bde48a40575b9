//! A task with a current lease is given to nobody else: a lease ends by a settle of its version, and only live sessions
//! get one.

use super::{Step, Violations};

pub(super) fn check(step: &Step<'_>, violations: &mut Violations) {
    for (before, after) in step.claimed() {
        let Some(session) = after.session else { continue };
        violations.expect(step.live.contains(&session), || {
            format!("{} was given to {session}, which is not live", after.id)
        });
        // From one holder to the next a task passes through a settle and a claim, each of which raises its version.
        let held = before.filter(|before| before.session.is_some() && !step.deletable.contains(&before.id));
        violations.expect(
            held.is_none_or(|before| after.version >= before.version + 2),
            || {
                format!(
                    "{} went from {:?} to {session} without a settle",
                    after.id,
                    held.map(|task| task.session)
                )
            },
        );
    }
}
