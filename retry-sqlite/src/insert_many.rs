//! Many new tasks by one statement (law 1): the fast way of a batch in which nothing is stored already.

use retry_core::id::{SessionId, TaskId};
use retry_core::task::{NewTask, Task};
use retry_core::time::Timestamp;
use rusqlite::{Connection, ErrorCode, Statement, ToSql};

use crate::error::Outcome;
use crate::memo::Memo;
use crate::queries;
use crate::record;

/// Rows of one statement, as many as stand in the statements.
pub(crate) const ROWS: usize = 16;

/// Binds the parameters of a statement one after another.
struct Binder<'s, 'c> {
    statement: &'s mut Statement<'c>,
    next: usize,
}

impl Binder<'_, '_> {
    fn bind(&mut self, value: impl ToSql) -> rusqlite::Result<()> {
        self.next += 1;
        self.statement.raw_bind_parameter(self.next, value)
    }
}

/// Inserts [`ROWS`] tasks with their bodies. False: one of them is not new, and nothing was written.
pub(crate) fn insert(
    conn: &Connection,
    new: &[NewTask],
    tasks: &[Task],
    now: Timestamp,
    memo: &mut Memo,
) -> Outcome<bool> {
    let mut statement = conn.prepare_cached(queries::INSERT_TASKS)?;
    let mut row = Binder {
        statement: &mut statement,
        next: 0,
    };
    for task in tasks {
        bind_task(
            &mut row,
            task,
            now,
            memo.lane_of_new(conn, &task.queue, &task.kind)?.first(),
        )?;
    }
    match statement.raw_execute() {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => return Ok(false),
        result => result?,
    };
    drop(statement);
    let last = conn.last_insert_rowid();
    let mut statement = conn.prepare_cached(queries::INSERT_BODIES)?;
    let mut row = Binder {
        statement: &mut statement,
        next: 0,
    };
    for (new, back) in new.iter().zip((0..ROWS).rev()) {
        let number = last - i64::try_from(back).unwrap_or(0);
        bind_body(&mut row, number, new, memo)?;
    }
    statement.raw_execute()?;
    Ok(true)
}

fn bind_task(row: &mut Binder<'_, '_>, task: &Task, now: Timestamp, lane: i64) -> rusqlite::Result<()> {
    row.bind(task.id.to_bytes())?;
    row.bind(lane + record::level(task.priority, task.crashes))?;
    row.bind(task.state.code())?;
    row.bind(task.run_at.as_millis())?;
    row.bind(task.attempt)?;
    row.bind(record::stored(task.version))?;
    row.bind(task.session.map(SessionId::to_bytes))?;
    row.bind(task.alarm_at.map(Timestamp::as_millis))?;
    row.bind(now.as_millis())?;
    row.bind(now.as_millis())?;
    row.bind(
        task.unique
            .as_ref()
            .map(|(key, _)| record::key_text(&task.kind, key)),
    )?;
    row.bind(task.holds_key)?;
    row.bind(task.parent.map(TaskId::to_bytes))
}

fn bind_body(row: &mut Binder<'_, '_>, number: i64, new: &NewTask, memo: &mut Memo) -> rusqlite::Result<()> {
    row.bind(number)?;
    row.bind(memo.settings_text(&new.settings))?;
    row.bind(new.unique.as_ref().map(|unique| record::scope_code(unique.scope)))?;
    row.bind(new.wait_secret.cast_signed())?;
    row.bind(record::headers_text(&new.headers))?;
    row.bind(new.payload.as_json())
}
