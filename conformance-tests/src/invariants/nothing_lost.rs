//! A task is gone only after a delete, a success that is not kept, or a purge that was due.

use super::{Step, Violations};

pub(super) fn check(step: &Step<'_>, violations: &mut Violations) {
    let gone = step
        .before
        .values()
        .filter(|task| !step.after.contains_key(&task.id));
    for task in gone {
        let due = step.purged && task.purge_at.is_some_and(|at| at <= step.now);
        violations.expect(due || step.deletable.contains(&task.id), || {
            format!("{} was {} and is gone", task.id, task.state)
        });
    }
}
