//! At most one task holds a unique key.

use std::collections::BTreeMap;

use super::{Step, Violations};

pub(super) fn check(step: &Step<'_>, violations: &mut Violations) {
    let mut holders = BTreeMap::new();
    for task in step.after.values().filter(|task| task.holds_key) {
        let Some((key, _)) = &task.unique else { continue };
        if let Some(first) = holders.insert((&task.kind, key), task.id) {
            violations.expect(false, || format!("{first} and {} both hold {key:?}", task.id));
        }
    }
}
