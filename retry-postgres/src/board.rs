//! The rows of one exchange, locked: read once, changed in memory edit by edit, and written together.

use std::collections::BTreeMap;

use retry_core::id::{SessionId, TaskId};
use retry_core::name::{Kind, Queue, UniqueKey};
use retry_core::task::{State, Target};
use retry_core::time::Timestamp;
use sqlx::postgres::PgRow;

use crate::error::Outcome;
use crate::memo::Memo;
use crate::record::{self, Read};
use crate::tx::Tx;
use crate::types::{Id, ids};

/// A locked row. What it holds are absolute values, to be written as they are.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) id: TaskId,
    pub(crate) version: u64,
    pub(crate) state: State,
    pub(crate) last_nonce: i64,
    pub(crate) cancel_requested: bool,
    pub(crate) holds_key: bool,
    pub(crate) level: i16,
    pub(crate) step: u32,
    pub(crate) run_at: Timestamp,
    pub(crate) attempt: u32,
    pub(crate) crashes: u32,
    pub(crate) session: Option<SessionId>,
    pub(crate) alarm_at: Option<Timestamp>,
    pub(crate) purge_at: Option<Timestamp>,
    pub(crate) updated_at: Timestamp,
    pub(crate) total: u32,
    pub(crate) open: u32,
    pub(crate) failed: u32,
    pub(crate) noted: bool,
    pub(crate) bytes: i32,
    pub(crate) parent: Option<TaskId>,
    pub(crate) queue: Option<Queue>,
    pub(crate) key: Option<(Kind, UniqueKey)>,
    /// It differs from what is stored.
    pub(crate) dirty: bool,
}

/// What is known of a task's row.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    Row(Box<Row>),
    /// It cannot be read, so it is not what an edit was decided on.
    Unreadable,
}

/// The edited rows and their parents.
#[derive(Debug, Default)]
pub(crate) struct Board {
    pub(crate) places: BTreeMap<TaskId, Place>,
}

/// Whether a lock that others hold is waited for. Who holds none, or only such as come before in the order of ids, may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waiting {
    Allowed,
    Refused,
}

impl Board {
    /// Locks the rows of `edited` and their parents, waiting for others or not.
    pub(crate) async fn lock(
        tx: &mut Tx<'_>,
        edited: impl IntoIterator<Item = TaskId>,
        waiting: Waiting,
        memo: &mut Memo,
    ) -> Outcome<Self> {
        let mut board = Self::default();
        let statement = match waiting {
            Waiting::Allowed => &tx.sql.edit_lock,
            Waiting::Refused => &tx.sql.edit_lock_now,
        };
        let statement = tx.query(statement).bind(ids(edited));
        for row in tx.rows(statement).await? {
            let Ok(id) = record::task_id(&row, 0) else {
                continue;
            };
            let place = Row::read(&row, memo).map_or(Place::Unreadable, |row| Place::Row(Box::new(row)));
            board.places.insert(id, place);
        }
        Ok(board)
    }

    /// A row that can be read.
    pub(crate) fn row(&self, id: TaskId) -> Option<&Row> {
        match self.places.get(&id)? {
            Place::Row(row) => Some(row),
            Place::Unreadable => None,
        }
    }

    /// A row that can be read, to be changed.
    pub(crate) fn row_mut(&mut self, id: TaskId) -> Option<&mut Row> {
        match self.places.get_mut(&id)? {
            Place::Row(row) => Some(row),
            Place::Unreadable => None,
        }
    }

    /// Writes the rows that differ from what is stored.
    pub(crate) async fn write(&mut self, tx: &mut Tx<'_>) -> Outcome<()> {
        let mut columns = Columns::default();
        for place in self.places.values_mut() {
            if let Place::Row(row) = place
                && row.dirty
            {
                columns.push(row);
                row.dirty = false;
            }
        }
        let rows = columns.id.len();
        if rows == 0 {
            return Ok(());
        }
        let written = tx.execute(columns.bind(tx)).await?;
        assert!(
            written == record::limit(rows).unsigned_abs(),
            "an edit writes the rows that were locked"
        );
        Ok(())
    }
}

impl Row {
    fn read(row: &PgRow, memo: &mut Memo) -> Read<Self> {
        let key: Option<&str> = record::value(row, 23)?;
        let key = match key {
            Some(key) => memo.kind(record::value(row, 22)?).zip(UniqueKey::new(key).ok()),
            None => None,
        };
        Ok(Self {
            id: record::task_id(row, 0)?,
            version: record::version(row, 1)?,
            state: record::state(row, 2)?,
            last_nonce: record::value(row, 3)?,
            cancel_requested: record::value(row, 4)?,
            holds_key: record::value(row, 5)?,
            level: record::value(row, 6)?,
            step: record::count(row, 7)?,
            run_at: record::time(row, 8)?,
            attempt: record::count(row, 9)?,
            crashes: record::count(row, 10)?,
            session: record::opt_session(row, 11)?,
            alarm_at: record::opt_time(row, 12)?,
            purge_at: record::opt_time(row, 13)?,
            updated_at: record::time(row, 14)?,
            total: record::count(row, 15)?,
            open: record::count(row, 16)?,
            failed: record::count(row, 17)?,
            noted: record::value(row, 18)?,
            bytes: record::value(row, 19)?,
            parent: record::opt_task_id(row, 20)?,
            queue: memo.queue(record::value(row, 21)?),
            key,
            dirty: false,
        })
    }

    /// Takes over the hot fields of a target.
    pub(crate) fn set(&mut self, target: &Target, nonce: i64, now: Timestamp) {
        self.state = target.state;
        self.run_at = target.run_at;
        self.attempt = target.attempt;
        self.crashes = target.crashes;
        self.level = (self.level & !1) | i16::from(target.crashes > 0);
        self.step = target.step;
        self.session = target.session;
        self.cancel_requested = target.cancel_requested.unwrap_or(self.cancel_requested);
        self.alarm_at = target.alarm_at;
        self.purge_at = target.purge_at;
        self.holds_key = target.holds_key;
        self.updated_at = now;
        self.version += 1;
        self.last_nonce = nonce;
        self.dirty = true;
    }
}

/// Rows as the arrays of the statement that writes them.
#[derive(Default)]
struct Columns {
    id: Vec<Id>,
    state: Vec<i16>,
    run_at: Vec<i64>,
    attempt: Vec<i32>,
    crashes: Vec<i32>,
    level: Vec<i16>,
    step: Vec<i32>,
    session: Vec<Option<Id>>,
    cancel_requested: Vec<bool>,
    alarm_at: Vec<Option<i64>>,
    purge_at: Vec<Option<i64>>,
    holds_key: Vec<bool>,
    updated_at: Vec<i64>,
    total: Vec<i32>,
    open: Vec<i32>,
    failed: Vec<i32>,
    version: Vec<i64>,
    last_nonce: Vec<i64>,
    noted: Vec<bool>,
    bytes: Vec<i32>,
}

impl Columns {
    fn push(&mut self, row: &Row) {
        self.id.push(row.id.into());
        self.state.push(record::state_code(row.state));
        self.run_at.push(row.run_at.as_millis());
        self.attempt.push(record::stored_count(row.attempt));
        self.crashes.push(record::stored_count(row.crashes));
        self.level.push(row.level);
        self.step.push(record::stored_count(row.step));
        self.session.push(row.session.map(Id::from));
        self.cancel_requested.push(row.cancel_requested);
        self.alarm_at.push(row.alarm_at.map(Timestamp::as_millis));
        self.purge_at.push(row.purge_at.map(Timestamp::as_millis));
        self.holds_key.push(row.holds_key);
        self.updated_at.push(row.updated_at.as_millis());
        self.total.push(record::stored_count(row.total));
        self.open.push(record::stored_count(row.open));
        self.failed.push(record::stored_count(row.failed));
        self.version.push(record::stored(row.version));
        self.last_nonce.push(row.last_nonce);
        self.noted.push(row.noted);
        self.bytes.push(row.bytes);
    }

    fn bind(self, tx: &Tx<'_>) -> crate::tx::Statement {
        tx.query(&tx.sql.edit_write)
            .bind(self.id)
            .bind(self.state)
            .bind(self.run_at)
            .bind(self.attempt)
            .bind(self.crashes)
            .bind(self.level)
            .bind(self.step)
            .bind(self.session)
            .bind(self.cancel_requested)
            .bind(self.alarm_at)
            .bind(self.purge_at)
            .bind(self.holds_key)
            .bind(self.updated_at)
            .bind(self.total)
            .bind(self.open)
            .bind(self.failed)
            .bind(self.version)
            .bind(self.last_nonce)
            .bind(self.noted)
            .bind(self.bytes)
    }
}
