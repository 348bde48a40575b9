//! Progress on its way to the store: made from what is stored when its turn comes, known when it is written.

use std::sync::{Arc, Mutex, PoisonError};

use super::ctx::LeaseLost;
use super::stored::{SplitState, Stored};
use crate::payload::{InvalidPayload, Payload};
use crate::store::StoreError;

/// The checkpoint as an attempt knows it, shared by its contexts and its writes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known(Arc<Mutex<Stored>>);

impl Known {
    pub(crate) fn new(stored: Stored) -> Self {
        Self(Arc::new(Mutex::new(stored)))
    }

    pub(crate) fn get(&self) -> Stored {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set(&self, stored: Stored) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = stored;
    }
}

/// A change to the checkpoint. A caller that goes away leaves its write under way, so the next one is made, and this one
/// is known, where the attempt's writes follow one another.
#[derive(Debug)]
pub(crate) struct Progress {
    known: Known,
    change: Change,
}

#[derive(Debug)]
enum Change {
    Own(Payload),
    Split(SplitState, Option<Payload>),
}

impl Progress {
    /// The handler's own.
    pub(crate) const fn own(known: Known, progress: Payload) -> Self {
        let change = Change::Own(progress);
        Self { known, change }
    }

    /// That of a split, with the place that it keeps, if any.
    pub(crate) const fn split(known: Known, state: SplitState, place: Option<Payload>) -> Self {
        let change = Change::Split(state, place);
        Self { known, change }
    }

    /// What is to be stored. To be called when no other write of the attempt is under way.
    pub(crate) fn stored(&self) -> Stored {
        let before = self.known.get();
        match &self.change {
            Change::Own(own) => Stored {
                own: Some(own.clone()),
                ..before
            },
            Change::Split(split, place) => Stored {
                split: Some(*split),
                own: place.clone().or(before.own),
            },
        }
    }

    /// It is stored. To be called before the next write begins.
    pub(crate) fn written(&self, stored: Stored) {
        self.known.set(stored);
    }
}

/// Why progress was not written.
#[derive(Debug)]
pub(crate) enum NotWritten {
    /// It is too large.
    Invalid(InvalidPayload),
    /// The lease is gone.
    LeaseLost,
    /// The task itself is not stored yet, so it cannot have children.
    NotStored,
    /// The store refuses for good what was to be written; the lease is as it was.
    Refused(StoreError),
}

impl From<InvalidPayload> for NotWritten {
    fn from(error: InvalidPayload) -> Self {
        Self::Invalid(error)
    }
}

impl From<LeaseLost> for NotWritten {
    fn from(_: LeaseLost) -> Self {
        Self::LeaseLost
    }
}
