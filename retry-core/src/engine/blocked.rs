//! Edits that wait for a unique key which somebody else's open transaction holds, as a user's that has enqueued under it and not
//! committed yet. Nobody says when that ends, nor which edit of a call it was that waited.

use std::collections::{HashMap, HashSet, VecDeque};

use super::outgoing::{Batch, Item, Role, fitting};
use crate::id::TaskId;
use crate::limits::{MAX_BATCH, MAX_CALL_BYTES};
use crate::name::{Kind, UniqueKey};

/// How many outcomes, and how many bytes of them, may wait before nothing more is claimed: whoever holds a key for hours must not fill
/// the memory with what waits for it.
pub(super) const MOST_BLOCKED: usize = 4 * MAX_BATCH;
const MOST_BYTES: usize = 4 * MAX_CALL_BYTES;

/// What edits have in common that wait for the same lock.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Needs {
    /// A unique key within its kind.
    Key(Kind, UniqueKey),
    /// The record of a parent, which a store may lock before it waits for a key.
    Parent(TaskId),
}

/// How much is tried in one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    /// The first edit.
    Alone,
    /// So many of the first, and what needs the same as one of them.
    Firsts(usize),
}

impl Width {
    pub(super) const NARROW: Self = Self::Firsts(1);

    /// Twice as much.
    pub(super) const fn wider(self) -> Self {
        match self {
            Self::Alone => Self::NARROW,
            Self::Firsts(firsts) => Self::Firsts(firsts.saturating_mul(2)),
        }
    }
}

/// What is being tried: what it needs, and how much it is.
#[derive(Debug, Default)]
pub(super) struct Tried {
    needs: Vec<Needs>,
    edits: usize,
    bytes: usize,
}

#[derive(Debug, Default)]
pub(super) struct Blocked {
    waiting: VecDeque<Item>,
    /// How many edits, and how many bytes, what is being tried included.
    edits: usize,
    bytes: usize,
    /// How many of them need what.
    needs: HashMap<Needs, usize>,
}

/// The keys that an edit takes, and that of its task, which it may give up.
fn keys(item: &Item) -> impl Iterator<Item = Needs> {
    let own = match &item.role {
        Role::Settle { task, .. } => task.unique.as_ref().map(|(key, _)| (&task.kind, key)),
        Role::Progress(_) => None,
    };
    let inserted = item.edit.insert.iter();
    let inserted = inserted.filter_map(|new| Some((&new.kind, &new.unique.as_ref()?.key)));
    own.into_iter()
        .chain(inserted)
        .map(|(kind, key)| Needs::Key(kind.clone(), key.clone()))
}

/// The keys, and the parents that the edit changes.
fn needs(item: &Item) -> impl Iterator<Item = Needs> {
    let of_task = match &item.role {
        Role::Settle { task, .. } => task.parent,
        Role::Progress(_) => None,
    };
    let is_parent = item.edit.insert.iter().any(|new| new.parent.is_some());
    let parents = of_task.into_iter().chain(is_parent.then_some(item.edit.id));
    keys(item).chain(parents.map(Needs::Parent))
}

impl Blocked {
    /// Whether an edit can wait for somebody's key at all.
    pub(super) fn may_block(item: &Item) -> bool {
        keys(item).next().is_some()
    }

    /// Whether an edit would wait with those that are here, or for them.
    pub(super) fn concerns(&self, item: &Item) -> bool {
        needs(item).any(|needs| self.needs.contains_key(&needs))
    }

    pub(super) fn push(&mut self, item: Item) {
        for needs in needs(&item) {
            *self.needs.entry(needs).or_default() += 1;
        }
        self.edits += 1;
        self.bytes += item.edit.bytes();
        self.waiting.push_back(item);
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.edits == 0
    }

    pub(super) const fn is_full(&self) -> bool {
        self.edits >= MOST_BLOCKED || self.bytes >= MOST_BYTES
    }

    /// Takes the first ones, and those that need the same: what is free is not held up by what is not.
    pub(super) fn take(&mut self, width: Width) -> (Batch, Tried) {
        let firsts = match width {
            Width::Alone => 1,
            Width::Firsts(firsts) => firsts.min(MAX_BATCH),
        };
        let mut alike: VecDeque<Item> = self.waiting.drain(..firsts.min(self.waiting.len())).collect();
        if let Width::Firsts(_) = width {
            let others = self.split_off_alike(&alike.iter().flat_map(needs).collect());
            alike.extend(std::mem::replace(&mut self.waiting, others));
            let fits = fitting(&alike, MAX_BATCH);
            self.waiting.extend(alike.drain(fits..));
        }
        let tried = Tried {
            needs: alike.iter().flat_map(needs).collect(),
            edits: alike.len(),
            bytes: alike.iter().map(|item| item.edit.bytes()).sum(),
        };
        (alike.into_iter().collect(), tried)
    }

    /// Leaves those here that need any of these; answers the others.
    fn split_off_alike(&mut self, wanted: &HashSet<Needs>) -> VecDeque<Item> {
        let is_alike = |item: &Item| needs(item).any(|needs| wanted.contains(&needs));
        let (alike, others) = std::mem::take(&mut self.waiting).into_iter().partition(is_alike);
        self.waiting = alike;
        others
    }

    /// They were tried in vain: they, and all that need the same, have their next turn behind the others.
    pub(super) fn put_back(&mut self, batch: Batch, tried: &Tried) {
        let others = self.split_off_alike(&tried.needs.iter().cloned().collect());
        let alike = std::mem::replace(&mut self.waiting, others);
        self.waiting.extend(batch.into_items().chain(alike));
    }

    /// The next try is theirs again.
    pub(super) fn put_first(&mut self, batch: Batch) {
        let items = batch.into_items().rev();
        items.for_each(|item| self.waiting.push_front(item));
    }

    /// They are not blocked any more.
    pub(super) fn forget(&mut self, tried: &Tried) {
        self.edits = self.edits.saturating_sub(tried.edits);
        self.bytes = self.bytes.saturating_sub(tried.bytes);
        for needs in &tried.needs {
            if let Some(waiting) = self.needs.get_mut(needs) {
                *waiting -= 1;
            }
        }
        self.needs.retain(|_, waiting| *waiting > 0);
    }

    /// Drops what is known; answers what waited.
    pub(super) fn take_all(&mut self) -> VecDeque<Item> {
        std::mem::take(self).waiting
    }
}
