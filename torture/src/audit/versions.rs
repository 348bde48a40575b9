//! One writer for each version of a task: whoever lost its lease was refused.

use std::collections::{BTreeMap, BTreeSet};

use super::Found;
use crate::history::Trace;

pub(super) fn check(id: &str, trace: &Trace, last: u64, found: &mut Found) {
    // By the version that was written over: who did it. A repeated edit is the same writer.
    let mut writers: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
    for claim in &trace.claims {
        let writer = format!("a claim of {} {} at {}", claim.process, claim.session, claim.at);
        writers
            .entry(claim.version.saturating_sub(1))
            .or_default()
            .insert(writer);
    }
    for edit in &trace.edits {
        found.stale += u64::from(edit.stale);
        if edit.raises && edit.done {
            let writer = format!("an edit of {} with nonce {}", edit.process, edit.nonce);
            writers.entry(edit.version).or_default().insert(writer);
        }
    }
    for (version, who) in &writers {
        if who.len() > 1 {
            found.wrong(format!(
                "task {id}: version {version} was written over by {who:?}"
            ));
        }
        if *version >= last {
            found.wrong(format!(
                "LOST: task {id} ends at version {last}, and {who:?} wrote over {version}"
            ));
        }
    }
    let runs: Vec<_> = trace.lasting().collect();
    for pair in runs.windows(2) {
        if pair[0].version == pair[1].version {
            found.wrong(format!(
                "DOUBLE: task {id} was run twice at version {}, by {} and {}",
                pair[0].version, pair[0].process, pair[1].process
            ));
        }
    }
}
