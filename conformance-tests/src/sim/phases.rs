//! The phases of a history: chaos, healing, everything ends, the workers stop, an audit.

use super::fact::{Fact, name};
use super::fleet::Machine;
use super::script::Script;
use super::world::{Act, Phase, World};

/// How long everything may take to end once nothing goes wrong any more, beside the work itself.
const DRAIN_MS: u64 = 120_000;
/// Attempts that a step may need by then: failures, lost leases, deadlines.
const ATTEMPTS: u64 = 5;
/// How long all workers may take to shut down at the end.
const STOP_MS: u64 = 60_000;

impl World {
    /// Goes on to the next phase when this one is over.
    pub(super) fn turn_page(&mut self) {
        let now = self.now_ms();
        match self.phase {
            Phase::Chaos if now >= self.chaos_ms => self.heal(),
            Phase::Healing { until } => {
                let all_up = self.machines.iter().all(|machine| !machine.is_down());
                if !all_up {
                    (0..self.machines.len()).for_each(|host| self.act(Act::Start(host)));
                } else if self.is_drained() {
                    self.drained();
                } else if now > until {
                    self.shared.accuse("drains", self.open_tasks());
                }
            }
            Phase::Stopping { until } => {
                if self.machines.iter().all(Machine::is_down) {
                    self.audit();
                    self.phase = Phase::Over;
                } else if now > until {
                    self.shared.accuse(
                        "shutdown_ends",
                        format!("a shutdown takes longer than {STOP_MS} ms"),
                    );
                }
            }
            Phase::Chaos | Phase::Over => {}
        }
    }

    /// Nothing goes wrong from now on.
    pub(super) fn heal(&mut self) {
        self.shared.remark(0, || "healing begins".to_owned());
        self.weather.clear_up();
        self.shared.server.lose_hints(0);
        for host in 0..self.machines.len() {
            self.freeze(host, false);
            self.machines[host].clock.set_skew(0);
        }
        self.agenda.retain(|_, act| matches!(act, Act::Sync));
        self.plan(self.now_ms(), Act::Patrol);
        // At worst one after another, as on a single worker that runs one at a time.
        let work: u64 = self.parts.scripts.iter().map(Script::millis).sum();
        self.phase = Phase::Healing {
            until: self.now_ms() + DRAIN_MS + work * ATTEMPTS,
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
            && self
                .shared
                .facts(|facts| facts.rows.values().all(|row| row.task.state.is_final()))
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
        for machine in &mut self.machines {
            machine.shut_down(&self.shared);
        }
        self.phase = Phase::Stopping {
            until: self.now_ms() + STOP_MS,
        };
    }

    /// The store holds what the facts say, and no worker left anything behind.
    fn audit(&self) {
        let differs = self.shared.server.differs(&self.shared);
        if let Some(text) = differs {
            self.shared.accuse("the world", text);
        }
        let lives = self.shared.facts(|facts| {
            facts
                .rows
                .values()
                .filter(|row| row.task.session.is_some())
                .count()
        });
        if lives > 0 {
            self.shared
                .accuse("drains", format!("{lives} ended tasks still have a session"));
        }
    }
}
