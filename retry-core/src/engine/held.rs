//! The tasks this worker holds in the store: waiting, running, or on their way to being settled.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use tokio_util::sync::CancellationToken;

use super::kind::OnLeaseLost;
use super::part::lock;
use crate::id::TaskId;
use crate::task::Task;

/// Why an attempt was cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CancelReason {
    /// An operator asked for it.
    Operator,
    /// The worker lost its lease, or the task.
    LeaseLost,
    /// The worker shuts down.
    Shutdown,
}

/// The switch that ends a running attempt; the first reason counts.
#[derive(Debug, Clone, Default)]
pub(super) struct Cancel {
    token: CancellationToken,
    reason: Arc<Mutex<Option<CancelReason>>>,
}

impl Cancel {
    pub(super) fn cancel(&self, reason: CancelReason) {
        lock(&self.reason).get_or_insert(reason);
        self.token.cancel();
    }

    pub(super) fn reason(&self) -> Option<CancelReason> {
        *lock(&self.reason)
    }

    pub(super) const fn token(&self) -> &CancellationToken {
        &self.token
    }
}

/// One claim of one task. A rescued task may be claimed again by the worker that still runs an earlier attempt of it;
/// the version that the claim wrote tells the two apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Hold {
    id: TaskId,
    version: u64,
}

impl Hold {
    /// The hold of a task as it was claimed.
    pub(super) const fn of(claimed: &Task) -> Self {
        Self {
            id: claimed.id,
            version: claimed.version,
        }
    }
}

#[derive(Debug)]
struct Entry {
    /// Whether the store counts it for the present session.
    ours: bool,
    /// One more lost lease would fail it.
    last_life: bool,
    /// Present while its handler runs.
    running: Option<(Cancel, OnLeaseLost)>,
}

impl Entry {
    /// Somebody else has the task, or may have it.
    fn give_up(&mut self) {
        self.ours = false;
        self.cancel(CancelReason::LeaseLost);
    }

    fn cancel(&self, reason: CancelReason) {
        if let Some((cancel, _)) = &self.running {
            cancel.cancel(reason);
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Held {
    holds: Mutex<BTreeMap<Hold, Entry>>,
    /// All were cancelled for this reason; so is what starts later.
    ending: Mutex<Option<CancelReason>>,
}

impl Held {
    /// Notes a claimed task. Other holds of it were lost without our knowing.
    ///
    /// False: this very hold is known. The store lost its last writes and gave the same version again; what becomes of
    /// the first claim becomes of both, and nothing new may be started.
    #[must_use]
    pub(super) fn insert(&self, hold: Hold, ours: bool, last_life: bool) -> bool {
        let mut holds = lock(&self.holds);
        let others = holds
            .range_mut(every(hold.id))
            .filter(|(other, _)| **other != hold);
        others.for_each(|(_, entry)| entry.give_up());
        let known = holds.get_mut(&hold).map(|entry| entry.ours = ours).is_some();
        if !known {
            let running = None;
            holds.insert(
                hold,
                Entry {
                    ours,
                    last_life,
                    running,
                },
            );
        }
        !known
    }

    /// Whether a handler of this task runs, under whatever claim.
    pub(super) fn runs(&self, id: TaskId) -> bool {
        let holds = lock(&self.holds);
        holds.range(every(id)).any(|(_, entry)| entry.running.is_some())
    }

    /// Notes that its handler starts; false: it must not, somebody else has the task since it was claimed.
    #[must_use]
    pub(super) fn start(&self, hold: Hold, cancel: &Cancel, on_lease_lost: OnLeaseLost) -> bool {
        match lock(&self.holds).get_mut(&hold) {
            Some(entry) if entry.ours => entry.running = Some((cancel.clone(), on_lease_lost)),
            _ => return false,
        }
        if let Some(reason) = *lock(&self.ending) {
            cancel.cancel(reason);
        }
        true
    }

    /// Notes that its handler has ended.
    pub(super) fn end(&self, hold: Hold) {
        if let Some(entry) = lock(&self.holds).get_mut(&hold) {
            entry.running = None;
        }
    }

    /// Notes that the store has its outcome, or that it is not ours any more.
    pub(super) fn remove(&self, hold: Hold) {
        lock(&self.holds).remove(&hold);
    }

    /// Whether a task is held under the present session.
    pub(super) fn is_ours(&self, id: TaskId) -> bool {
        lock(&self.holds).range(every(id)).any(|(_, entry)| entry.ours)
    }

    /// Whether a task is held that one more lost lease would fail.
    pub(super) fn any_on_last_life(&self) -> bool {
        lock(&self.holds).values().any(|entry| entry.last_life)
    }

    /// How many are held under the present session: what the store should count as well.
    pub(super) fn count(&self) -> u64 {
        lock(&self.holds).values().filter(|entry| entry.ours).count() as u64
    }

    pub(super) fn is_empty(&self) -> bool {
        lock(&self.holds).is_empty()
    }

    /// Those held under the present session.
    pub(super) fn ours(&self) -> Vec<Hold> {
        let holds = lock(&self.holds);
        let ours = holds.iter().filter(|(_, entry)| entry.ours);
        ours.map(|(hold, _)| *hold).collect()
    }

    /// Cancels the handler of a task.
    pub(super) fn cancel(&self, id: TaskId, reason: CancelReason) {
        lock(&self.holds)
            .range(every(id))
            .for_each(|(_, entry)| entry.cancel(reason));
    }

    /// Cancels every running handler, and all that start later.
    pub(super) fn cancel_all(&self, reason: CancelReason) {
        *lock(&self.ending) = Some(reason);
        lock(&self.holds).values().for_each(|entry| entry.cancel(reason));
    }

    /// Cancels the handlers that do not go on without a lease.
    pub(super) fn cancel_by_lease(&self) {
        for (cancel, action) in lock(&self.holds)
            .values()
            .filter_map(|entry| entry.running.as_ref())
        {
            if *action == OnLeaseLost::Cancel {
                cancel.cancel(CancelReason::LeaseLost);
            }
        }
    }

    /// The session is lost: the store counts none of these for the next one.
    pub(super) fn forget_session(&self) {
        lock(&self.holds)
            .values_mut()
            .for_each(|entry| entry.ours = false);
    }

    /// A rescuer took a task that had this version then.
    pub(super) fn taken(&self, id: TaskId, version: u64) {
        lock(&self.holds)
            .range_mut(Hold { id, version: 0 }..=Hold { id, version })
            .for_each(|(_, entry)| entry.give_up());
    }

    /// Gives up those of `known` whose tasks are not among `stored`.
    pub(super) fn give_up_others(&self, known: &[Hold], stored: &BTreeSet<TaskId>) {
        let mut holds = lock(&self.holds);
        for hold in known.iter().filter(|hold| !stored.contains(&hold.id)) {
            if let Some(entry) = holds.get_mut(hold) {
                entry.give_up();
            }
        }
    }
}

const fn every(id: TaskId) -> std::ops::RangeInclusive<Hold> {
    Hold { id, version: 0 }..=Hold {
        id,
        version: u64::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(version: u64) -> Hold {
        let id = TaskId::from_bytes([7; 16]);
        Hold { id, version }
    }

    #[test]
    fn a_version_given_again_is_the_claim_that_is_known() {
        let (held, cancel) = (Held::default(), Cancel::default());
        assert!(held.insert(hold(3), true, false));
        assert!(held.start(hold(3), &cancel, OnLeaseLost::Cancel));
        held.forget_session();
        assert!(!held.insert(hold(3), true, false), "known");
        assert_eq!((held.count(), cancel.reason()), (1, None));
        assert!(
            held.insert(hold(2), true, false),
            "an older version is another claim"
        );
        assert_eq!(cancel.reason(), Some(CancelReason::LeaseLost));
        assert!(held.runs(hold(2).id));
        held.end(hold(3));
        assert!(!held.runs(hold(2).id));
    }
}
