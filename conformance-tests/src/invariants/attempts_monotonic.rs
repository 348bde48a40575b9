//! Attempts are counted when claimed and go down only where the contract says so.

use retry_core::task::State;

use super::{Step, Violations};

pub(super) fn check(step: &Step<'_>, violations: &mut Violations) {
    for (before, after) in step.kept() {
        if before.step != after.step || before.reruns != after.reruns {
            continue;
        }
        // One call may hand a task back and claim it again.
        let given_back = u32::from(before.state == State::Running);
        violations.expect(after.attempt + given_back >= before.attempt, || {
            format!(
                "{}: attempt {} became {}",
                after.id, before.attempt, after.attempt
            )
        });
    }
    for (before, after) in step.claimed() {
        violations.expect(after.attempt > 0, || {
            format!(
                "{} runs in attempt 0, claimed from {:?}",
                after.id,
                before.map(|task| task.attempt)
            )
        });
    }
}
