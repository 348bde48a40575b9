//! The people and programs around the fleet: enqueuers, the outside party that completes waits, the operator.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use retry_core::client::{Changes, Client, Error};
use retry_core::clock::Clock as _;
use retry_core::draft::Draft;
use retry_core::id::{TaskId, TaskIds};
use retry_core::name::Queue;
use retry_core::store::{Certainty, CountScope, Inserted, Page, TaskFilter, TaskStore as _};
use retry_core::task::{State, WaitToken};
use retry_core::time::Timestamp;

use super::config::Operator;
use super::exec::HostId;
use super::fact::Fact;
use super::script::{Answer, AnswerHow, QUEUES};
use super::sharded::Whole;
use super::shared::Shared;

/// A program with a client on a host of its own.
#[derive(Clone)]
pub(super) struct Party {
    pub(super) shared: Arc<Shared>,
    pub(super) client: Client<Whole>,
    pub(super) host: HostId,
}

impl fmt::Debug for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Party({})", self.host)
    }
}

/// How often a caller repeats what the store did not do.
const PATIENCE: u32 = 5;

impl Party {
    pub(super) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.shared.exec.spawn(self.host, Box::pin(future));
    }

    pub(super) async fn wait(&self, millis: u64) {
        let clock = &self.shared.clock;
        clock
            .sleep_until(clock.monotonic() + Duration::from_millis(millis))
            .await;
    }

    pub(super) fn enqueue(&self, script: usize, draft: Draft, many: bool) {
        let party = self.clone();
        self.spawn(async move {
            let enqueued = if many {
                party.client.enqueue_many([draft]).await.map(|mut all| all.pop())
            } else {
                party.client.enqueue(draft).await.map(Some)
            };
            match enqueued {
                Ok(Some(enqueued)) => {
                    party.shared.tell(Fact::Enqueued {
                        id: enqueued.id,
                        new: enqueued.is_new(),
                    });
                }
                Err(Error::Store(error)) if error.certainty() == Certainty::Rejected => {
                    party.shared.tell(Fact::Refused { script });
                }
                _ => {}
            }
        });
    }

    /// Inserts a task as running under the session of a worker, as far as that is known, at the store itself.
    pub(super) fn bear(&self, script: usize, draft: Draft, host: HostId, number: u64) {
        let party = self.clone();
        self.spawn(async move {
            let anywhere = || TaskIds::default().spread(Timestamp::MIN, number);
            let shard = draft.shard().unwrap_or_else(anywhere);
            let home = party.client.store().home(shard);
            let now = party.shared.server(home).now();
            let id = TaskIds::default().next(now, shard, number);
            let Ok(mut task) = draft.build(id, now, number, None) else {
                return;
            };
            task.leased_by = party.shared.facts(|facts| facts.hosts[host].parts[home].session);
            let mut unknown = false;
            for patience in 0..PATIENCE {
                match party.client.store().insert(&[task.clone()], now).await {
                    Ok(inserted) if inserted == [Inserted::NotTried] => {}
                    Ok(inserted) => {
                        let [inserted] = inserted.as_slice() else { return };
                        let new = matches!(inserted, Inserted::New { .. } | Inserted::Repeated);
                        if let Inserted::Duplicate { .. } | Inserted::Replaced { .. } = inserted {
                            return;
                        }
                        return party.shared.tell(Fact::Enqueued { id, new });
                    }
                    Err(error) => unknown |= error.certainty() == Certainty::Unknown,
                }
                party.wait(100 << patience).await;
            }
            if !unknown {
                party.shared.tell(Fact::Refused { script });
            }
        });
    }

    /// Completes a wait as told.
    pub(super) fn answer(&self, token: WaitToken, reruns: u32, answer: Answer) {
        let party = self.clone();
        self.spawn(async move {
            party.wait(answer.after).await;
            for _ in 0..if answer.twice { 2 } else { 1 } {
                for patience in 0..PATIENCE {
                    match party.complete(token, answer.how).await {
                        Ok(()) if answer.how != AnswerHow::Retry => {
                            party.shared.tell(Fact::Completed { token, reruns });
                            break;
                        }
                        Err(Error::Store(_) | Error::Changed(_)) => party.wait(100 << patience).await,
                        _ => break,
                    }
                }
            }
        });
    }

    async fn complete(&self, token: WaitToken, how: AnswerHow) -> Result<(), Error> {
        match how {
            AnswerHow::Resume => self.client.complete(token, "data").await,
            AnswerHow::Succeed => self.client.succeed(token, "output").await,
            AnswerHow::Fail => self.client.fail(token, "the outside says no").await,
            AnswerHow::Retry => {
                self.client
                    .retry(token, Timestamp::MIN, "the outside says again")
                    .await
            }
        }
    }

    /// Does something to one of the tasks there are.
    pub(super) fn operate(&self, act: Operator, draw: u64) {
        let target = self.shared.facts(|facts| {
            let n = usize::try_from(draw % facts.rows.len().max(1) as u64).unwrap_or(0);
            facts.rows.keys().nth(n).copied()
        });
        let Some(id) = target else { return };
        let party = self.clone();
        self.spawn(async move {
            // Refusals are as good an answer as any.
            drop(party.act(act, id, draw).await);
        });
    }

    async fn act(&self, act: Operator, id: TaskId, draw: u64) -> Result<(), Error> {
        let client = &self.client;
        match act {
            Operator::Cancel => client.cancel(id).await.map(drop),
            Operator::Rerun if draw.is_multiple_of(3) => client.rerun_failed_children(id).await.map(drop),
            Operator::Rerun => client.rerun(id).await.map(drop),
            Operator::RerunFromStart => client.rerun_from_start(id).await.map(drop),
            Operator::Delete => client.delete(id).await,
            Operator::Reschedule if draw.is_multiple_of(3) => client.run_now(id).await.map(drop),
            Operator::Reschedule => {
                let at = self
                    .shared
                    .server(0)
                    .now()
                    .saturating_add(Duration::from_millis(draw % 5_000));
                client.reschedule(id, at).await.map(drop)
            }
            Operator::Edit => client.edit(id, Changes::default()).await.map(drop),
            Operator::Look => {
                client.list(&TaskFilter::default(), &Page::first(10)).await?;
                client.count(&CountScope::default()).await?;
                client.queues().await?;
                client.sessions().await?;
                client.get(id).await.map(drop)
            }
        }
    }

    pub(super) fn pause(&self, queue: usize, millis: u64) {
        let party = self.clone();
        self.spawn(async move {
            let Ok(queue) = Queue::new(QUEUES[queue]) else {
                return;
            };
            if party.client.pause(&queue).await.is_ok() {
                party.wait(millis).await;
            }
            while party.client.resume(&queue).await.is_err() {
                party.wait(500).await;
            }
        });
    }

    /// Looks after what only an operator can end: stuck handlers, parents on hold, queues that stayed paused.
    pub(super) fn patrol(&self) {
        let (stuck, held) = self.shared.facts(|facts| {
            let open = || facts.rows.values().filter(|row| !row.task.state.is_final());
            let script = |row: &&super::fact::Row| row.script.and_then(|n| facts.config.scripts.get(n));
            let stuck = open().filter(|row| script(row).is_some_and(super::script::Script::is_stuck));
            let stuck: Vec<TaskId> = stuck
                .filter(|row| !row.task.cancel_requested)
                .map(|row| row.task.id)
                .collect();
            let held = open().filter(|row| row.is(State::Joining) && row.task.children.open == 0);
            (stuck, held.map(|row| row.task.id).collect::<Vec<_>>())
        });
        let party = self.clone();
        self.spawn(async move {
            for id in stuck {
                drop(party.client.cancel(id).await);
            }
            for id in held {
                drop(party.client.release(id).await);
            }
            // A power cut may have lost a resume.
            for queue in QUEUES.into_iter().filter_map(|name| Queue::new(name).ok()) {
                drop(party.client.resume(&queue).await);
            }
        });
    }
}
