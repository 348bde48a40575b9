//! Deliberately broken stores: each breaks one law, and the suite must reject it by the case that tests this law.
//!
//! A mutant is the store in memory with a fault in front of it, so it differs from a right store in one thing only.

mod base;
mod broken;
mod claims;
mod crash;
mod elsewhere;
mod faulty;
mod gifts;
mod inserts;
mod odd;
mod overlap;
mod presence;
mod reads;
mod sessions;
mod settles;
mod table;
mod texts;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use retry_core::clock::ManualClock;
use retry_core::id::TaskId;
use retry_core::store::{Inserted, QueueSetting, Result as StoreResult, TaskStore, check};
use retry_core::task::NewTask;
use retry_core::time::Timestamp;

use self::base::Base;
use self::broken::{Broken, Fault, NoFault};
pub use self::table::MUTANTS;
use crate::harness::{Capabilities, Harness, Instance, Skip, TransactionEnd};
use crate::model::Sort;

/// A broken store and what must reject it.
pub struct Mutant {
    /// What it does wrong.
    pub name: &'static str,
    /// The law that it breaks.
    pub law: &'static str,
    /// `area::name` of the case.
    pub killer: &'static str,
    /// The sorts of generated histories that reject it too.
    pub found_by: &'static [Sort],
    make: fn(Base) -> Arc<dyn TaskStore>,
    reopened: Reopened,
    joined: Joined,
}

/// What becomes of tasks that were inserted in a user's transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Joined {
    /// They exist exactly when it commits.
    Right,
    /// They exist at once, whatever becomes of it.
    AtOnce,
    /// They exist when it commits, also behind a savepoint that was rolled back.
    Unsaved,
    /// They never exist.
    Never,
}

/// What a mutant does when it is opened again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reopened {
    /// It holds what it held.
    Right,
    /// It holds nothing.
    Empty,
    /// It holds its tasks, but no queue is paused.
    Unpaused,
}

impl fmt::Debug for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ← {}", self.name, self.killer)
    }
}

fn broken<F: Fault + Default>(store: Base) -> Arc<dyn TaskStore> {
    Arc::new(Broken::new(store, F::default()))
}

/// The store with no fault: what every mutant would be without its fault.
pub const RIGHT: Mutant = Mutant {
    name: "right",
    law: "",
    killer: "",
    found_by: &[],
    make: broken::<NoFault>,
    reopened: Reopened::Right,
    joined: Joined::Right,
};

/// A right store that takes its time: calls that overlap on it really do.
pub const SLOW: Mutant = Mutant {
    name: "slow",
    make: broken::<overlap::Slow>,
    ..RIGHT
};

/// Makes the stores of a mutant.
#[derive(Debug)]
pub struct MutantHarness(pub &'static Mutant);

#[async_trait]
impl Harness for MutantHarness {
    fn name(&self) -> &str {
        self.0.name
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new().reopen().peer().damage().transactions()
    }

    async fn fresh(&self, clock: ManualClock) -> Result<Box<dyn Instance>, Skip> {
        let data = Base::new(clock.clone());
        let store = (self.0.make)(data.clone());
        Ok(Box::new(Kept {
            mutant: self.0,
            clock,
            data,
            store,
        }))
    }
}

struct Kept {
    mutant: &'static Mutant,
    clock: ManualClock,
    data: Base,
    store: Arc<dyn TaskStore>,
}

#[async_trait]
impl Instance for Kept {
    fn store(&self) -> Arc<dyn TaskStore> {
        Arc::clone(&self.store)
    }

    async fn reopen(self: Box<Self>) -> Box<dyn Instance> {
        let data = match self.mutant.reopened {
            Reopened::Empty => Base::new(self.clock.clone()),
            Reopened::Right | Reopened::Unpaused => self.data.clone(),
        };
        if self.mutant.reopened == Reopened::Unpaused {
            for info in data.queues().await.unwrap_or_default() {
                let resumed = data.set_queue(&info.queue, QueueSetting::Resume).await;
                resumed.unwrap_or_else(|error| panic!("the store in memory resumes: {error}"));
            }
        }
        let store = (self.mutant.make)(data.clone());
        Box::new(Self { data, store, ..*self })
    }

    async fn damage(&self, id: TaskId) {
        self.data.damage(id);
    }

    async fn peer(&self) -> Arc<dyn TaskStore> {
        (self.mutant.make)(self.data.clone())
    }

    async fn in_transaction(
        &self,
        tasks: &[NewTask],
        now: Timestamp,
        end: TransactionEnd,
    ) -> StoreResult<Vec<Inserted>> {
        let kept = match (self.mutant.joined, end) {
            (Joined::Never, _) => false,
            (Joined::AtOnce, _) => true,
            (Joined::Unsaved, end) => end != TransactionEnd::Rollback,
            (Joined::Right, end) => end == TransactionEnd::Commit,
        };
        if kept {
            return self.store.insert(tasks, now).await;
        }
        check::insert(tasks)?;
        Ok(vec![Inserted::New { leased: false }; tasks.len()])
    }
}
