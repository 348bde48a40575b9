//! Versions only rise, and every change of a lease raises them.

use super::{Step, Violations};

pub(super) fn check(step: &Step<'_>, violations: &mut Violations) {
    for (before, after) in step.kept() {
        violations.expect(after.version >= before.version, || {
            format!(
                "{}: version {} became {}",
                after.id, before.version, after.version
            )
        });
        let lease = |task: &retry_core::task::Task| (task.session, task.attempt, task.step, task.crashes);
        let right = lease(before) == lease(after) || after.version > before.version;
        violations.expect(right, || {
            format!(
                "{}: its lease or attempt changed at version {}",
                after.id, after.version
            )
        });
    }
}
