//! No task of a paused queue is claimed.

use super::{Step, Violations};

pub(super) fn check(step: &Step<'_>, violations: &mut Violations) {
    for (_, after) in step.claimed() {
        violations.expect(!step.paused.contains(&after.queue), || {
            format!("{} was claimed from the paused queue {}", after.id, after.queue)
        });
    }
}
