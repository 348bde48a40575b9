//! Sessions, what a rescuer has to settle, and purge (laws 1, 9).

use retry_core::id::{SessionId, TaskId};
use retry_core::limits::{MAX_BATCH, PURGE_CHILD_DELAY, RESEND_WINDOW};
use retry_core::store::{
    Cause, Expired, ExpiredCursor, ExpiredRequest, Renewed, Result, Session, SessionInfo, StoreError,
};
use retry_core::task::Task;
use retry_core::time::Timestamp;

use crate::rows::{Presence, Rows};

impl Rows {
    pub(crate) fn open_session(&mut self, info: &SessionInfo, until: Timestamp) -> Result<()> {
        match self.presence(info.id) {
            Some(presence) if presence.session.lost => {
                Err(StoreError::invalid("the session was lost; open a new one"))
            }
            Some(_) => Ok(()),
            None => {
                let session = Session::new(info.clone(), until, false);
                self.put_session(Presence {
                    session,
                    closed: false,
                });
                Ok(())
            }
        }
    }

    pub(crate) fn renew(&mut self, id: SessionId, until: Timestamp) -> Renewed {
        let Some(mut presence) = self.presence(id).filter(|_| self.is_live(id)).cloned() else {
            return Renewed::Lost;
        };
        presence.session.lease_until = presence.session.lease_until.max(until);
        self.put_session(presence);
        let held: Vec<&Task> = self.held_by(id).collect();
        let flagged = held.iter().filter(|task| task.cancel_requested);
        Renewed::Live {
            cancel: flagged.map(|task| task.id).take(MAX_BATCH).collect(),
            held: held.len() as u64,
        }
    }

    pub(crate) fn close_session(&mut self, id: SessionId) {
        if self.held_by(id).next().is_none() {
            self.remove_session(id);
        } else if let Some(mut presence) = self.presence(id).cloned() {
            (presence.session.lost, presence.closed) = (true, true);
            self.put_session(presence);
        }
    }

    pub(crate) fn session_list(&self) -> Vec<Session> {
        self.presences()
            .map(|presence| presence.session.clone())
            .collect()
    }

    fn held_by(&self, session: SessionId) -> impl Iterator<Item = &Task> {
        self.tasks().filter(move |task| task.session == Some(session))
    }

    pub(crate) fn expired(&mut self, request: &ExpiredRequest, now: Timestamp) -> Expired {
        let mut left = request.limit;
        if request.mark {
            left -= self.mark(now, left);
        }
        let mut expired = Expired::default();
        let mut at = request.after.unwrap_or(ExpiredCursor::START);
        for (cursor, task, cause) in self.reports(now) {
            if request.after.is_some_and(|after| cursor <= after) {
                continue;
            }
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

    /// Marks up to `limit` sessions lost whose lease has ended.
    fn mark(&mut self, now: Timestamp, limit: usize) -> usize {
        let ended = self.presences().filter(|presence| {
            let session = &presence.session;
            !session.lost && session.lease_until < now
        });
        let ended: Vec<Presence> = ended.take(limit).cloned().collect();
        let marked = ended.len();
        for mut presence in ended {
            presence.session.lost = true;
            self.put_session(presence);
        }
        marked
    }

    /// A whole round: the tasks of lost and missing sessions, then the others whose alarm is due.
    fn reports(&self, now: Timestamp) -> Vec<(ExpiredCursor, Task, Cause)> {
        let mut reports: Vec<_> = self
            .tasks()
            .filter_map(|task| {
                let lost = task.session.filter(|session| !self.is_live(*session));
                let (cursor, cause) = match (lost, task.alarm_at.filter(|at| *at <= now)) {
                    (Some(session), _) => (ExpiredCursor::Session(session, task.id), self.cause(session)),
                    (None, Some(at)) => (ExpiredCursor::Alarm(at, task.id), Cause::Alarm),
                    (None, None) => return None,
                };
                Some((cursor, task.clone(), cause))
            })
            .collect();
        reports.sort_by_key(|(cursor, ..)| *cursor);
        reports
    }

    fn cause(&self, session: SessionId) -> Cause {
        if self.presence(session).is_some_and(|presence| presence.closed) {
            Cause::SessionDead
        } else {
            Cause::SessionLost
        }
    }

    pub(crate) fn purge(&mut self, now: Timestamp, limit: usize) -> u64 {
        let due = self.tasks().filter(|task| {
            let resent = task.created_at.saturating_add(RESEND_WINDOW) > now;
            task.purge_at.is_some_and(|at| at <= now) && !resent
        });
        let mut due: Vec<(Option<Timestamp>, TaskId)> = due.map(|task| (task.purge_at, task.id)).collect();
        due.sort_unstable();
        let mut purged = 0;
        for (_, id) in due.into_iter().take(limit) {
            let Some(mut row) = self.row(id).cloned() else {
                continue;
            };
            if self.is_awaited(&row.detail.task) {
                row.detail.task.purge_at = Some(now.saturating_add(PURGE_CHILD_DELAY));
                self.put(row);
            } else {
                self.remove(id);
                purged += 1;
            }
        }
        let lost = self.presences().filter(|presence| presence.session.lost);
        let lost: Vec<SessionId> = lost.map(|presence| presence.session.info.id).collect();
        for id in lost {
            if self.held_by(id).next().is_none() {
                self.remove_session(id);
            }
        }
        purged
    }
}
