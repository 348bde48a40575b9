//! Sessions, expiry and purge in the model.

use retry_core::id::{SessionId, TaskId};
use retry_core::limits::{PURGE_CHILD_DELAY, RESEND_WINDOW};
use retry_core::store::{Cause, Renewed, SessionInfo};
use retry_core::task::Task;
use retry_core::time::Timestamp;

use super::{Presence, Reference};
use crate::model::call::Answer;

impl Reference {
    pub(super) fn open(&mut self, info: &SessionInfo, until: Timestamp) -> Answer {
        let open = self.sessions.entry(info.id).or_insert_with(|| Presence {
            info: info.clone(),
            opened_until: until,
            until,
            lost: false,
            closed: false,
        });
        if open.lost { Answer::Invalid } else { Answer::Done }
    }

    pub(super) fn renew(&mut self, session: SessionId, until: Timestamp) -> Renewed {
        let Some(presence) = self.sessions.get_mut(&session).filter(|presence| !presence.lost) else {
            return Renewed::Lost;
        };
        presence.until = presence.until.max(until);
        let held = self.held_by(session);
        let flagged = held.iter().filter(|task| task.cancel_requested);
        Renewed::Live {
            cancel: flagged.map(|task| task.id).collect(),
            held: held.len() as u64,
        }
    }

    pub(super) fn close(&mut self, session: SessionId) -> Answer {
        if self.held_by(session).is_empty() {
            self.sessions.remove(&session);
        } else if let Some(presence) = self.sessions.get_mut(&session) {
            presence.lost = true;
            presence.closed = true;
        }
        Answer::Done
    }

    pub(super) fn mark(&mut self, now: Timestamp) {
        for id in self.ended(now) {
            self.sessions
                .entry(id)
                .and_modify(|presence| presence.lost = true);
        }
    }

    /// The sessions that are not lost yet and whose lease has ended.
    pub(in crate::model) fn ended(&self, now: Timestamp) -> Vec<SessionId> {
        let sessions = self.sessions.iter();
        let ended = sessions.filter(|(_, presence)| !presence.lost && presence.until < now);
        ended.map(|(id, _)| *id).collect()
    }

    /// Forgets lost sessions that hold nothing.
    pub(in crate::model) fn forget_idle_sessions(&mut self) {
        let holding: Vec<SessionId> = self.tasks().filter_map(|task| task.session).collect();
        self.sessions
            .retain(|id, presence| !presence.lost || holding.contains(id));
    }

    /// What a whole round reports: tasks of lost sessions, then due alarms.
    pub(in crate::model) fn reports(&self, now: Timestamp) -> Vec<(Task, Cause)> {
        let is_lost = |task: &&Task| task.session.is_some_and(|session| !self.is_live(session));
        let mut lost: Vec<&Task> = self.tasks().filter(is_lost).collect();
        lost.sort_by_key(|task| (task.session, task.id));
        let mut due: Vec<&Task> = self
            .tasks()
            .filter(|task| task.alarm_at.is_some_and(|at| at <= now) && !is_lost(task))
            .collect();
        due.sort_by_key(|task| (task.alarm_at, task.id));
        let closed = |task: &Task| {
            let presence = task.session.and_then(|session| self.sessions.get(&session));
            presence.is_some_and(|presence| presence.closed)
        };
        let lost = lost.into_iter().map(|task| {
            let cause = if closed(task) {
                Cause::SessionDead
            } else {
                Cause::SessionLost
            };
            (task.clone(), cause)
        });
        lost.chain(due.into_iter().map(|task| (task.clone(), Cause::Alarm)))
            .collect()
    }

    /// Whether a parent that has not ended needs this child.
    pub(in crate::model) fn is_awaited(&self, task: &Task) -> bool {
        let parent = self.parent_of(task);
        parent.is_some_and(|parent| !parent.state.is_final())
    }

    pub(super) fn purge(&mut self, now: Timestamp) -> u64 {
        let due = |task: &Task| {
            task.purge_at.is_some_and(|at| at <= now) && task.created_at.saturating_add(RESEND_WINDOW) <= now
        };
        let mut ids: Vec<(Option<Timestamp>, TaskId)> = self
            .tasks()
            .filter(|task| due(task))
            .map(|task| (task.purge_at, task.id))
            .collect();
        ids.sort_unstable();
        let mut purged = 0;
        for (_, id) in ids {
            let Some(task) = self.rows.get(&id).map(|row| row.detail.task.clone()) else {
                continue;
            };
            if !self.is_awaited(&task) {
                self.rows.remove(&id);
                purged += 1;
            } else if let Some(row) = self.rows.get_mut(&id) {
                row.detail.task.purge_at = Some(now.saturating_add(PURGE_CHILD_DELAY));
            }
        }
        self.forget_idle_sessions();
        purged
    }
}
