//! Sessions, expiry and purge.

use super::rows::{Row, Rows, SessionRow};
use crate::id::{SessionId, TaskId};
use crate::limits::{MAX_BATCH, PURGE_CHILD_DELAY, RESEND_WINDOW};
use crate::store::{
    Cause, Expired, ExpiredCursor, ExpiredRequest, Renewed, Result, Session, SessionInfo, StoreError,
};
use crate::task::Task;
use crate::time::Timestamp;

impl Rows {
    pub(super) fn open_session(&mut self, info: &SessionInfo, until: Timestamp) -> Result<()> {
        if let Some(row) = self.sessions.get(&info.id) {
            if row.session.lost {
                return Err(StoreError::invalid("the session was lost; open a new one"));
            }
            return Ok(());
        }
        let session = Session::new(info.clone(), until, false);
        self.sessions.insert(info.id, SessionRow { session, dead: false });
        Ok(())
    }

    pub(super) fn renew(&mut self, id: SessionId, until: Timestamp) -> Renewed {
        let Some(row) = self.sessions.get_mut(&id).filter(|row| !row.session.lost) else {
            return Renewed::Lost;
        };
        row.session.lease_until = row.session.lease_until.max(until);
        let held: Vec<_> = self.held_by(id, TaskId::MIN).collect();
        let flagged = held.iter().filter(|id| {
            self.rows
                .get(id)
                .is_some_and(|row| row.detail.task.cancel_requested)
        });
        let cancel = flagged.copied().take(MAX_BATCH).collect();
        Renewed::Live {
            cancel,
            held: held.len() as u64,
        }
    }

    pub(super) fn close_session(&mut self, id: SessionId) {
        let holds = self.held_by(id, TaskId::MIN).next().is_some();
        if !holds {
            self.sessions.remove(&id);
        } else if let Some(row) = self.sessions.get_mut(&id) {
            (row.session.lost, row.dead) = (true, true);
        }
    }

    pub(super) fn sessions(&self) -> Vec<Session> {
        self.sessions.values().map(|row| row.session.clone()).collect()
    }

    fn held_by(&self, session: SessionId, from: TaskId) -> impl Iterator<Item = TaskId> {
        self.held
            .range((session, from)..=(session, TaskId::MAX))
            .map(|(_, id)| *id)
    }

    pub(super) fn expired(&mut self, request: &ExpiredRequest, now: Timestamp) -> Expired {
        let mut expired = Expired::default();
        let mut left = request.limit;
        if request.mark {
            let ended = self
                .sessions
                .values_mut()
                .filter(|row| !row.session.lost && row.session.lease_until < now);
            for row in ended.take(request.limit) {
                row.session.lost = true;
                left -= 1;
            }
        }
        let mut at = request.after.unwrap_or(ExpiredCursor::START);
        for (cursor, task, cause) in self.reports(request.after, now) {
            if left == 0 {
                expired.next = Some(at);
                break;
            }
            left -= 1;
            at = cursor;
            expired.items.push((task, cause));
        }
        expired
    }

    /// Everything to report behind `after`, in order.
    fn reports(&self, after: Option<ExpiredCursor>, now: Timestamp) -> Vec<(ExpiredCursor, Task, Cause)> {
        let behind = |cursor: &ExpiredCursor| after.is_none_or(|after| *cursor > after);
        let held = self
            .held
            .iter()
            .filter(|(session, _)| !self.is_live(*session))
            .map(|(session, id)| {
                let dead = self.sessions.get(session).is_some_and(|row| row.dead);
                let cause = if dead {
                    Cause::SessionDead
                } else {
                    Cause::SessionLost
                };
                (ExpiredCursor::Session(*session, *id), *id, cause)
            });
        let due = self
            .alarms
            .range(..=(now, TaskId::MAX))
            .map(|(at, id)| (ExpiredCursor::Alarm(*at, *id), *id, Cause::Alarm));
        held.chain(due)
            .filter(|(cursor, _, _)| behind(cursor))
            .filter_map(|(cursor, id, cause)| {
                let task = &self.rows.get(&id)?.detail.task;
                let reported =
                    cause == Cause::Alarm && task.session.is_some_and(|session| !self.is_live(session));
                (!reported).then(|| (cursor, task.clone(), cause))
            })
            .collect()
    }

    pub(super) fn purge(&mut self, now: Timestamp, limit: usize) -> u64 {
        let due: Vec<Box<Row>> = self
            .purges
            .range(..=(now, TaskId::MAX))
            .filter_map(|(_, id)| self.rows.get(id))
            .filter(|row| row.detail.task.created_at.saturating_add(RESEND_WINDOW) <= now)
            .take(limit)
            .cloned()
            .collect();
        let mut purged = 0;
        for mut row in due {
            if self.is_awaited(&row.detail.task) {
                row.detail.task.purge_at = Some(now.saturating_add(PURGE_CHILD_DELAY));
                self.put(row);
            } else {
                self.remove(row.detail.task.id);
                purged += 1;
            }
        }
        let held = std::mem::take(&mut self.held);
        self.sessions.retain(|id, row| {
            !row.session.lost
                || held
                    .range((*id, TaskId::MIN)..=(*id, TaskId::MAX))
                    .next()
                    .is_some()
        });
        self.held = held;
        purged
    }
}
