//! Runs one history on a store and on the model.

use std::collections::BTreeSet;
use std::sync::Arc;

use retry_core::id::{SessionId, TaskId};
use retry_core::name::Queue;
use retry_core::store::{ClaimRequest, CountScope, Exchanged, MemoryStore, TaskFilter, TaskStore};
use retry_core::task::{Action, TaskSummary};
use retry_core::time::Timestamp;

use super::call::{Answer, Call, list};
use super::op::Op;
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
    pub(super) can_damage: bool,
    /// Damaged rows that a claim has reported.
    pub(super) told: BTreeSet<TaskId>,
    /// What the store holds is not known to the model any more; nothing more is called.
    pub(super) over: bool,
    pub(super) trail: Vec<String>,
    pub(super) features: Features,
}

/// What happened in a history, in short: changes of state, answers, causes.
pub(super) type Features = BTreeSet<String>;

/// What the model holds before a call.
pub(super) struct Moment {
    tasks: Tasks,
    live: BTreeSet<SessionId>,
    paused: BTreeSet<Queue>,
}

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
            can_damage: can.damage,
            told: BTreeSet::new(),
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
                Step::Back(span) => {
                    self.trail
                        .push(format!("the caller's clock steps back by {span:?}"));
                    self.features.insert("the clock steps back".to_owned());
                    self.world.step_back(span);
                }
                Step::Reopen if self.can_reopen => self = self.reopen().await,
                Step::Reopen => {}
                Step::Damage(id) => self.damage(id).await,
                step => {
                    let verdict = self.make(step).await;
                    verdict.map_err(|failure| self.explained(failure))?;
                }
            }
        }
        Ok(self)
    }

    async fn make(&mut self, step: Step) -> Verdict {
        match step {
            Step::Call(call) => self.call(&call).await,
            Step::Unknown(fate, call) => self.unknown(fate, &call).await,
            Step::PurgeSome(limit) => self.purge_some(limit).await,
            Step::MarkSome(limit) => self.mark_some(limit).await,
            Step::Pass(_) | Step::Back(_) | Step::Reopen | Step::Damage(_) => Ok(()),
        }
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

    /// Makes a call and compares its answer, and then everything that is stored.
    pub(super) async fn call(&mut self, call: &Call) -> Verdict {
        self.call_or(call, None).await
    }

    /// Makes a call whose answer may also be the `other` one.
    pub(super) async fn call_or(&mut self, call: &Call, other: Option<Answer>) -> Verdict {
        let now = self.world.now();
        let moment = self.moment();
        let model = (!self.world.damaged.is_empty()).then(|| self.world.model.clone());
        let wanted = self.world.model.answer(call, now);
        let given = call.perform_patiently(&*self.store, now).await;
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
        match model {
            _ if other.as_ref() == Some(&given) => {}
            Some(before) => self.compare_beside_damage(call, given, wanted, Some(before))?,
            None => compare::allowed(call, given, wanted, &self.world.model, now)?,
        }
        self.finish(call, now, moment).await
    }

    /// What a call finds.
    pub(super) fn moment(&self) -> Moment {
        Moment {
            tasks: self.tasks(),
            live: self.live().collect(),
            paused: self.world.model.paused.clone(),
        }
    }

    /// Compares everything that is stored after a call, and checks the invariants.
    pub(super) async fn finish(&mut self, call: &Call, now: Timestamp, before: Moment) -> Verdict {
        let after = self.stored().await?;
        features::of_change(&before.tasks, &after, &mut self.features);
        let deletable = deletable(call);
        invariants::check(&invariants::Step {
            now,
            before: &before.tasks,
            after: &after,
            deletable: &deletable,
            live: &before.live,
            paused: &before.paused,
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
        let mut rows = list_all(&*self.store).await?;
        rows.retain(|row| !self.world.damaged.contains_key(&row.task.id));
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
        let verdict = self.whole_content().await;
        verdict.map_err(|failure| self.explained(failure))?;
        Ok(self.features)
    }

    async fn whole_content(&mut self) -> Verdict {
        let ids: Vec<TaskId> = self.world.model.rows.keys().copied().collect();
        // A page holds two rows, or a tenth of many.
        let page = 2.max(ids.len() / 10);
        let mut calls: Vec<Call> = ids.into_iter().map(Call::Get).collect();
        let scope = |exact| CountScope { queue: None, exact };
        calls.extend([
            Call::Queues,
            Call::Sessions,
            Call::Count(scope(true)),
            Call::Count(scope(false)),
            Call::List(Box::default(), page),
            Call::Round(page),
        ]);
        let moment = self.moment();
        for call in &calls {
            self.read(call).await?;
        }
        // Reading has changed nothing.
        self.finish(&Call::Queues, self.world.now(), moment).await
    }

    /// Makes a call that only reads, and compares its answer.
    async fn read(&mut self, call: &Call) -> Verdict {
        let now = self.world.now();
        let wanted = self.world.model.answer(call, now);
        let given = call.perform(&*self.store, now).await;
        let given = given.map_err(|error| Failure::call(call.describe(), &error))?;
        let answer = given.describe();
        let verdict = self.compare_beside_damage(call, given, wanted, None);
        if verdict.is_err() {
            self.trail.push(format!("{} → {answer}", call.describe()));
        }
        verdict
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
