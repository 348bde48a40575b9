//! An outbox in memory: the smallest correct one, for tests and as the model of all others.

use std::collections::BTreeMap;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::check;
use super::table::{NewRow, OutboxRow, OutboxTable, Room, RowId, Waiting};
use super::write::WriteOutbox;
use crate::name::OutboxName;
use crate::store::{Count, Result, StoreError};
use crate::task::ErrorText;

/// An outbox in memory. Clones share the rows, which live as long as the last clone.
#[derive(Debug, Clone)]
pub struct MemoryOutbox {
    name: OutboxName,
    table: Arc<Mutex<Table>>,
}

#[derive(Debug, Default)]
struct Table {
    /// The number given last, also to rows that were never committed.
    last: i64,
    waiting: BTreeMap<i64, OutboxRow>,
    aside: BTreeMap<i64, (OutboxRow, ErrorText)>,
}

/// Rows that exist when it is committed, all at once, and never when it is dropped. It stands in for the transaction of a
/// database.
#[derive(Debug)]
#[must_use = "a dropped transaction is rolled back"]
pub struct MemoryOutboxTransaction {
    table: Arc<Mutex<Table>>,
    rows: Vec<OutboxRow>,
}

impl MemoryOutbox {
    /// An empty outbox.
    #[must_use]
    pub fn new(name: OutboxName) -> Self {
        Self {
            name,
            table: Arc::default(),
        }
    }

    /// Begins a transaction.
    pub fn begin(&self) -> MemoryOutboxTransaction {
        MemoryOutboxTransaction {
            table: Arc::clone(&self.table),
            rows: Vec::new(),
        }
    }

    /// The rows that were set aside, with the reasons.
    #[must_use]
    pub fn aside(&self) -> Vec<(OutboxRow, ErrorText)> {
        lock(&self.table).aside.values().cloned().collect()
    }

    /// Copies what is in the table: a backup.
    #[must_use]
    pub fn copy(&self) -> Self {
        let table = lock(&self.table);
        let copy = Table {
            last: table.last,
            waiting: table.waiting.clone(),
            aside: table.aside.clone(),
        };
        Self {
            name: self.name.clone(),
            table: Arc::new(Mutex::new(copy)),
        }
    }

    /// Puts the content of a [copy](Self::copy) in place of this one's.
    pub fn restore(&self, copy: &Self) {
        let restored = copy.copy();
        mem::swap(&mut *lock(&self.table), &mut *lock(&restored.table));
    }
}

impl MemoryOutboxTransaction {
    /// Makes its rows readable.
    pub fn commit(mut self) {
        let rows = mem::take(&mut self.rows);
        let rows = rows.into_iter().map(|row| (row.row.seq, row));
        lock(&self.table).waiting.extend(rows);
    }

    /// Drops its rows, as going out of scope does.
    pub fn rollback(self) {}
}

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl OutboxTable for MemoryOutbox {
    fn name(&self) -> &OutboxName {
        &self.name
    }

    async fn next(&self, handed: &[RowId], room: Room) -> Result<Vec<OutboxRow>> {
        check::next(handed, room)?;
        let mut table = lock(&self.table);
        for row in handed {
            if table.waiting.get(&row.seq).is_some_and(|kept| kept.row == *row) {
                table.waiting.remove(&row.seq);
            }
            if table
                .aside
                .get(&row.seq)
                .is_some_and(|(kept, _)| kept.row == *row)
            {
                table.aside.remove(&row.seq);
            }
        }
        let mut bytes = 0;
        let first = table.waiting.values().take(room.rows).enumerate();
        let first = first.take_while(|(index, row)| {
            bytes += row.body.len();
            *index == 0 || bytes <= room.bytes
        });
        Ok(first.map(|(_, row)| row.clone()).collect())
    }

    async fn set_aside(&self, row: RowId, reason: &ErrorText) -> Result<()> {
        let mut table = lock(&self.table);
        if table.waiting.get(&row.seq).is_some_and(|kept| kept.row == row)
            && let Some(kept) = table.waiting.remove(&row.seq)
        {
            table.aside.insert(row.seq, (kept, reason.clone()));
        }
        Ok(())
    }

    async fn waiting(&self, cap: usize) -> Result<Waiting> {
        let table = lock(&self.table);
        let (rows, cap) = (table.waiting.len() as u64, cap as u64);
        Ok(Waiting {
            rows: if rows > cap {
                Count::AtLeast(cap)
            } else {
                Count::Exact(rows)
            },
            oldest: table.waiting.values().next().map(|row| row.created_at),
        })
    }
}

impl WriteOutbox<&mut MemoryOutboxTransaction> for MemoryOutbox {
    type Reply<T: Send + 'static> = T;

    fn write<T, F>(&self, tx: &mut MemoryOutboxTransaction, rows: Result<Vec<NewRow>>, finish: F) -> T
    where
        T: Send + 'static,
        F: FnOnce(Result<()>) -> T + Send + 'static,
    {
        finish(rows.and_then(|rows| {
            if !Arc::ptr_eq(&self.table, &tx.table) {
                return Err(StoreError::invalid("the transaction belongs to another outbox"));
            }
            check::write(&rows)?;
            let mut table = lock(&self.table);
            for NewRow {
                id, created_at, body, ..
            } in rows
            {
                // As a sequence does: drawn when it is written, lost when that rolls back.
                table.last += 1;
                let row = RowId { seq: table.last, id };
                tx.rows.push(OutboxRow {
                    row,
                    created_at,
                    body,
                });
            }
            Ok(())
        }))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::id::{Shard, TaskId, TaskIds};
    use crate::limits::{MAX_BATCH, MAX_OUTBOX_BODY_BYTES};
    use crate::name::Kind;
    use crate::time::Timestamp;

    const ROOM: Room = Room { rows: 10, bytes: 100 };

    fn outbox() -> MemoryOutbox {
        MemoryOutbox::new(OutboxName::new("orders").unwrap())
    }

    fn id(n: u64) -> TaskId {
        TaskIds::new().next(Timestamp::from_millis(1), Shard::default(), n)
    }

    fn write(outbox: &MemoryOutbox, tx: &mut MemoryOutboxTransaction, n: u64, bytes: usize) -> Result<()> {
        let row = NewRow {
            id: id(n),
            kind: Kind::new("k").unwrap(),
            created_at: Timestamp::from_millis(5),
            body: vec![b'x'; bytes],
        };
        outbox.write(tx, Ok(vec![row]), |answer| answer)
    }

    fn next(outbox: &MemoryOutbox, handed: &[RowId], room: Room) -> Vec<RowId> {
        let rows = outbox.next(handed, room).now_or_never().unwrap().unwrap();
        rows.iter().map(|row| row.row).collect()
    }

    #[test]
    fn rows_are_their_transactions_and_none_is_passed_over() {
        let outbox = outbox();
        let (mut slow, mut quick, mut never) = (outbox.begin(), outbox.begin(), outbox.begin());
        write(&outbox, &mut slow, 1, 1).unwrap();
        write(&outbox, &mut quick, 2, 1).unwrap();
        write(&outbox, &mut never, 3, 1).unwrap();
        quick.commit();
        never.rollback();
        let first = RowId { seq: 2, id: id(2) };
        assert_eq!(next(&outbox, &[], ROOM), [first]);
        slow.commit();
        let late = RowId { seq: 1, id: id(1) };
        assert_eq!(next(&outbox, &[first], ROOM), [late]);
        // Of a row with the number but not the id of another nothing is known.
        let other = RowId { seq: 1, id: id(9) };
        assert_eq!(next(&outbox, &[first, other], ROOM), [late]);
        assert!(next(&outbox, &[late], ROOM).is_empty());
    }

    #[test]
    fn an_answer_has_its_room_and_at_least_one_row() {
        let outbox = outbox();
        let mut tx = outbox.begin();
        for (n, bytes) in [(1, 101), (2, 60), (3, 40), (4, 1)] {
            write(&outbox, &mut tx, n, bytes).unwrap();
        }
        tx.commit();
        let numbers = |handed: &[RowId], room| -> Vec<i64> {
            next(&outbox, handed, room).iter().map(|row| row.seq).collect()
        };
        assert_eq!(numbers(&[], ROOM), [1]);
        let first = next(&outbox, &[], ROOM);
        assert_eq!(numbers(&first, ROOM), [2, 3]);
        assert_eq!(numbers(&[], Room { rows: 1, ..ROOM }), [2]);
        let waiting = |cap| outbox.waiting(cap).now_or_never().unwrap().unwrap();
        assert_eq!(waiting(3).rows, Count::Exact(3));
        assert_eq!(waiting(2).rows, Count::AtLeast(2));
        assert_eq!(waiting(2).oldest, Some(Timestamp::from_millis(5)));
        let row = RowId { seq: 2, id: id(2) };
        for _ in 0..2 {
            outbox
                .set_aside(row, &ErrorText::new("why"))
                .now_or_never()
                .unwrap()
                .unwrap();
        }
        assert_eq!(numbers(&[], ROOM), [3, 4]);
        assert_eq!(outbox.aside().len(), 1);
    }

    #[test]
    fn a_row_that_was_handed_over_does_not_stay_aside() {
        let outbox = outbox();
        let mut tx = outbox.begin();
        write(&outbox, &mut tx, 1, 1).unwrap();
        tx.commit();
        let row = RowId { seq: 1, id: id(1) };
        let reason = ErrorText::new("refused once, and this came late");
        outbox.set_aside(row, &reason).now_or_never().unwrap().unwrap();
        let other = RowId { seq: 1, id: id(2) };
        assert!(next(&outbox, &[other], ROOM).is_empty());
        assert_eq!(outbox.aside().len(), 1, "another row's");
        assert!(next(&outbox, &[row], ROOM).is_empty());
        assert!(outbox.aside().is_empty(), "an operator would put it back");
    }

    #[test]
    fn bounds_are_checked_before_anything_is_written() {
        let outbox = outbox();
        let mut tx = outbox.begin();
        assert!(write(&outbox, &mut tx, 1, MAX_OUTBOX_BODY_BYTES).is_ok());
        assert!(write(&outbox, &mut tx, 2, MAX_OUTBOX_BODY_BYTES + 1).is_err());
        let row = NewRow {
            id: id(3),
            kind: Kind::new("k").unwrap(),
            created_at: Timestamp::EPOCH,
            body: Vec::new(),
        };
        let many = |n| outbox.write(&mut outbox.begin(), Ok(vec![row.clone(); n]), |answer| answer);
        assert!(many(MAX_BATCH).is_ok() && many(MAX_BATCH + 1).is_err());
        tx.commit();
        let handed = vec![RowId { seq: 9, id: id(9) }; MAX_BATCH + 1];
        for (handed, rows) in [(&handed[..MAX_BATCH], MAX_BATCH), (&[], 1)] {
            assert_eq!(next(&outbox, handed, Room { rows, ..ROOM }).len(), 1);
        }
        for (handed, rows) in [(&handed[..], 1), (&[], MAX_BATCH + 1), (&[], 0)] {
            let room = Room { rows, ..ROOM };
            assert!(outbox.next(handed, room).now_or_never().unwrap().is_err());
        }
    }

    #[test]
    fn a_transaction_of_another_outbox_is_refused() {
        let (one, other) = (outbox(), outbox());
        assert!(write(&one, &mut other.begin(), 1, 1).is_err());
    }
}
