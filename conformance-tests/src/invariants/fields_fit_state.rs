//! Each state has the fields it needs and no others.

use retry_core::task::State;

use super::{Step, Violations};

pub(super) fn check(step: &Step<'_>, violations: &mut Violations) {
    for task in step.after.values() {
        let mut expect = |right: bool, what: &str| {
            violations.expect(right, || format!("{}, {}: {what}", task.id, task.state));
        };
        let running = task.state == State::Running;
        expect(
            running == task.session.is_some(),
            "exactly running tasks have a session",
        );
        expect(
            task.state.is_final() || task.purge_at.is_none(),
            "only final tasks have a purge time",
        );
        expect(
            task.state != State::Waiting || task.alarm_at.is_some(),
            "a waiting task has an alarm",
        );
        expect(!running || task.version > 0, "a running task has a version");
        let holds = task.unique.is_some();
        expect(holds || !task.holds_key, "a task without a key holds none");
        expect(
            task.state.is_final() || task.holds_key == holds,
            "a live task holds its key",
        );
        if task.state == State::Pending {
            expect(
                task.alarm_at == task.start_deadline(),
                "a pending task's alarm is its start deadline, in its first step and without children",
            );
        }
    }
}
