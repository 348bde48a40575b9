//! A worker has a bounded number of futures: its loops and one per permit.

use crate::sim::fact::Fact;
use crate::sim::facts::{Facts, HostFact};

/// A shutdown, the herald of the one sink, and the look for tasks that hang.
const FIXED: usize = 3;
/// For each part of the store six loops, and what sends for the client of the program beside the worker: tasks with a key,
/// tasks without, and those that are sent again by their keys.
const LOOPS: usize = 9;

pub(super) fn check(fact: &Fact<'_>, facts: &Facts) -> Result<(), String> {
    let Fact::Quiet = fact else { return Ok(()) };
    let most = FIXED + LOOPS * facts.config.parts + facts.config.fleet.concurrency;
    let hosts = facts.hosts.iter().take(facts.config.fleet.workers);
    let over = |(_, host): &(usize, &HostFact)| host.futures > most + host.programs;
    match hosts.enumerate().find(over) {
        Some((host, fact)) => Err(format!(
            "host {host} has {} futures of at most {most} and {} of its program",
            fact.futures, fact.programs
        )),
        None => Ok(()),
    }
}
