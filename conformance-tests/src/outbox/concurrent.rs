//! The cases that need several callers at once.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Waker};

use futures_util::future::{join, join_all};
use retry_core::outbox::{OutboxRow, Room};
use retry_core::seams::{Random as _, SeededRandom};

use super::harness::OutboxInstance;
use super::rows::{ALL, commit, id, names, next, number, row, waiting};

/// Who writes at once.
const WRITERS: u64 = 4;
/// Transactions of each.
const TRANSACTIONS: u64 = 30;
/// Rows of each.
const ROWS: u64 = 3;

/// The number of a row; a writer's rise.
const fn numbered(writer: u64, transaction: u64, row: u64) -> u64 {
    writer * 1_000_000 + transaction * 10 + row
}

/// Commits and rolls back, every third transaction; gives the numbers of all rows that were committed.
async fn write(instance: &dyn OutboxInstance, writer: u64, wait: &SeededRandom) -> Vec<u64> {
    let mut committed = Vec::new();
    for transaction in 0..TRANSACTIONS {
        let mut tx = instance.begin().await;
        for n in 0..ROWS {
            tx.write(vec![row(numbered(writer, transaction, n))])
                .await
                .unwrap();
            for _ in 0..wait.next_u64() % 20 {
                tokio::task::yield_now().await;
            }
        }
        if transaction % 3 == 2 {
            tx.roll_back().await;
        } else {
            tx.commit().await;
            committed.extend((0..ROWS).map(|n| numbered(writer, transaction, n)));
        }
    }
    committed
}

/// Rows of each writer in the order of their answers, and all of them.
#[derive(Default)]
struct Seen {
    last: BTreeMap<u64, u64>,
    all: BTreeSet<u64>,
}

impl Seen {
    /// Rows that are answered, and will be handed over.
    fn note(&mut self, rows: &[OutboxRow]) {
        for row in rows {
            let number = number(row.row.id);
            assert!(self.all.insert(number), "O4: {number} comes again after it went");
            let last = self.last.insert(number / 1_000_000, number);
            assert!(
                last < Some(number),
                "O2: {number} comes behind {last:?} of the same writer"
            );
        }
    }
}

pub(super) async fn every_row_is_answered_until_it_goes(instance: &dyn OutboxInstance) {
    let table = instance.table();
    let random = SeededRandom::new(11);
    let is_over = AtomicBool::new(false);
    let writing = async {
        let writers = (1..=WRITERS).map(|writer| write(instance, writer, &random));
        let committed: BTreeSet<u64> = join_all(writers).await.into_iter().flatten().collect();
        is_over.store(true, Ordering::SeqCst);
        committed
    };
    let reading = async {
        let mut seen = Seen::default();
        let mut handed = Vec::new();
        loop {
            let last = is_over.load(Ordering::SeqCst);
            let rows = next(&table, &handed, Room { rows: 5, ..ALL }).await;
            seen.note(&rows);
            handed = names(&rows);
            if last && rows.is_empty() {
                return seen.all;
            }
            tokio::task::yield_now().await;
        }
    };
    let (committed, seen) = join(writing, reading).await;
    assert_eq!(seen, committed, "O1, O3: what was committed, and nothing else");
    assert!(waiting(&table).await.is_empty(), "O4");
}

/// A relay that was thought dead goes on beside its follower: both read, and both remove.
pub(super) async fn two_readers_lose_nothing(instance: &dyn OutboxInstance) {
    commit(instance, 1..=200).await;
    let read = async |size: usize| {
        let table = instance.table();
        let (mut handed, mut seen) = (Vec::new(), BTreeSet::new());
        loop {
            let rows = next(&table, &handed, Room { rows: size, ..ALL }).await;
            seen.extend(rows.iter().map(|row| number(row.row.id)));
            handed = names(&rows);
            if handed.is_empty() {
                return seen;
            }
            tokio::task::yield_now().await;
        }
    };
    let (one, other) = join(read(7), read(11)).await;
    let all: BTreeSet<u64> = one.union(&other).copied().collect();
    assert_eq!(
        all,
        (1..=200).collect(),
        "O5: each row is answered to one of them"
    );
    assert!(waiting(&instance.table()).await.is_empty(), "O4");
}

/// Polls a future some times, then drops it.
async fn poll_and_drop<T>(future: impl Future<Output = T>, polls: u64) {
    let mut future = pin!(future);
    for _ in 0..polls {
        if future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_ready()
        {
            return;
        }
        tokio::task::yield_now().await;
    }
}

pub(super) async fn dropped_calls_leave_nothing_open(instance: &dyn OutboxInstance) {
    let table = instance.table();
    commit(instance, 1..=300).await;
    let random = SeededRandom::new(5);
    let mut rows = next(&table, &[], ALL).await;
    rows.truncate(200);
    let (going, staying) = rows.split_at(100);
    for row in going {
        let polls = random.next_u64() % 12;
        poll_and_drop(table.next(&[row.row], ALL), polls).await;
        poll_and_drop(table.waiting(10), polls).await;
    }
    // A dropped call is done or not; what it left is done by the same call again.
    let left = next(&table, &names(going), ALL).await;
    assert_eq!(left.len(), 200, "O4: only what was named went");
    assert_eq!(left[0].row, staying[0].row, "O5");
    // Nobody who writes waits for what was dropped.
    commit(instance, [1_000]).await;
    let mut tx = instance.begin().await;
    poll_and_drop(tx.write(vec![row(1_001)]), random.next_u64() % 4).await;
    drop(tx);
    commit(instance, [1_002]).await;
    let left = next(&table, &[], ALL).await;
    let last: Vec<_> = left.iter().rev().take(2).rev().map(|row| row.row.id).collect();
    assert_eq!(
        last,
        [id(1_000), id(1_002)],
        "O1: a dropped write is rolled back with its transaction"
    );
}
