//! Edits on their way to the store, in the order in which they were made.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex};

use super::alerts::Told;
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

struct Outgoing {
    edit: Edit,
    role: Role,
}

impl fmt::Debug for Outgoing {
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
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.edits.iter().map(|edit| edit.id))
            .finish()
    }
}

#[derive(Debug, Default)]
pub(super) struct Outbox(Mutex<Queue>);

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Outgoing>,
    /// Taken by the pump and not answered yet.
    in_flight: usize,
    /// The worker has stopped: nothing is sent any more.
    closed: bool,
}

impl Outbox {
    /// Adds an edit.
    pub(super) fn push(&self, edit: Edit, role: Role) {
        let mut queue = lock(&self.0);
        if !queue.closed {
            queue.waiting.push_back(Outgoing { edit, role });
        }
    }

    /// Drops what is left and all that may come. A checkpoint that waits for its answer is told so by the drop; kept, it
    /// would keep its attempt, and with it the whole worker, for ever.
    pub(super) fn close(&self) {
        let mut queue = lock(&self.0);
        queue.closed = true;
        let left = std::mem::take(&mut queue.waiting);
        drop(queue);
        drop(left);
    }

    /// Takes what fits into one exchange, at most `most` edits.
    pub(super) fn take(&self, most: usize) -> Batch {
        let mut queue = lock(&self.0);
        let (mut bytes, mut inserts) = (0, 0);
        let fits = queue
            .waiting
            .iter()
            .take(most.min(MAX_BATCH))
            .take_while(|outgoing| {
                bytes += outgoing.edit.bytes();
                inserts += outgoing.edit.insert.len();
                bytes <= MAX_CALL_BYTES && inserts <= MAX_BATCH
            });
        // An edit too large for any call is sent alone, so that its refusal is its own.
        let n = fits.count().max(1).min(queue.waiting.len());
        queue.in_flight = n;
        let mut batch = Batch {
            edits: Vec::with_capacity(n),
            roles: Vec::with_capacity(n),
        };
        for Outgoing { edit, role } in queue.waiting.drain(..n) {
            batch.push(edit, role);
        }
        batch
    }

    /// Puts back what could not be sent, in front.
    pub(super) fn put_back(&self, batch: Batch) {
        let mut queue = lock(&self.0);
        queue.in_flight = 0;
        if !queue.closed {
            for (edit, role) in batch.edits.into_iter().zip(batch.roles).rev() {
                queue.waiting.push_front(Outgoing { edit, role });
            }
        }
    }

    /// Notes that what was taken has been answered.
    pub(super) fn answered(&self) {
        lock(&self.0).in_flight = 0;
    }

    pub(super) fn is_empty(&self) -> bool {
        let queue = lock(&self.0);
        queue.waiting.is_empty() && queue.in_flight == 0
    }

    pub(super) fn has_waiting(&self) -> bool {
        !lock(&self.0).waiting.is_empty()
    }
}
