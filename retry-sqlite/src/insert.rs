//! Inserts (laws 1, 2): the task, its body, or the answer why not.

use std::collections::HashMap;

use retry_core::id::{SessionId, TaskId};
use retry_core::machine::claim;
use retry_core::name::Queue;
use retry_core::store::Inserted;
use retry_core::task::{NewTask, OnDuplicate, State, Task, Unique};
use retry_core::time::Timestamp;
use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

use crate::effects::Effects;
use crate::error::Outcome;
use crate::insert_many::{self, ROWS};
use crate::memo::Memo;
use crate::queries;
use crate::record;

/// Inserts the tasks of one call.
pub(crate) struct Inserter<'c> {
    conn: &'c Connection,
    now: Timestamp,
    task: CachedStatement<'c>,
    body: CachedStatement<'c>,
    may_lease: HashMap<(SessionId, Queue), bool>,
}

/// The holder of a unique key.
struct Holder {
    id: TaskId,
    state: State,
    number: i64,
    queue: Option<String>,
    run_at: i64,
}

impl<'c> Inserter<'c> {
    pub(crate) fn new(conn: &'c Connection, now: Timestamp) -> Outcome<Self> {
        Ok(Self {
            conn,
            now,
            task: conn.prepare_cached(queries::INSERT_TASK)?,
            body: conn.prepare_cached(queries::INSERT_BODY)?,
            may_lease: HashMap::new(),
        })
    }

    /// Inserts the tasks of a call, many at a time where all of those are new.
    pub(crate) fn insert_all(
        &mut self,
        tasks: &[NewTask],
        memo: &mut Memo,
        effects: &mut Effects,
    ) -> Outcome<Vec<Inserted>> {
        let mut inserted = Vec::with_capacity(tasks.len());
        for chunk in tasks.chunks(ROWS) {
            if chunk.len() == ROWS && self.insert_many(chunk, &mut inserted, memo, effects)? {
                continue;
            }
            for new in chunk {
                inserted.push(self.insert(new, None, memo, effects)?);
            }
        }
        Ok(inserted)
    }

    fn insert_many(
        &mut self,
        chunk: &[NewTask],
        inserted: &mut Vec<Inserted>,
        memo: &mut Memo,
        effects: &mut Effects,
    ) -> Outcome<bool> {
        let tasks = chunk.iter().map(|new| self.born(new));
        let tasks = tasks.collect::<Outcome<Vec<_>>>()?;
        if !insert_many::insert(self.conn, chunk, &tasks, self.now, memo)? {
            return Ok(false);
        }
        for task in tasks {
            inserted.push(self.inserted(&task, effects));
        }
        Ok(true)
    }

    /// The first record of a task: pending, or born leased.
    fn born(&mut self, new: &NewTask) -> Outcome<Task> {
        let task = Task::pending(new, self.now);
        Ok(match new.leased_by {
            Some(session) if new.run_at <= self.now && self.may_lease(session, &new.queue)? => {
                claim(&task, session, self.now)
            }
            _ => task,
        })
    }

    /// The answer for a new task.
    fn inserted(&self, task: &Task, effects: &mut Effects) -> Inserted {
        let leased = task.state == State::Running;
        if !leased {
            effects.pending(&task.queue, task.run_at, self.now);
        }
        Inserted::New { leased }
    }

    /// Inserts one task. `edited` is the task whose edit carries it, if one does: what that edit is about to write anyway
    /// is not replaced by it.
    pub(crate) fn insert(
        &mut self,
        new: &NewTask,
        edited: Option<TaskId>,
        memo: &mut Memo,
        effects: &mut Effects,
    ) -> Outcome<Inserted> {
        let task = self.born(new)?;
        if self.write_task(&task, memo)? == 0 {
            return self.existing(new, edited, effects);
        }
        self.body.execute(params![
            self.conn.last_insert_rowid(),
            memo.settings_text(&new.settings),
            new.unique.as_ref().map(|unique| record::scope_code(unique.scope)),
            new.wait_secret.cast_signed(),
            record::headers_text(&new.headers),
            new.payload.as_json(),
        ])?;
        Ok(self.inserted(&task, effects))
    }

    fn write_task(&mut self, task: &Task, memo: &mut Memo) -> Outcome<usize> {
        let lane = memo.lane_of_new(self.conn, &task.queue, &task.kind)?;
        Ok(self.task.execute(params![
            task.id.to_bytes(),
            lane.first() + record::level(task.priority, task.crashes),
            task.state.code(),
            task.run_at.as_millis(),
            task.attempt,
            record::stored(task.version),
            task.session.map(SessionId::to_bytes),
            task.alarm_at.map(Timestamp::as_millis),
            self.now.as_millis(),
            task.unique
                .as_ref()
                .map(|(key, _)| record::key_text(&task.kind, key)),
            task.holds_key,
            task.parent.map(TaskId::to_bytes),
        ])?)
    }

    /// Whether a task may be born leased: asked once per call, in which neither answer changes.
    fn may_lease(&mut self, session: SessionId, queue: &Queue) -> Outcome<bool> {
        if let Some(may) = self.may_lease.get(&(session, queue.clone())) {
            return Ok(*may);
        }
        let may = is_live(self.conn, session)? && !is_paused(self.conn, queue)?;
        self.may_lease.insert((session, queue.clone()), may);
        Ok(may)
    }

    /// Why a task was not inserted.
    fn existing(&self, new: &NewTask, edited: Option<TaskId>, effects: &mut Effects) -> Outcome<Inserted> {
        let stored = self
            .conn
            .prepare_cached(queries::TASK_EXISTS)?
            .exists([new.id.to_bytes()])?;
        let holder = match &new.unique {
            Some(unique) if !stored => self.holder(new, unique)?,
            _ => None,
        };
        let (Some(unique), Some(holder)) = (&new.unique, holder) else {
            return Ok(Inserted::Repeated);
        };
        let OnDuplicate::Replace { payload, run_at } = unique.on_duplicate else {
            return Ok(holder.keeps());
        };
        if holder.state != State::Pending {
            return Ok(holder.keeps());
        }
        if edited != Some(holder.id) {
            self.replace(new, &holder, payload, run_at, effects)?;
        }
        Ok(Inserted::Replaced { holder: holder.id })
    }

    fn holder(&self, new: &NewTask, unique: &Unique) -> Outcome<Option<Holder>> {
        let mut statement = self.conn.prepare_cached(queries::KEY_HOLDER)?;
        let holder = statement.query_row([record::key_text(&new.kind, &unique.key)], |row| {
            Ok((
                record::id(row, 0),
                record::state(row, 1),
                row.get(2)?,
                row.get(3)?,
                row.get(4)?,
            ))
        });
        let Some((id, state, number, queue, run_at)) = holder.optional()? else {
            return Ok(None);
        };
        Ok(Some(Holder {
            // An unreadable holder still holds; it answers as one that is kept.
            id: TaskId::from_bytes(id.unwrap_or_default()),
            state: state.unwrap_or(State::Failed),
            number,
            queue,
            run_at,
        }))
    }

    fn replace(
        &self,
        new: &NewTask,
        holder: &Holder,
        payload: bool,
        run_at: bool,
        effects: &mut Effects,
    ) -> Outcome<()> {
        let due = run_at.then(|| new.run_at.max(self.now));
        self.conn.prepare_cached(queries::REPLACE_TASK)?.execute(params![
            holder.number,
            self.now.as_millis(),
            due.map(Timestamp::as_millis),
        ])?;
        if payload {
            self.conn.prepare_cached(queries::BODY_WRITE)?.execute(params![
                holder.number,
                new.payload.as_json(),
                true,
                record::headers_text(&new.headers),
            ])?;
        }
        if let Some(Ok(queue)) = holder.queue.as_deref().map(Queue::new) {
            effects.pending(
                &queue,
                due.unwrap_or(Timestamp::from_millis(holder.run_at)),
                self.now,
            );
        }
        Ok(())
    }
}

impl Holder {
    const fn keeps(&self) -> Inserted {
        Inserted::Duplicate {
            holder: self.id,
            state: self.state,
        }
    }
}

/// Whether a session may claim.
pub(crate) fn is_live(conn: &Connection, session: SessionId) -> Outcome<bool> {
    let mut statement = conn.prepare_cached(queries::SESSION_LIVE)?;
    Ok(statement.exists([session.to_bytes()])?)
}

/// Whether a queue is paused.
pub(crate) fn is_paused(conn: &Connection, queue: &Queue) -> Outcome<bool> {
    let mut statement = conn.prepare_cached(queries::QUEUE_PAUSED)?;
    Ok(statement.exists([queue.as_str()])?)
}
