//! The table of orders against the log of runs.

use std::collections::BTreeSet;

use anyhow::Result;

use super::runs::{self, Ran};
use super::source::Source;
use crate::place::Place;

/// How many violations of a sort are told.
const TOLD: usize = 10;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) committed: usize,
    pub(super) ran: usize,
    pub(super) runs: usize,
    pub(super) wrong: Vec<String>,
}

pub(super) async fn audit(place: &Place, source: &dyn Source) -> Result<Found> {
    let committed: BTreeSet<u64> = source.rows().await?.into_iter().collect();
    let runs = runs::all(&place.logs())?;
    let mut found = Found {
        committed: committed.len(),
        ran: runs.len(),
        runs: runs.values().map(Vec::len).sum(),
        wrong: Vec::new(),
    };
    let lost = committed.iter().filter(|n| !runs.contains_key(n));
    let wrong = lost.map(|n| format!("order {n} was committed, and its task never ran"));
    found.wrong.extend(wrong.take(TOLD));
    let never = runs.keys().filter(|n| !committed.contains(n));
    let wrong = never.map(|n| format!("order {n} was not committed, and its task ran"));
    found.wrong.extend(wrong.take(TOLD));
    let twice = runs.values().filter_map(|runs| created_twice(runs));
    found.wrong.extend(twice.take(TOLD));
    let (waiting, aside) = (source.waiting().await?, source.aside().await?);
    if (waiting, aside) != (0, 0) {
        found.wrong.push(format!(
            "{waiting} rows wait in the outbox, and {aside} were set aside"
        ));
    }
    if committed.is_empty() {
        found
            .wrong
            .push("nothing was committed: the run proves nothing".to_owned());
    }
    Ok(found)
}

/// What shows that the task of an order was created more than once: another id, or a second beginning.
fn created_twice(runs: &[Ran]) -> Option<String> {
    let ids: BTreeSet<&str> = runs.iter().map(|ran| ran.id.as_str()).collect();
    let begun = runs.iter().filter(|ran| ran.version == 1).count();
    let n = runs.first()?.n;
    (ids.len() > 1 || begun > 1)
        .then(|| format!("the task of order {n} was created more than once: {runs:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(id: &str, version: u64) -> Ran {
        Ran {
            n: 7,
            id: id.to_owned(),
            version,
        }
    }

    #[test]
    fn a_second_creation_shows() {
        assert_eq!(created_twice(&[ran("a", 1), ran("a", 3), ran("a", 5)]), None);
        assert_eq!(created_twice(&[ran("a", 3)]), None);
        for twice in [[ran("a", 1), ran("a", 1)], [ran("a", 1), ran("b", 3)]] {
            assert!(created_twice(&twice).is_some_and(|told| told.contains("order 7")));
        }
    }
}
