//! What the author of a store provides: fresh stores, and what can be done to them.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use retry_core::clock::ManualClock;
use retry_core::id::TaskId;
use retry_core::store::{Inserted, Result as StoreResult, TaskStore};
use retry_core::task::NewTask;
use retry_core::time::Timestamp;

/// Makes stores for the suite. Every case and every generated history gets one of its own.
#[async_trait]
pub trait Harness: Send + Sync + 'static {
    /// The store's name: the first part of every test's name, and what `RETRY_REQUIRE` lists.
    fn name(&self) -> &str;

    /// What its instances can do besides keeping tasks.
    fn capabilities(&self) -> Capabilities {
        Capabilities::new()
    }

    /// Cases that the store answers otherwise by its own documentation, all of them. Each is run, and shown as ignored with
    /// its reason when it fails; a difference that is none is refused.
    fn differences(&self) -> &'static [Difference] {
        &[]
    }

    /// An empty, migrated store that nothing else uses: a file, schema or key prefix of its own.
    ///
    /// An embedded store, whose [`time`](TaskStore::time) is that of an injected clock, takes `clock`. A set-up that
    /// ought to work and does not panics.
    ///
    /// # Errors
    /// [`Skip`] when what it needs, such as a server, is not there. The case is then reported as ignored, or fails when
    /// `RETRY_REQUIRE` is `all` or lists the store's name.
    async fn fresh(&self, clock: ManualClock) -> Result<Box<dyn Instance>, Skip>;
}

/// One fresh store. Dropping it may remove its data.
///
/// The methods besides [`store`](Self::store) are called only if the harness declares the capability.
#[async_trait]
pub trait Instance: Send + Sync {
    /// The store.
    fn store(&self) -> Arc<dyn TaskStore>;

    /// Whether tasks have slots as a client would give them, so that a sharded store keeps them in several parts, instead
    /// of one for all.
    fn spreads(&self) -> bool {
        false
    }

    /// Drops the store without closing it, as a crash of the process would, and opens the same data again. Whatever
    /// was answered with Ok before must be there.
    ///
    /// When it is called, the suite holds no other handle of the store.
    async fn reopen(self: Box<Self>) -> Box<dyn Instance> {
        panic!("the harness declares `reopen`; implement `Instance::reopen`")
    }

    /// Makes the stored row of `id` unreadable behind the store's back, yet still found where it is due: a state or a
    /// text that no version of the store writes, such as a kind with a blank.
    async fn damage(&self, id: TaskId) {
        panic!("the harness declares `damage`; implement `Instance::damage` to damage {id}")
    }

    /// Another handle to the same data, as another process would have it: a connection of its own, nothing shared in
    /// memory.
    async fn peer(&self) -> Arc<dyn TaskStore> {
        panic!("the harness declares `peer`; implement `Instance::peer`")
    }

    /// Inserts tasks inside a transaction as a user of the store would open it (see
    /// [`Enlist`](retry_core::store::Enlist)), and ends it.
    async fn in_transaction(
        &self,
        tasks: &[NewTask],
        now: Timestamp,
        end: TransactionEnd,
    ) -> StoreResult<Vec<Inserted>> {
        let _ = (tasks, now);
        panic!("the harness declares `transactions`; implement `Instance::in_transaction` to {end:?}")
    }
}

/// A case that a store answers otherwise, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Difference {
    /// `area::name` of the case.
    pub case: &'static str,
    /// What the store does instead, and by which of its documented properties.
    pub why: &'static str,
    /// It does so in every run: then the case must fail. Otherwise it is a matter of time, and the case may hold.
    pub always: bool,
}

/// How a user's transaction ends. A call that failed in it changes nothing about that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionEnd {
    /// It is committed.
    Commit,
    /// It is rolled back.
    Rollback,
    /// The insert is rolled back to a savepoint taken before it, then the transaction is committed.
    RollbackToSavepoint,
}

/// What a harness can do besides making stores. Cases that need more are reported as ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// [`Instance::reopen`] works: the data outlives the store.
    pub reopen: bool,
    /// [`Instance::damage`] works.
    pub damage: bool,
    /// [`Instance::peer`] works: several processes may use the data at once.
    pub peer: bool,
    /// [`Instance::in_transaction`] works: tasks can be enqueued inside a transaction of the user's own.
    pub transactions: bool,
    /// Generated histories that a run checks unless `RETRY_CONFORMANCE_CASES` says otherwise.
    pub histories: u32,
}

impl Capabilities {
    /// Nothing special, and few histories, as suits a store behind a network.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            reopen: false,
            damage: false,
            peer: false,
            transactions: false,
            histories: 64,
        }
    }

    /// The data outlives the store.
    #[must_use]
    pub const fn reopen(self) -> Self {
        Self { reopen: true, ..self }
    }

    /// Rows can be damaged.
    #[must_use]
    pub const fn damage(self) -> Self {
        Self { damage: true, ..self }
    }

    /// Several handles may use the data at once.
    #[must_use]
    pub const fn peer(self) -> Self {
        Self { peer: true, ..self }
    }

    /// Tasks can be enqueued inside a transaction of the user's own.
    #[must_use]
    pub const fn transactions(self) -> Self {
        Self {
            transactions: true,
            ..self
        }
    }

    /// As many histories as take a few seconds.
    #[must_use]
    pub const fn histories(self, histories: u32) -> Self {
        Self { histories, ..self }
    }
}

impl Default for Capabilities {
    fn default() -> Self {
        Self::new()
    }
}

/// Why there is no store to test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skip {
    reason: String,
}

impl Skip {
    /// Says what is missing and how to provide it.
    pub fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
        }
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}
