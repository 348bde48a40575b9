//! What a group of writes is about to change, over what is stored: each write sees those before it, and one that fails is
//! taken back without touching its neighbours. Nothing is written before the group is complete.

use std::collections::BTreeMap;
use std::collections::btree_map;
use std::iter::Peekable;
use std::ops::Bound;

use sled::{Batch, IVec};

use crate::disk::{Disk, walk};
use crate::error::Outcome;
use crate::keys::{self, Key};
use crate::view::{CHUNK, View, Visit};

/// Changed keys with their new values; none: removed.
pub(crate) type Changes = BTreeMap<Key, Option<IVec>>;

/// Drafted changes over the stored map.
pub(crate) struct Draft<'d> {
    disk: &'d Disk,
    changes: Changes,
    /// What the present write replaced among the changes.
    undo: Vec<(Key, Option<Option<IVec>>)>,
}

impl<'d> Draft<'d> {
    pub(crate) const fn new(disk: &'d Disk) -> Self {
        Self {
            disk,
            changes: Changes::new(),
            undo: Vec::new(),
        }
    }

    /// A new write begins.
    pub(crate) fn begin(&mut self) {
        self.undo.clear();
    }

    /// Takes back all since the last [`begin`](Self::begin).
    pub(crate) fn take_back(&mut self) {
        for (key, before) in self.undo.drain(..).rev() {
            match before {
                Some(change) => self.changes.insert(key, change),
                None => self.changes.remove(&key),
            };
        }
    }

    /// How many keys change.
    pub(crate) fn len(&self) -> usize {
        self.changes.len()
    }

    pub(crate) fn into_changes(self) -> Changes {
        self.changes
    }

    pub(crate) fn put(&mut self, key: Key, value: impl Into<IVec>) {
        self.change(key, Some(value.into()));
    }

    pub(crate) fn remove(&mut self, key: Key) {
        self.change(key, None);
    }

    fn change(&mut self, key: Key, value: Option<IVec>) {
        let before = self.changes.insert(key.clone(), value);
        self.undo.push((key, before));
    }

    /// Writes a value of any length, over what was there.
    pub(crate) fn put_long(&mut self, prefix: &[u8], value: &[u8]) -> Outcome<()> {
        let mut number = 0;
        let mut rest = value;
        loop {
            let (chunk, more) = rest.split_at(rest.len().min(CHUNK));
            self.put(keys::chunk(prefix, number), chunk);
            number += 1;
            if chunk.len() < CHUNK {
                break;
            }
            rest = more;
        }
        self.remove_chunks(prefix, number)
    }

    /// Removes a value of any length.
    pub(crate) fn remove_long(&mut self, prefix: &[u8]) -> Outcome<()> {
        self.remove_chunks(prefix, 0)
    }

    fn remove_chunks(&mut self, prefix: &[u8], from: u16) -> Outcome<()> {
        for number in from..=u16::MAX {
            let key = keys::chunk(prefix, number);
            if !self.has(&key)? {
                break;
            }
            self.remove(key);
        }
        Ok(())
    }
}

/// The changes as sled takes them.
pub(crate) fn batch(changes: Changes) -> Batch {
    let mut batch = Batch::default();
    for (key, value) in changes {
        match value {
            Some(value) => batch.insert(key, value),
            None => batch.remove(key),
        }
    }
    batch
}

impl View for Draft<'_> {
    fn get(&self, key: &[u8]) -> Outcome<Option<IVec>> {
        match self.changes.get(key) {
            Some(change) => Ok(change.clone()),
            None => self.disk.get(key),
        }
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: Visit<'_>) -> Outcome<()> {
        if from >= to {
            return Ok(());
        }
        let bounds = (Bound::Included(from), Bound::Excluded(to));
        let mut changed = self.changes.range::<[u8], _>(bounds).peekable();
        if changed.peek().is_none() {
            return self.disk.scan(from, to, visit);
        }
        walk(|| {
            let mut stored = self.disk.range(from, to).peekable();
            while let Some(entry) = next(&mut stored, &mut changed) {
                if let (key, Some(value)) = entry?
                    && !visit(&key, &value)
                {
                    break;
                }
            }
            Ok(())
        })
    }
}

/// The next of both by key; of an equal pair the changed one.
fn next(
    stored: &mut Peekable<sled::Iter>,
    changed: &mut Peekable<btree_map::Range<'_, Key, Option<IVec>>>,
) -> Option<Outcome<(IVec, Option<IVec>)>> {
    if let (Some(Ok((old, _))), Some((new, _))) = (stored.peek(), changed.peek()) {
        match old.as_ref().cmp(new.as_slice()) {
            std::cmp::Ordering::Less => {}
            std::cmp::Ordering::Equal => {
                stored.next();
                return changed.next().map(change);
            }
            std::cmp::Ordering::Greater => return changed.next().map(change),
        }
    }
    match stored.next() {
        Some(Ok((key, value))) => Some(Ok((key, Some(value)))),
        Some(Err(error)) => Some(Err(error.into())),
        None => changed.next().map(change),
    }
}

fn change((key, value): (&Key, &Option<IVec>)) -> Outcome<(IVec, Option<IVec>)> {
    Ok((IVec::from(key.as_slice()), value.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(keys: &[&str]) -> (tempfile::TempDir, Disk) {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::open(dir.path(), 1 << 20).unwrap();
        let stored = keys
            .iter()
            .map(|key| (key.as_bytes().to_vec(), Some(IVec::from("old"))));
        disk.apply(batch(stored.collect())).unwrap();
        (dir, disk)
    }

    fn seen(draft: &Draft<'_>) -> Vec<String> {
        let mut seen = Vec::new();
        draft
            .scan(b"a", b"z", &mut |key, value| {
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                seen.push(format!("{}={}", text(key), text(value)));
                true
            })
            .unwrap();
        seen
    }

    #[test]
    fn a_scan_sees_the_changes_over_what_is_stored() {
        let (_dir, disk) = disk(&["b", "d", "f"]);
        let mut draft = Draft::new(&disk);
        assert_eq!(seen(&draft), ["b=old", "d=old", "f=old"]);
        draft.put(b"a".to_vec(), "new");
        draft.put(b"d".to_vec(), "new");
        draft.remove(b"f".to_vec());
        draft.put(b"g".to_vec(), "new");
        draft.remove(b"h".to_vec());
        assert_eq!(seen(&draft), ["a=new", "b=old", "d=new", "g=new"]);
        assert_eq!(draft.first(b"c", b"z").unwrap(), Some(b"d".to_vec()));
        assert_eq!(draft.first(b"e", b"g").unwrap(), None);
    }

    #[test]
    fn what_is_taken_back_leaves_the_writes_before_it() {
        let (_dir, disk) = disk(&["b"]);
        let mut draft = Draft::new(&disk);
        draft.begin();
        draft.put(b"c".to_vec(), "1");
        draft.begin();
        draft.put(b"c".to_vec(), "2");
        draft.put(b"c".to_vec(), "3");
        draft.remove(b"b".to_vec());
        draft.take_back();
        assert_eq!(seen(&draft), ["b=old", "c=1"]);
        assert_eq!(draft.len(), 1);
    }

    #[test]
    fn long_values_come_back_whole() {
        let (_dir, disk) = disk(&[]);
        let mut draft = Draft::new(&disk);
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 5 * CHUNK, 3] {
            let value: Vec<u8> = (0..=255_u8).cycle().take(length).collect();
            draft.put_long(b"b", &value).unwrap();
            assert_eq!(draft.get_long(b"b").unwrap(), Some(value));
        }
        draft.remove_long(b"b").unwrap();
        assert_eq!(draft.get_long(b"b").unwrap(), None);
        assert_eq!(seen(&draft), Vec::<String>::new());
    }
}
