//! The suite on a store that is made of several: the parts' own harnesses, joined.
//!
//! [`Sharded::one_slot`] gives every task of the suite the same slot. Then one part has them all, beside others that are
//! there, and nothing may differ from a store that is one part: all cases and all generated histories run.
//!
//! [`Sharded::spread`] gives each task a slot as a client would, so that most cases have tasks on several parts. What a sharded store does
//! otherwise by its documentation is declared, case by case, and shown as *ignored* with the reason; such a case must fail,
//! always, or now and then where time decides.

mod differences;
pub mod outage;
mod switch;
mod view;
pub mod wrong;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use retry_core::clock::ManualClock;
use retry_core::id::{Shard, TaskId};
use retry_core::sharded::ShardedStore;
use retry_core::store::TaskStore;

use self::switch::Switch;
use self::view::ThroughParts;
use crate::fixture::Fixture;
use crate::harness::{Capabilities, Difference, Harness, Instance, Skip};

/// What makes the store of its parts; a broken one in place of [`ShardedStore`] for mutants.
pub type Make = fn(&[Arc<dyn TaskStore>], ManualClock) -> Arc<dyn TaskStore>;

/// Makes sharded stores out of the stores of other harnesses.
pub struct Sharded {
    name: String,
    parts: Vec<Arc<dyn Harness>>,
    spread: bool,
    histories: Option<u32>,
    make: Make,
}

impl fmt::Debug for Sharded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.name, self.parts.len())
    }
}

impl Sharded {
    /// All tasks on one of the parts.
    pub fn one_slot(name: impl Into<String>, parts: Vec<Arc<dyn Harness>>) -> Self {
        let (name, spread, make) = (name.into(), false, sharded as Make);
        Self {
            name,
            parts,
            spread,
            histories: None,
            make,
        }
    }

    /// Tasks on all parts.
    pub fn spread(name: impl Into<String>, parts: Vec<Arc<dyn Harness>>) -> Self {
        let spread = true;
        Self {
            spread,
            ..Self::one_slot(name, parts)
        }
    }

    /// As many generated histories, where any run, in place of the least that its parts ask for.
    #[must_use]
    pub fn histories(self, histories: u32) -> Self {
        let histories = Some(histories);
        Self { histories, ..self }
    }

    /// With another store over the parts.
    #[must_use]
    pub fn made_by(self, make: Make) -> Self {
        Self { make, ..self }
    }
}

impl Sharded {
    /// A fresh store of parts that can be switched off.
    async fn switched(&self, clock: ManualClock) -> Result<(Fixture, Arc<dyn TaskStore>, Vec<Switch>), Skip> {
        let mut instances = Vec::new();
        for part in &self.parts {
            instances.push(part.fresh(clock.clone()).await?);
        }
        let stores = instances.iter().map(|instance| instance.store());
        let switches: Vec<Switch> = stores.map(Switch::new).collect();
        let parts: Vec<Arc<dyn TaskStore>> = switches
            .iter()
            .map(|switch| Arc::new(switch.clone()) as Arc<dyn TaskStore>)
            .collect();
        let whole = (self.make)(&parts, clock.clone());
        let joined = Joined {
            view: ThroughParts::new(Arc::clone(&whole), true),
            instances,
            clock: clock.clone(),
            spread: true,
            make: self.make,
        };
        Ok((Fixture::new(Box::new(joined), clock), whole, switches))
    }
}

fn sharded(parts: &[Arc<dyn TaskStore>], clock: ManualClock) -> Arc<dyn TaskStore> {
    let builder = ShardedStore::builder().clock(Arc::new(clock));
    let named = (0..).zip(parts).fold(builder, |builder, (number, part)| {
        builder.part(format!("part-{number}"), Arc::clone(part))
    });
    Arc::new(
        named
            .build()
            .unwrap_or_else(|error| panic!("no store of these parts: {error}")),
    )
}

#[async_trait]
impl Harness for Sharded {
    fn name(&self) -> &str {
        &self.name
    }

    fn capabilities(&self) -> Capabilities {
        let each = self.parts.iter().map(|part| part.capabilities());
        // A transaction belongs to one database.
        let all = Capabilities::new().reopen().damage().peer().histories(u32::MAX);
        let all = each.fold(all, |all, part| Capabilities {
            reopen: all.reopen && part.reopen,
            damage: all.damage && part.damage,
            peer: all.peer && part.peer,
            histories: all.histories.min(part.histories),
            ..all
        });
        match self.histories {
            _ if self.spread => all.histories(0),
            Some(histories) => all.histories(histories),
            None => all,
        }
    }

    fn differences(&self) -> &'static [Difference] {
        if self.spread { differences::SPREAD } else { &[] }
    }

    async fn fresh(&self, clock: ManualClock) -> Result<Box<dyn Instance>, Skip> {
        let mut instances = Vec::new();
        for part in &self.parts {
            instances.push(part.fresh(clock.clone()).await?);
        }
        let (spread, make) = (self.spread, self.make);
        Ok(Box::new(Joined::new(instances, clock, spread, make)))
    }
}

/// Fresh stores as one.
struct Joined {
    /// Dropped before its parts.
    view: ThroughParts,
    instances: Vec<Box<dyn Instance>>,
    clock: ManualClock,
    spread: bool,
    make: Make,
}

impl Joined {
    fn new(instances: Vec<Box<dyn Instance>>, clock: ManualClock, spread: bool, make: Make) -> Self {
        let parts: Vec<_> = instances.iter().map(|instance| instance.store()).collect();
        let view = ThroughParts::new(make(&parts, clock.clone()), spread);
        Self {
            view,
            instances,
            clock,
            spread,
            make,
        }
    }
}

#[async_trait]
impl Instance for Joined {
    fn store(&self) -> Arc<dyn TaskStore> {
        Arc::new(self.view.clone())
    }

    fn spreads(&self) -> bool {
        self.spread
    }

    async fn reopen(self: Box<Self>) -> Box<dyn Instance> {
        let Self {
            view,
            instances,
            clock,
            spread,
            make,
        } = *self;
        drop(view);
        let mut opened = Vec::new();
        for instance in instances {
            opened.push(instance.reopen().await);
        }
        Box::new(Self::new(opened, clock, spread, make))
    }

    async fn damage(&self, id: TaskId) {
        let home = self.view.part_of(id.shard()).unwrap_or_default();
        self.instances[home].damage(id).await;
    }

    async fn peer(&self) -> Arc<dyn TaskStore> {
        let mut parts = Vec::new();
        for instance in &self.instances {
            parts.push(instance.peer().await);
        }
        let whole = (self.make)(&parts, self.clock.clone());
        Arc::new(ThroughParts::new(whole, self.spread))
    }
}

/// The slot of everything in [`Sharded::one_slot`].
const ONE: Shard = Shard::new(0);
