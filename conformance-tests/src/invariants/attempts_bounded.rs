//! No attempt is given out beyond a task's own limit.

use super::{Step, Violations};

pub(super) fn check(step: &Step<'_>, violations: &mut Violations) {
    for (_, after) in step.claimed() {
        let most = after.settings.max_attempts;
        violations.expect(most.is_none_or(|most| after.attempt <= most), || {
            format!("{} runs in attempt {} of {most:?}", after.id, after.attempt)
        });
    }
}
