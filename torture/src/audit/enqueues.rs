//! Nothing acknowledged is missing, nothing is there that nobody asked for, and nothing twice.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use retry_core::draft::TaskPayload as _;

use super::{Found, Kept};
use crate::history::History;
use crate::kinds::{Follower, Kid, Order};

pub(super) fn check(history: &History, kept: &[Kept], orders: &[u64], found: &mut Found) {
    let by_id: HashMap<&str, &Kept> = kept.iter().map(|kept| (kept.id.as_str(), kept)).collect();
    let mut asked: BTreeMap<u64, Vec<&Kept>> = BTreeMap::new();
    let requested = |kept: &&Kept| !matches!(kept.kind(), Kid::KIND | Follower::KIND);
    for kept in kept.iter().filter(requested) {
        asked.entry(kept.common.n).or_default().push(kept);
    }
    for (n, intent) in &history.intents {
        match &intent.answer {
            None => found.unanswered += 1,
            Some((id, new)) => {
                found.acknowledged += 1;
                found.duplicates += u64::from(!new);
                let stands = by_id.get(id.as_str());
                match stands {
                    None => found.wrong(format!(
                        "LOST: {n} ({}) was acknowledged as task {id} and is gone",
                        intent.kind
                    )),
                    Some(kept) if *new && kept.common.n != *n => {
                        found.wrong(format!(
                            "{n} was acknowledged as task {id}, which carries {}",
                            kept.common.n
                        ));
                    }
                    Some(kept) if !new => {
                        let unique = kept.detail.task.unique.as_ref().map(|(key, _)| key.as_str());
                        if intent.key.is_none() || unique != intent.key.as_deref() {
                            found.wrong(format!(
                                "{n} with key {:?} is a duplicate of {id} with {unique:?}",
                                intent.key
                            ));
                        }
                        if asked.contains_key(n) {
                            found.wrong(format!(
                                "{n} was answered to be a duplicate of {id} and is stored as well"
                            ));
                        }
                    }
                    Some(_) => {}
                }
            }
        }
    }
    for (n, tasks) in &asked {
        let Some(intent) = history.intents.get(n) else {
            found.wrong(format!("{n} is stored and nobody asked for it"));
            continue;
        };
        if tasks.len() > 1 {
            found.wrong(format!("{n} is stored {} times", tasks.len()));
        }
        if tasks.iter().any(|kept| kept.kind() != intent.kind) {
            found.wrong(format!("{n} is of another kind than was asked"));
        }
    }
    let rows: BTreeSet<u64> = orders.iter().copied().collect();
    let tasks: BTreeSet<u64> = asked
        .iter()
        .filter(|(_, tasks)| tasks.iter().any(|kept| kept.kind() == Order::KIND))
        .map(|(n, _)| *n)
        .collect();
    for n in rows.symmetric_difference(&tasks) {
        found.wrong(format!("order {n} has a row or a task, not both"));
    }
}
