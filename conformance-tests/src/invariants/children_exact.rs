//! A parent's counters equal a recount of its children.

use std::collections::BTreeMap;

use retry_core::task::Children;

use super::{Step, Violations};

pub(super) fn check(step: &Step<'_>, violations: &mut Violations) {
    let mut counted: BTreeMap<_, Children> = BTreeMap::new();
    for child in step.after.values() {
        let Some(parent) = child.parent else { continue };
        let children = counted.entry(parent).or_default();
        children.total += 1;
        children.open += u32::from(!child.state.is_final());
        children.failed += u32::from(child.state.is_unsuccessful());
    }
    for parent in step.after.values() {
        let recount = counted.get(&parent.id).copied().unwrap_or_default();
        let given = parent.children;
        let exact = if parent.state.is_final() {
            // Children of an ended parent may be deleted and purged once they have ended.
            given.open == recount.open && given.failed >= recount.failed && given.total >= recount.total
        } else {
            given.open == recount.open && given.total >= recount.total
        };
        violations.expect(exact, || {
            format!("{}: {given:?}, but its children are {recount:?}", parent.id)
        });
    }
}
