//! A host's way to the store: calls take time, fail before and after the write, get lost, come late.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use retry_core::id::{SessionId, TaskId};
use retry_core::name::Queue;
use retry_core::store::{
    Certainty, ClaimRequest, CountScope, Counts, Durability, Exchanged, Expired, ExpiredRequest, Inserted,
    Listed, Page, QueueInfo, QueueSetting, Renewed, Result, Session, SessionInfo, StoreError, StoreErrorKind,
    TaskFilter, TaskStore, Wakeups,
};
use retry_core::task::{Edit, NewTask, TaskDetail};
use retry_core::time::Timestamp;

use super::cover::Sometimes;
use super::exec::HostId;
use super::fact::{Answer, Fact, Op, Who};
use super::rng::Rng;
use super::shared::Shared;
use super::weather::Weather;

#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) shared: Arc<Shared>,
    pub(super) weather: Arc<Weather>,
    pub(super) who: Who,
    pub(super) network: HostId,
    pub(super) rng: Arc<Mutex<Rng>>,
}

impl Link {
    pub(super) fn new(
        shared: Arc<Shared>,
        weather: Arc<Weather>,
        who: Who,
        network: HostId,
        rng: Rng,
    ) -> Self {
        let rng = Arc::new(Mutex::new(rng));
        Self {
            shared,
            weather,
            who,
            network,
            rng,
        }
    }

    fn draw<T>(&self, draw: impl FnOnce(&mut Rng) -> T) -> T {
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
        let who = self.who;
        self.shared.tell(Fact::Sent {
            who,
            op,
            edits,
            claims,
            mark,
        });
        let sent = self.shared.now();
        let fate = self.draw(|rng| self.weather.fate(who, op, rng));
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
            Err(error) if error.certainty() == Certainty::Rejected => Answer::Rejected,
            Err(_) => Answer::Unknown,
        };
        // Answers that say more are told by the method itself.
        if answer.failed() || !matches!(op, Op::Renew | Op::Exchange) {
            let nonces: Vec<u64> = edits.iter().map(|edit| edit.nonce.get()).collect();
            self.shared.tell(Fact::Answered {
                who,
                op,
                sent,
                answer,
                nonces: &nonces,
                session,
            });
        }
        result
    }

    fn told(&self, op: Op, sent: retry_core::clock::Monotonic, lost: bool, session: Option<SessionId>) {
        let answer = if lost { Answer::SessionLost } else { Answer::Good };
        self.shared.tell(Fact::Answered {
            who: self.who,
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

#[async_trait]
impl TaskStore for Link {
    async fn insert(&self, tasks: &[NewTask], now: Timestamp) -> Result<Vec<Inserted>> {
        let tasks = tasks.to_vec();
        self.call(Op::Insert, move |shared| {
            shared.server.insert(shared, &tasks, now)
        })
        .await
    }

    async fn exchange(&self, edits: &[Edit], claims: &[ClaimRequest], now: Timestamp) -> Result<Exchanged> {
        let sent = self.shared.now();
        let (who, mut partial) = (self.who, None);
        if self.draw(|rng| self.weather.is_partial(rng)) && !edits.is_empty() {
            self.shared.hit(Sometimes::Partial);
            partial = Some(self.draw(|rng| rng.index(edits.len() + 1)));
        }
        let (sent_edits, sent_claims) = (edits.to_vec(), claims.to_vec());
        let session = claims.first().map(|claim| claim.session);
        let apply = move |shared: &Shared| match partial {
            Some(n) => {
                shared.server.exchange(shared, who, &sent_edits[..n], &[], now)?;
                Err(StoreError::unknown(
                    StoreErrorKind::Unavailable,
                    "the simulated store stopped half-way",
                ))
            }
            None => shared
                .server
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
        let (who, sent) = (self.who, info.clone());
        let apply = move |shared: &Shared| shared.server.open(shared, who, &sent, until, now);
        self.call_with(Op::Open, &[], &[], false, Some(info.id), apply)
            .await
    }

    async fn renew(&self, session: SessionId, until: Timestamp, now: Timestamp) -> Result<Renewed> {
        let sent = self.shared.now();
        let apply = move |shared: &Shared| shared.server.renew(session, until, now);
        let renewed = self
            .call_with(Op::Renew, &[], &[], false, Some(session), apply)
            .await?;
        self.told(Op::Renew, sent, renewed == Renewed::Lost, Some(session));
        Ok(renewed)
    }

    async fn close_session(&self, session: SessionId) -> Result<()> {
        let who = self.who;
        self.call(Op::Close, move |shared| shared.server.close(shared, who, session))
            .await
    }

    async fn sessions(&self) -> Result<Vec<Session>> {
        let store = self.shared.server.store();
        self.read(Op::Sessions, move || async move { store.sessions().await })
            .await
    }

    async fn expired(&self, request: &ExpiredRequest, now: Timestamp) -> Result<Expired> {
        let request = *request;
        let apply = move |shared: &Shared| shared.server.expired(shared, &request, now);
        self.call_with(Op::Expired, &[], &[], request.mark, None, apply)
            .await
    }

    async fn get(&self, id: TaskId) -> Result<Option<TaskDetail>> {
        let shared = Arc::clone(&self.shared);
        self.read(
            Op::Get,
            move || async move { shared.server.store().get(id).await },
        )
        .await
    }

    async fn list(&self, filter: &TaskFilter, page: &Page) -> Result<Listed> {
        let (shared, filter, page) = (Arc::clone(&self.shared), filter.clone(), *page);
        self.read(Op::List, move || async move {
            shared.server.store().list(&filter, &page).await
        })
        .await
    }

    async fn count(&self, scope: &CountScope) -> Result<Counts> {
        let (shared, scope) = (Arc::clone(&self.shared), scope.clone());
        self.read(Op::Count, move || async move {
            shared.server.store().count(&scope).await
        })
        .await
    }

    async fn purge(&self, now: Timestamp, limit: usize) -> Result<u64> {
        self.call(Op::Purge, move |shared| shared.server.purge(shared, now, limit))
            .await
    }

    async fn set_queue(&self, queue: &Queue, setting: QueueSetting) -> Result<()> {
        let queue = queue.clone();
        self.call(Op::SetQueue, move |shared| {
            shared.server.set_queue(&queue, setting)
        })
        .await
    }

    async fn queues(&self) -> Result<Vec<QueueInfo>> {
        let shared = Arc::clone(&self.shared);
        self.read(
            Op::Queues,
            move || async move { shared.server.store().queues().await },
        )
        .await
    }

    async fn time(&self) -> Result<Timestamp> {
        self.call(Op::Time, |shared| Ok(shared.server.now())).await
    }

    async fn migrate(&self) -> Result<()> {
        Ok(())
    }

    fn watch(&self, queues: &[Queue]) -> Wakeups {
        self.shared.server.waker.watch(queues)
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
        F: FnOnce() -> R + Send + 'static,
        R: Future<Output = Result<T>>,
    {
        self.call(op, move |_| {
            let never = || {
                Err(StoreError::rejected(
                    StoreErrorKind::Other,
                    "the memory store did not answer at once",
                ))
            };
            futures_util::FutureExt::now_or_never(read()).unwrap_or_else(never)
        })
        .await
    }
}
