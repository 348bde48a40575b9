//! No task is claimed before it is due.

use super::{Step, Violations};

pub(super) fn check(step: &Step<'_>, violations: &mut Violations) {
    for (_, after) in step.claimed() {
        violations.expect(after.run_at <= step.now, || {
            format!(
                "{} is due at {} and was claimed at {}",
                after.id, after.run_at, step.now
            )
        });
    }
}
