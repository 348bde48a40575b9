//! A host's way to the store: calls take time, fail before and after the write, get lost, come late.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use retry_core::id::{SessionId, TaskId};
use retry_core::name::Queue;
use retry_core::store::{
    Certainty, ClaimRequest, CountScope, Counts, Durability, Exchanged, Expired, ExpiredRequest, Inserted,
    Listed, MemoryStore, Page, QueueInfo, QueueSetting, Renewed, Result, Session, SessionInfo, StoreError,
    StoreErrorKind, TaskFilter, TaskStore, Wakeups,
};
use retry_core::task::{Edit, NewTask, TaskDetail};
use retry_core::time::Timestamp;

use super::cover::Sometimes;
use super::exec::HostId;
use super::fact::{Answer, Fact, Op, Who};
use super::facts::Facts;
use super::fault::Fault;
use super::rng::Rng;
use super::shared::Shared;
use super::weather::{self, Fate, Weather};

#[derive(Debug, Clone)]
pub(super) struct Link {
    /// The part of the store that it leads to.
    pub(super) part: usize,
    pub(super) shared: Arc<Shared>,
    pub(super) weather: Arc<Weather>,
    pub(super) who: Who,
    pub(super) network: HostId,
    pub(super) rng: Arc<Mutex<Rng>>,
    /// Of the program beside the worker, whose calls say nothing about the worker's own.
    pub(super) beside: bool,
}

impl Link {
    pub(super) fn new(
        part: usize,
        shared: Arc<Shared>,
        weather: Arc<Weather>,
        who: Who,
        network: HostId,
        rng: Rng,
    ) -> Self {
        let rng = Arc::new(Mutex::new(rng));
        Self {
            part,
            shared,
            weather,
            who,
            network,
            rng,
            beside: false,
        }
    }

    /// The way of the program in which the worker runs.
    pub(super) fn beside(self) -> Self {
        Self { beside: true, ..self }
    }

    fn tell(&self, fact: Fact<'_>) {
        if !self.beside {
            self.shared.tell(fact);
        }
    }

    pub(super) fn draw<T>(&self, draw: impl FnOnce(&mut Rng) -> T) -> T {
        draw(&mut self.rng.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sends a call; what becomes of it is drawn now.
    async fn call<T, F>(&self, op: Op, apply: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Shared) -> Result<T> + Send + 'static,
    {
        self.call_with(op, &[], &[], false, None, apply).await
    }

    async fn call_with<T, F>(
        &self,
        op: Op,
        edits: &[Edit],
        claims: &[ClaimRequest],
        mark: bool,
        session: Option<SessionId>,
        apply: F,
    ) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Shared) -> Result<T> + Send + 'static,
    {
        let (who, part) = (self.who, self.part);
        self.tell(Fact::Sent {
            who,
            part,
            op,
            edits,
            claims,
            mark,
        });
        let now = self.shared.now();
        let sent = match (op, session) {
            (Op::Open, Some(session)) => self.shared.facts(|facts| facts.first_opening(session, now)),
            _ => now,
        };
        let mut fate = self.draw(|rng| self.weather.fate((who, part), op, rng));
        if self.weather.holds_key(edits, now) {
            self.shared.hit(Sometimes::KeyHeld);
            fate = Fate::Rejected {
                after: weather::KEY_WAIT,
            };
        }
        if let Some(fault) = fate.fault() {
            self.shared.fault(fault, op);
        }
        let mut pending = Pending {
            shared: &self.shared,
            who,
            answered: false,
        };
        let result = self.carry(fate, apply).await;
        pending.answered = true;
        drop(pending);
        let answer = match &result {
            Ok(_) => Answer::Good,
            Err(error) if error.certainty() == Certainty::Unknown => Answer::Unknown,
            Err(error)
                if error.kind() == StoreErrorKind::Busy && claims.is_empty() && self.takes_keys(edits) =>
            {
                Answer::Contended
            }
            Err(_) => Answer::Rejected,
        };
        if self.beside && answer.failed() {
            self.shared.facts(|facts| facts.given_up(who));
        }
        // Answers that say more are told by the method itself.
        if answer.failed() || !matches!(op, Op::Renew | Op::Exchange) {
            let nonces: Vec<u64> = edits.iter().map(|edit| edit.nonce.get()).collect();
            self.tell(Fact::Answered {
                who,
                part,
                op,
                sent,
                answer,
                nonces: &nonces,
                session,
            });
        }
        result
    }

    /// Whether edits may wait for somebody's key: a worker sends them beside the rest then.
    fn takes_keys(&self, edits: &[Edit]) -> bool {
        let has_key = |edit: &Edit| {
            let own = |facts: &mut Facts| {
                let row = facts.rows.get(&edit.id);
                // One that is gone says nothing.
                row.is_none_or(|row| row.task.unique.is_some())
            };
            edit.insert.iter().any(|new| new.unique.is_some()) || self.shared.facts(own)
        };
        edits.iter().any(has_key)
    }

    fn told(&self, op: Op, sent: retry_core::clock::Monotonic, lost: bool, session: Option<SessionId>) {
        let answer = if lost { Answer::SessionLost } else { Answer::Good };
        self.shared.tell(Fact::Answered {
            who: self.who,
            part: self.part,
            op,
            sent,
            answer,
            nonces: &[],
            session,
        });
    }
}

/// A call under way; dropped before its answer it is given up.
struct Pending<'a> {
    shared: &'a Shared,
    who: Who,
    answered: bool,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.shared.facts(|facts| facts.given_up(self.who));
        }
    }
}

/// Some renewals come without a count, as from a store for which counting takes long.
const fn is_uncounted(until: Timestamp) -> bool {
    until.as_millis() % 5 == 0
}

#[async_trait]
impl TaskStore for Link {
    async fn insert(&self, tasks: &[NewTask], now: Timestamp) -> Result<Vec<Inserted>> {
        let (part, tasks) = (self.part, tasks.to_vec());
        self.call(Op::Insert, move |shared| {
            shared.server(part).insert(shared, &tasks, now)
        })
        .await
    }

    async fn exchange(&self, edits: &[Edit], claims: &[ClaimRequest], now: Timestamp) -> Result<Exchanged> {
        let sent = self.shared.now();
        let (who, part, mut partial) = (self.who, self.part, None);
        if self.draw(|rng| self.weather.is_partial(rng)) && !edits.is_empty() {
            self.shared.hit(Sometimes::Partial);
            self.shared.fault(Fault::Partial, Op::Exchange);
            partial = Some(self.draw(|rng| rng.index(edits.len() + 1)));
        }
        let (sent_edits, sent_claims) = (edits.to_vec(), claims.to_vec());
        let session = claims.first().map(|claim| claim.session);
        let apply = move |shared: &Shared| match partial {
            Some(n) => {
                shared
                    .server(part)
                    .exchange(shared, who, &sent_edits[..n], &[], now)?;
                Err(StoreError::unknown(
                    StoreErrorKind::Unavailable,
                    "the simulated store stopped half-way",
                ))
            }
            None => shared
                .server(part)
                .exchange(shared, who, &sent_edits, &sent_claims, now),
        };
        let exchanged = self
            .call_with(Op::Exchange, edits, claims, false, session, apply)
            .await?;
        let lost = exchanged.claimed.iter().any(|claimed| claimed.session_lost);
        self.told(Op::Exchange, sent, lost, session);
        Ok(exchanged)
    }

    async fn open_session(&self, info: &SessionInfo, until: Timestamp, now: Timestamp) -> Result<()> {
        let (who, part, sent) = (self.who, self.part, info.clone());
        let apply = move |shared: &Shared| shared.server(part).open(shared, who, &sent, until, now);
        self.call_with(Op::Open, &[], &[], false, Some(info.id), apply)
            .await
    }

    async fn renew(&self, session: SessionId, until: Timestamp, now: Timestamp) -> Result<Renewed> {
        let (part, sent) = (self.part, self.shared.now());
        let apply = move |shared: &Shared| shared.server(part).renew(session, until, now);
        let renewed = self
            .call_with(Op::Renew, &[], &[], false, Some(session), apply)
            .await?;
        self.told(Op::Renew, sent, renewed == Renewed::Lost, Some(session));
        Ok(match renewed {
            Renewed::Live { cancel, .. } if is_uncounted(until) => Renewed::Uncounted { cancel },
            renewed => renewed,
        })
    }

    async fn close_session(&self, session: SessionId) -> Result<()> {
        let (who, part) = (self.who, self.part);
        let close = move |shared: &Shared| shared.server(part).close(shared, who, session);
        self.call(Op::Close, close).await
    }

    async fn sessions(&self) -> Result<Vec<Session>> {
        self.read(Op::Sessions, |store| async move { store.sessions().await })
            .await
    }

    async fn expired(&self, request: &ExpiredRequest, now: Timestamp) -> Result<Expired> {
        let (part, by, request) = (self.part, self.who, *request);
        let apply = move |shared: &Shared| shared.server(part).expired(shared, by, &request, now);
        self.call_with(Op::Expired, &[], &[], request.mark, None, apply)
            .await
    }

    async fn get(&self, id: TaskId) -> Result<Option<TaskDetail>> {
        self.read(Op::Get, move |store| async move { store.get(id).await })
            .await
    }

    async fn list(&self, filter: &TaskFilter, page: &Page) -> Result<Listed> {
        let (filter, page) = (filter.clone(), *page);
        let list = move |store: MemoryStore| async move { store.list(&filter, &page).await };
        self.read(Op::List, list).await
    }

    async fn count(&self, scope: &CountScope) -> Result<Counts> {
        let scope = scope.clone();
        self.read(Op::Count, move |store| async move { store.count(&scope).await })
            .await
    }

    async fn purge(&self, now: Timestamp, limit: usize) -> Result<u64> {
        let part = self.part;
        let purge = move |shared: &Shared| shared.server(part).purge(shared, now, limit);
        self.call(Op::Purge, purge).await
    }

    async fn set_queue(&self, queue: &Queue, setting: QueueSetting) -> Result<()> {
        let (part, queue) = (self.part, queue.clone());
        let set = move |shared: &Shared| shared.server(part).set_queue(&queue, setting);
        self.call(Op::SetQueue, set).await
    }

    async fn queues(&self) -> Result<Vec<QueueInfo>> {
        self.read(Op::Queues, |store| async move { store.queues().await })
            .await
    }

    async fn time(&self) -> Result<Timestamp> {
        let part = self.part;
        self.call(Op::Time, move |shared| Ok(shared.server(part).now()))
            .await
    }

    async fn migrate(&self) -> Result<()> {
        Ok(())
    }

    fn watch(&self, queues: &[Queue]) -> Wakeups {
        self.shared.server(self.part).waker.watch(queues)
    }

    fn durability(&self) -> Durability {
        self.weather.durability()
    }
}

impl Link {
    /// A call that changes nothing.
    async fn read<T, F, R>(&self, op: Op, read: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(MemoryStore) -> R + Send + 'static,
        R: Future<Output = Result<T>>,
    {
        let part = self.part;
        self.call(op, move |shared| {
            let never = || {
                Err(StoreError::rejected(
                    StoreErrorKind::Other,
                    "the memory store did not answer at once",
                ))
            };
            futures_util::FutureExt::now_or_never(read(shared.server(part).store())).unwrap_or_else(never)
        })
        .await
    }
}
