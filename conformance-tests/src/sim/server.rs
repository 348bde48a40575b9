//! The store's side of the world: a correct store, a log of its writes for power cuts, and a report of every change.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use retry_core::clock::{Clock as _, ManualClock};
use retry_core::id::{SessionId, TaskId};
use retry_core::name::Queue;
use retry_core::store::{
    Applied, ClaimRequest, Exchanged, Expired, ExpiredRequest, Inserted, MemoryStore, Page, QueueSetting,
    Renewed, Result, SessionInfo, StoreError, StoreErrorKind, TaskFilter, TaskStore as _, Waker,
};
use retry_core::task::{Action, Edit, NewTask, State, Task, TaskSummary};
use retry_core::time::Timestamp;

use super::cover::Sometimes;
use super::fact::{By, Fact, Row, Who};
use super::facts::SessionFact;
use super::features::{Feature, Features};
use super::outbox;
use super::power::Write;
use super::rng::Rng;
use super::shared::Shared;

pub(super) struct Server {
    /// Which part of the store it is.
    pub(super) part: usize,
    pub(super) clock: ManualClock,
    pub(super) waker: Waker,
    features: Features,
    state: Mutex<Inner>,
}

pub(super) struct Inner {
    pub(super) store: MemoryStore,
    pub(super) log: Vec<Write>,
    pub(super) synced: usize,
    pub(super) rng: Rng,
    pub(super) lose_hints: u64,
    stepped: i64,
    /// For the count of what pauses keep back; a power cut may undo some.
    paused: BTreeSet<Queue>,
}

/// What an edit that came twice was.
const fn repeated(edit: &Edit) -> Sometimes {
    match &edit.action {
        Action::Set(change) if matches!((change.from, change.to.state), (State::Running, State::Running)) => {
            Sometimes::CheckpointRepeated
        }
        _ => Sometimes::EditRepeated,
    }
}

/// Whether it is the task by which relays take turns: the world's tasks are others.
pub(super) fn is_owner(task: &Task) -> bool {
    task.kind.as_str().starts_with("outbox/")
}

/// Notes what became of a hand-over.
fn note_hand_over(shared: &Shared, edit: &Edit, applied: &Applied) {
    let ours = |id: &TaskId| shared.facts(|facts| facts.outbox.contains_key(id));
    if !edit.insert.iter().any(|task| ours(&task.id)) {
        return;
    }
    match applied {
        Applied::Done { inserted, .. } => {
            if inserted.len() > 1 {
                shared.hit(Sometimes::HandedTogether);
            }
            for (task, inserted) in edit.insert.iter().zip(inserted) {
                outbox::note(shared, task.id, *inserted);
            }
        }
        Applied::Repeated => shared.hit(Sometimes::HandOverRepeated),
        Applied::Stale => shared.hit(Sometimes::HandOverRefused),
        _ => {}
    }
}

/// A memory store answers at once.
pub(super) fn done<T>(future: BoxFuture<'_, Result<T>>) -> Result<T> {
    let late = || {
        Err(StoreError::rejected(
            StoreErrorKind::Other,
            "the memory store did not answer at once",
        ))
    };
    future.now_or_never().unwrap_or_else(late)
}

impl Server {
    pub(super) fn new(part: usize, clock: ManualClock, features: Features, rng: Rng) -> Self {
        let store = MemoryStore::with_clock(std::sync::Arc::new(clock.clone()));
        Self {
            part,
            clock,
            waker: Waker::new(),
            features,
            state: Mutex::new(Inner {
                store,
                log: Vec::new(),
                synced: 0,
                rng,
                lose_hints: 0,
                stepped: 0,
                paused: BTreeSet::new(),
            }),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, Inner> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn store(&self) -> MemoryStore {
        self.state().store.clone()
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Steps the store's clock by this much more.
    pub(super) fn step(&self, millis: i64) {
        let mut state = self.state();
        state.stepped += millis;
        self.clock.set_skew(state.stepped);
    }

    /// By how many milliseconds the store's clock has been stepped in all.
    pub(super) fn stepped(&self) -> i64 {
        self.state().stepped
    }

    /// What the store has and the facts do not, if anything: then the simulation itself is wrong.
    pub(super) fn differs(&self, shared: &Shared) -> Option<String> {
        let store = self.store();
        let mut listed = done(store.list(&TaskFilter::default(), &Page::first(1_000))).ok()?;
        listed.tasks.retain(|task| !is_owner(&task.task));
        shared.facts(|facts| {
            let other = |task: &&TaskSummary| {
                facts
                    .rows
                    .get(&task.task.id)
                    .is_none_or(|row| row.task.version != task.task.version)
            };
            let here = facts.rows.values().filter(|row| row.part == self.part).count();
            let count = here != listed.tasks.len();
            let first = listed
                .tasks
                .iter()
                .find(other)
                .map(|task| super::fact::name(task.task.id));
            (count || first.is_some()).then(|| format!("the facts differ from the store: {first:?}"))
        })
    }

    pub(super) fn lose_hints(&self, per_mille: u64) {
        self.state().lose_hints = per_mille;
    }

    /// Keeps a write for a power cut, and answers the store to make it in.
    fn log(&self, write: impl FnOnce() -> Write) -> MemoryStore {
        let mut state = self.state();
        if self.features.has(Feature::PowerCut) {
            state.log.push(write());
        }
        state.store.clone()
    }

    pub(super) fn insert(&self, shared: &Shared, tasks: &[NewTask], now: Timestamp) -> Result<Vec<Inserted>> {
        let store = self.log(|| Write::Insert(tasks.to_vec(), now));
        let inserted = done(store.insert(tasks, now))?;
        let mut queues = BTreeSet::new();
        for (task, inserted) in tasks.iter().zip(&inserted) {
            outbox::note(shared, task.id, *inserted);
            let id = match inserted {
                Inserted::New { .. } => task.id,
                Inserted::Replaced { holder } => {
                    shared.hit(Sometimes::Replaced);
                    *holder
                }
                Inserted::Repeated => {
                    shared.hit(Sometimes::InsertRepeated);
                    continue;
                }
                _ => continue,
            };
            if task.leased_by.is_some() {
                shared.hit(match inserted {
                    Inserted::New { leased: true } => Sometimes::BornLeased,
                    _ => Sometimes::BornPending,
                });
            }
            self.report(shared, &store, id, By::Insert, &mut queues);
        }
        self.hint(shared, &queues);
        Ok(inserted)
    }

    /// One edit or claim at a time, as the contract says, so that every step is seen.
    pub(super) fn exchange(
        &self,
        shared: &Shared,
        who: Who,
        edits: &[Edit],
        claims: &[ClaimRequest],
        now: Timestamp,
    ) -> Result<Exchanged> {
        retry_core::store::check::exchange(edits, claims)?;
        let mut queues = BTreeSet::new();
        let mut exchanged = Exchanged::default();
        for edit in edits {
            let store = self.log(|| Write::Edit(Box::new(edit.clone()), now));
            let answer = done(store.exchange(std::slice::from_ref(edit), &[], now))?;
            for applied in answer.applied {
                if applied == Applied::Repeated {
                    shared.hit(repeated(edit));
                }
                note_hand_over(shared, edit, &applied);
                if let Applied::Done { took, inserted } = &applied {
                    let by = By::Edit {
                        who,
                        edit,
                        took: *took,
                    };
                    self.report_edit(shared, &store, edit, by, inserted, &mut queues);
                }
                exchanged.applied.push(applied);
            }
        }
        for claim in claims {
            self.note_pause(shared, claim, now);
            let store = self.log(|| Write::Claim(Box::new(claim.clone()), now));
            let answer = done(store.exchange(&[], std::slice::from_ref(claim), now))?;
            for claimed in answer.claimed {
                for task in &claimed.tasks {
                    self.report(shared, &store, task.task.id, By::Claim, &mut queues);
                }
                exchanged.claimed.push(claimed);
            }
        }
        self.hint(shared, &queues);
        Ok(exchanged)
    }

    pub(super) fn open(
        &self,
        shared: &Shared,
        who: Who,
        info: &SessionInfo,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<()> {
        let store = self.log(|| Write::Open(Box::new(info.clone()), until, now));
        done(store.open_session(info, until, now))?;
        shared.tell(Fact::Opened {
            who,
            part: self.part,
            session: info.id,
        });
        Ok(())
    }

    pub(super) fn renew(&self, session: SessionId, until: Timestamp, now: Timestamp) -> Result<Renewed> {
        done(
            self.log(|| Write::Renew(session, until, now))
                .renew(session, until, now),
        )
    }

    pub(super) fn close(&self, shared: &Shared, who: Who, session: SessionId) -> Result<()> {
        let store = self.log(|| Write::Close(session));
        let holds = shared.facts(|facts| {
            let holds = |row: &&Row| row.task.session == Some(session);
            // Of what the store forgot that the worker settled, and of what was born there, the worker may know nothing.
            let rows = facts.rows.values().filter(|row| {
                let claimed = |claim: super::fact::Claim| facts.claims_of(row.task.id, claim.version) > 0;
                facts.is_fenced(row.task.id) && row.claim.is_some_and(claimed)
            });
            rows.filter(holds).count()
        });
        shared.tell(Fact::Closed { who, session, holds });
        done(store.close_session(session))?;
        drop(self.refresh_sessions(shared));
        Ok(())
    }

    pub(super) fn expired(
        &self,
        shared: &Shared,
        by: Who,
        request: &ExpiredRequest,
        now: Timestamp,
    ) -> Result<Expired> {
        let expired = done(self.log(|| Write::Expired(*request, now)).expired(request, now))?;
        if request.mark {
            for session in self.refresh_sessions(shared) {
                shared.tell(Fact::Marked { by, session });
            }
        }
        Ok(expired)
    }

    pub(super) fn purge(&self, shared: &Shared, now: Timestamp, limit: usize) -> Result<u64> {
        let store = self.log(|| Write::Purge(now, limit));
        let purged = done(store.purge(now, limit))?;
        // Those that are put off change as well.
        let due = |row: &&Row| row.part == self.part && row.task.purge_at.is_some_and(|at| at <= now);
        let ids: Vec<TaskId> =
            shared.facts(|facts| facts.rows.values().filter(due).map(|row| row.task.id).collect());
        for id in ids {
            self.report(shared, &store, id, By::Purge, &mut BTreeSet::new());
        }
        drop(self.refresh_sessions(shared));
        Ok(purged)
    }

    /// Notes a claim that a pause keeps from tasks that are due.
    fn note_pause(&self, shared: &Shared, claim: &ClaimRequest, now: Timestamp) {
        if !self.state().paused.contains(&claim.queue) {
            return;
        }
        let due = |row: &Row| {
            let asked = claim.kinds.iter().any(|(kind, _)| *kind == row.task.kind);
            row.part == self.part
                && row.is(State::Pending)
                && row.task.queue == claim.queue
                && asked
                && row.task.run_at <= now
        };
        if shared.facts(|facts| facts.rows.values().any(due)) {
            shared.hit(Sometimes::KeptByPause);
        }
    }

    pub(super) fn set_queue(&self, queue: &Queue, setting: QueueSetting) -> Result<()> {
        done(
            self.log(|| Write::SetQueue(queue.clone(), setting))
                .set_queue(queue, setting),
        )?;
        if setting == QueueSetting::Pause {
            self.state().paused.insert(queue.clone());
        } else {
            self.state().paused.remove(queue);
        }
        self.waker.wake(queue);
        Ok(())
    }

    /// Takes note of what became of the sessions; answers those that are newly lost.
    pub(super) fn refresh_sessions(&self, shared: &Shared) -> Vec<SessionId> {
        let sessions = done(self.store().sessions()).unwrap_or_default();
        let stored: std::collections::BTreeMap<SessionId, bool> = sessions
            .into_iter()
            .map(|session| (session.info.id, session.lost))
            .collect();
        shared.facts(|facts| {
            let here = |(_, session): &(&SessionId, &mut SessionFact)| session.part == self.part;
            let mut newly = Vec::new();
            for (id, session) in facts.sessions.iter_mut().filter(here) {
                let lost = stored.get(id).copied().unwrap_or(true);
                if lost && !session.lost {
                    newly.push(*id);
                }
                session.lost = lost;
            }
            newly
        })
    }
}
