//! What a rescuer has to settle (laws 9, 13, 14): the tasks of lost sessions, then due alarms. Marking sessions is a call
//! before this one, whose commit these statements must see.

use retry_core::id::{SessionId, TaskId};
use retry_core::limits::MAX_EXAMINED;
use retry_core::store::{Cause, Expired, ExpiredCursor, ExpiredRequest};
use retry_core::time::Timestamp;
use sqlx::postgres::PgRow;

use crate::error::Outcome;
use crate::insert::altered;
use crate::memo::Memo;
use crate::record::{self, at};
use crate::tx::Tx;
use crate::types::Id;

/// One round, or a part of one.
struct Round {
    now: Timestamp,
    left: usize,
    last: ExpiredCursor,
    expired: Expired,
    memo: Memo,
}

/// Which sessions are marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marked {
    /// All whose lease has ended; calls under way are waited for.
    All,
    /// Those of them that nobody has locked.
    Free,
}

/// Marks sessions lost whose lease has ended; answers how many.
pub(crate) async fn mark(tx: &mut Tx<'_>, which: Marked, now: Timestamp, limit: usize) -> Outcome<usize> {
    let statement = tx
        .query(match which {
            Marked::All => &tx.sql.session_mark,
            Marked::Free => &tx.sql.session_mark_free,
        })
        .bind(now.as_millis())
        .bind(record::limit(limit));
    Ok(tx.rows(statement).await?.len())
}

/// Reports after `marked` sessions were marked, which count against the limit.
pub(crate) async fn expired(
    tx: &mut Tx<'_>,
    request: &ExpiredRequest,
    marked: usize,
    now: Timestamp,
) -> Outcome<Expired> {
    let mut round = Round {
        now,
        left: request.limit.saturating_sub(marked),
        last: request.after.unwrap_or(ExpiredCursor::START),
        expired: Expired::default(),
        memo: Memo::default(),
    };
    round.held(tx, request.after).await?;
    round.alarms(tx, request.after).await?;
    Ok(round.expired)
}

impl Round {
    /// The tasks of lost and missing sessions, by session and id.
    async fn held(&mut self, tx: &mut Tx<'_>, after: Option<ExpiredCursor>) -> Outcome<()> {
        let (first, behind) = match after {
            None => (SessionId::from_bytes([0; 16]), None),
            Some(ExpiredCursor::Session(session, id)) => (session, Some(id)),
            Some(ExpiredCursor::Alarm(..)) => return Ok(()),
        };
        let statement = tx.query(&tx.sql.expired_sessions).bind(Id::from(first));
        for row in tx.rows(statement).await? {
            let session: SessionId = record::value::<Id>(&row, 0).map_err(altered)?.into();
            let is_dead: bool = record::value(&row, 1).map_err(altered)?;
            let cause = if is_dead {
                Cause::SessionDead
            } else {
                Cause::SessionLost
            };
            let behind = behind.filter(|_| session == first);
            self.of_session(tx, session, behind, cause).await?;
            if self.is_cut() {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn of_session(
        &mut self,
        tx: &mut Tx<'_>,
        session: SessionId,
        behind: Option<TaskId>,
        cause: Cause,
    ) -> Outcome<()> {
        let statement = tx
            .query(&tx.sql.expired_held)
            .bind(Id::from(session))
            .bind(Id::from(behind.unwrap_or(TaskId::MIN)))
            .bind(record::limit(self.left + 1));
        for row in tx.rows(statement).await? {
            let task = record::task_id(&row, at::ID).map_err(altered)?;
            self.report(&row, cause, ExpiredCursor::Session(session, task));
            if self.is_cut() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Due alarms of the others, by time and id.
    async fn alarms(&mut self, tx: &mut Tx<'_>, after: Option<ExpiredCursor>) -> Outcome<()> {
        let mut behind = match after {
            Some(ExpiredCursor::Alarm(alarm, id)) => (alarm.as_millis(), id),
            None | Some(ExpiredCursor::Session(..)) => (i64::MIN, TaskId::MIN),
        };
        let mut examined = 0;
        while !self.is_cut() {
            let chunk = (self.left + 1).min(MAX_EXAMINED - examined);
            let statement = tx
                .query(&tx.sql.expired_alarm)
                .bind(self.now.as_millis())
                .bind(behind.0)
                .bind(Id::from(behind.1))
                .bind(record::limit(chunk));
            let rows = tx.rows(statement).await?;
            for row in &rows {
                behind = self.alarm(row)?;
                if self.is_cut() {
                    return Ok(());
                }
            }
            examined += rows.len();
            if rows.len() < chunk {
                return Ok(());
            }
            if examined >= MAX_EXAMINED {
                self.expired.next = Some(self.last);
            }
        }
        Ok(())
    }

    /// Reports an alarm, unless its task was reported as that of a lost session. Answers its position.
    fn alarm(&mut self, row: &PgRow) -> Outcome<(i64, TaskId)> {
        let alarm: i64 = record::value(row, at::ALARM_AT).map_err(altered)?;
        let task = record::task_id(row, at::ID).map_err(altered)?;
        let cursor = ExpiredCursor::Alarm(Timestamp::from_millis(alarm), task);
        if record::value(row, at::MORE).map_err(altered)? {
            self.last = cursor;
        } else {
            self.report(row, Cause::Alarm, cursor);
        }
        Ok((alarm, task))
    }

    /// The limit was met and there is more.
    const fn is_cut(&self) -> bool {
        self.expired.next.is_some()
    }

    fn report(&mut self, row: &PgRow, cause: Cause, cursor: ExpiredCursor) {
        if self.left == 0 {
            self.expired.next = Some(self.last);
            return;
        }
        match record::task(row, &mut self.memo) {
            Ok(task) => self.expired.items.push((task, cause)),
            Err(damage) => self.expired.bad.push(record::bad(row, &damage)),
        }
        self.left -= 1;
        self.last = cursor;
    }
}
