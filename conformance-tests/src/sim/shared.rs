//! What all parts of a world share.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use retry_core::clock::{Clock as _, ManualClock, Monotonic};

use retry_core::outbox::MemoryOutbox;

use super::cover::Sometimes;
use super::exec::Exec;
use super::fact::{Fact, Op};
use super::facts::Facts;
use super::fault::Fault;
use super::invariants;
use super::outbox;
use super::rng::Rng;
use super::server::Server;
use super::trace::Trace;

/// A promise that a history broke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The invariant.
    pub invariant: &'static str,
    /// What was seen.
    pub text: String,
}

pub(super) struct Shared {
    pub(super) clock: ManualClock,
    pub(super) exec: Exec,
    /// The parts of the store.
    pub(super) servers: Vec<Server>,
    pub(super) outbox: MemoryOutbox,
    judge: Mutex<Judge>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared")
    }
}

struct Judge {
    facts: Facts,
    trace: Trace,
    violation: Option<Violation>,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(super) fn new(facts: Facts, exec: Exec, keep_lines: bool, rng: Rng) -> Arc<Self> {
        let clock = ManualClock::new();
        let features = facts.config.features;
        let server = |part| Server::new(part, clock.skewed(0), features, rng.split(part as u64));
        let servers = (0..facts.config.parts).map(server).collect();
        let judge = Judge {
            facts,
            trace: Trace::new(keep_lines),
            violation: None,
        };
        Arc::new(Self {
            clock,
            exec,
            servers,
            outbox: outbox::table(),
            judge: Mutex::new(judge),
        })
    }

    /// Tells what happened: the trace grows, every invariant looks, the facts are updated.
    pub(super) fn tell(&self, fact: Fact<'_>) {
        let mut judge = lock(&self.judge);
        let judge = &mut *judge;
        judge.facts.now = self.clock.monotonic();
        for (now, server) in judge.facts.store_now.iter_mut().zip(&self.servers) {
            *now = server.now().as_millis();
        }
        if !matches!(fact, Fact::Quiet) {
            let at = judge.facts.now.since_start().as_millis();
            judge.trace.add(at, fact.digest(), || fact.line());
        }
        if judge.violation.is_none()
            && let Some(violation) = invariants::check(&fact, &judge.facts)
        {
            judge.note(violation);
        }
        super::cover_facts::note(&fact, &mut judge.facts);
        judge.facts.update(&fact);
    }

    /// Something broke that no invariant looks for.
    pub(super) fn accuse(&self, invariant: &'static str, text: String) {
        let mut judge = lock(&self.judge);
        if judge.violation.is_none() {
            judge.note(Violation { invariant, text });
        }
    }

    /// Adds a remark to the trace.
    pub(super) fn remark(&self, digest: u64, line: impl FnOnce() -> String) {
        let at = self.clock.monotonic().since_start().as_millis();
        lock(&self.judge).trace.add(at, digest, line);
    }

    pub(super) fn hit(&self, what: Sometimes) {
        lock(&self.judge).facts.cover.hit(what);
    }

    pub(super) fn fault(&self, fault: Fault, op: Op) {
        lock(&self.judge).facts.cover.fault(fault, op);
    }

    /// Reads or changes the facts.
    pub(super) fn facts<T>(&self, read: impl FnOnce(&mut Facts) -> T) -> T {
        read(&mut lock(&self.judge).facts)
    }

    pub(super) fn server(&self, part: usize) -> &Server {
        &self.servers[part]
    }

    pub(super) fn now(&self) -> Monotonic {
        self.clock.monotonic()
    }

    pub(super) fn violated(&self) -> bool {
        lock(&self.judge).violation.is_some()
    }

    /// Takes the verdict and breaks the circle of references, so that the world is freed.
    pub(super) fn finish(&self) -> (Option<Violation>, u64, u64, Vec<String>, super::cover::Coverage) {
        self.exec.clear();
        let mut judge = lock(&self.judge);
        let runs = std::mem::take(&mut judge.facts.runs);
        judge.facts.active.clear();
        let violation = judge.violation.take();
        let trace = std::mem::replace(&mut judge.trace, Trace::new(false));
        let cover = std::mem::take(&mut judge.facts.cover);
        drop(judge);
        drop(runs);
        (violation, trace.hash(), trace.events(), trace.into_lines(), cover)
    }
}

impl Judge {
    fn note(&mut self, violation: Violation) {
        let at = self.facts.now.since_start().as_millis();
        let line = || format!("VIOLATED {}: {}", violation.invariant, violation.text);
        self.trace.add(at, 99_u64, line);
        self.violation = Some(violation);
    }
}
