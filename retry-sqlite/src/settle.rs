//! The end of an attempt as almost all of them end (law 6): the guard stands in the write, and nothing is read before.

use retry_core::id::SessionId;
use retry_core::task::{Action, Change, Edit, State, Target};
use retry_core::time::Timestamp;
use rusqlite::{CachedStatement, Connection, params};

use crate::effects::Effects;
use crate::error::Outcome;
use crate::memo::Memo;
use crate::note::{self, Place};
use crate::queries;
use crate::record;

/// Settles tasks that this writer claimed itself, whose numbers it remembers.
pub(crate) struct Settler<'c> {
    conn: &'c Connection,
    now: Timestamp,
    write: CachedStatement<'c>,
    delete: CachedStatement<'c>,
    body: CachedStatement<'c>,
}

impl<'c> Settler<'c> {
    pub(crate) fn new(conn: &'c Connection, now: Timestamp) -> Outcome<Self> {
        Ok(Self {
            conn,
            now,
            write: conn.prepare_cached(queries::SETTLE_WRITE)?,
            delete: conn.prepare_cached(queries::SETTLE_DELETE)?,
            body: conn.prepare_cached(queries::BODY_DELETE)?,
        })
    }

    /// Applies an edit if it is a plain one of a plain task. False: nothing was written, the edit has to be decided on the
    /// row.
    pub(crate) fn settle(&mut self, edit: &Edit, memo: &mut Memo, effects: &mut Effects) -> Outcome<bool> {
        if !edit.insert.is_empty() {
            return Ok(false);
        }
        let Some((number, queue)) = memo.claimed_at(edit.id) else {
            return Ok(false);
        };
        let number = *number;
        match &edit.action {
            Action::Set(change) if is_plain(change) => {
                let target = &change.to;
                if self.write(number, target, edit)? == 0 {
                    return Ok(false);
                }
                if target.state == State::Pending {
                    effects.pending(queue, target.run_at, self.now);
                }
                if target.state != State::Running {
                    memo.settled(edit.id);
                }
                self.note(number, target, memo)?;
                Ok(true)
            }
            Action::Delete { from: State::Running } => {
                let guard = params![
                    number,
                    edit.id.to_bytes(),
                    record::stored(edit.version),
                    record::stored(edit.nonce.get()),
                ];
                if self.delete.execute(guard)? == 0 {
                    return Ok(false);
                }
                self.body.execute([number])?;
                memo.settled(edit.id);
                Ok(true)
            }
            Action::Set(_) | Action::Delete { .. } | Action::RequestCancel | Action::StoreCompletion(_) => {
                Ok(false)
            }
        }
    }

    fn write(&mut self, number: i64, target: &Target, edit: &Edit) -> Outcome<usize> {
        Ok(self.write.execute(params![
            number,
            edit.id.to_bytes(),
            record::stored(edit.version),
            record::stored(edit.nonce.get()),
            target.state.code(),
            target.run_at.as_millis(),
            target.attempt,
            target.crashes,
            target.crashes > 0,
            target.step,
            target.session.map(SessionId::to_bytes),
            target.alarm_at.map(Timestamp::as_millis),
            target.purge_at.map(Timestamp::as_millis),
            self.now.as_millis(),
        ])?)
    }

    fn note(&self, number: i64, target: &Target, memo: &mut Memo) -> Outcome<()> {
        let place = Place { number, noted: false };
        if note::write(self.conn, place, target, memo)? {
            self.conn.prepare_cached(queries::EDIT_NOTED)?.execute([number])?;
        }
        Ok(())
    }
}

/// Whether the first target is the one to write on a task without children, note and wish to cancel.
fn is_plain(change: &Change) -> bool {
    change.from == State::Running
        && change.if_none_open.is_none()
        && !change.to.holds_key
        && change.to.cancel_requested != Some(true)
}
