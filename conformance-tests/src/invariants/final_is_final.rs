//! A final task changes by rerun and delete only.

use super::{Step, Violations};

pub(super) fn check(step: &Step<'_>, violations: &mut Violations) {
    for (before, after) in step.kept().filter(|(before, _)| before.state.is_final()) {
        let right = after.state == before.state || after.reruns > before.reruns;
        violations.expect(right, || {
            format!(
                "{}: {} became {} without a rerun",
                after.id, before.state, after.state
            )
        });
    }
}
