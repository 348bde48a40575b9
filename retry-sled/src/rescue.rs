//! What a rescuer has to settle (laws 9, 13, 14): sessions marked, then their tasks, then due alarms.

use std::collections::BTreeMap;

use retry_core::id::{SessionId, TaskId};
use retry_core::limits::MAX_EXAMINED;
use retry_core::store::{BadRecord, Cause, Expired, ExpiredCursor, ExpiredRequest};
use retry_core::time::Timestamp;

use crate::draft::Draft;
use crate::error::Outcome;
use crate::keys;
use crate::members;
use crate::rows::{self, Found};
use crate::sessions::{self, Orphans};
use crate::view::View;

/// One round, or a part of one.
struct Round<'c, 'd> {
    draft: &'c mut Draft<'d>,
    now: Timestamp,
    sessions: BTreeMap<SessionId, Status>,
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
    draft: &mut Draft<'_>,
    orphans: &mut Orphans,
    request: &ExpiredRequest,
    now: Timestamp,
) -> Outcome<Expired> {
    let mut round = Round {
        draft,
        now,
        sessions: BTreeMap::new(),
        left: request.limit,
        last: request.after.unwrap_or(ExpiredCursor::START),
        expired: Expired::default(),
    };
    round.mark(orphans, request.mark)?;
    round.held(request.after)?;
    round.alarms(request.after)?;
    Ok(round.expired)
}

impl Round<'_, '_> {
    /// Reads the sessions and marks those whose lease ended (if asked) or whose process is gone.
    fn mark(&mut self, orphans: &mut Orphans, ended: bool) -> Outcome<()> {
        for mut row in sessions::all(self.draft)? {
            let id = row.session.info.id;
            if !row.session.lost && self.left > 0 {
                row.dead = orphans.remove(&id);
                row.session.lost = row.dead || ended && row.session.lease_until < self.now;
                if row.session.lost {
                    sessions::write(self.draft, &row)?;
                    self.left -= 1;
                }
            }
            let status = match (row.session.lost, row.dead) {
                (false, _) => Status::Live,
                (true, false) => Status::Lost,
                (true, true) => Status::Dead,
            };
            self.sessions.insert(id, status);
        }
        Ok(())
    }

    fn status(&self, session: SessionId) -> Status {
        self.sessions.get(&session).copied().unwrap_or(Status::Lost)
    }

    /// The tasks of lost and missing sessions, by session and id: one seek for each live session.
    fn held(&mut self, after: Option<ExpiredCursor>) -> Outcome<()> {
        let (mut from, mut after) = match after {
            None => (vec![keys::HELD], None),
            Some(ExpiredCursor::Session(session, id)) => (keys::held_by(session), Some((session, id))),
            Some(ExpiredCursor::Alarm(..)) => return Ok(()),
        };
        let end = keys::behind(&[keys::HELD]);
        while let Some(first) = self.draft.first(&from, &end)? {
            let Some(session) = keys::holder(&first) else {
                from = behind(first);
                continue;
            };
            let of_session = keys::behind(&keys::held_by(session));
            let cause = match self.status(session) {
                Status::Live => None,
                Status::Lost => Some(Cause::SessionLost),
                Status::Dead => Some(Cause::SessionDead),
            };
            if let Some(cause) = cause {
                let told = after.take().filter(|(of, _)| *of == session).map(|(_, id)| id);
                let ids = members::all(self.draft, &keys::held_by(session))?;
                for id in ids.into_iter().filter(|id| told.is_none_or(|told| *id > told)) {
                    self.report(id, cause, ExpiredCursor::Session(session, id))?;
                    if self.is_cut() {
                        return Ok(());
                    }
                }
            }
            from = of_session;
        }
        Ok(())
    }

    /// Due alarms of the others, by time and id.
    fn alarms(&mut self, after: Option<ExpiredCursor>) -> Outcome<()> {
        let from = match after {
            Some(ExpiredCursor::Alarm(at, id)) => behind(keys::alarm(at, id)),
            None | Some(ExpiredCursor::Session(..)) => vec![keys::ALARM],
        };
        let last = keys::behind(&[&[keys::ALARM], keys::ordered(self.now).as_slice()].concat());
        let mut due = Vec::new();
        self.draft.scan(&from, &last, &mut |key, _| {
            due.extend(keys::place(key));
            due.len() < MAX_EXAMINED
        })?;
        let examined = due.len();
        for (at, id) in due {
            let cursor = ExpiredCursor::Alarm(at, id);
            // Tasks of lost sessions were reported as such.
            let reported = match rows::load(self.draft, id)? {
                Found::Row(row) => row
                    .task
                    .session
                    .is_some_and(|session| self.status(session) != Status::Live),
                Found::Missing | Found::Bad(_) => false,
            };
            if reported {
                self.last = cursor;
            } else {
                self.report(id, Cause::Alarm, cursor)?;
            }
            if self.is_cut() {
                return Ok(());
            }
        }
        if examined == MAX_EXAMINED {
            self.expired.next = Some(self.last);
        }
        Ok(())
    }

    /// The limit was met and there is more.
    const fn is_cut(&self) -> bool {
        self.expired.next.is_some()
    }

    fn report(&mut self, id: TaskId, cause: Cause, cursor: ExpiredCursor) -> Outcome<()> {
        if self.left == 0 {
            self.expired.next = Some(self.last);
            return Ok(());
        }
        match rows::load(self.draft, id)? {
            Found::Row(row) => self.expired.items.push((row.task, cause)),
            Found::Bad(damage) => self.expired.bad.push(bad(id, damage.0)),
            Found::Missing => self.expired.bad.push(bad(id, "the row is missing")),
        }
        self.left -= 1;
        self.last = cursor;
        Ok(())
    }
}

/// The first key behind another.
fn behind(mut key: keys::Key) -> keys::Key {
    key.push(0);
    key
}

fn bad(id: TaskId, reason: &str) -> BadRecord {
    BadRecord {
        id,
        version: 0,
        reason: reason.to_owned(),
    }
}
