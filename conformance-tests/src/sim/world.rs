//! One history: chaos, then healing, then everything must end; then an audit.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use retry_core::client::Client;
use retry_core::clock::Monotonic;
use retry_core::seams::SeededRandom;

use super::actors::Party;
use super::config::{Config, Enqueue, Happening, Options};
use super::cover::Sometimes;
use super::exec::{Exec, HostSpawn, Turn};
use super::fact::{Fact, Who};
use super::facts::Facts;
use super::features::Feature;
use super::fleet::{Machine, Parts};
use super::link::Link;
use super::relays::{Fall, RelayMachine};
use super::rng::Rng;
use super::server::Server;
use super::sharded::Whole;
use super::shared::Shared;
use super::weather::Weather;

/// Polls in one instant, at most: beyond it something runs in circles.
const MOST_POLLS: u64 = 50_000;
/// Polls in one history, at most. The longest have some ten thousand: beyond this it never ends.
const MOST_POLLS_IN_ALL: u64 = 5_000_000;
/// How often the operator looks for what only an operator can end.
const PATROL_MS: u64 = 2_000;
/// How long chaos goes on after a sleep.
const AWAKE_MS: u64 = 3_000;

#[derive(Debug, Clone, Copy)]
pub(super) enum Act {
    Enqueue(Enqueue),
    Happen(Happening),
    Start(usize),
    StartRelay(usize),
    Thaw(usize),
    Return(usize),
    Sync,
    Patrol,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Chaos,
    Healing {
        until: u64,
    },
    Stopping {
        until: u64,
        aged: bool,
    },
    /// What has ended long ago is forgotten.
    Aging {
        until: u64,
    },
    Over,
}

pub(super) struct World {
    pub(super) shared: Arc<Shared>,
    pub(super) weather: Arc<Weather>,
    parties: Vec<Party>,
    pub(super) machines: Vec<Machine>,
    pub(super) relays: Vec<RelayMachine>,
    pub(super) parts: Parts,
    pub(super) agenda: BTreeMap<(u64, usize), Act>,
    next_act: usize,
    pub(super) chaos_ms: u64,
    /// The fleet is looked at again when its ended tasks are old.
    pub(super) ages: bool,
    /// An operator reruns tasks.
    pub(super) reruns: bool,
    sync_ms: u64,
    pub(super) phase: Phase,
    polls: u64,
}

impl World {
    pub(super) fn new(options: &Options) -> Self {
        let config = Config::new(options);
        let root = Rng::new(options.seed).split(1);
        let (workers, clients) = (config.fleet.workers, config.fleet.clients);
        let network = workers + clients;
        let hosts = network + 1 + config.outbox.count;
        let exec = Exec::new(hosts, root.split(1), config.features.has(Feature::Ranks));
        let facts = Facts::new(config.clone(), hosts);
        let shared = Shared::new(facts, exec, options.trace, root.split(2));
        let weather = Arc::new(Weather::new(config.rates, config.features, config.fleet.sync_ms));
        shared
            .servers
            .iter()
            .for_each(|server| server.lose_hints(config.rates.hints));
        let parties: Vec<Party> = (workers..network)
            .map(|host| party(&shared, &weather, host, network, &root.split(100 + host as u64)))
            .collect();
        let parts = Parts {
            shared: Arc::clone(&shared),
            weather: Arc::clone(&weather),
            scripts: Arc::new(config.scripts.clone()),
            party: parties[0].clone(),
            network,
        };
        let machines = (0..workers)
            .map(|host| Machine::new(host, &shared, root.split(10 + host as u64)))
            .collect();
        let relays = (network + 1..hosts)
            .map(|host| RelayMachine::new(host, &shared, root.split(200 + host as u64)))
            .collect();
        let mut world = Self {
            shared,
            weather,
            parties,
            machines,
            relays,
            parts,
            agenda: BTreeMap::new(),
            next_act: 0,
            chaos_ms: config.chaos_ms,
            ages: config.features.has(Feature::Sleep),
            reruns: config.features.has(Feature::Rerun),
            sync_ms: config.fleet.sync_ms,
            phase: Phase::Chaos,
            polls: 0,
        };
        (0..workers).for_each(|host| world.plan(0, Act::Start(host)));
        (0..config.outbox.count).for_each(|relay| world.plan(0, Act::StartRelay(relay)));
        config
            .tasks
            .iter()
            .for_each(|task| world.plan(task.at, Act::Enqueue(task.what)));
        config
            .events
            .iter()
            .for_each(|event| world.plan(event.at, Act::Happen(event.what)));
        if config.features.has(Feature::PowerCut) {
            world.plan(config.fleet.sync_ms, Act::Sync);
        }
        world
    }

    pub(super) fn plan(&mut self, at: u64, act: Act) {
        self.agenda.insert((at, self.next_act), act);
        self.next_act += 1;
    }

    pub(super) fn now_ms(&self) -> u64 {
        u64::try_from(self.shared.now().since_start().as_millis()).unwrap_or(u64::MAX)
    }

    /// Lives the history to its end or to the first broken promise.
    pub(super) fn live(&mut self) {
        while self.phase != Phase::Over && !self.shared.violated() {
            while self
                .agenda
                .first_key_value()
                .is_some_and(|((at, _), _)| *at <= self.now_ms())
            {
                if let Some((_, act)) = self.agenda.pop_first() {
                    self.act(act);
                }
            }
            self.run_ready();
            if self.polls > MOST_POLLS_IN_ALL {
                let polls = format!("more than {MOST_POLLS_IN_ALL} polls in one history");
                self.shared.accuse("drains", polls);
            }
            if self.shared.violated() {
                return;
            }
            self.quiet();
            let phase = self.phase;
            self.turn_page();
            // What the new phase set in motion goes on before time does.
            if self.phase == phase && !self.agenda_is_due() {
                self.advance();
            }
        }
    }

    fn agenda_is_due(&self) -> bool {
        self.agenda
            .first_key_value()
            .is_some_and(|((at, _), _)| *at <= self.now_ms())
    }

    fn run_ready(&mut self) {
        for _ in 0..MOST_POLLS {
            match self.shared.exec.turn() {
                Turn::Idle => return,
                Turn::Polled(_) => self.polls += 1,
                Turn::Panicked(host, message) => {
                    self.shared
                        .accuse("no_panic", format!("a future of host {host} panicked: {message}"));
                }
            }
            if self.shared.violated() {
                return;
            }
        }
        self.shared.accuse(
            "no_busy_loop",
            format!("more than {MOST_POLLS} polls in one instant"),
        );
    }

    fn quiet(&mut self) {
        let exec = &self.shared.exec;
        let futures: Vec<usize> = self
            .machines
            .iter()
            .map(|machine| exec.futures_of(machine.host))
            .collect();
        self.shared.facts(|facts| {
            for (host, futures) in facts.hosts.iter_mut().zip(futures) {
                host.futures = futures;
            }
        });
        self.shared.tell(Fact::Quiet);
        self.machines
            .iter_mut()
            .for_each(|machine| machine.look(&self.shared));
    }

    fn advance(&mut self) {
        let agenda = self
            .agenda
            .first_key_value()
            .map(|((at, _), _)| Monotonic::from_start(Duration::from_millis(*at)));
        let next = [agenda, self.shared.clock.next_deadline()]
            .into_iter()
            .flatten()
            .min();
        match next {
            Some(next) => self
                .shared
                .clock
                .advance(next.saturating_since(self.shared.now())),
            None if self.phase == Phase::Chaos => self.heal(),
            None if matches!(self.phase, Phase::Stopping { .. }) => {
                self.shared.accuse(
                    "shutdown_ends",
                    "a shutdown left futures behind that nothing will wake".to_owned(),
                );
            }
            None => self
                .shared
                .accuse("drains", "nothing will ever happen again".to_owned()),
        }
    }

    pub(super) fn act(&mut self, act: Act) {
        match act {
            Act::Enqueue(enqueue) => {
                let (script, party) = (enqueue.script, &self.parties[enqueue.client]);
                let draft = || self.parts.scripts[script].draft();
                let here = enqueue
                    .here
                    .is_some_and(|(host, how)| self.machines[host].enqueue(script, draft(), how));
                match (enqueue.born_on, enqueue.outbox) {
                    _ if here => {}
                    (_, Some(commit)) => party.commit(draft(), commit),
                    (Some(host), None) => party.bear(script, draft(), host, self.next_act as u64),
                    (None, None) => party.enqueue(script, draft(), enqueue.many),
                }
                self.next_act += 1;
            }
            Act::Happen(happening) => {
                self.shared.remark(self.now_ms(), || format!("{happening:?}"));
                self.happen(happening);
            }
            Act::Start(host) if self.machines[host].is_down() => self.machines[host].start(&self.parts),
            // Its shutdown is not over yet.
            Act::Start(host) => {
                if self.phase == Phase::Chaos
                    && !matches!(self.machines[host].state, super::fleet::Power::Up(..))
                {
                    self.plan(self.now_ms() + 500, Act::Start(host));
                }
            }
            Act::StartRelay(relay) => self.relays[relay].start(&self.parts),
            Act::Thaw(host) => self.freeze(host, false),
            Act::Return(part) => self.weather.set_away(part, false),
            Act::Sync => {
                self.shared.servers.iter().for_each(Server::sync);
                self.plan(self.now_ms() + self.sync_ms, Act::Sync);
            }
            Act::Patrol => {
                self.parties[0].patrol();
                self.plan(self.now_ms() + PATROL_MS, Act::Patrol);
            }
        }
    }

    pub(super) fn freeze(&self, host: usize, freeze: bool) {
        self.shared
            .remark(host as u64, || format!("host {host} frozen: {freeze}"));
        self.shared.exec.set_paused(host, freeze);
        self.shared.facts(|facts| {
            let known = &mut facts.hosts[host];
            known.paused = freeze;
            known.paused_once |= freeze;
            // The limits of its shutdown may pass meanwhile.
            known.failures += u64::from(freeze && known.stopping);
        });
    }

    fn fell(&mut self, relay: usize, fall: Fall, millis: u64) {
        let relay = relay % self.relays.len().max(1);
        let Some(machine) = self.relays.get_mut(relay) else {
            return;
        };
        let (host, then) = (
            machine.host,
            self.parts.shared.now() + Duration::from_millis(millis),
        );
        let then = u64::try_from(then.since_start().as_millis()).unwrap_or(u64::MAX);
        match fall {
            Fall::Crash => {
                machine.crash(&self.shared);
                self.freeze(host, false);
                self.plan(then, Act::StartRelay(relay));
            }
            Fall::Restart => {
                machine.shut_down(&self.shared);
                self.plan(then, Act::StartRelay(relay));
            }
            Fall::Freeze => {
                self.freeze(host, true);
                self.plan(then, Act::Thaw(host));
            }
            Fall::Cancel => self.parties[1].cancel_owner(),
        }
    }

    fn happen(&mut self, happening: Happening) {
        let now = self.now_ms();
        match happening {
            Happening::Crash { host, down } => {
                self.freeze(host, false);
                self.machines[host].crash(&self.shared);
                self.plan(now + down, Act::Start(host));
            }
            Happening::Relay { relay, fall, millis } => self.fell(relay, fall, millis),
            Happening::Restart { host, down } => {
                if (0..self.shared.servers.len()).any(|part| self.weather.is_away(part)) {
                    self.shared.hit(Sometimes::ShutdownInOutage);
                }
                self.machines[host].shut_down(&self.shared);
                self.plan(now + down, Act::Start(host));
            }
            Happening::Freeze { host, millis } => {
                self.shared.hit(Sometimes::Frozen);
                if Duration::from_millis(millis) > self.shared.facts(|facts| facts.lease()) {
                    self.shared.hit(Sometimes::FrozenPastLease);
                }
                self.freeze(host, true);
                self.plan(now + millis, Act::Thaw(host));
            }
            Happening::Sleep { millis } => {
                self.shared.hit(Sometimes::Slept);
                (0..self.parts.network).for_each(|host| {
                    self.freeze(host, true);
                    self.plan(now + millis, Act::Thaw(host));
                });
                self.chaos_ms = self.chaos_ms.max(now + millis + AWAKE_MS);
            }
            Happening::Skew { host, millis } => {
                self.shared.hit(Sometimes::Skewed);
                self.machines[host].clock.set_skew(millis);
            }
            Happening::Outage { part, millis } => {
                self.weather.set_away(part, true);
                self.plan(now + millis, Act::Return(part));
            }
            Happening::PowerCut { part } => {
                let part = part % self.shared.servers.len();
                self.weather.cut_connections(0..self.parts.network, part);
                self.shared.server(part).power_cut(&self.shared);
            }
            Happening::ClockStep { part, millis } => {
                self.shared.hit(Sometimes::ClockStep);
                // Not the time of the last fact: a reading may have been sent since.
                let now = self.shared.now();
                let far = self.shared.facts(|facts| {
                    facts.ahead_ms += (-millis).max(0);
                    facts.steps += 1;
                    facts.stepped_at = now;
                    u128::from(millis.unsigned_abs()) > facts.lease().as_millis() / 3
                });
                if far {
                    self.shared.hit(Sometimes::ClockStepFar);
                }
                let servers = &self.shared.servers;
                let step = Duration::from_millis(millis.unsigned_abs());
                if far_apart(millis) {
                    self.shared
                        .facts(|facts| facts.step = [step; super::config::MAX_PARTS]);
                    // A client knows one clock: a task would be due hours later in the other part.
                    servers.iter().for_each(|server| server.step(millis));
                } else {
                    self.shared.facts(|facts| facts.step[part % servers.len()] = step);
                    servers[part % servers.len()].step(millis);
                }
            }
            Happening::Operator { act, draw } => self.parties[1].operate(act, draw),
            Happening::PauseQueue { queue, millis } => self.parties[1].pause(queue, millis),
        }
    }
}

/// Whether a step of a clock is longer than anything waits.
const fn far_apart(millis: i64) -> bool {
    millis > 60_000
}

fn party(shared: &Arc<Shared>, weather: &Arc<Weather>, host: usize, network: usize, rng: &Rng) -> Party {
    let who = Who { host, life: 1 };
    let link = |part: usize| {
        let (shared, weather) = (Arc::clone(shared), Arc::clone(weather));
        Link::new(
            part,
            shared,
            weather,
            who,
            network,
            rng.split(1 + 1_000 * part as u64),
        )
    };
    let store = Whole::new(shared, Arc::new(shared.clock.skewed(0)), link);
    shared.facts(|facts| facts.hosts[host].life = 1);
    let client = Client::builder(store)
        .clock(Arc::new(shared.clock.skewed(0)))
        .random(Arc::new(SeededRandom::new(rng.split(2).next())))
        .spawn(Arc::new(HostSpawn {
            exec: shared.exec.clone(),
            host,
        }))
        .build();
    Party {
        shared: Arc::clone(shared),
        client,
        host,
    }
}
