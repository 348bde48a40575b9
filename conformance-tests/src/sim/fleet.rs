//! The workers: how they are built, started, killed and shut down.

use std::sync::Arc;
use std::time::Duration;

use retry_core::client::Client;
use retry_core::clock::{Clock as _, ManualClock};
use retry_core::draft::{Draft, TaskOptions};
use retry_core::engine::{KindOptions, OnLeaseLost, Worker, WorkerHandle};
use retry_core::seams::SeededRandom;

use super::actors::Party;
use super::alerts;
use super::config::Here;
use super::cover::Sometimes;
use super::exec::{HostId, HostSpawn};
use super::fact::Who;
use super::facts::HostFact;
use super::features::Feature;
use super::handler::Scripted;
use super::link::Link;
use super::program::Program;
use super::rng::Rng;
use super::script::{
    FALLBACK_ABOVE, KindOf, QUEUES, QUICK_PAUSE, QUICK_RETRIES, QUICK_WITHIN, Script, policy,
};
use super::sharded::Whole;
use super::shared::Shared;
use super::weather::Weather;

/// One worker's machine.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) host: HostId,
    pub(super) clock: ManualClock,
    pub(super) state: Power,
    life: u32,
    rng: Rng,
}

#[derive(Debug)]
pub(super) enum Power {
    Up(WorkerHandle, Program),
    /// Shutting down, until the host has no futures left.
    Stopping,
    Down,
}

/// What every machine is built from.
#[derive(Debug, Clone)]
pub(super) struct Parts {
    pub(super) shared: Arc<Shared>,
    pub(super) weather: Arc<Weather>,
    pub(super) scripts: Arc<Vec<Script>>,
    pub(super) party: Party,
    pub(super) network: HostId,
}

impl Machine {
    pub(super) fn new(host: HostId, shared: &Shared, rng: Rng) -> Self {
        Self {
            host,
            clock: shared.clock.skewed(0),
            state: Power::Down,
            life: 0,
            rng,
        }
    }

    /// Starts a new life.
    pub(super) fn start(&mut self, parts: &Parts) {
        self.life += 1;
        let who = Who {
            host: self.host,
            life: self.life,
        };
        let shared = &parts.shared;
        shared.remark(who.host as u64, || {
            format!("host {} starts its life {}", who.host, who.life)
        });
        shared.facts(|facts| {
            facts.hosts[who.host] = HostFact {
                life: who.life,
                up: true,
                started_at: shared.clock.monotonic(),
                // A frozen machine that is switched on again stays frozen.
                paused: facts.hosts[who.host].paused,
                paused_once: facts.hosts[who.host].paused,
                calls: facts.hosts[who.host].calls,
                work: facts.hosts[who.host].work,
                ..HostFact::default()
            };
        });
        let worker = self.build(parts, who);
        self.state = match worker {
            Ok(worker) => {
                let handle = worker.start();
                let program = self.program(parts, who, &handle);
                Power::Up(handle, program)
            }
            Err(error) => {
                shared.accuse("the world", format!("the worker was not built: {error}"));
                Power::Down
            }
        };
    }

    fn build(&self, parts: &Parts, who: Who) -> Result<Worker, retry_core::engine::BuildError> {
        let (fleet, features) = parts
            .shared
            .facts(|facts| (facts.config.fleet.clone(), facts.config.features));
        let rng = self.rng.split(u64::from(self.life));
        let link = |part: usize| {
            Link::new(
                part,
                Arc::clone(&parts.shared),
                Arc::clone(&parts.weather),
                who,
                parts.network,
                rng.split(1 + 1_000 * part as u64),
            )
        };
        let store = Whole::new(&parts.shared, Arc::new(self.clock.clone()), link);
        let millis = Duration::from_millis;
        let mut builder = Worker::builder(store)
            .name(format!("worker-{}", who.host))
            .queue(QUEUES[0])
            .concurrency(fleet.concurrency)
            .prefetch(fleet.prefetch)
            .lease(millis(fleet.lease_ms))
            .shutdown_grace(millis(fleet.grace_ms))
            .cancel_grace(millis(fleet.cancel_grace_ms))
            .clock(Arc::new(self.clock.clone()))
            .random(Arc::new(SeededRandom::new(rng.split(2).next())))
            .spawn(Arc::new(HostSpawn {
                exec: parts.shared.exec.clone(),
                host: who.host,
            }));
        builder = if features.has(Feature::Limits) {
            builder.queue_with_limit(QUEUES[1], fleet.queue_limit)
        } else {
            builder.queue(QUEUES[1])
        };
        let scripted = |fallback| Scripted {
            shared: Arc::clone(&parts.shared),
            scripts: Arc::clone(&parts.scripts),
            party: parts.party.clone(),
            who,
            fallback,
        };
        if features.has(Feature::Alerts) {
            builder = alerts::switch_on(builder, &parts.shared, who);
        }
        for kind in KindOf::ALL {
            let options = match kind {
                KindOf::Few if features.has(Feature::Limits) => KindOptions::new().concurrency(fleet.few),
                KindOf::Timed => KindOptions::new().timeout(millis(fleet.timeout_ms)),
                KindOf::Backed => {
                    KindOptions::new().fallback_executor(FALLBACK_ABOVE, Arc::new(scripted(true)))
                }
                KindOf::Stays => KindOptions::new().on_lease_lost(OnLeaseLost::Continue),
                _ => KindOptions::new(),
            };
            let options = match features.has(Feature::Quick) {
                true => options.quick_retries(QUICK_RETRIES, QUICK_PAUSE, QUICK_WITHIN),
                false => options,
            };
            let attempts = (kind == KindOf::Once).then_some(1);
            let defaults = TaskOptions::new().retry(policy(attempts, None));
            builder = builder.executor(kind.name(), Arc::new(scripted(false)), defaults, options);
        }
        builder.build()
    }

    /// The program in which the worker runs.
    fn program(&self, parts: &Parts, who: Who, handle: &WorkerHandle) -> Program {
        let rng = self.rng.split(u64::from(self.life)).split(3);
        let link = |part: usize| {
            let (shared, weather) = (Arc::clone(&parts.shared), Arc::clone(&parts.weather));
            let rng = rng.split(1 + 1_000 * part as u64);
            Link::new(part, shared, weather, who, parts.network, rng).beside()
        };
        let client = Client::builder(Whole::new(&parts.shared, Arc::new(self.clock.clone()), link))
            .clock(Arc::new(self.clock.clone()))
            .random(Arc::new(SeededRandom::new(rng.split(2).next())))
            .spawn(Arc::new(HostSpawn {
                exec: parts.shared.exec.clone(),
                host: who.host,
            }))
            .build()
            .attach(handle);
        Program {
            shared: Arc::clone(&parts.shared),
            client,
            who,
        }
    }

    /// Has its program enqueue a task that is to run there; false while it is down.
    pub(super) fn enqueue(&self, script: usize, draft: Draft, how: Here) -> bool {
        match &self.state {
            Power::Up(_, program) => {
                program.enqueue(script, draft, how);
                true
            }
            Power::Stopping | Power::Down => false,
        }
    }

    /// Ends its life at once: what was in memory is gone, its session stays in the store.
    pub(super) fn crash(&mut self, shared: &Shared) {
        shared.remark(self.host as u64, || format!("host {} crashes", self.host));
        shared.hit(Sometimes::Crash);
        shared.facts(|facts| facts.hosts[self.host].up = false);
        shared.exec.kill(self.host);
        self.state = Power::Down;
        // What the end of its parts left behind.
        shared.exec.kill(self.host);
    }

    /// Begins a graceful shutdown.
    pub(super) fn shut_down(&mut self, shared: &Arc<Shared>) {
        match std::mem::replace(&mut self.state, Power::Stopping) {
            Power::Up(handle, _) => {
                let (shared, host) = (Arc::clone(shared), self.host);
                let exec = shared.exec.clone();
                exec.spawn(
                    host,
                    Box::pin(async move {
                        shared.remark(host as u64, || format!("host {host} shuts down"));
                        shared.facts(|facts| facts.hosts[host].stopping = true);
                        handle.shutdown().await;
                        shared.remark(host as u64, || format!("host {host} has shut down"));
                    }),
                );
            }
            other => self.state = other,
        }
    }

    /// Notes the end of a shutdown.
    pub(super) fn look(&mut self, shared: &Shared) {
        if matches!(self.state, Power::Stopping) && shared.exec.futures_of(self.host) == 0 {
            let left = shared.facts(|facts| {
                let host = &mut facts.hosts[self.host];
                host.up = false;
                let (always_answered, parts) = (host.failures == 0, host.parts);
                let mut known = parts.iter().filter_map(|part| part.session);
                always_answered && facts.cut_at.is_none() && known.any(|id| facts.is_live_session(id))
            });
            if left {
                shared.accuse(
                    "clean_shutdown",
                    format!("host {} has shut down and its session is open", self.host),
                );
            }
            shared.hit(Sometimes::Restarted);
            self.state = Power::Down;
        }
    }

    pub(super) const fn is_down(&self) -> bool {
        matches!(self.state, Power::Down)
    }

    /// Attempts that run, by the worker's own count.
    pub(super) fn running(&self) -> usize {
        match &self.state {
            Power::Up(handle, _) => handle.running(),
            Power::Stopping | Power::Down => 0,
        }
    }
}
