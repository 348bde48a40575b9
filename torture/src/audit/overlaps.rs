//! Two runs of one task at the same time only when the earlier one's lease had ended; and how soon after a kill a task
//! runs again.

use super::Found;
use crate::history::{Claim, History, Ran, Trace};

pub(super) fn check(id: &str, trace: &Trace, history: &History, found: &mut Found) {
    let runs: Vec<&Ran> = trace.lasting().collect();
    for (index, earlier) in runs.iter().enumerate() {
        let over = history.over(earlier);
        for later in &runs[index + 1..] {
            // What was stored between its last step and its log's line is no overlap: another attempt of a task that
            // succeeded is impossible, and of one that did not it is due later.
            if later.at >= over || later.version == earlier.version {
                continue;
            }
            found.overlaps += 1;
            if let Some(why) = early(trace, history, earlier, later) {
                found.wrong(format!(
                    "OVERLAP: task {id}: the run of version {} by {} from {} to {over}, and of version {} by {} from {}: {why}",
                    earlier.version, earlier.process, earlier.at, later.version, later.process, later.at
                ));
            }
        }
    }
}

fn claim(trace: &Trace, version: u64) -> Option<&Claim> {
    trace.claims.iter().find(|claim| claim.version == version)
}

/// Why the later run was not to begin yet.
fn early(trace: &Trace, history: &History, earlier: &Ran, later: &Ran) -> Option<String> {
    let Some(held) = claim(trace, earlier.version) else {
        return Some("the earlier one has no claim in the log".to_owned());
    };
    let Some(end) = history.lease_end(&held.session, later.at) else {
        return Some(format!("session {} has no lease in the log", held.session));
    };
    let taken = claim(trace, later.version).map_or(later.at, |claim| claim.at);
    (end >= taken).then(|| format!("the lease of {} lasted until {end}", held.session))
}

/// From each kill to the next run of every task that ran in the killed process.
pub(super) fn recovery(history: &History, found: &mut Found) {
    let mut spans = Vec::new();
    for trace in history.tasks.values() {
        for pair in trace.runs.windows(2) {
            if pair[0].end.is_none()
                && let Some(killed) = history.killed.get(&pair[0].process)
            {
                spans.push(pair[1].at - killed);
            }
        }
    }
    spans.sort_unstable();
    let half = spans.get(spans.len() / 2).copied().unwrap_or(0);
    found.recovery = (half, spans.last().copied().unwrap_or(0));
}
