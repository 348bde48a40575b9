//! Tables that break one thing each: the case that has to reject each of them proves the cases.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use retry_core::id::TaskId;
use retry_core::limits::MAX_BATCH;
use retry_core::outbox::{
    MemoryOutbox, MemoryOutboxTransaction, NewRow, OutboxName, OutboxRow, OutboxTable, Room, RowId, Waiting,
    WriteOutbox as _,
};
use retry_core::store::{Count, Result as StoreResult};
use retry_core::task::ErrorText;

use super::harness::{OutboxHarness, OutboxInstance, Transaction};
use super::rows::ALL;
use crate::harness::Skip;

/// What is wrong with a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "their names say it")]
pub enum Mutant {
    ShowsOpenTransactions,
    KeepsWhatRolledBack,
    KeepsHalfOfARefusedWrite,
    OrdersByIds,
    PassesOverLateRows,
    ForgetsToRemove,
    AnswersWhatItRemoves,
    RemovesByNumber,
    SetsAsideByNumber,
    AnswersOnce,
    ForgetsToSetAside,
    SetsAsideByRemovingAllBefore,
    RemovesInsteadOfSettingAside,
    KeepsAsideWhatWasHandedOver,
    TrimsBodies,
    IgnoresBytes,
    AnswersNothingTooLarge,
    ChecksNoBounds,
    CountsBeyondTheCap,
}

/// All of them, each with the case that rejects it.
pub const MUTANTS: &[(Mutant, &str)] = &[
    (Mutant::ShowsOpenTransactions, "rows_are_their_transactions"),
    (Mutant::KeepsWhatRolledBack, "rows_are_their_transactions"),
    (
        Mutant::KeepsHalfOfARefusedWrite,
        "a_refused_write_leaves_the_transaction_usable",
    ),
    (Mutant::OrdersByIds, "rows_come_in_the_order_of_writing"),
    (Mutant::PassesOverLateRows, "a_late_commit_is_not_passed_over"),
    (Mutant::ForgetsToRemove, "what_was_handed_over_goes"),
    (Mutant::AnswersWhatItRemoves, "what_was_handed_over_goes"),
    (Mutant::RemovesByNumber, "a_number_alone_removes_nothing"),
    (Mutant::SetsAsideByNumber, "a_number_alone_removes_nothing"),
    (Mutant::AnswersOnce, "what_was_not_handed_over_stays"),
    (Mutant::ForgetsToSetAside, "a_row_set_aside_is_out_of_the_way"),
    (
        Mutant::SetsAsideByRemovingAllBefore,
        "a_row_set_aside_is_out_of_the_way",
    ),
    (
        Mutant::RemovesInsteadOfSettingAside,
        "a_row_set_aside_is_out_of_the_way",
    ),
    (
        Mutant::KeepsAsideWhatWasHandedOver,
        "a_late_set_aside_keeps_nothing_handed_over",
    ),
    (Mutant::TrimsBodies, "bytes_and_times_come_back"),
    (Mutant::IgnoresBytes, "an_answer_has_its_room"),
    (Mutant::AnswersNothingTooLarge, "an_answer_has_its_room"),
    (Mutant::ChecksNoBounds, "bounds_are_checked_first"),
    (Mutant::CountsBeyondTheCap, "what_waits_is_counted"),
];

#[async_trait]
impl OutboxHarness for Mutant {
    fn name(&self) -> &'static str {
        "mutant"
    }

    async fn fresh(&self) -> Result<Box<dyn OutboxInstance>, Skip> {
        let name = OutboxName::new("mutant").unwrap_or_else(|error| panic!("{error}"));
        Ok(Box::new(Broken(Arc::new(Table {
            mutant: *self,
            sound: MemoryOutbox::new(name),
            mark: AtomicI64::new(0),
            answered: Mutex::default(),
        }))))
    }
}

#[derive(Debug)]
struct Table {
    mutant: Mutant,
    sound: MemoryOutbox,
    /// The highest number that was removed.
    mark: AtomicI64,
    answered: Mutex<BTreeSet<RowId>>,
}

impl Table {
    async fn all(&self) -> StoreResult<Vec<OutboxRow>> {
        self.sound.next(&[], ALL).await
    }

    /// The rows with the numbers of these.
    async fn by_number(&self, rows: &[RowId]) -> StoreResult<Vec<RowId>> {
        let numbers: BTreeSet<i64> = rows.iter().map(|row| row.seq).collect();
        let all = self.all().await?.into_iter().map(|row| row.row);
        Ok(all.filter(|row| numbers.contains(&row.seq)).collect())
    }

    /// What is wrong about an answer.
    fn spoil(&self, mut rows: Vec<OutboxRow>, room: Room) -> Vec<OutboxRow> {
        match self.mutant {
            Mutant::OrdersByIds => rows.sort_by_key(|row| row.row.id),
            Mutant::PassesOverLateRows => {
                let mark = self.mark.load(Ordering::SeqCst);
                rows.retain(|row| row.row.seq > mark);
            }
            Mutant::AnswersOnce => {
                let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
                rows.retain(|row| answered.insert(row.row));
            }
            Mutant::TrimsBodies => {
                for row in &mut rows {
                    row.body = row.body.trim_ascii_end().to_vec();
                }
            }
            Mutant::AnswersNothingTooLarge if rows.first().is_some_and(|row| row.body.len() > room.bytes) => {
                rows.clear();
            }
            _ => {}
        }
        rows
    }
}

#[async_trait]
impl OutboxTable for Table {
    fn name(&self) -> &OutboxName {
        self.sound.name()
    }

    async fn next(&self, handed: &[RowId], room: Room) -> StoreResult<Vec<OutboxRow>> {
        let last = handed.iter().map(|row| row.seq).max();
        self.mark.fetch_max(last.unwrap_or(0), Ordering::SeqCst);
        let rows = match self.mutant {
            Mutant::ForgetsToRemove => self.sound.next(&[], room).await?,
            Mutant::AnswersWhatItRemoves => {
                let before = self.sound.next(&[], room).await?;
                self.sound.next(handed, room).await?;
                before
            }
            Mutant::RemovesByNumber => self.sound.next(&self.by_number(handed).await?, room).await?,
            Mutant::KeepsAsideWhatWasHandedOver => {
                let aside: BTreeSet<RowId> = self.sound.aside().iter().map(|(row, _)| row.row).collect();
                let waiting = handed.iter().filter(|row| !aside.contains(row)).copied();
                self.sound.next(&waiting.collect::<Vec<_>>(), room).await?
            }
            Mutant::IgnoresBytes => {
                let bytes = usize::MAX;
                self.sound.next(handed, Room { bytes, ..room }).await?
            }
            Mutant::ChecksNoBounds => {
                let handed = &handed[..handed.len().min(MAX_BATCH)];
                let rows = room.rows.clamp(1, MAX_BATCH);
                self.sound.next(handed, Room { rows, ..room }).await?
            }
            _ => self.sound.next(handed, room).await?,
        };
        Ok(self.spoil(rows, room))
    }

    async fn set_aside(&self, row: RowId, reason: &ErrorText) -> StoreResult<()> {
        match self.mutant {
            Mutant::ForgetsToSetAside => return Ok(()),
            Mutant::SetsAsideByNumber => {
                for row in self.by_number(&[row]).await? {
                    self.sound.set_aside(row, reason).await?;
                }
            }
            Mutant::SetsAsideByRemovingAllBefore => {
                for before in self.all().await? {
                    if before.row.seq < row.seq {
                        self.sound.set_aside(before.row, reason).await?;
                    }
                }
            }
            Mutant::RemovesInsteadOfSettingAside => return self.sound.next(&[row], ALL).await.map(drop),
            _ => {}
        }
        self.sound.set_aside(row, reason).await
    }

    async fn waiting(&self, cap: usize) -> StoreResult<Waiting> {
        if self.mutant == Mutant::CountsBeyondTheCap {
            let rows = Count::Exact(self.all().await?.len() as u64);
            let waiting = self.sound.waiting(cap).await?;
            return Ok(Waiting { rows, ..waiting });
        }
        self.sound.waiting(cap).await
    }
}

struct Broken(Arc<Table>);

#[async_trait]
impl OutboxInstance for Broken {
    fn table(&self) -> Arc<dyn OutboxTable> {
        Arc::clone(&self.0) as _
    }

    async fn begin(&self) -> Box<dyn Transaction> {
        let open = self.0.sound.begin();
        Box::new(Open {
            table: Arc::clone(&self.0),
            open,
        })
    }

    async fn aside(&self) -> Vec<TaskId> {
        self.0.sound.aside().iter().map(|(row, _)| row.row.id).collect()
    }
}

struct Open {
    table: Arc<Table>,
    open: MemoryOutboxTransaction,
}

impl Open {
    fn commit_now(&mut self) {
        std::mem::replace(&mut self.open, self.table.sound.begin()).commit();
    }
}

#[async_trait]
impl Transaction for Open {
    async fn write(&mut self, rows: Vec<NewRow>) -> StoreResult<()> {
        let outbox = &self.table.sound;
        if self.table.mutant == Mutant::KeepsHalfOfARefusedWrite {
            for row in rows {
                outbox.write(&mut self.open, Ok(vec![row]), |answer| answer)?;
            }
            return Ok(());
        }
        outbox.write(&mut self.open, Ok(rows), |answer| answer)?;
        if self.table.mutant == Mutant::ShowsOpenTransactions {
            self.commit_now();
        }
        Ok(())
    }

    async fn commit(self: Box<Self>) {
        self.open.commit();
    }

    async fn roll_back(mut self: Box<Self>) {
        if self.table.mutant == Mutant::KeepsWhatRolledBack {
            self.commit_now();
        }
    }
}
