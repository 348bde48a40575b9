//! Edits (laws 6, 8): the guard, the pick among a change's targets, the write, and the news to the parent.

use retry_core::id::{SessionId, TaskId};
use retry_core::store::{Applied, Inserted, Took};
use retry_core::task::{Action, Change, Completion, Edit, State, Target};
use retry_core::time::Timestamp;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Row as SqlRow, params};

use crate::effects::Effects;
use crate::error::Outcome;
use crate::insert::Inserter;
use crate::memo::Memo;
use crate::note::{self, Place};
use crate::parents::{self, Parents};
use crate::queries;
use crate::record::{self, Read};
use crate::settle::Settler;

/// Applies the edits of one call, one after another.
pub(crate) struct Editor<'c, 'm> {
    conn: &'c Connection,
    now: Timestamp,
    settler: Settler<'c>,
    read: CachedStatement<'c>,
    write: CachedStatement<'c>,
    inserter: Option<Inserter<'c>>,
    parents: Parents,
    memo: &'m mut Memo,
    effects: &'m mut Effects,
}

/// The row an edit is decided on.
struct Row {
    version: u64,
    state: State,
    last_nonce: i64,
    cancel_requested: bool,
    holds_key: bool,
    step: u32,
    total: u32,
    open: u32,
    place: Place,
    queue: Option<retry_core::name::Queue>,
    parent: Option<TaskId>,
}

/// The target that was picked, and how the inserts ended.
struct Picked<'a> {
    target: &'a Target,
    took: Took,
    inserted: Vec<Inserted>,
}

impl<'c, 'm> Editor<'c, 'm> {
    pub(crate) fn new(
        conn: &'c Connection,
        now: Timestamp,
        memo: &'m mut Memo,
        effects: &'m mut Effects,
    ) -> Outcome<Self> {
        Ok(Self {
            conn,
            now,
            settler: Settler::new(conn, now)?,
            read: conn.prepare_cached(queries::EDIT_READ)?,
            write: conn.prepare_cached(queries::EDIT_WRITE)?,
            inserter: None,
            parents: Parents::default(),
            memo,
            effects,
        })
    }

    /// Writes the parents' counters; nothing else is pending.
    pub(crate) fn finish(mut self) -> Outcome<()> {
        self.parents.flush(self.conn)
    }

    pub(crate) fn apply(&mut self, edit: &Edit) -> Outcome<Applied> {
        self.parents.settle(self.conn, edit.id)?;
        let memo = &mut *self.memo;
        if self.settler.settle(edit, memo, self.effects)? {
            return Ok(Applied::DONE);
        }
        let read = self
            .read
            .query_row([edit.id.to_bytes()], |row| Ok(Row::read(row, memo)));
        let Some(read) = read.optional()? else {
            return Ok(Applied::Missing);
        };
        // What cannot be read is not what the edit was decided on.
        let Ok(row) = read else {
            return Ok(Applied::Stale);
        };
        if row.last_nonce == record::stored(edit.nonce.get()) {
            return Ok(Applied::Repeated);
        }
        match &edit.action {
            Action::RequestCancel => self.request_cancel(&row),
            Action::StoreCompletion(completion) => self.store_completion(&row, completion),
            Action::Delete { from } => self.delete(&row, *from, edit),
            Action::Set(change) => self.set(row, change, edit),
        }
    }

    fn request_cancel(&self, row: &Row) -> Outcome<Applied> {
        if row.state != State::Running {
            return Ok(Applied::Stale);
        }
        self.conn
            .prepare_cached(queries::EDIT_CANCEL)?
            .execute([row.place.number])?;
        Ok(Applied::DONE)
    }

    fn store_completion(&self, row: &Row, completion: &Completion) -> Outcome<Applied> {
        if !matches!(row.state, State::Pending | State::Running) || row.step != completion.step {
            return Ok(Applied::Stale);
        }
        if !note::store_early(self.conn, row.place.number, completion)? {
            return Ok(Applied::Repeated);
        }
        self.conn
            .prepare_cached(queries::EDIT_NOTED)?
            .execute([row.place.number])?;
        Ok(Applied::DONE)
    }

    fn delete(&mut self, row: &Row, from: State, edit: &Edit) -> Outcome<Applied> {
        if row.version != edit.version || row.state != from || parents::is_awaited(self.conn, row.parent)? {
            return Ok(Applied::Stale);
        }
        delete(self.conn, row.place)?;
        let mut inserted = Vec::with_capacity(edit.insert.len());
        for new in &edit.insert {
            inserted.push(self.insert(new, edit.id)?);
        }
        Ok(Applied::Done {
            inserted,
            took: Took::Primary,
        })
    }

    fn set(&mut self, mut row: Row, change: &Change, edit: &Edit) -> Outcome<Applied> {
        if row.version != edit.version || row.state != change.from {
            return Ok(Applied::Stale);
        }
        let is_rerun = row.state.is_final() && !change.to.state.is_final();
        if is_rerun && !self.may_rerun(row.parent)? {
            return Ok(Applied::Stale);
        }
        if !row.holds_key
            && change.to.holds_key
            && let Some(holder) = self.key_holder(row.place)?
        {
            return Ok(Applied::KeyTaken(holder));
        }
        let Picked {
            target,
            took,
            inserted,
        } = self.pick(&mut row, change, edit)?;
        self.write_target(&row, target, edit)?;
        let states = (row.state, target.state);
        self.parents
            .child_changed(self.conn, row.parent, states, self.now, self.memo, self.effects)?;
        Ok(Applied::Done { inserted, took })
    }

    /// Makes the edit's inserts and picks the first target that fits.
    fn pick<'a>(&mut self, row: &mut Row, change: &'a Change, edit: &Edit) -> Outcome<Picked<'a>> {
        if let (true, Some(target)) = (row.cancel_requested, &change.if_cancelled) {
            return Ok(Picked {
                target,
                took: Took::Cancelled,
                inserted: Vec::new(),
            });
        }
        if row.holds_key && !change.to.holds_key && edit.insert.iter().any(|new| new.unique.is_some()) {
            self.conn
                .prepare_cached(queries::EDIT_FREE_KEY)?
                .execute([row.place.number])?;
        }
        let mut inserted = Vec::with_capacity(edit.insert.len());
        for new in &edit.insert {
            let answer = self.insert(new, edit.id)?;
            if new.parent.is_some() && matches!(answer, Inserted::New { .. }) {
                row.total += 1;
                row.open += 1;
            }
            inserted.push(answer);
        }
        let (target, took) = match (&change.if_completed, &change.if_none_open) {
            (Some(target), _) if note::has_early(self.conn, row.place)? => (&**target, Took::Completed),
            (_, Some(target)) if row.open == 0 => (&**target, Took::NoneOpen),
            _ => (&change.to, Took::Primary),
        };
        Ok(Picked {
            target,
            took,
            inserted,
        })
    }

    fn insert(&mut self, new: &retry_core::task::NewTask, edited: TaskId) -> Outcome<Inserted> {
        let inserter = match &mut self.inserter {
            Some(inserter) => inserter,
            none => none.insert(Inserter::new(self.conn, self.now)?),
        };
        inserter.insert(new, Some(edited), self.memo, self.effects)
    }

    fn write_target(&mut self, row: &Row, target: &Target, edit: &Edit) -> Outcome<()> {
        let noted = note::write(self.conn, row.place, target, self.memo)?;
        let written = self.write.execute(params![
            row.place.number,
            target.state.code(),
            target.run_at.as_millis(),
            target.attempt,
            target.crashes,
            target.crashes > 0,
            target.step,
            target.session.map(SessionId::to_bytes),
            target.cancel_requested.unwrap_or(row.cancel_requested),
            target.alarm_at.map(Timestamp::as_millis),
            target.purge_at.map(Timestamp::as_millis),
            target.holds_key,
            self.now.as_millis(),
            row.total,
            row.open,
            record::stored(row.version + 1),
            record::stored(edit.nonce.get()),
            noted,
        ])?;
        assert!(written == 1, "an edit writes one row");
        if let (State::Pending, Some(queue)) = (target.state, &row.queue) {
            self.effects.pending(queue, target.run_at, self.now);
        }
        Ok(())
    }

    /// A child runs again only while its parent waits for its children.
    fn may_rerun(&self, parent: Option<TaskId>) -> Outcome<bool> {
        let Some(parent) = parent else { return Ok(true) };
        Ok(parents::state_of(self.conn, parent)? == Some(State::Joining))
    }

    fn key_holder(&self, place: Place) -> Outcome<Option<TaskId>> {
        let mut statement = self.conn.prepare_cached(queries::KEY_TAKEN)?;
        let holder = statement.query_row([place.number], |row| Ok(record::id(row, 0)));
        Ok(holder
            .optional()?
            .map(|id| TaskId::from_bytes(id.unwrap_or_default())))
    }
}

impl Row {
    fn read(row: &SqlRow<'_>, memo: &mut Memo) -> Read<Self> {
        Ok(Self {
            version: record::version(row, 0)?,
            state: record::state(row, 1)?,
            last_nonce: record::int(row, 2)?,
            cancel_requested: record::flag(row, 3)?,
            holds_key: record::flag(row, 4)?,
            step: record::count(row, 5)?,
            total: record::count(row, 6)?,
            open: record::count(row, 7)?,
            place: Place {
                number: record::int(row, 8)?,
                noted: record::flag(row, 9)?,
            },
            queue: record::opt_text(row, 10)?.and_then(|name| memo.queue(name)),
            parent: record::opt_id(row, 11)?.map(TaskId::from_bytes),
        })
    }
}

/// Forgets a task with everything that is kept about it.
pub(crate) fn delete(conn: &Connection, place: Place) -> Outcome<()> {
    conn.prepare_cached(queries::TASK_DELETE)?
        .execute([place.number])?;
    note::delete(conn, place)
}
