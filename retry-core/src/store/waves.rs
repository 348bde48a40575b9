//! Splits the edits of one call into waves that a store may apply set by set.

use std::collections::HashSet;
use std::ops::Range;

use crate::id::TaskId;
use crate::name::{Kind, UniqueKey};
use crate::task::Edit;

/// Ranges of `edits`, in order, such that within one no two edits share a task or touch the same unique key, so that
/// a store may apply each range as one set and still answer as if the edits were applied one after another. Parents do
/// not count: their counters are summed.
///
/// `key_of` tells the key that an edited row may take or free; a store that cannot know passes none for tasks without
/// a key.
pub fn waves(edits: &[Edit], key_of: impl Fn(TaskId) -> Option<(Kind, UniqueKey)>) -> Vec<Range<usize>> {
    let mut waves = Vec::new();
    let mut start = 0;
    let (mut ids, mut keys) = (HashSet::new(), HashSet::new());
    for (index, edit) in edits.iter().enumerate() {
        let edit_ids: Vec<TaskId> = edit.insert.iter().map(|task| task.id).chain([edit.id]).collect();
        let inserted = edit.insert.iter().filter_map(|task| {
            task.unique
                .as_ref()
                .map(|unique| (task.kind.clone(), unique.key.clone()))
        });
        let edit_keys: Vec<(Kind, UniqueKey)> = inserted.chain(key_of(edit.id)).collect();
        let clash =
            edit_ids.iter().any(|id| ids.contains(id)) || edit_keys.iter().any(|key| keys.contains(key));
        if clash {
            waves.push(start..index);
            start = index;
            ids.clear();
            keys.clear();
        }
        ids.extend(edit_ids);
        keys.extend(edit_keys);
    }
    if start < edits.len() {
        waves.push(start..edits.len());
    }
    waves
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Nonce;
    use crate::task::Action;

    fn edit(n: u8) -> Edit {
        let id = TaskId::from_bytes([n; 16]);
        Edit {
            id,
            version: 1,
            nonce: Nonce::from_random(1),
            action: Action::RequestCancel,
            insert: Vec::new(),
        }
    }

    #[test]
    fn edits_of_one_task_are_kept_apart() {
        let edits = [edit(1), edit(2), edit(1), edit(3), edit(3)];
        assert_eq!(waves(&edits, |_| None), [0..2, 2..4, 4..5]);
        assert_eq!(waves(&[], |_| None), []);
    }

    #[test]
    fn edits_of_one_key_are_kept_apart() {
        let key = (Kind::new("k").unwrap(), UniqueKey::new("u").unwrap());
        let edits = [edit(1), edit(2), edit(3)];
        let held = |id: TaskId| (id != TaskId::from_bytes([2; 16])).then(|| key.clone());
        assert_eq!(waves(&edits, held), [0..2, 2..3]);
    }
}
