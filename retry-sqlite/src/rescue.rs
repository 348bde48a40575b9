//! What a rescuer has to settle (laws 9, 13, 14): sessions marked, then their tasks, then due alarms.

use std::collections::BTreeMap;

use retry_core::id::{SessionId, TaskId};
use retry_core::limits::MAX_EXAMINED;
use retry_core::store::{Cause, Expired, ExpiredCursor, ExpiredRequest};
use retry_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::Outcome;
use crate::memo::Memo;
use crate::queries;
use crate::record::{self, at};
use crate::session_lock::SessionLocks;

/// Behind every id: one byte more than the greatest.
const BEHIND_ALL: [u8; 17] = [0xff; 17];

/// One round, or a part of one.
struct Round<'c, 'm> {
    conn: &'c Connection,
    memo: &'m mut Memo,
    now: Timestamp,
    sessions: BTreeMap<[u8; 16], Status>,
    left: usize,
    last: ExpiredCursor,
    expired: Expired,
}

/// What is known of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Live,
    Lost,
    Dead,
}

pub(crate) fn expired(
    conn: &Connection,
    locks: &SessionLocks,
    request: &ExpiredRequest,
    now: Timestamp,
    memo: &mut Memo,
) -> Outcome<Expired> {
    let mut round = Round {
        conn,
        memo,
        now,
        sessions: BTreeMap::new(),
        left: request.limit,
        last: request.after.unwrap_or(ExpiredCursor::START),
        expired: Expired::default(),
    };
    round.mark(locks, request.mark)?;
    round.held(request.after)?;
    round.alarms(request.after)?;
    Ok(round.expired)
}

impl Round<'_, '_> {
    /// Reads the sessions and marks those whose lease ended (if asked) or whose process is gone.
    fn mark(&mut self, locks: &SessionLocks, ended: bool) -> Outcome<()> {
        let mut statement = self.conn.prepare_cached(queries::SESSION_STATES)?;
        let mut rows = statement.query([])?;
        let mut marks = Vec::new();
        while let Some(row) = rows.next()? {
            let Ok(id) = record::id(row, 0) else { continue };
            let (lost, dead) = (row.get::<_, bool>(2)?, row.get::<_, bool>(3)?);
            let mut status = match (lost, dead) {
                (false, _) => Status::Live,
                (true, false) => Status::Lost,
                (true, true) => Status::Dead,
            };
            if !lost && self.left > 0 {
                let over = ended && row.get::<_, i64>(1)? < self.now.as_millis();
                if locks.is_dead(SessionId::from_bytes(id)) {
                    status = Status::Dead;
                } else if over {
                    status = Status::Lost;
                }
                if status != Status::Live {
                    marks.push((id, status));
                    self.left -= 1;
                }
            }
            self.sessions.insert(id, status);
        }
        drop(rows);
        let mut write = self.conn.prepare_cached(queries::SESSION_MARK)?;
        for (id, status) in marks {
            write.execute(params![id, status == Status::Dead])?;
        }
        Ok(())
    }

    /// The tasks of lost and missing sessions, by session and id.
    fn held(&mut self, after: Option<ExpiredCursor>) -> Outcome<()> {
        let (first, mut behind) = match after {
            None => (Vec::new(), Vec::new()),
            Some(ExpiredCursor::Session(session, id)) => {
                (session.to_bytes().to_vec(), id.to_bytes().to_vec())
            }
            Some(ExpiredCursor::Alarm(..)) => return Ok(()),
        };
        let mut next = self.next_session(queries::HELD_SESSION, &first)?;
        while let Some(session) = next {
            if session != first {
                behind.clear();
            }
            match self.status(&session) {
                Status::Live => {}
                Status::Lost => self.of_session(&session, &behind, Cause::SessionLost)?,
                Status::Dead => self.of_session(&session, &behind, Cause::SessionDead)?,
            }
            if self.is_cut() {
                return Ok(());
            }
            next = self.next_session(queries::HELD_SESSION_AFTER, &session)?;
        }
        Ok(())
    }

    fn next_session(&self, statement: &str, before: &[u8]) -> Outcome<Option<Vec<u8>>> {
        let mut statement = self.conn.prepare_cached(statement)?;
        Ok(statement.query_row([before], |row| row.get(0)).optional()?)
    }

    fn status(&self, session: &[u8]) -> Status {
        <[u8; 16]>::try_from(session)
            .ok()
            .and_then(|id| self.sessions.get(&id).copied())
            .unwrap_or(Status::Lost)
    }

    fn of_session(&mut self, session: &[u8], behind: &[u8], cause: Cause) -> Outcome<()> {
        let mut statement = self.conn.prepare_cached(queries::EXPIRED_HELD)?;
        let limit = i64::try_from(self.left + 1).unwrap_or(i64::MAX);
        let mut rows = statement.query(params![session, behind, limit])?;
        while !self.is_cut()
            && let Some(row) = rows.next()?
        {
            let holder = SessionId::from_bytes(session.try_into().unwrap_or_default());
            let task = TaskId::from_bytes(record::id(row, at::ID).unwrap_or_default());
            self.report(row, cause, ExpiredCursor::Session(holder, task));
        }
        Ok(())
    }

    /// Due alarms of the others, by time and id.
    fn alarms(&mut self, after: Option<ExpiredCursor>) -> Outcome<()> {
        if self.is_cut() {
            return Ok(());
        }
        let (from, behind) = match after {
            Some(ExpiredCursor::Alarm(alarm, id)) => (alarm.as_millis(), id.to_bytes().to_vec()),
            None | Some(ExpiredCursor::Session(..)) => (i64::MIN, BEHIND_ALL.to_vec()),
        };
        let mut statement = self.conn.prepare_cached(queries::EXPIRED_ALARM)?;
        let limit = i64::try_from(MAX_EXAMINED).unwrap_or(i64::MAX);
        let mut rows = statement.query(params![self.now.as_millis(), from, behind, limit])?;
        let mut examined = 0;
        while !self.is_cut()
            && let Some(row) = rows.next()?
        {
            examined += 1;
            let alarm = Timestamp::from_millis(row.get(at::ALARM_AT)?);
            let task = TaskId::from_bytes(record::id(row, at::ID).unwrap_or_default());
            let cursor = ExpiredCursor::Alarm(alarm, task);
            // Tasks of lost sessions were reported as such.
            let reported = match record::opt_id(row, at::SESSION) {
                Ok(Some(session)) => self.status(&session) != Status::Live,
                Ok(None) => false,
                Err(_) => true,
            };
            if reported {
                self.last = cursor;
            } else {
                self.report(row, Cause::Alarm, cursor);
            }
        }
        if examined == MAX_EXAMINED && !self.is_cut() {
            self.expired.next = Some(self.last);
        }
        Ok(())
    }

    /// The limit was met and there is more.
    const fn is_cut(&self) -> bool {
        self.expired.next.is_some()
    }

    fn report(&mut self, row: &Row<'_>, cause: Cause, cursor: ExpiredCursor) {
        if self.left == 0 {
            self.expired.next = Some(self.last);
            return;
        }
        match record::task(row, self.memo) {
            Ok(task) => self.expired.items.push((task, cause)),
            Err(damage) => self.expired.bad.push(record::bad(row, &damage)),
        }
        self.left -= 1;
        self.last = cursor;
    }
}
