#![doc = include_str!("../README.md")]

mod connect;
pub mod guide;

pub use connect::{ConnectError, connect};
#[cfg(feature = "webhook")]
pub use retry_core::alert::Webhook;
pub use retry_core::alert::{Alert, AlertOptions, AlertReason, AlertRule, AlertSink, TracingSink};
pub use retry_core::batch::{Batch, Reduced, Shard, Shards};
pub use retry_core::client::{
    BatchProgress, BatchStage, Cancelled, Changes, Client, Enqueue, Enqueued, Error, Inline, Result,
    RunAfterCommit, Transaction,
};
pub use retry_core::draft::{Draft, InvalidTask, TaskOptions, TaskPayload};
pub use retry_core::engine::{
    BuildError, DryRun, HandledTask, KindOptions, OnLeaseLost, TickOptions, TickSummary, Worker,
    WorkerBuilder, WorkerConfig, WorkerHandle,
};
pub use retry_core::executor::{Ctx, Executor, Final, HandlerError, Outcome, State};
pub use retry_core::id::TaskId;
pub use retry_core::policy::{Backoff, Jitter, RetryPolicy};
pub use retry_core::priority::Priority;
pub use retry_core::sharded::ShardedStore;
pub use retry_core::task::State as TaskState;
pub use retry_core::time::Timestamp;
pub use retry_core::why::Why;
// Everything else, under the names that the documentation of the core uses.
pub use retry_core::{
    alert, batch, client, clock, draft, engine, executor, headers, id, limits, machine, name, outbox,
    payload, policy, priority, propagate, seams, sharded, store, task, time, why,
};

/// The MySQL and MariaDB store.
#[cfg(feature = "mysql")]
pub use retry_mysql as mysql;
/// The PostgreSQL store.
#[cfg(feature = "postgres")]
pub use retry_postgres as postgres;
/// The Redis and Valkey store.
#[cfg(feature = "redis")]
pub use retry_redis as redis;
/// The sled store.
#[cfg(feature = "sled")]
pub use retry_sled as sled;
/// The SQLite store.
#[cfg(feature = "sqlite")]
pub use retry_sqlite as sqlite;

/// Messages to brokers, in order per key.
#[cfg(feature = "sinks")]
pub use retry_sinks as sinks;

/// The test kit for your own handlers.
#[cfg(feature = "testing")]
pub use retry_core::testing;

/// Makes a task of an async function.
#[cfg(feature = "macros")]
pub use retry_macros::task;

/// What the attribute `#[task]` needs and nobody else.
#[cfg(feature = "macros")]
#[doc(hidden)]
pub mod __private {
    pub use serde;
    pub use serde_json;
}
