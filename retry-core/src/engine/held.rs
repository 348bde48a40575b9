//! The tasks this worker holds in the store: waiting, running, or on their way to being settled.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use hashbrown::HashTable;
use tokio_util::sync::CancellationToken;

use super::kind::OnLeaseLost;
use super::part::lock;
use crate::clock::Monotonic;
use crate::id::TaskId;
use crate::task::Task;
use crate::time::Timestamp;

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
pub(super) struct Cancel(Arc<Switch>);

#[derive(Debug, Default)]
struct Switch {
    token: CancellationToken,
    reason: Mutex<Option<CancelReason>>,
}

impl Cancel {
    pub(super) fn cancel(&self, reason: CancelReason) {
        lock(&self.0.reason).get_or_insert(reason);
        self.0.token.cancel();
    }

    pub(super) fn reason(&self) -> Option<CancelReason> {
        *lock(&self.0.reason)
    }

    pub(super) fn token(&self) -> &CancellationToken {
        &self.0.token
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

    /// The hold of a task that is born leased.
    pub(super) const fn at_birth(id: TaskId) -> Self {
        Self { id, version: 1 }
    }
}

#[derive(Debug)]
struct Entry {
    hold: Hold,
    /// Whether the store counts it for the present session.
    ours: bool,
    /// One more lost lease would fail it.
    last_life: bool,
    /// From then on a rescuer may take it, without any word to us.
    deadline: Option<Timestamp>,
    /// Its insert, or the transaction around it, is under way: the store may have the task or not.
    expected: bool,
    /// Present while its handler runs.
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    cancel: Cancel,
    on_lease_lost: OnLeaseLost,
    since: Monotonic,
}

impl Entry {
    /// Somebody else has the task, or may have it.
    fn give_up(&mut self) {
        self.ours = false;
        self.cancel(CancelReason::LeaseLost);
    }

    fn cancel(&self, reason: CancelReason) {
        if let Some(running) = &self.running {
            running.cancel.cancel(reason);
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Held(Mutex<Holds>);

#[derive(Debug, Default)]
struct Holds {
    /// Found by task; a task seldom has two.
    table: HashTable<Entry>,
    /// How many are on their last life.
    last_lives: usize,
    /// All were cancelled for this reason; so is what starts later.
    ending: Option<CancelReason>,
}

impl Holds {
    fn get_mut(&mut self, hold: Hold) -> Option<&mut Entry> {
        self.table.find_mut(hash(hold.id), |entry| entry.hold == hold)
    }

    fn of_task(&mut self, id: TaskId) -> impl Iterator<Item = &mut Entry> {
        let alike = self.table.iter_hash_mut(hash(id));
        alike.filter(move |entry| entry.hold.id == id)
    }

    fn put(&mut self, new: Entry) {
        self.last_lives += usize::from(new.last_life);
        self.table
            .insert_unique(hash(new.hold.id), new, |entry| hash(entry.hold.id));
    }

    fn remove(&mut self, hold: Hold) {
        if let Ok(found) = self.table.find_entry(hash(hold.id), |entry| entry.hold == hold) {
            let (entry, _) = found.remove();
            self.last_lives -= usize::from(entry.last_life);
        }
    }

    /// All in the order of their tasks, whatever their places: what is done to one may wake its handler, and a
    /// simulation is to see the same order everywhere.
    fn in_order(&self) -> Vec<&Entry> {
        let mut entries: Vec<_> = self.table.iter().collect();
        entries.sort_unstable_by_key(|entry| entry.hold);
        entries
    }
}

/// Task ids are spread already: folded and mixed once.
fn hash(id: TaskId) -> u64 {
    let bytes = id.to_bytes();
    let (words, _) = bytes.as_chunks::<8>();
    let folded = words
        .iter()
        .fold(0, |folded, word| folded ^ u64::from_be_bytes(*word));
    let mixed = folded.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 32)
}

impl Held {
    /// Notes a claimed task. Other holds of it were lost without our knowing.
    ///
    /// False: this very hold is known. The store lost its last writes and gave the same version again; what becomes of
    /// the first claim becomes of both, and nothing new may be started. One that is only expected was stored as pending
    /// after all, and is the claim's now.
    #[must_use]
    pub(super) fn insert(&self, task: &Task, ours: bool, last_life: bool) -> bool {
        let hold = Hold::of(task);
        let mut holds = lock(&self.0);
        holds
            .of_task(hold.id)
            .filter(|entry| entry.hold != hold)
            .for_each(Entry::give_up);
        if let Some(known) = holds.get_mut(hold)
            && !known.expected
        {
            known.ours = ours;
            return false;
        }
        holds.remove(hold);
        holds.put(Entry {
            hold,
            ours,
            last_life,
            deadline: task.alarm_at,
            expected: false,
            running: None,
        });
        true
    }

    /// Notes a task that is about to be stored as running here. Until it is born, or the hold removed, no comparison with
    /// the store's word says anything about it.
    pub(super) fn expect(&self, hold: Hold) {
        lock(&self.0).put(Entry {
            hold,
            ours: true,
            last_life: false,
            deadline: None,
            expected: true,
            running: None,
        });
    }

    /// Notes that the expected task is stored, under the present session. False: it is not expected any more, a claim
    /// of this worker has it.
    #[must_use]
    pub(super) fn born(&self, hold: Hold, deadline: Option<Timestamp>) -> bool {
        let mut holds = lock(&self.0);
        let Some(entry) = holds.get_mut(hold).filter(|entry| entry.expected) else {
            return false;
        };
        (entry.ours, entry.expected, entry.deadline) = (true, false, deadline);
        true
    }

    /// Expects a task no more, unless a claim has it.
    pub(super) fn expect_no_more(&self, hold: Hold) {
        let mut holds = lock(&self.0);
        if holds.get_mut(hold).is_some_and(|entry| entry.expected) {
            holds.remove(hold);
        }
    }

    /// Whether one that is ours is past its deadline at `now`.
    pub(super) fn any_overdue(&self, now: Timestamp) -> bool {
        let overdue = |entry: &Entry| entry.ours && entry.deadline.is_some_and(|deadline| deadline <= now);
        lock(&self.0).table.iter().any(overdue)
    }

    /// Whether a handler of this task runs, under whatever claim.
    pub(super) fn runs(&self, id: TaskId) -> bool {
        lock(&self.0).of_task(id).any(|entry| entry.running.is_some())
    }

    /// Notes that its handler starts; false: it must not, somebody else has the task since it was claimed.
    #[must_use]
    pub(super) fn start(
        &self,
        hold: Hold,
        cancel: &Cancel,
        on_lease_lost: OnLeaseLost,
        since: Monotonic,
    ) -> bool {
        let mut holds = lock(&self.0);
        let ending = holds.ending;
        match holds.get_mut(hold) {
            Some(entry) if entry.ours => {
                entry.running = Some(Running {
                    cancel: cancel.clone(),
                    on_lease_lost,
                    since,
                });
            }
            _ => return false,
        }
        if let Some(reason) = ending {
            cancel.cancel(reason);
        }
        true
    }

    /// What has run since `before` or longer, in the order of the tasks, with the times since which it runs.
    pub(super) fn running_since(&self, before: Monotonic) -> Vec<(TaskId, u64, Monotonic)> {
        let holds = lock(&self.0);
        let of = |entry: &Entry| {
            let since = entry.running.as_ref()?.since;
            (since <= before).then_some((entry.hold.id, entry.hold.version, since))
        };
        holds.in_order().into_iter().filter_map(of).collect()
    }

    /// Notes that its handler has ended.
    pub(super) fn end(&self, hold: Hold) {
        if let Some(entry) = lock(&self.0).get_mut(hold) {
            entry.running = None;
        }
    }

    /// Notes that the store has its outcome, or that it is not ours any more.
    pub(super) fn remove(&self, hold: Hold) {
        lock(&self.0).remove(hold);
    }

    /// Whether a task is held under the present session, or expected.
    pub(super) fn is_ours(&self, id: TaskId) -> bool {
        lock(&self.0).of_task(id).any(|entry| entry.ours)
    }

    /// Whether a task is held that one more lost lease would fail.
    pub(super) fn any_on_last_life(&self) -> bool {
        lock(&self.0).last_lives > 0
    }

    /// How many are held under the present session: what the store should count as well.
    pub(super) fn count(&self) -> u64 {
        let counted = |entry: &&Entry| entry.ours && !entry.expected;
        lock(&self.0).table.iter().filter(counted).count() as u64
    }

    pub(super) fn is_empty(&self) -> bool {
        lock(&self.0).table.is_empty()
    }

    /// Those held under the present session, in the order of their tasks.
    pub(super) fn ours(&self) -> Vec<Hold> {
        let holds = lock(&self.0);
        let ours = holds
            .in_order()
            .into_iter()
            .filter(|entry| entry.ours && !entry.expected);
        ours.map(|entry| entry.hold).collect()
    }

    /// Cancels the handler of a task.
    pub(super) fn cancel(&self, id: TaskId, reason: CancelReason) {
        lock(&self.0).of_task(id).for_each(|entry| entry.cancel(reason));
    }

    /// Cancels every running handler, and all that start later.
    pub(super) fn cancel_all(&self, reason: CancelReason) {
        let mut holds = lock(&self.0);
        holds.ending = Some(reason);
        holds
            .in_order()
            .into_iter()
            .for_each(|entry| entry.cancel(reason));
    }

    /// Cancels the handlers that do not go on without a lease.
    pub(super) fn cancel_by_lease(&self) {
        for entry in lock(&self.0).in_order() {
            let running = entry.running.as_ref();
            if running.is_some_and(|running| running.on_lease_lost == OnLeaseLost::Cancel) {
                entry.cancel(CancelReason::LeaseLost);
            }
        }
    }

    /// The session is lost: the store counts none of these for the next one.
    pub(super) fn forget_session(&self) {
        lock(&self.0)
            .table
            .iter_mut()
            .for_each(|entry| entry.ours = false);
    }

    /// A rescuer took a task that had this version then.
    pub(super) fn taken(&self, id: TaskId, version: u64) {
        lock(&self.0)
            .of_task(id)
            .filter(|entry| entry.hold.version <= version)
            .for_each(Entry::give_up);
    }

    /// Gives up those of `known` whose tasks are not among `stored`.
    pub(super) fn give_up_others(&self, known: &[Hold], stored: &BTreeSet<TaskId>) {
        let mut holds = lock(&self.0);
        for hold in known.iter().filter(|hold| !stored.contains(&hold.id)) {
            if let Some(entry) = holds.get_mut(*hold) {
                entry.give_up();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draft::Draft;
    use crate::engine::reserve;
    use crate::id::SessionId;
    use crate::payload::Payload;

    const NOW: Timestamp = Timestamp::from_millis(1_000);

    fn task(version: u64) -> Task {
        let payload = Payload::from_json("0").unwrap();
        let new = Draft::raw("k", payload)
            .build(hold(version).id, NOW, 0, None)
            .unwrap();
        let born = reserve::born(&new, SessionId::from_random(1, 2), NOW);
        Task { version, ..born.task }
    }

    fn hold(version: u64) -> Hold {
        let id = TaskId::from_bytes([7; 16]);
        Hold { id, version }
    }

    #[test]
    fn a_version_given_again_is_the_claim_that_is_known() {
        let (held, cancel) = (Held::default(), Cancel::default());
        assert!(held.insert(&task(3), true, false));
        assert!(held.start(hold(3), &cancel, OnLeaseLost::Cancel, Monotonic::default()));
        held.forget_session();
        assert!(!held.insert(&task(3), true, false), "known");
        assert_eq!((held.count(), cancel.reason()), (1, None));
        assert!(
            held.insert(&task(2), true, false),
            "an older version is another claim"
        );
        assert_eq!(cancel.reason(), Some(CancelReason::LeaseLost));
        assert!(held.runs(hold(2).id));
        held.end(hold(3));
        assert!(!held.runs(hold(2).id));
    }

    #[test]
    fn what_is_expected_is_neither_counted_nor_given_up_nor_unknown() {
        let held = Held::default();
        let expected = Hold::at_birth(hold(1).id);
        held.expect(expected);
        assert_eq!((held.count(), held.ours()), (0, vec![]));
        assert!(held.is_ours(expected.id), "it is not handed back");
        held.give_up_others(&held.ours(), &BTreeSet::new());
        assert!(held.born(expected, None));
        assert_eq!((held.count(), held.ours()), (1, vec![expected]));
        assert!(held.start(
            expected,
            &Cancel::default(),
            OnLeaseLost::Cancel,
            Monotonic::default()
        ));
        held.remove(expected);
        assert!(held.is_empty());
    }

    #[test]
    fn what_is_expected_and_claimed_is_the_claim_s() {
        let held = Held::default();
        let expected = Hold::at_birth(hold(1).id);
        held.expect(expected);
        assert!(held.insert(&task(1), true, true), "a claim like any other");
        assert_eq!((held.count(), held.any_on_last_life()), (1, true));
        assert!(!held.born(expected, None), "it does not run a second time");
        held.expect_no_more(expected);
        assert_eq!(held.ours(), [expected], "the claim stays");
        held.remove(expected);
        assert!(held.is_empty() && !held.any_on_last_life());
        assert!(!held.born(expected, None), "it was run, and is over");
    }

    #[test]
    fn what_is_ours_and_past_its_deadline_is_overdue() {
        let held = Held::default();
        let until = |millis| Some(Timestamp::from_millis(millis));
        assert!(held.insert(
            &Task {
                alarm_at: until(1_001),
                ..task(3)
            },
            true,
            false
        ));
        assert!(!held.any_overdue(NOW));
        assert!(held.any_overdue(Timestamp::from_millis(1_001)));
        held.give_up_others(&held.ours(), &BTreeSet::new());
        assert!(
            !held.any_overdue(Timestamp::from_millis(1_001)),
            "not ours any more"
        );
        let expected = Hold::at_birth(TaskId::from_bytes([8; 16]));
        held.expect(expected);
        assert!(held.born(expected, until(1_002)));
        assert!(held.any_overdue(Timestamp::from_millis(1_002)));
    }
}
