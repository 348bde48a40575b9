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
    use std::path::Path;
    use std::sync::Arc;

    use retry_core::client::Client;
    use retry_core::outbox::{OutboxTable as _, Room};
    use retry_core::store::MemoryStore;
    use retry_sqlite::SqliteOutbox;

    use super::*;
    use crate::outbox::runs::Runs;
    use crate::outbox::writer::Fate;
    use crate::outbox::{servers::Between, source};
    use crate::stores::{self, Home};

    fn ran(id: &str, version: u64) -> Ran {
        Ran {
            n: 7,
            id: id.to_owned(),
            version,
        }
    }

    /// What is planted, and what has to be told.
    type Lie<'l> = (&'l dyn Fn(&Path, &Runs), &'l str);

    /// What is found after one order of each fate, of which order 2 and its task are kept, when `lie` was planted.
    async fn found(lie: impl FnOnce(&Path, &Runs)) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let source = source::by_url("sqlite", dir.path()).unwrap();
        source.prepare().await.unwrap();
        let target = stores::by_url("sqlite", Home::of(dir.path())).unwrap();
        let subject = Arc::new(Between::new(&target, &source));
        let place = Place::new(dir.path(), subject).unwrap();
        let client = Client::new(MemoryStore::new()).erase();
        let mut shop = source.shop().await.unwrap();
        for (n, fate) in [(2, Fate::Commit), (4, Fate::RollBack), (6, Fate::Savepoint)] {
            shop.order(&client, n, fate).await.unwrap();
        }
        let runs = Runs::create(&place.log("worker").with_extension(runs::ENDING)).unwrap();
        let shop = dir.path().join("shop.db");
        let outbox = SqliteOutbox::open("shop", &shop).unwrap();
        let room = Room {
            rows: 9,
            bytes: 9_000,
        };
        let rows = outbox.next(&[], room).await.unwrap();
        let rows: Vec<_> = rows.into_iter().map(|row| row.row).collect();
        assert_eq!(rows.len(), 2);
        outbox.next(&rows, room).await.unwrap();
        for n in [2, 6] {
            let id = "a".to_owned();
            runs.note(&Ran { n, id, version: 1 }).unwrap();
        }
        lie(&shop, &runs);
        audit(&place, &*source).await.unwrap().wrong
    }

    fn execute(shop: &Path, sql: &str) {
        rusqlite::Connection::open(shop)
            .unwrap()
            .execute_batch(sql)
            .unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn planted_lies_are_found() {
        assert_eq!(found(|_, _| ()).await, [""; 0]);
        let lies: [Lie<'_>; 5] = [
            (
                &|shop, _| execute(shop, "INSERT INTO orders VALUES (8)"),
                "order 8 was committed",
            ),
            (
                &|shop, _| execute(shop, "DELETE FROM orders WHERE n = 2"),
                "order 2 was not committed",
            ),
            (
                &|_, runs| runs.note(&Ran { n: 2, ..ran("a", 1) }).unwrap(),
                "more than once",
            ),
            (
                &|_, runs| runs.note(&Ran { n: 7, ..ran("b", 1) }).unwrap(),
                "order 7 was not committed",
            ),
            (
                &|shop, _| {
                    let row = "(-1, zeroblob(16), 'k', 1, '', 'no')";
                    execute(shop, &format!("INSERT INTO retry_outbox VALUES {row}"));
                },
                "1 were set aside",
            ),
        ];
        for (lie, told) in lies {
            let found = found(lie).await;
            assert!(found.len() == 1 && found[0].contains(told), "{told}: {found:?}");
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
