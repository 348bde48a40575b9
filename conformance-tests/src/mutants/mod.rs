//! Deliberately broken stores: each breaks one law, and the suite must reject it by the case that tests this law.
//!
//! A mutant is the store in memory with a fault in front of it, so it differs from a right store in one thing only.

mod broken;
mod claims;
mod inserts;
mod reads;
mod sessions;
mod settles;
mod table;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use retry_core::clock::ManualClock;
use retry_core::store::{MemoryStore, TaskStore};

use self::broken::{Broken, Fault, NoFault};
pub use self::table::MUTANTS;
use crate::harness::{Capabilities, Harness, Instance, Skip};

/// A broken store and the case that must reject it.
pub struct Mutant {
    /// What it does wrong.
    pub name: &'static str,
    /// `area::name` of the case.
    pub killer: &'static str,
    /// Whether generated histories reject it too.
    pub by_model: bool,
    make: fn(MemoryStore) -> Arc<dyn TaskStore>,
    /// Whether it loses what it held when it is reopened.
    forgets: bool,
}

impl fmt::Debug for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ← {}", self.name, self.killer)
    }
}

const fn mutant(
    name: &'static str,
    killer: &'static str,
    by_model: bool,
    make: fn(MemoryStore) -> Arc<dyn TaskStore>,
) -> Mutant {
    Mutant {
        name,
        killer,
        by_model,
        make,
        forgets: false,
    }
}

fn broken<F: Fault + Default>(store: MemoryStore) -> Arc<dyn TaskStore> {
    Arc::new(Broken::new(store, F::default()))
}

/// The store with no fault: what every mutant would be without its fault.
pub const RIGHT: Mutant = mutant("right", "", false, broken::<NoFault>);

/// Makes the stores of a mutant.
#[derive(Debug)]
pub struct MutantHarness(pub &'static Mutant);

#[async_trait]
impl Harness for MutantHarness {
    fn name(&self) -> &str {
        self.0.name
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new().reopen().peer()
    }

    async fn fresh(&self, clock: ManualClock) -> Result<Box<dyn Instance>, Skip> {
        let data = MemoryStore::with_clock(Arc::new(clock.clone()));
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
    data: MemoryStore,
    store: Arc<dyn TaskStore>,
}

#[async_trait]
impl Instance for Kept {
    fn store(&self) -> Arc<dyn TaskStore> {
        Arc::clone(&self.store)
    }

    async fn reopen(self: Box<Self>) -> Box<dyn Instance> {
        let data = if self.mutant.forgets {
            MemoryStore::with_clock(Arc::new(self.clock.clone()))
        } else {
            self.data.clone()
        };
        let store = (self.mutant.make)(data.clone());
        Box::new(Self { data, store, ..*self })
    }

    async fn peer(&self) -> Arc<dyn TaskStore> {
        (self.mutant.make)(self.data.clone())
    }
}
