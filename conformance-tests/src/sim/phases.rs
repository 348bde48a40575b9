//! The phases of a history: chaos, healing, everything ends, the workers stop, an audit.

use std::time::Duration;

use retry_core::limits::RESEND_WINDOW;
use retry_core::outbox::OutboxTable as _;

use super::fact::{Fact, Row, name};
use super::fleet::Machine;
use super::relays::RelayMachine;
use super::script::Script;
use super::server::{Server, done};
use super::world::{Act, Phase, World};

/// How long everything may take to end once nothing goes wrong any more, beside the work itself.
const DRAIN_MS: u64 = 120_000;
/// Attempts that a step may need by then: failures, lost leases, deadlines.
const ATTEMPTS: u64 = 5;
/// More than the steps of a task.
const STEPS: u64 = 4;
/// How long a rerun of failed children keeps one of them from ending; one that its client did not finish leaves it so.
const HELD_MS: u64 = 600_000;
/// How long all workers may take to shut down at the end.
const STOP_MS: u64 = 60_000;
/// What passes beyond the window of late calls before the ended tasks are looked at again.
const AGED: Duration = Duration::from_mins(2);
/// How soon a task that is not to be kept any more must be gone, in fair weather.
const PURGE_MS: u64 = 60_000;

impl World {
    /// Goes on to the next phase when this one is over.
    pub(super) fn turn_page(&mut self) {
        let now = self.now_ms();
        match self.phase {
            Phase::Chaos if now >= self.chaos_ms => self.heal(),
            Phase::Healing { until } => {
                for relay in &mut self.relays {
                    relay.start(&self.parts);
                }
                let all_up = self.machines.iter().all(|machine| !machine.is_down());
                if !all_up {
                    (0..self.machines.len()).for_each(|host| self.act(Act::Start(host)));
                } else if self.is_drained() {
                    self.drained();
                } else if now > until {
                    self.shared.accuse("drains", self.open_tasks());
                }
            }
            Phase::Aging { until } => {
                if self.kept_too_long().is_none() {
                    self.stop(true);
                } else if now > until {
                    self.shared
                        .accuse("purged_in_time", self.kept_too_long().unwrap_or_default());
                }
            }
            Phase::Stopping { until, aged } => {
                let shared = &self.shared;
                self.relays.iter_mut().for_each(|relay| relay.look(shared));
                let relays_down = self.relays.iter().all(RelayMachine::is_down);
                if !relays_down || !self.machines.iter().all(Machine::is_down) {
                    if now > until {
                        self.shared.accuse(
                            "shutdown_ends",
                            format!("a shutdown takes longer than {STOP_MS} ms"),
                        );
                    }
                } else if !aged && self.ages {
                    self.age();
                } else {
                    self.audit();
                    self.phase = Phase::Over;
                }
            }
            Phase::Chaos | Phase::Over => {}
        }
    }

    /// Nothing goes wrong from now on.
    pub(super) fn heal(&mut self) {
        self.shared.remark(0, || "healing begins".to_owned());
        self.weather.clear_up();
        self.shared.servers.iter().for_each(|server| server.lose_hints(0));
        for host in 0..self.machines.len() {
            self.freeze(host, false);
            self.machines[host].clock.set_skew(0);
        }
        self.relays
            .iter()
            .for_each(|relay| self.freeze(relay.host, false));
        self.agenda.retain(|_, act| matches!(act, Act::Sync));
        self.plan(self.now_ms(), Act::Patrol);
        // At worst one after another, as on a single worker that runs one at a time.
        let work: u64 = self.parts.scripts.iter().map(Script::millis).sum();
        // What a client makes due now, by the clock that it knows, may be due that much later on another part.
        let stepped = || self.shared.servers.iter().map(Server::stepped);
        let apart = stepped()
            .max()
            .unwrap_or(0)
            .abs_diff(stepped().min().unwrap_or(0));
        let held = if self.reruns { HELD_MS } else { 0 };
        self.phase = Phase::Healing {
            until: self.now_ms() + DRAIN_MS + held + (work + apart * STEPS) * ATTEMPTS,
        };
    }

    fn is_drained(&self) -> bool {
        let busy = |host: usize| self.shared.exec.futures_of(host) > 0;
        let clients = self.machines.len()..=self.parts.network;
        // The workers' own calls come and go; only what the clients do must end.
        let quiet = clients
            .clone()
            .filter(|host| *host != self.parts.network)
            .all(|host| !busy(host));
        let running = self.machines.iter().map(Machine::running).sum::<usize>();
        quiet
            && running == 0
            && self.outbox_is_empty()
            && self
                .shared
                .facts(|facts| facts.rows.values().all(|row| row.task.state.is_final()))
            && !self.enqueuing()
    }

    fn outbox_is_empty(&self) -> bool {
        done(self.shared.outbox.waiting(1)).is_ok_and(|waiting| waiting.rows.get() == 0)
    }

    /// Whether a worker's program is still in the middle of an enqueue, its transaction open perhaps.
    fn enqueuing(&self) -> bool {
        self.shared
            .facts(|facts| facts.hosts.iter().any(|host| host.programs > 0))
    }

    fn open_tasks(&self) -> String {
        let running: Vec<usize> = self.machines.iter().map(Machine::running).collect();
        self.shared.facts(|facts| {
            let open = facts.rows.values().filter(|row| !row.task.state.is_final());
            let open: Vec<String> = open
                .map(|row| {
                    format!(
                        "{} script {:?} is {} due {}",
                        name(row.task.id),
                        row.script,
                        row.task.state,
                        row.task.run_at
                    )
                })
                .collect();
            format!(
                "in fair weather {} tasks stay open, workers run {running:?}: {}",
                open.len(),
                open.join("; ")
            )
        })
    }

    fn drained(&mut self) {
        self.shared.tell(Fact::Drained);
        self.agenda.clear();
        self.stop(false);
    }

    fn stop(&mut self, aged: bool) {
        for machine in &mut self.machines {
            machine.shut_down(&self.shared);
        }
        for relay in &mut self.relays {
            relay.shut_down(&self.shared);
        }
        self.phase = Phase::Stopping {
            until: self.now_ms() + STOP_MS,
            aged,
        };
    }

    /// While nobody runs, more time passes than a call may take to be sent again; then the workers come back.
    fn age(&mut self) {
        self.shared.clock.advance(RESEND_WINDOW + AGED);
        (0..self.machines.len()).for_each(|host| self.act(Act::Start(host)));
        self.phase = Phase::Aging {
            until: self.now_ms() + PURGE_MS,
        };
    }

    /// A task that should have been purged, if there is one.
    fn kept_too_long(&self) -> Option<String> {
        self.shared.facts(|facts| {
            let due = |row: &&Row| {
                let now = facts.store_now[row.part];
                row.task
                    .purge_at
                    .is_some_and(|at| at.saturating_add(Duration::from_millis(PURGE_MS)).as_millis() < now)
            };
            let row = facts.rows.values().find(due)?;
            Some(format!(
                "{} is kept beyond {:?}",
                name(row.task.id),
                row.task.purge_at
            ))
        })
    }

    /// The store holds what the facts say, and no worker left anything behind.
    fn audit(&self) {
        let differs = |server: &Server| server.differs(&self.shared);
        if let Some(text) = self.shared.servers.iter().find_map(differs) {
            self.shared.accuse("the world", text);
        }
        let lives = self.shared.facts(|facts| {
            facts
                .rows
                .values()
                // A late copy of an insert may have come since all was drained, and nobody is there to end it.
                .filter(|row| row.task.state.is_final() && row.task.session.is_some())
                .count()
        });
        if lives > 0 {
            self.shared
                .accuse("drains", format!("{lives} ended tasks still have a session"));
        }
    }
}
