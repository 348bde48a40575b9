//! The store contract: the trait, its laws, and what goes in and out.
//!
//! # The laws
//!
//! Each is cited by the conformance cases that test it.
//!
//! - **L1** *Insert is atomic per call and durable* when it returns, at the declared [`Durability`]. A repeated id is the
//!   same task, whatever else is sent with it. A row deleted at once on success is forgotten; `purge` never removes a
//!   row created less than [`RESEND_WINDOW`](crate::limits::RESEND_WINDOW) ago.
//! - **L2** *A duplicate is an answer, not an error.* A unique key is unique per store and kind; under concurrency one
//!   task wins, and the first of a batch. A duplicate does not stop its neighbours.
//! - **L3** *A claim is exclusive*: while a lease is current nobody else receives the task.
//! - **L4** *Never early*: nothing is claimed before its `run_at` by the caller's `now`.
//! - **L5** *Order*: urgent first; within a level the asked lanes in the order of their first due task by
//!   (`run_at`, id), each drained to its limit before the next; inside a lane by (`run_at`, id). Exact for one claimer
//!   without `after`.
//! - **L6** *Only the current version writes*; a final state is final except for rerun and delete.
//! - **L7** *Attempts are durable before the handler runs* and never go down except by snooze, continue, a new step and
//!   a rerun.
//! - **L8** *An edit and the tasks it inserts are one write*; a parent's counters are exact under any interleaving.
//! - **L9** *A lost session stays lost* and can claim nothing; `renew` succeeds, however late, until it is marked; a
//!   closed one is gone at once. Tasks of lost or missing sessions are reported until they are settled.
//! - **L10** *An unknown outcome is safe* for insert, edits, renew, purge and `set_queue`: repeating converges,
//!   except that a `Replace` repeated after its holder ended inserts a task. A claim is never repeated. Dropping a call's future leaves no open transaction.
//! - **L11** *Reads see the caller's own completed writes*; paging neither skips nor repeats a row that did not change;
//!   a short page may have a `next`.
//! - **L12** *Bytes come back as they went in*; case and trailing spaces matter.
//! - **L13** *Bounded work*: insert, exchange, expired, purge and an inexact count cost in proportion to what they
//!   carry, not to what is stored.
//! - **L14** *Bad stored data is reported* beside its neighbours and never blocks them.
//! - **L15** *A paused queue* yields nothing to a claim that starts after `set_queue` returned; running tasks go on; a
//!   born-leased insert becomes pending.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::id::{SessionId, Shard, TaskId};
use crate::name::Queue;
use crate::task::{Edit, NewTask, TaskDetail};
use crate::time::Timestamp;

pub mod address;
mod apart;
pub mod check;
mod enlist;
mod error;
mod ext;
mod filter;
mod memory;
mod session;
mod transact;
mod types;
mod watch;
mod waves;
mod written;

pub use apart::{apart, here};
pub use enlist::Enlist;
pub use error::{Certainty, Result, StoreError, StoreErrorKind};
pub use ext::TaskStoreExt;
pub use memory::{MemoryStore, MemoryTransaction};
pub use session::{Durability, QueueInfo, QueueSetting, Renewed, Session, SessionInfo};
pub use transact::{Begin, Transact, TransactBlocking};
pub use types::{
    Applied, BadRecord, Cause, ClaimRequest, Claimed, Count, CountScope, Counts, Exchanged, Expired,
    ExpiredCursor, ExpiredRequest, Inserted, Lane, Listed, Mark, Page, TaskFilter, Took,
};
pub use watch::{Waker, Wakeups};
pub use waves::waves;
pub(crate) use written::Written;

/// A place that keeps tasks. See the [module's laws](self).
///
/// A store keeps and compares; it decides nothing. Everything that depends on a task's state was computed by the
/// [state machine](crate::machine) and arrives as absolute values with a guard. It reads no clock: `now` is the caller's.
///
/// Every call checks its bounds first (the functions of [`check`]) and answers [`StoreErrorKind::Invalid`] before any
/// write. An empty call answers Ok without I/O. No method retries what may have been written.
#[async_trait]
pub trait TaskStore: fmt::Debug + Send + Sync + 'static {
    /// Inserts tasks, all or none, and answers for each in input order (laws 1, 2). A task with `leased_by` is born
    /// running if it is due, its queue is not paused and its session is live.
    async fn insert(&self, tasks: &[NewTask], now: Timestamp) -> Result<Vec<Inserted>>;

    /// Applies edits, then claims, in input order; claims see the edits. One transaction, script or group.
    ///
    /// Edits answer as if applied one after another; each is atomic with its inserts, the batch is not: a stale edit
    /// does not touch its neighbours (laws 6, 8). When an edit ends a child, its parent's counters and, by
    /// [`join`](crate::machine::join), its state or alarm change in the same write; the parent's version does not. A
    /// parent that is not stored any more is passed over. A unique key
    /// that an edit frees is free for the edit's own inserts.
    /// A rerun of a child is [`Applied::Stale`] unless its parent is joining. A deletion of a child is `Stale` while its
    /// parent is not final.
    ///
    /// A claim takes due tasks of the asked lanes (laws 3, 4, 5, 7, 15) and writes
    /// [`machine::claim`](crate::machine::claim). A row that cannot be read is moved to failed and reported (law 14).
    async fn exchange(&self, edits: &[Edit], claims: &[ClaimRequest], now: Timestamp) -> Result<Exchanged>;

    /// Opens a session. Repeated on a live id it is Ok; on a lost one [`StoreErrorKind::Invalid`].
    async fn open_session(&self, info: &SessionInfo, until: Timestamp, now: Timestamp) -> Result<()>;

    /// Renews a session by one small write, whatever it holds. It never creates one (law 9), never shortens a lease.
    async fn renew(&self, session: SessionId, until: Timestamp, now: Timestamp) -> Result<Renewed>;

    /// Ends a session at once: it is marked lost, and its tasks, if any, are reported as those of a dead process.
    /// Ok for an unknown one.
    async fn close_session(&self, session: SessionId) -> Result<()>;

    /// All sessions, live and lost. A lost one disappears once it holds nothing.
    async fn sessions(&self) -> Result<Vec<Session>>;

    /// Marks sessions lost whose lease ended before `now`, atomically against `renew`, and reports first the tasks of
    /// lost and missing sessions by (session, id), then the others whose alarm is due by (`alarm_at`, id).
    async fn expired(&self, request: &ExpiredRequest, now: Timestamp) -> Result<Expired>;

    /// One task with everything that is kept about it.
    async fn get(&self, id: TaskId) -> Result<Option<TaskDetail>>;

    /// Lists tasks, newest id first, examining at most [`MAX_EXAMINED`](crate::limits::MAX_EXAMINED) records (law 11).
    async fn list(&self, filter: &TaskFilter, page: &Page) -> Result<Listed>;

    /// Counts tasks by queue and state, examining at most [`MAX_EXAMINED`](crate::limits::MAX_EXAMINED) records per
    /// state unless asked for exact counts. Exact counts are of one moment. The others need not be: a task that changes its
    /// state while they are made may be counted in both or in neither.
    async fn count(&self, scope: &CountScope) -> Result<Counts>;

    /// Forgets up to `limit` ended tasks whose `purge_at` is due, with their history, and lost sessions that hold
    /// nothing; answers how many tasks. A child of a parent that has not ended is put off by
    /// [`PURGE_CHILD_DELAY`](crate::limits::PURGE_CHILD_DELAY). Fewer than `limit` do not mean that no more is due: what was put
    /// off counts against the limit, and what another call has locked may be passed over.
    async fn purge(&self, now: Timestamp, limit: usize) -> Result<u64>;

    /// Pauses or resumes a queue, which need not have tasks (law 15).
    async fn set_queue(&self, queue: &Queue, setting: QueueSetting) -> Result<()>;

    /// The queues that have pending tasks or a setting, with up to
    /// [`MAX_LANES_REPORTED`](crate::limits::MAX_LANES_REPORTED) lanes.
    async fn queues(&self) -> Result<Vec<QueueInfo>>;

    /// The store's time: the server's, or for an embedded store that of its injected clock.
    async fn time(&self) -> Result<Timestamp>;

    /// Creates or upgrades the schema, under a lock; twice is a no-op.
    ///
    /// # Errors
    /// [`StoreErrorKind::Schema`] when the stored schema is newer than this program.
    async fn migrate(&self) -> Result<()>;

    /// Hints that tasks of these queues may be due. They may be lost or doubled, but never come before the commit is
    /// visible.
    fn watch(&self, queues: &[Queue]) -> Wakeups;

    /// What law 1 means here.
    fn durability(&self) -> Durability;

    /// The time of one of the [`parts`](Self::parts), each of which has its own clock. A store that is one part has
    /// [one](Self::time).
    async fn time_of(&self, part: usize) -> Result<Timestamp> {
        let _ = part;
        self.time().await
    }

    /// Which of [`parts`](Self::parts) keeps the tasks of a slot; none where that cannot be said, and then no task is born
    /// leased. It is not asked of a store that is one part.
    fn part_of(&self, shard: Shard) -> Option<usize> {
        let _ = shard;
        None
    }

    /// The members of a sharded store; empty for a store that is one part.
    fn parts(&self) -> Vec<Arc<dyn TaskStore>> {
        Vec::new()
    }
}

#[cfg(test)]
const fn _object_safe(_: &dyn TaskStore) {}
