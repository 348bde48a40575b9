//! The relays of the outbox: programs of their own, which are started, killed, frozen and shut down as workers are.

use std::sync::Arc;
use std::time::Duration;

use retry_core::clock::ManualClock;
use retry_core::outbox::{OutboxRelay, OutboxRelayHandle};
use retry_core::seams::SeededRandom;

use super::cover::Sometimes;
use super::exec::{HostId, HostSpawn};
use super::fact::Who;
use super::fleet::Parts;
use super::link::Link;
use super::outbox::OutboxLink;
use super::rng::Rng;
use super::shared::Shared;

/// The machine of one relay.
#[derive(Debug)]
pub(super) struct RelayMachine {
    pub(super) host: HostId,
    clock: ManualClock,
    state: State,
    life: u32,
    rng: Rng,
}

#[derive(Debug)]
enum State {
    Up(OutboxRelayHandle),
    Stopping,
    Down,
}

/// What happens to a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Fall {
    Crash,
    Freeze,
    Restart,
    /// An operator cancels the task by which relays take turns.
    Cancel,
}

impl RelayMachine {
    pub(super) fn new(host: HostId, shared: &Shared, rng: Rng) -> Self {
        Self {
            host,
            clock: shared.clock.skewed(0),
            state: State::Down,
            life: 0,
            rng,
        }
    }

    /// Starts a new life, if the one before is over.
    pub(super) fn start(&mut self, parts: &Parts) {
        let shared = &parts.shared;
        self.look(shared);
        if !self.is_down() {
            return;
        }
        self.life += 1;
        let (host, life) = (self.host, self.life);
        let who = Who { host, life };
        shared.remark(host as u64, || format!("relay {host} starts its life {life}"));
        let (fleet, batch) = shared.facts(|facts| {
            facts.hosts[host].life = life;
            (facts.config.fleet.clone(), facts.config.outbox.batch)
        });
        let rng = self.rng.split(u64::from(life));
        let link = |label| {
            let (shared, weather) = (Arc::clone(shared), Arc::clone(&parts.weather));
            Link::new(0, shared, weather, who, parts.network, rng.split(label)).beside()
        };
        let relay = OutboxRelay::builder(link(1), OutboxLink::new(link(2)))
            .poll(Duration::from_millis(50)..=Duration::from_secs(1))
            .batch(batch)
            .lease(Duration::from_millis(fleet.lease_ms))
            .clock(Arc::new(self.clock.clone()))
            .random(Arc::new(SeededRandom::new(rng.split(3).next())))
            .spawn(Arc::new(HostSpawn {
                exec: shared.exec.clone(),
                host,
            }))
            .build();
        match relay {
            Ok(relay) => self.state = State::Up(relay.start()),
            Err(error) => shared.accuse("the world", format!("the relay was not built: {error}")),
        }
    }

    /// Ends its life at once.
    pub(super) fn crash(&mut self, shared: &Shared) {
        shared.remark(self.host as u64, || format!("relay {} crashes", self.host));
        shared.hit(Sometimes::RelayCrash);
        shared.exec.kill(self.host);
        self.state = State::Down;
        // What the end of its parts left behind.
        shared.exec.kill(self.host);
    }

    /// Begins a graceful shutdown.
    pub(super) fn shut_down(&mut self, shared: &Arc<Shared>) {
        match std::mem::replace(&mut self.state, State::Stopping) {
            State::Up(handle) => {
                shared.remark(self.host as u64, || format!("relay {} shuts down", self.host));
                shared.exec.spawn(self.host, Box::pin(handle.shutdown()));
            }
            other => self.state = other,
        }
    }

    /// Notes the end of a shutdown.
    pub(super) fn look(&mut self, shared: &Shared) {
        if matches!(self.state, State::Stopping) && shared.exec.futures_of(self.host) == 0 {
            self.state = State::Down;
        }
    }

    pub(super) const fn is_down(&self) -> bool {
        matches!(self.state, State::Down)
    }
}
