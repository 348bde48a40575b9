//! What one run of a worker may claim, and what became of it: without bounds for a worker that goes on, with them for a
//! tick.

use std::collections::HashSet;
use std::sync::Mutex;

use super::part::lock;
use super::window::ScanWindow;
use crate::id::TaskId;
use crate::store::Written;
use crate::task::State;

/// The bounds of a run, and its counts.
#[derive(Debug, Default)]
pub(super) struct Round {
    /// Only these tasks.
    pub(super) ids: Option<Vec<TaskId>>,
    pub(super) window: ScanWindow,
    /// Tasks that may be claimed in all.
    limit: Option<usize>,
    tally: Option<Mutex<Tally>>,
}

/// What became of the tasks of a tick.
#[derive(Debug, Default, Clone)]
pub(super) struct Tally {
    /// Asked of the store and not answered.
    reserved: usize,
    pub(super) claimed: usize,
    pub(super) ids: HashSet<TaskId>,
    pub(super) succeeded: usize,
    pub(super) failed: usize,
    pub(super) cancelled: usize,
    pub(super) retried: usize,
    pub(super) put_off: usize,
    pub(super) waiting: usize,
}

impl Round {
    /// A run that goes on.
    pub(super) fn endless(window: ScanWindow) -> Self {
        Self {
            window,
            ..Self::default()
        }
    }

    /// A tick.
    pub(super) fn tick(ids: Option<Vec<TaskId>>, window: ScanWindow, limit: Option<usize>) -> Self {
        Self {
            ids,
            window,
            limit,
            tally: Some(Mutex::default()),
        }
    }

    /// How many of `wanted` tasks may be asked for now; they are set aside until they are
    /// [given back](Self::give_back).
    pub(super) fn reserve(&self, wanted: usize) -> usize {
        let (Some(limit), Some(tally)) = (self.limit, &self.tally) else {
            return wanted;
        };
        let mut tally = lock(tally);
        let granted = wanted.min(limit.saturating_sub(tally.claimed + tally.reserved));
        tally.reserved += granted;
        granted
    }

    /// Gives back what was set aside. Whether that makes room for others.
    pub(super) fn give_back(&self, reserved: usize) -> bool {
        let (Some(_), Some(tally)) = (self.limit, &self.tally) else {
            return false;
        };
        let mut tally = lock(tally);
        tally.reserved = tally.reserved.saturating_sub(reserved);
        reserved > 0
    }

    /// Counts what was claimed.
    pub(super) fn claimed(&self, ids: impl Iterator<Item = TaskId>) {
        let Some(tally) = &self.tally else { return };
        let mut tally = lock(tally);
        for id in ids {
            tally.claimed += 1;
            if self.ids.is_some() {
                tally.ids.insert(id);
            }
        }
    }

    /// Whether all has been claimed that may be.
    pub(super) fn is_spent(&self) -> bool {
        match (self.limit, &self.tally) {
            (Some(limit), Some(tally)) => lock(tally).claimed >= limit,
            _ => false,
        }
    }

    /// Counts what the store recorded of an attempt.
    pub(super) fn recorded(&self, written: Written<'_>) {
        let Some(tally) = &self.tally else { return };
        *counter(&mut lock(tally), written) += 1;
    }

    pub(super) fn tally(&self) -> Tally {
        self.tally
            .as_ref()
            .map(|tally| lock(tally).clone())
            .unwrap_or_default()
    }
}

fn counter<'t>(tally: &'t mut Tally, written: Written<'_>) -> &'t mut usize {
    let to = match written {
        Written::Target { to, .. } => to,
        Written::Forgotten => return &mut tally.succeeded,
    };
    match to.state {
        State::Succeeded => &mut tally.succeeded,
        State::Failed => &mut tally.failed,
        State::Cancelled => &mut tally.cancelled,
        State::Waiting | State::Joining => &mut tally.waiting,
        State::Pending | State::Running if to.failure.is_some() => &mut tally.retried,
        State::Pending | State::Running => &mut tally.put_off,
    }
}
