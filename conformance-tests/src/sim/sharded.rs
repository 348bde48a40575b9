//! The whole store: one part, or two that act as one.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use retry_core::clock::Clock;
use retry_core::id::{SessionId, Shard, TaskId};
use retry_core::name::Queue;
use retry_core::sharded::{Builder, PartState, ShardedStore};
use retry_core::store::{
    ClaimRequest, CountScope, Counts, Durability, Exchanged, Expired, ExpiredRequest, Inserted, Listed,
    MemoryStore, Page, QueueInfo, QueueSetting, Renewed, Result, Session, SessionInfo, TaskFilter, TaskStore,
    Wakeups,
};
use retry_core::task::{Edit, NewTask, TaskDetail};
use retry_core::time::Timestamp;

use super::config::MAX_PARTS;
use super::cover::Sometimes;
use super::link::Link;
use super::shared::Shared;

#[derive(Debug)]
pub(super) struct Whole {
    store: Arc<dyn TaskStore>,
    parts: Option<Arc<ShardedStore>>,
    shared: Arc<Shared>,
}

impl Whole {
    /// The store of a host, by the host's own clock.
    pub(super) fn new(shared: &Arc<Shared>, clock: Arc<dyn Clock>, link: impl Fn(usize) -> Link) -> Self {
        let shared = Arc::clone(shared);
        let servers = shared.servers.len();
        if servers == 1 {
            let (store, parts) = (Arc::new(link(0)), None);
            return Self { store, parts, shared };
        }
        let named = named(servers, |part| Arc::new(link(part)));
        let places = places(servers);
        let whole = Arc::new(built(
            named
                .clock(clock)
                .place_by(|slot| places[usize::from(slot.number())]),
        ));
        let (store, parts) = (Arc::<ShardedStore>::clone(&whole), Some(whole));
        Self { store, parts, shared }
    }

    /// The part that keeps the tasks of a slot.
    pub(super) fn home(&self, shard: Shard) -> usize {
        self.parts
            .as_ref()
            .map_or(0, |_| self.store.part_of(shard).unwrap_or(0))
    }

    /// Clients give each part its own calls, so none is answered by some parts alone; but a part may be left alone.
    fn look(&self) {
        let alone = |state| !matches!(state, PartState::Closed);
        if self
            .parts
            .as_ref()
            .is_some_and(|parts| parts.health().iter().any(|part| alone(part.state)))
        {
            self.shared.hit(Sometimes::PartLeftAlone);
        }
    }
}

/// The builder of a store of this many parts, by the names they have in every history.
fn named(parts: usize, store: impl Fn(usize) -> Arc<dyn TaskStore>) -> Builder {
    (0..parts).fold(ShardedStore::builder(), |builder, part| {
        builder.part(format!("part-{part}"), store(part))
    })
}

fn built(builder: Builder) -> ShardedStore {
    builder
        .build()
        .unwrap_or_else(|error| panic!("no store of these parts: {error}"))
}

/// The part of each slot, by the weights of the parts' names. Worked out once: to weigh thousands of slots for every client and
/// every worker that starts was a quarter of the time of all histories.
fn places(parts: usize) -> &'static [usize] {
    static PLACES: [OnceLock<Vec<usize>>; MAX_PARTS + 1] = [const { OnceLock::new() }; MAX_PARTS + 1];
    PLACES[parts].get_or_init(|| {
        let whole = built(named(parts, |_| Arc::new(MemoryStore::new())));
        Shard::all().filter_map(|slot| whole.part_of(slot)).collect()
    })
}

#[async_trait]
#[deny(
    clippy::missing_trait_methods,
    reason = "a default would not know of the parts"
)]
impl TaskStore for Whole {
    async fn insert(&self, tasks: &[NewTask], now: Timestamp) -> Result<Vec<Inserted>> {
        let answer = self.store.insert(tasks, now).await;
        self.look();
        answer
    }

    async fn exchange(&self, edits: &[Edit], claims: &[ClaimRequest], now: Timestamp) -> Result<Exchanged> {
        let answer = self.store.exchange(edits, claims, now).await;
        self.look();
        answer
    }

    async fn open_session(&self, info: &SessionInfo, until: Timestamp, now: Timestamp) -> Result<()> {
        self.store.open_session(info, until, now).await
    }

    async fn renew(&self, session: SessionId, until: Timestamp, now: Timestamp) -> Result<Renewed> {
        self.store.renew(session, until, now).await
    }

    async fn close_session(&self, session: SessionId) -> Result<()> {
        self.store.close_session(session).await
    }

    async fn sessions(&self) -> Result<Vec<Session>> {
        self.store.sessions().await
    }

    async fn expired(&self, request: &ExpiredRequest, now: Timestamp) -> Result<Expired> {
        self.store.expired(request, now).await
    }

    async fn get(&self, id: TaskId) -> Result<Option<TaskDetail>> {
        self.store.get(id).await
    }

    async fn list(&self, filter: &TaskFilter, page: &Page) -> Result<Listed> {
        self.store.list(filter, page).await
    }

    async fn count(&self, scope: &CountScope) -> Result<Counts> {
        self.store.count(scope).await
    }

    async fn purge(&self, now: Timestamp, limit: usize) -> Result<u64> {
        self.store.purge(now, limit).await
    }

    async fn set_queue(&self, queue: &Queue, setting: QueueSetting) -> Result<()> {
        self.store.set_queue(queue, setting).await
    }

    async fn queues(&self) -> Result<Vec<QueueInfo>> {
        self.store.queues().await
    }

    async fn time(&self) -> Result<Timestamp> {
        self.store.time().await
    }

    async fn time_of(&self, part: usize) -> Result<Timestamp> {
        self.store.time_of(part).await
    }

    async fn migrate(&self) -> Result<()> {
        self.store.migrate().await
    }

    fn watch(&self, queues: &[Queue]) -> Wakeups {
        self.store.watch(queues)
    }

    fn durability(&self) -> Durability {
        self.store.durability()
    }

    fn part_of(&self, shard: Shard) -> Option<usize> {
        self.store.part_of(shard)
    }

    fn parts(&self) -> Vec<Arc<dyn TaskStore>> {
        self.store.parts()
    }
}
