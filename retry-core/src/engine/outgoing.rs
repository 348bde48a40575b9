//! Edits on their way to the store, in the order in which they were made. Those that somebody's lock keeps from being written
//! wait beside the others, so that they hold up nobody.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex};

use super::alerts::Told;
use super::blocked::{Blocked, Tried, Width};
use super::held::Hold;
use super::part::lock;
use super::teller::Teller;
use crate::limits::{MAX_BATCH, MAX_CALL_BYTES};
use crate::store::{Applied, StoreError};
use crate::task::{Edit, Task};

/// What is to happen when the store has answered a checkpoint, or refuses it for good.
pub(super) type OnAnswer = Box<dyn FnOnce(Result<&Applied, &StoreError>) + Send>;

/// What an edit is to its task.
pub(super) enum Role {
    /// It ends the attempt: the task is then not held any more.
    Settle {
        hold: Hold,
        /// The record on which it was decided.
        task: Arc<Task>,
        /// What is told when it is recorded.
        told: Told,
        /// It stands in for an outcome that the store refused.
        replaced: bool,
        /// Who waits for the store's answer.
        teller: Option<Teller>,
    },
    /// It stores progress of an attempt that goes on.
    Progress(OnAnswer),
}

/// An edit that waits to be sent.
pub(super) struct Item {
    pub(super) edit: Edit,
    pub(super) role: Role,
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.edit.id, f)
    }
}

/// Edits that go out together, and beside each what it is to its task. Apart, so that a store is lent the edits as they
/// are.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) edits: Vec<Edit>,
    pub(super) roles: Vec<Role>,
}

impl Batch {
    pub(super) fn push(&mut self, edit: Edit, role: Role) {
        self.edits.push(edit);
        self.roles.push(role);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.edits.len()
    }

    pub(super) fn into_items(self) -> impl DoubleEndedIterator<Item = Item> {
        let pairs = self.edits.into_iter().zip(self.roles);
        pairs.map(|(edit, role)| Item { edit, role })
    }
}

impl FromIterator<Item> for Batch {
    fn from_iter<I: IntoIterator<Item = Item>>(items: I) -> Self {
        let (edits, roles) = items.into_iter().map(|Item { edit, role }| (edit, role)).unzip();
        Self { edits, roles }
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.edits.iter().map(|edit| edit.id))
            .finish()
    }
}

#[derive(Debug, Default)]
pub(super) struct Outgoing(Mutex<Queue>);

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Item>,
    /// Taken by the pump and not answered yet.
    in_flight: usize,
    blocked: Blocked,
    /// The worker has stopped: nothing is sent any more.
    closed: bool,
}

impl Outgoing {
    /// Adds an edit.
    pub(super) fn push(&self, edit: Edit, role: Role) {
        let mut queue = lock(&self.0);
        if !queue.closed {
            queue.waiting.push_back(Item { edit, role });
        }
    }

    /// Drops what is left and all that may come. A checkpoint that waits for its answer is told so by the drop; kept, it
    /// would keep its attempt, and with it the whole worker, for ever.
    pub(super) fn close(&self) {
        let mut queue = lock(&self.0);
        queue.closed = true;
        let left = (std::mem::take(&mut queue.waiting), queue.blocked.take_all());
        drop(queue);
        drop(left);
    }

    /// Takes what fits into one exchange, at most `most` edits.
    pub(super) fn take(&self, most: usize) -> Batch {
        let mut queue = lock(&self.0);
        queue.divert();
        let n = fitting(&queue.waiting, most);
        queue.in_flight = n;
        queue.waiting.drain(..n).collect()
    }

    /// Puts back what could not be sent, in front.
    pub(super) fn put_back(&self, batch: Batch) {
        let mut queue = lock(&self.0);
        queue.in_flight = 0;
        if !queue.closed {
            batch
                .into_items()
                .rev()
                .for_each(|item| queue.waiting.push_front(item));
        }
    }

    /// Puts back what the store was too busy for, but for what [`set_aside`](Self::set_aside) takes; answers how much that was.
    pub(super) fn put_back_busy(&self, batch: Batch) -> usize {
        let sent = batch.len();
        let rest = self.set_aside(batch);
        let moved = sent - rest.len();
        self.put_back(rest);
        moved
    }

    /// Takes out of what was sent, and stays in flight, what may wait for a unique key in somebody else's open transaction: it is
    /// tried beside the others from now on. Answers the others.
    pub(super) fn set_aside(&self, batch: Batch) -> Batch {
        let mut queue = lock(&self.0);
        let (suspects, others): (Vec<_>, Vec<_>) = batch.into_items().partition(Blocked::may_block);
        queue.in_flight = others.len();
        if !queue.closed {
            suspects.into_iter().for_each(|item| queue.blocked.push(item));
        }
        others.into_iter().collect()
    }

    /// Notes that what was taken has been answered.
    pub(super) fn answered(&self) {
        lock(&self.0).in_flight = 0;
    }

    pub(super) fn is_empty(&self) -> bool {
        let queue = lock(&self.0);
        queue.waiting.is_empty() && queue.in_flight == 0 && queue.blocked.is_empty()
    }

    pub(super) fn has_waiting(&self) -> bool {
        !lock(&self.0).waiting.is_empty()
    }

    // What is blocked.

    /// Whether so much waits for somebody's lock that no more outcomes may come about.
    pub(super) fn is_full(&self) -> bool {
        lock(&self.0).blocked.is_full()
    }

    /// Takes the next of it. It counts as blocked until it is told what became of it.
    pub(super) fn take_blocked(&self, width: Width) -> (Batch, Tried) {
        lock(&self.0).blocked.take(width)
    }

    /// It was tried in vain: its next turn is behind the others.
    pub(super) fn still_blocked(&self, batch: Batch, tried: &Tried) {
        let mut queue = lock(&self.0);
        if !queue.closed {
            queue.blocked.put_back(batch, tried);
        }
    }

    /// It is tried again at once, in another way.
    pub(super) fn first_blocked(&self, batch: Batch) {
        let mut queue = lock(&self.0);
        if !queue.closed {
            queue.blocked.put_first(batch);
        }
    }

    /// What was tried is blocked no more: it is answered, but for `again`, which goes the way of all others, in front.
    pub(super) fn unblocked(&self, tried: &Tried, again: Batch) {
        let mut queue = lock(&self.0);
        queue.blocked.forget(tried);
        if !queue.closed {
            again
                .into_items()
                .rev()
                .for_each(|item| queue.waiting.push_front(item));
        }
    }
}

impl Queue {
    /// What needs a key, or changes a parent, of those that wait joins them.
    fn divert(&mut self) {
        if self.blocked.is_empty() {
            return;
        }
        for item in std::mem::take(&mut self.waiting) {
            if self.blocked.concerns(&item) {
                self.blocked.push(item);
            } else {
                self.waiting.push_back(item);
            }
        }
    }
}

/// How many of the first `most` fit into one call. An edit too large for any call is sent alone, so that its refusal is its own.
pub(super) fn fitting(waiting: &VecDeque<Item>, most: usize) -> usize {
    let (mut bytes, mut inserts) = (0, 0);
    let fits = waiting.iter().take(most.min(MAX_BATCH)).take_while(|item| {
        bytes += item.edit.bytes();
        inserts += item.edit.insert.len();
        bytes <= MAX_CALL_BYTES && inserts <= MAX_BATCH
    });
    fits.count().max(1).min(waiting.len())
}
