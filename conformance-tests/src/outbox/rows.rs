//! Rows from numbers, and what the cases do with a table, each with the law that a failure breaks.

use std::sync::Arc;

use retry_core::id::TaskId;
use retry_core::limits::MAX_NAME_BYTES;
use retry_core::name::Kind;
use retry_core::outbox::{NewRow, OutboxRow, OutboxTable, Room, RowId};
use retry_core::time::Timestamp;

use super::harness::OutboxInstance;

/// More than any case writes.
pub(super) const ALL: Room = Room {
    rows: 1_000,
    bytes: 64 * 1024 * 1024,
};

pub(super) fn id(n: u64) -> TaskId {
    TaskId::from_bytes(u128::from(n).to_be_bytes())
}

/// As long as a kind may be.
pub(super) fn kind() -> Kind {
    let longest = "a".repeat(MAX_NAME_BYTES);
    Kind::new(longest).unwrap_or_else(|error| panic!("{error}"))
}

/// The number behind an id.
pub(super) fn number(id: TaskId) -> u64 {
    let [.., a, b, c, d, e, f, g, h] = id.to_bytes();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

pub(super) fn numbers(rows: &[OutboxRow]) -> Vec<u64> {
    rows.iter().map(|row| number(row.row.id)).collect()
}

pub(super) fn names(rows: &[OutboxRow]) -> Vec<RowId> {
    rows.iter().map(|row| row.row).collect()
}

/// Row number `n`.
pub(super) fn row(n: u64) -> NewRow {
    sized(n, 3)
}

/// Row number `n` with a body of so many bytes.
pub(super) fn sized(n: u64, bytes: usize) -> NewRow {
    NewRow {
        id: id(n),
        kind: kind(),
        created_at: Timestamp::from_millis(1_000 + n.cast_signed()),
        body: vec![b'x'; bytes],
    }
}

/// Writes rows of these numbers in a transaction of their own.
pub(super) async fn commit(instance: &dyn OutboxInstance, numbers: impl IntoIterator<Item = u64>) {
    let rows = numbers.into_iter().map(row).collect();
    commit_rows(instance, rows).await;
}

pub(super) async fn commit_rows(instance: &dyn OutboxInstance, rows: Vec<NewRow>) {
    let mut tx = instance.begin().await;
    tx.write(rows).await.expect("rows are written");
    tx.commit().await;
}

pub(super) async fn next(table: &Arc<dyn OutboxTable>, handed: &[RowId], room: Room) -> Vec<OutboxRow> {
    table.next(handed, room).await.expect("the first rows")
}

/// All that is set aside, by number.
pub(super) async fn aside(instance: &dyn OutboxInstance) -> Vec<u64> {
    let mut numbers: Vec<u64> = instance.aside().await.into_iter().map(number).collect();
    numbers.sort_unstable();
    numbers
}

/// All that waits, by number.
pub(super) async fn waiting(table: &Arc<dyn OutboxTable>) -> Vec<u64> {
    numbers(&next(table, &[], ALL).await)
}
