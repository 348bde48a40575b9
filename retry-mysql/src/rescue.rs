//! What a rescuer has to settle (laws 9, 13, 14): sessions marked, then their tasks, then due alarms.

use std::collections::{BTreeMap, BTreeSet};

use retry_core::id::{SessionId, TaskId};
use retry_core::limits::{MAX_BATCH, MAX_EXAMINED};
use retry_core::store::{Cause, Expired, ExpiredCursor, ExpiredRequest};
use retry_core::time::Timestamp;
use sqlx::mysql::MySqlRow;

use crate::args::{Args, ids};
use crate::calls::Tried;
use crate::db::Db;
use crate::error::Outcome;
use crate::record::{self, at};

/// Entries of the index that are read at a time to find who holds tasks: of a session that holds more, no more is read.
const PIECE: usize = 1_000;

/// One round, or a part of one, after the marking.
struct Round {
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

/// Marks sessions lost whose lease has ended, and gives how many. One whose lock somebody keeps for too long is passed over
/// when it is tried again, so that it does not stand in the way of the others; after a deadlock it is waited for again.
pub(crate) async fn mark(db: &mut Db<'_>, now: Timestamp, limit: usize, tried: Tried) -> Outcome<usize> {
    let of = |rows: Vec<MySqlRow>| -> Vec<[u8; 16]> {
        rows.iter().filter_map(|row| record::id(row, 0).ok()).collect()
    };
    let args = Args::new().with(now.as_millis()).with(record::length(limit));
    let mut ended = of(db.rows(&db.q.session_ended, args).await?);
    if tried.in_vain > 0 && !ended.is_empty() {
        ended = of(db.rows(&db.q.session_free, Args::new().with(ids(&ended))).await?);
    }
    if ended.is_empty() {
        return Ok(0);
    }
    let args = Args::new().with(ids(&ended)).with(now.as_millis());
    let marked = db.run(&db.q.session_mark, args).await?;
    Ok(usize::try_from(marked).unwrap_or(limit).min(limit))
}

/// Reports what is to be settled, `left` items at most.
pub(crate) async fn report(
    db: &mut Db<'_>,
    request: &ExpiredRequest,
    left: usize,
    now: Timestamp,
) -> Outcome<Expired> {
    let mut round = Round {
        now,
        sessions: BTreeMap::new(),
        left,
        last: request.after.unwrap_or(ExpiredCursor::START),
        expired: Expired::default(),
    };
    // First who holds tasks, then how the sessions stand: a session that opens and claims meanwhile is in neither answer, or in
    // the second one, but never a holder whose session seems to be missing.
    let holders = holders(db).await?;
    for row in db.rows(&db.q.session_states, Args::new()).await? {
        let status = match (record::int(&row, 1), record::int(&row, 2)) {
            (Ok(0), _) => Status::Live,
            (_, Ok(0)) => Status::Lost,
            _ => Status::Dead,
        };
        round
            .sessions
            .insert(record::id(&row, 0).unwrap_or_default(), status);
    }
    round.held(db, &holders, request.after).await?;
    round.alarms(db, request.after).await?;
    Ok(round.expired)
}

/// The sessions that hold tasks.
async fn holders(db: &mut Db<'_>) -> Outcome<BTreeSet<[u8; 16]>> {
    let (mut holders, mut last) = (BTreeSet::new(), Vec::new());
    loop {
        let args = Args::new().with(last.clone()).with(record::length(PIECE));
        let rows = db.rows(&db.q.held_sessions, args).await?;
        holders.extend(rows.iter().filter_map(|row| record::id(row, 0).ok()));
        match rows.last().filter(|_| rows.len() == PIECE) {
            Some(row) => {
                last = record::opt_bytes(row, 0)
                    .ok()
                    .flatten()
                    .unwrap_or_default()
                    .to_vec()
            }
            None => return Ok(holders),
        }
        if last.is_empty() {
            return Ok(holders);
        }
    }
}

impl Round {
    /// The tasks of lost and missing sessions, by session and id.
    async fn held(
        &mut self,
        db: &mut Db<'_>,
        holders: &BTreeSet<[u8; 16]>,
        after: Option<ExpiredCursor>,
    ) -> Outcome<()> {
        let (first, mut behind) = match after {
            None => ([0; 16], Vec::new()),
            Some(ExpiredCursor::Session(session, id)) => (session.to_bytes(), id.to_bytes().to_vec()),
            Some(ExpiredCursor::Alarm(..)) => return Ok(()),
        };
        for session in holders.range(first..).copied() {
            if session != first {
                behind.clear();
            }
            match self.status(session) {
                Status::Live => {}
                Status::Lost => self.of_session(db, session, &behind, Cause::SessionLost).await?,
                Status::Dead => self.of_session(db, session, &behind, Cause::SessionDead).await?,
            }
            if self.is_cut() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn status(&self, session: [u8; 16]) -> Status {
        self.sessions.get(&session).copied().unwrap_or(Status::Lost)
    }

    async fn of_session(
        &mut self,
        db: &mut Db<'_>,
        session: [u8; 16],
        behind: &[u8],
        cause: Cause,
    ) -> Outcome<()> {
        let args = Args::new()
            .with(session)
            .with(behind)
            .with(record::length(self.left + 1));
        let mut rows = db.rows(&db.q.expired_held, args).await?;
        rows.sort_by_key(|row| record::id(row, at::ID).unwrap_or_default());
        for row in &rows {
            let task = TaskId::from_bytes(record::id(row, at::ID).unwrap_or_default());
            self.report(
                row,
                cause,
                ExpiredCursor::Session(SessionId::from_bytes(session), task),
            );
            if self.is_cut() {
                break;
            }
        }
        Ok(())
    }

    /// Due alarms of the others, by time and id.
    async fn alarms(&mut self, db: &mut Db<'_>, after: Option<ExpiredCursor>) -> Outcome<()> {
        let mut from = match after {
            Some(ExpiredCursor::Alarm(alarm, id)) => (alarm.as_millis(), id.to_bytes().to_vec()),
            None | Some(ExpiredCursor::Session(..)) => (i64::MIN, Vec::new()),
        };
        let mut examined = 0;
        while !self.is_cut() {
            if examined >= MAX_EXAMINED {
                self.expired.next = Some(self.last);
                break;
            }
            let most = MAX_BATCH.min(self.left + 1);
            let args = Args::new()
                .with(self.now.as_millis())
                .with(from.0)
                .with(from.0)
                .with(from.1.clone());
            let mut rows = db
                .rows(&db.q.expired_alarm, args.with(record::length(most)))
                .await?;
            let place = |row: &MySqlRow| {
                (
                    record::int(row, at::ALARM_AT).unwrap_or(i64::MAX),
                    record::id(row, at::ID).unwrap_or_default(),
                )
            };
            rows.sort_by_key(place);
            for row in &rows {
                self.alarm(row);
                if self.is_cut() {
                    return Ok(());
                }
            }
            examined += rows.len();
            let Some(last) = rows.last().filter(|_| rows.len() == most) else {
                break;
            };
            let (alarm, id) = place(last);
            from = (alarm, id.to_vec());
        }
        Ok(())
    }

    fn alarm(&mut self, row: &MySqlRow) {
        let alarm = Timestamp::from_millis(record::int(row, at::ALARM_AT).unwrap_or(i64::MAX));
        let task = TaskId::from_bytes(record::id(row, at::ID).unwrap_or_default());
        let cursor = ExpiredCursor::Alarm(alarm, task);
        // Tasks of lost sessions were reported as such.
        let reported = match record::session(row) {
            Ok(Some(session)) => self.status(session) != Status::Live,
            Ok(None) => false,
            Err(_) => true,
        };
        if reported {
            self.last = cursor;
        } else {
            self.report(row, Cause::Alarm, cursor);
        }
    }

    /// The limit was met and there is more.
    const fn is_cut(&self) -> bool {
        self.expired.next.is_some()
    }

    fn report(&mut self, row: &MySqlRow, cause: Cause, cursor: ExpiredCursor) {
        if self.left == 0 {
            self.expired.next = Some(self.last);
            return;
        }
        match record::task(row) {
            Ok(task) => self.expired.items.push((task, cause)),
            Err(damage) => self.expired.bad.push(record::bad(row, &damage)),
        }
        self.left -= 1;
        self.last = cursor;
    }
}
