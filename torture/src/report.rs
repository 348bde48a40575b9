//! What a run says.
#![expect(
    clippy::print_stdout,
    reason = "a command line tool talks on its standard output"
)]

use std::time::Duration;

use crate::audit::Found;
use crate::crew::Faults;

/// Prints a line.
pub(crate) fn line(text: &str) {
    println!("{text}");
}

/// Prints the summary.
pub(crate) fn table(faults: &Faults, found: &Found, took: Duration) {
    let rows: [(&str, String); 23] = [
        ("seconds", format!("{:.1}", took.as_secs_f64())),
        ("workers killed", faults.workers_killed.to_string()),
        ("enqueuers killed", faults.enqueuers_killed.to_string()),
        ("stops", faults.stops.to_string()),
        ("servers killed", faults.servers_killed.to_string()),
        (
            "one process of a server killed",
            faults.processes_killed.to_string(),
        ),
        ("times all connections were cut", faults.links_cut.to_string()),
        ("times the server closed them", faults.disconnects.to_string()),
        ("power cuts", faults.cuts.to_string()),
        (
            "enqueues acknowledged",
            format!("{}, {} of them duplicates", found.acknowledged, found.duplicates),
        ),
        (
            "enqueues unanswered",
            format!("{}, {} errors", found.unanswered, found.refused),
        ),
        ("enqueues at the same time", format!("{} at most", found.at_once)),
        ("answers while power was cut", found.overtaken.to_string()),
        ("tasks", found.tasks.to_string()),
        ("claims", found.claims.to_string()),
        ("runs", found.runs.to_string()),
        ("overlapping runs by lease end", found.overlaps.to_string()),
        ("late writes refused", found.stale.to_string()),
        ("attempts lost with a process", found.crashes.to_string()),
        (
            "attempts lost with a lease",
            format!("{}, {} of them not by a stop", found.leases_lost, found.starved),
        ),
        ("sessions told they are lost", found.sessions_lost.to_string()),
        ("attempts failed by handlers", found.failures.to_string()),
        (
            "from a kill to the next run",
            format!(
                "half within {} ms, all within {} ms",
                found.recovery.0, found.recovery.1
            ),
        ),
    ];
    for (name, value) in rows {
        println!("  {name:<32} {value}");
    }
}
