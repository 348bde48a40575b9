//! What a task was inserted with stays.

use super::{Step, Violations};

pub(super) fn check(step: &Step<'_>, violations: &mut Violations) {
    for (before, after) in step.kept() {
        let same = before.kind == after.kind
            && before.queue == after.queue
            && before.priority == after.priority
            && before.created_at == after.created_at
            && before.unique == after.unique
            && before.parent == after.parent
            && before.wait_secret == after.wait_secret
            && before.children.total <= after.children.total
            && before.reruns <= after.reruns;
        violations.expect(same, || format!("{before:?} became {after:?}"));
    }
}
