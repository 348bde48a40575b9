//! Runnable tasks that wait for a permit, of all parts: the permits are the worker's, so the first in line gets the
//! next one wherever it was claimed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, Weak};

use super::part::{Part, lock};
use super::permits::{Permit, Permits};
use super::runnable::Runnable;
use crate::task::Task;

#[derive(Debug)]
struct Waiting {
    /// Weak: a worker that was dropped takes its buffer with it.
    part: Weak<Part>,
    claimed: Runnable,
}

impl Waiting {
    fn is_of(&self, part: &Part) -> bool {
        std::ptr::eq(self.part.as_ptr(), part)
    }
}

#[derive(Debug, Default)]
pub(super) struct Buffer(Mutex<VecDeque<Waiting>>);

impl Buffer {
    /// Adds what a part has claimed. Kinds that are not claimed ahead were claimed for free permits and go first.
    pub(super) fn add(&self, part: &Arc<Part>, tasks: Vec<Runnable>) {
        let mut buffer = lock(&self.0);
        for claimed in tasks {
            let place = if claimed.may_wait() {
                buffer.len()
            } else {
                let first_that_waits = buffer.iter().position(|waiting| waiting.claimed.may_wait());
                first_that_waits.unwrap_or(buffer.len())
            };
            let part = Arc::downgrade(part);
            buffer.insert(place, Waiting { part, claimed });
        }
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.0).len()
    }

    /// How many a part has claimed.
    pub(super) fn len_of(&self, part: &Part) -> usize {
        let buffer = lock(&self.0);
        buffer.iter().filter(|waiting| waiting.is_of(part)).count()
    }

    /// How many pass.
    pub(super) fn count(&self, passes: impl Fn(&Task) -> bool) -> usize {
        let buffer = lock(&self.0);
        buffer
            .iter()
            .filter(|waiting| passes(&waiting.claimed.task))
            .count()
    }

    /// The first task for which there is a permit and a lease.
    pub(super) fn next(&self, permits: &Arc<Permits>) -> Option<(Arc<Part>, Runnable, Permit)> {
        let mut buffer = lock(&self.0);
        if buffer.is_empty() || permits.free() == 0 {
            return None;
        }
        let found = buffer.iter().enumerate().find_map(|(index, waiting)| {
            let part = waiting.part.upgrade().filter(|part| part.lease_is_current())?;
            let task = &waiting.claimed.task;
            Some((index, part, permits.take(&task.queue, &task.kind)?))
        });
        let (index, part, permit) = found?;
        buffer
            .remove(index)
            .map(|waiting| (part, waiting.claimed, permit))
    }

    /// Takes out all that a part has claimed.
    pub(super) fn take(&self, part: &Part) -> Vec<Runnable> {
        let mut buffer = lock(&self.0);
        let (taken, kept) = std::mem::take(&mut *buffer)
            .into_iter()
            .partition::<VecDeque<_>, _>(|waiting| waiting.is_of(part));
        *buffer = kept;
        taken.into_iter().map(|waiting| waiting.claimed).collect()
    }
}
