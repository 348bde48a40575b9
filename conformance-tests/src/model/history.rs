//! Runs one history on a store and on the model.

use std::collections::BTreeSet;
use std::sync::Arc;

use retry_core::id::{SessionId, TaskId};
use retry_core::store::{ClaimRequest, Exchanged, MemoryStore, TaskFilter, TaskStore};
use retry_core::task::{Action, TaskSummary};

use super::call::{Answer, Call, list};
use super::op::{Op, ReadSpec};
use super::world::{Step, World};
use super::{compare, features};
use crate::harness::{Harness, Instance};
use crate::invariants::{self, Tasks};
use crate::runner::Unpassed;
use crate::verdict::{Failure, Verdict, equal};

/// A history that runs: the store, the model, and what was done so far.
pub(super) struct History {
    pub(super) world: World,
    pub(super) instance: Box<dyn Instance>,
    pub(super) store: Arc<dyn TaskStore>,
    /// Another handle to the data, once one was wanted.
    pub(super) peer: Option<Arc<dyn TaskStore>>,
    can_reopen: bool,
    pub(super) can_peer: bool,
    /// What the store holds is not known to the model any more; nothing more is called.
    pub(super) over: bool,
    pub(super) trail: Vec<String>,
    pub(super) features: Features,
}

/// What happened in a history, in short: changes of state, answers, causes.
pub(super) type Features = BTreeSet<String>;

/// Runs a history on a fresh store and tells what happened in it.
///
/// # Errors
/// There is no store, or an answer differs from the model's.
pub(super) async fn run(harness: &dyn Harness, ops: &[Op]) -> Result<Features, Unpassed> {
    let mut history = History::start(harness).await?;
    for op in ops {
        history = match history.op(op).await {
            Ok(history) => history,
            Err(failure) => return Err(Unpassed::from(failure)),
        };
    }
    history.end().await.map_err(Unpassed::from)
}

/// Every row that is stored, newest first.
pub(super) async fn list_all(store: &dyn TaskStore) -> Verdict<Vec<TaskSummary>> {
    let filter = everything();
    let rows = list(store, &filter, retry_core::limits::MAX_PAGE).await;
    rows.map_err(|error| Failure::call("list of everything", &error))
}

fn everything() -> TaskFilter {
    TaskFilter {
        with_output: true,
        ..TaskFilter::default()
    }
}

impl History {
    /// A history on a fresh store, with nothing done yet.
    pub(super) async fn start(harness: &dyn Harness) -> Result<Self, Unpassed> {
        let world = World::default();
        let fresh = harness.fresh(world.clock.clone()).await;
        let instance = fresh.map_err(Unpassed::Skipped)?;
        let can = harness.capabilities();
        Ok(Self {
            store: instance.store(),
            peer: None,
            can_reopen: can.reopen,
            can_peer: can.peer,
            over: false,
            world,
            instance,
            trail: Vec::new(),
            features: Features::new(),
        })
    }

    /// Runs an operation; on failure gives the failure with the whole trail.
    pub(super) async fn op(mut self, op: &Op) -> Verdict<Self> {
        if self.over {
            return Ok(self);
        }
        for step in self.world.resolve(op) {
            match step {
                Step::Pass(span) => {
                    self.trail.push(format!("{span:?} pass"));
                    self.world.clock.advance(span);
                }
                Step::Reopen if self.can_reopen => self = self.reopen().await,
                Step::Reopen => {}
                Step::Call(call) => {
                    let verdict = self.call(&call).await;
                    verdict.map_err(|failure| self.explained(failure))?;
                }
            }
        }
        Ok(self)
    }

    async fn reopen(mut self) -> Self {
        self.trail
            .push("the store is dropped and opened again".to_owned());
        self.store = Arc::new(MemoryStore::new());
        self.peer = None;
        self.instance = self.instance.reopen().await;
        self.store = self.instance.store();
        self
    }

    async fn call(&mut self, call: &Call) -> Verdict {
        let now = self.world.now();
        let before = self.tasks();
        let live: BTreeSet<SessionId> = self.live().collect();
        let paused = self.world.model.paused.clone();
        let wanted = self.world.model.answer(call, now);
        let given = call.perform(&*self.store, now).await;
        let shown = match &given {
            Ok(given) => given.describe(),
            Err(error) => format!("{error:?}"),
        };
        self.trail.push(format!("{} → {shown}", call.describe()));
        let given = given.map_err(|error| Failure::call("a call of the history", &error))?;
        if let (Call::Exchange(_, claims), Answer::Exchanged(answer)) = (call, &given) {
            self.keep_marks(claims, answer);
        }
        features::of_answer(&given, &mut self.features);
        compare::allowed(call, given, wanted, &self.world.model, now)?;
        let after = self.stored().await?;
        features::of_change(&before, &after, &mut self.features);
        let deletable = deletable(call);
        invariants::check(&invariants::Step {
            now,
            before: &before,
            after: &after,
            deletable: &deletable,
            live: &live,
            paused: &paused,
            purged: matches!(call, Call::Purge),
        })
    }

    fn tasks(&self) -> Tasks {
        self.world
            .model
            .tasks()
            .map(|task| (task.id, task.clone()))
            .collect()
    }

    fn live(&self) -> impl Iterator<Item = SessionId> {
        let sessions = self.world.model.sessions.keys().copied();
        sessions.filter(|session| self.world.model.is_live(*session))
    }

    /// The store's tasks, which must equal the model's.
    async fn stored(&self) -> Verdict<Tasks> {
        let rows = list_all(&*self.store).await?;
        let wanted = self.world.model.list(&everything());
        equal(
            "L6",
            "everything that is stored, after the last call",
            &rows,
            &wanted,
        )?;
        Ok(rows.into_iter().map(|row| (row.task.id, row.task)).collect())
    }

    /// Keeps the marks of a full claim: they are what a later claim may start behind.
    fn keep_marks(&mut self, claims: &[ClaimRequest], answer: &Exchanged) {
        for (request, claimed) in claims.iter().zip(&answer.claimed) {
            self.world.marks.retain(|(queue, _)| *queue != request.queue);
            self.world
                .marks
                .push((request.queue.clone(), claimed.marks.clone()));
        }
    }

    /// Compares the whole content: each task whole, and every other read.
    pub(super) async fn end(mut self) -> Result<Features, Failure> {
        if self.over {
            return Ok(self.features);
        }
        let ids: Vec<TaskId> = self.world.model.rows.keys().copied().collect();
        let mut calls: Vec<Call> = ids.into_iter().map(Call::Get).collect();
        for read in [
            ReadSpec::Queues,
            ReadSpec::Sessions,
            ReadSpec::Count(None, true),
            ReadSpec::Count(None, false),
            ReadSpec::List(0, 2),
        ] {
            for step in self.world.resolve(&Op::Read(read)) {
                if let Step::Call(call) = step {
                    calls.push(call);
                }
            }
        }
        calls.push(Call::Round(2));
        for call in calls {
            let verdict = self.call(&call).await;
            verdict.map_err(|failure| self.explained(failure))?;
        }
        Ok(self.features)
    }

    pub(super) fn explained(&self, failure: Failure) -> Failure {
        let readable = |text| self.world.names.readable(text);
        Failure {
            law: failure.law,
            what: readable(failure.what),
            given: readable(failure.given),
            allowed: readable(failure.allowed),
            trail: self.trail.iter().cloned().map(readable).collect(),
        }
    }
}

fn deletable(call: &Call) -> BTreeSet<TaskId> {
    let Call::Exchange(edits, _) = call else {
        return BTreeSet::new();
    };
    let deletes = edits
        .iter()
        .filter(|edit| matches!(edit.action, Action::Delete { .. }));
    deletes.map(|edit| edit.id).collect()
}
