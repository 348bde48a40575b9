//! The program in which a worker runs: its client is attached, and what it enqueues is to run there at once.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use retry_core::client::{Client, Enqueued, Error, Inline};
use retry_core::clock::Clock as _;
use retry_core::draft::Draft;
use retry_core::id::TaskId;
use retry_core::store::{Certainty, Enlist, Inserted, Result, StoreError, TaskStore as _};
use retry_core::task::{NewTask, State};
use retry_core::time::Timestamp;

use super::config::{Ends, Here};
use super::cover::Sometimes;
use super::fact::{Fact, Who};
use super::sharded::Whole;
use super::shared::Shared;

/// A client attached to the worker beside it.
#[derive(Clone)]
pub(super) struct Program {
    pub(super) shared: Arc<Shared>,
    pub(super) client: Client<Whole>,
    pub(super) who: Who,
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Program({})", self.who.host)
    }
}

/// A transaction of which the store sees nothing before its commit.
#[derive(Default)]
pub(super) struct Tx(Mutex<Vec<(NewTask, Timestamp)>>);

impl Enlist<&Tx> for Whole {
    type Reply<T: Send + 'static> = T;

    fn enlist<T, F>(&self, tx: &Tx, tasks: Result<Vec<NewTask>>, now: Timestamp, finish: F) -> T
    where
        T: Send + 'static,
        F: FnOnce(Result<Vec<Inserted>>) -> T + Send + 'static,
    {
        finish(tasks.map(|tasks| {
            let leased = |task: &NewTask| Inserted::New {
                leased: task.leased_by.is_some(),
            };
            let answers = tasks.iter().map(leased).collect();
            let mut kept = tx.0.lock().unwrap_or_else(PoisonError::into_inner);
            kept.extend(tasks.into_iter().map(|task| (task, now)));
            answers
        }))
    }
}

/// An enqueue under way, counted among the futures of its host.
struct UnderWay(Arc<Shared>, Who);

impl UnderWay {
    fn count(&self, change: fn(usize) -> usize) {
        self.0.facts(|facts| {
            let now = facts.now;
            let host = &mut facts.hosts[self.1.host];
            if host.life == self.1.life {
                (host.programs, host.busy_at) = (change(host.programs), now);
            }
        });
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.count(|programs| programs.saturating_sub(1));
    }
}

impl Program {
    /// Enqueues a task to be run here.
    pub(super) fn enqueue(&self, script: usize, draft: Draft, how: Here) {
        let program = self.clone();
        let under_way = UnderWay(Arc::clone(&self.shared), self.who);
        // The hook runs in a future of its own until its task has its permit.
        under_way.count(|programs| programs + 1);
        // A try that does not succeed is stored in a future of its own.
        let storing = (how == Here::Try).then(|| UnderWay(Arc::clone(&self.shared), self.who));
        if let Some(storing) = &storing {
            storing.count(|programs| programs + 1);
        }
        let doing = async move {
            match how {
                Here::Start => program.start(script, draft).await,
                Here::Inline => program.inline(script, draft).await,
                Here::Try => program.try_first(script, draft).await,
                Here::Transaction { millis, ends } => program.transact(script, draft, millis, ends).await,
            }
            drop((under_way, storing));
        };
        self.shared.exec.spawn(self.who.host, Box::pin(doing));
    }

    async fn start(&self, script: usize, draft: Draft) {
        match self.client.enqueue(draft).run_here().await {
            Ok(enqueued) => self.acknowledged(enqueued),
            Err(error) => self.refused(script, &error),
        }
    }

    fn acknowledged(&self, enqueued: Enqueued) {
        if enqueued.inserted == (Inserted::New { leased: true }) {
            self.told_to_run(enqueued.id);
        }
        self.shared.tell(Fact::Enqueued {
            id: enqueued.id,
            new: enqueued.is_new(),
        });
    }

    fn told_to_run(&self, id: TaskId) {
        self.shared.facts(|facts| facts.told_to_run.insert(id));
    }

    fn refused(&self, script: usize, error: &Error) {
        if let Error::Store(error) = error
            && error.certainty() == Certainty::Rejected
        {
            self.shared.tell(Fact::Refused { script });
        }
    }

    async fn inline(&self, script: usize, draft: Draft) {
        match self.client.enqueue(draft).run_inline().await {
            Ok(Inline::Enqueued(enqueued)) => self.acknowledged(enqueued),
            Ok(inline) => {
                self.shared.hit(Sometimes::RanInline);
                if matches!(inline, Inline::Succeeded(_)) {
                    self.check_success(script);
                }
            }
            Err(error) => self.refused(script, &error),
        }
    }

    async fn try_first(&self, script: usize, draft: Draft) {
        if !self.knows_the_time().await {
            return self.start(script, draft).await;
        }
        match self.client.enqueue(draft).try_first().await {
            Ok(Inline::Enqueued(enqueued)) => self.acknowledged(enqueued),
            Ok(Inline::Succeeded(_)) => {
                self.shared.hit(Sometimes::TriedWell);
                self.shared.tell(Fact::Refused { script });
            }
            Ok(
                Inline::Retrying { id, .. }
                | Inline::Failed { id, .. }
                | Inline::Cancelled { id }
                | Inline::Waiting { id, .. }
                | Inline::Split { id }
                | Inline::Later { id, .. }
                | Inline::Lost { id },
            ) => {
                self.shared.hit(Sometimes::TriedAndKept);
                if self.shared.facts(|facts| facts.cut_at.is_none()) {
                    self.shared.tell(Fact::Enqueued { id, new: true });
                }
            }
            Ok(_) => {}
            Err(error) => self.refused(script, &error),
        }
    }

    /// A success that was answered is recorded.
    fn check_success(&self, script: usize) {
        let open = self.shared.facts(|facts| {
            let id = facts.enqueued.get(&script)?;
            let row = facts.rows.get(id)?;
            let excused = row.task.reruns > 0 || !facts.is_fenced(*id) || facts.cut_at.is_some();
            (row.task.state != State::Succeeded && !excused).then_some((*id, row.task.state))
        });
        if let Some((id, state)) = open {
            let text = format!("{} is told as succeeded and is {state}", super::fact::name(id));
            self.shared.accuse("inline_is_recorded", text);
        }
    }

    /// Waits until the worker has read the clock of each part: it opens no session there before. (An answer alone is no reading, if the
    /// host stood still before it took it.)
    async fn knows_the_time(&self) -> bool {
        for _ in 0..20 {
            let parts = self.shared.servers.len();
            let sessions = |facts: &mut super::facts::Facts| facts.hosts[self.who.host].parts;
            if self.shared.facts(sessions)[..parts]
                .iter()
                .all(|part| part.session.is_some())
            {
                return true;
            }
            self.wait(200).await;
        }
        false
    }

    async fn transact(&self, script: usize, draft: Draft, millis: u64, ends: Ends) {
        if !self.knows_the_time().await {
            // Inside a transaction the client would go by its host's clock, which may be a day ahead.
            return self.start(script, draft).await;
        }
        let tx = Tx::default();
        let Ok((enqueued, run)) = self.client.enqueue(draft).in_tx_leased(&tx) else {
            return;
        };
        self.wait(millis).await;
        let leased = run.is_leased();
        match ends {
            Ends::RollsBack if leased => self.shared.hit(Sometimes::TransactionUndone),
            Ends::CommitsWithout if leased => self.shared.hit(Sometimes::SavepointUndone),
            _ => {}
        }
        match ends {
            Ends::RollsBack => {
                drop(run);
                return self.shared.tell(Fact::Refused { script });
            }
            Ends::CommitsWithout => {
                run.committed();
                return self.shared.tell(Fact::Refused { script });
            }
            Ends::Commits | Ends::Forgets => {}
        }
        let kept = tx.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        let Some((task, now)) = kept.into_iter().next() else {
            return;
        };
        match self.client.store().insert(&[task], now).await.as_deref() {
            Ok([inserted @ Inserted::New { .. }]) => {
                // Some time passes before the program goes on.
                self.wait(millis / 4).await;
                if ends == Ends::Commits {
                    if *inserted == (Inserted::New { leased: true }) && leased {
                        self.told_to_run(enqueued.id);
                    }
                    run.committed();
                }
                let (id, new) = (enqueued.id, true);
                self.shared.tell(Fact::Enqueued { id, new });
            }
            // Its key was taken: a database would have said so in the transaction.
            Ok(_) => run.committed(),
            Err(error) if error.certainty() == Certainty::Unknown => {
                if leased {
                    self.shared.hit(Sometimes::BornUnknown);
                }
            }
            Err(error) => self.refused(script, &Error::Store(StoreError::clone(error))),
        }
    }

    async fn wait(&self, millis: u64) {
        let clock = &self.shared.clock;
        clock
            .sleep_until(clock.monotonic() + Duration::from_millis(millis))
            .await;
    }
}
