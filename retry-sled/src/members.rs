//! Sets of tasks in few keys: what a thousand tasks of one session, or of one purge time, write is 64 keys and not a
//! thousand. A set is spread over buckets by the last bits of the ids; a bucket is the sorted ids, one behind the other.

use retry_core::id::TaskId;

use crate::draft::Draft;
use crate::error::Outcome;
use crate::keys::Key;
use crate::view::View;

/// Buckets of a set.
const BUCKETS: u8 = 64;

/// Bytes of an id.
const ID: usize = 16;

/// The key of the bucket that an id belongs to, in the set whose keys start with `set`.
fn bucket(set: &[u8], id: TaskId) -> Key {
    let last = id.to_bytes()[ID - 1];
    [set, &[last % BUCKETS]].concat()
}

/// The ids of a bucket. Bytes behind the last whole id are passed over.
pub(crate) fn ids_of(bucket: &[u8]) -> impl Iterator<Item = TaskId> {
    bucket
        .as_chunks::<ID>()
        .0
        .iter()
        .map(|id| TaskId::from_bytes(*id))
}

/// Where an id is in a bucket, or where it would be.
fn place(bucket: &[u8], id: TaskId) -> Result<usize, usize> {
    let found = bucket.as_chunks::<ID>().0.binary_search(&id.to_bytes());
    found.map(|at| at * ID).map_err(|at| at * ID)
}

pub(crate) fn add(draft: &mut Draft<'_>, set: &[u8], id: TaskId) -> Outcome<()> {
    let key = bucket(set, id);
    let mut ids = draft.get(&key)?.map_or_else(Vec::new, |ids| ids.to_vec());
    if let Err(at) = place(&ids, id) {
        ids.splice(at..at, id.to_bytes());
        draft.put(key, ids);
    }
    Ok(())
}

pub(crate) fn remove(draft: &mut Draft<'_>, set: &[u8], id: TaskId) -> Outcome<()> {
    let key = bucket(set, id);
    let mut ids = draft.get(&key)?.map_or_else(Vec::new, |ids| ids.to_vec());
    if let Ok(at) = place(&ids, id) {
        ids.drain(at..at + ID);
        if ids.is_empty() {
            draft.remove(key);
        } else {
            draft.put(key, ids);
        }
    }
    Ok(())
}

pub(crate) fn has(view: &dyn View, set: &[u8], id: TaskId) -> Outcome<bool> {
    let ids = view.get(&bucket(set, id))?;
    Ok(ids.is_some_and(|ids| place(&ids, id).is_ok()))
}

/// How many are in a set.
pub(crate) fn count(view: &dyn View, set: &[u8]) -> Outcome<u64> {
    let mut count = 0;
    view.all(set, &mut |_, ids| {
        count += (ids.len() / ID) as u64;
        true
    })?;
    Ok(count)
}

/// All ids of a set in order.
pub(crate) fn all(view: &dyn View, set: &[u8]) -> Outcome<Vec<TaskId>> {
    let mut all = Vec::new();
    view.all(set, &mut |_, ids| {
        all.extend(ids_of(ids));
        true
    })?;
    all.sort_unstable();
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::Disk;

    #[test]
    fn a_set_keeps_what_was_added_and_not_removed() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::open(dir.path(), 1 << 20).unwrap();
        let mut draft = Draft::new(&disk);
        let id = |n: u128| TaskId::from_bytes(n.to_be_bytes());
        for n in (0..1_000).rev().chain(0..10) {
            add(&mut draft, b"set", id(n)).unwrap();
        }
        assert_eq!(draft.len(), usize::from(BUCKETS), "keys of a thousand");
        for n in 0..990 {
            remove(&mut draft, b"set", id(n)).unwrap();
        }
        remove(&mut draft, b"set", id(5_000)).unwrap();
        assert_eq!(
            all(&draft, b"set").unwrap(),
            (990..1_000).map(id).collect::<Vec<_>>()
        );
        assert_eq!(count(&draft, b"set").unwrap(), 10);
        assert!(has(&draft, b"set", id(999)).unwrap() && !has(&draft, b"set", id(1)).unwrap());
        for n in 990..1_000 {
            remove(&mut draft, b"set", id(n)).unwrap();
        }
        assert_eq!(
            draft.first(b"set", b"seu").unwrap(),
            None,
            "an empty set has no key"
        );
    }
}
