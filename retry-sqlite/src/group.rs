//! Group commit: what has gathered becomes one transaction with one sync, each write in a savepoint of its own, so that
//! one that fails does not undo its neighbours. A write without neighbours needs none: the transaction is its savepoint.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use retry_core::clock::Clock;
use retry_core::store::{StoreError, StoreErrorKind};
use rusqlite::Connection;

use crate::effects::Effects;
use crate::error::{During, Failure, classify};
use crate::job::{Desk, Job};
use crate::memo::Memo;
use crate::turn::Turn;

/// Writes in one group: bounds how long the first waits for the last.
pub(crate) const MAX_JOBS: usize = 256;

/// Bytes in one group, unless its first write alone has more.
pub(crate) const MAX_BYTES: usize = 16 * 1024 * 1024;

/// No write joins a group that has worked for this long.
const MAX_TIME: Duration = Duration::from_millis(50);

/// Kept prepared. The comment keeps it apart from a user's `COMMIT`, which must not find it prepared: the guard asks only
/// when a statement is prepared.
const COMMIT: &str = "COMMIT /* of a group */";

/// The writer's connection and what belongs to it.
pub(crate) struct Group {
    pub(crate) conn: Connection,
    pub(crate) path: PathBuf,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) turn: Turn,
    pub(crate) memo: Memo,
}

/// How a group ended.
pub(crate) struct Ended {
    /// Whether something was committed.
    pub(crate) committed: bool,
    pub(crate) effects: Effects,
    /// To be replied after the effects.
    pub(crate) answered: Vec<Box<dyn Job>>,
    /// Set when the commit failed.
    pub(crate) failure: Option<Failure>,
}

impl Ended {
    /// Tells every caller.
    pub(crate) fn reply(self) {
        for job in self.answered {
            let commit = self.failure.as_ref().map_or(Ok(()), Err);
            // A user's conversion of an error, or the drop of a user's answer, may panic: the writer goes on.
            if catch_unwind(AssertUnwindSafe(|| job.reply(commit))).is_err() {
                tracing::warn!("the answer to a transaction panicked on its way to the caller");
            }
        }
    }
}

/// How one write left the transaction.
enum Left {
    Open,
    /// SQLite rolled the whole transaction back.
    Lost,
}

impl Group {
    /// Runs writes from the front of `jobs` and commits. What is left there was not run.
    pub(crate) fn run(&mut self, jobs: &mut VecDeque<Box<dyn Job>>) -> Ended {
        let mut ended = Ended {
            committed: false,
            effects: Effects::default(),
            answered: Vec::new(),
            failure: None,
        };
        if let Err(error) = self.turn.begin(&self.conn) {
            ended.failure = Some(classify(error, During::Call, &self.path));
            ended.answered.extend(jobs.drain(..));
            return ended;
        }
        let began = self.clock.monotonic();
        let alone = jobs.len() == 1;
        while let Some(mut job) = jobs.pop_front() {
            if job.is_abandoned() {
                continue;
            }
            let mut effects = Effects::default();
            let left = self.run_one(job.as_mut(), alone, &mut effects);
            ended.answered.push(job);
            match left {
                Left::Open => ended.effects.merge(effects),
                Left::Lost => {
                    self.memo.forget_lanes();
                    lost(&mut ended, jobs);
                    return ended;
                }
            }
            if self.clock.monotonic().saturating_since(began) >= MAX_TIME {
                break;
            }
        }
        match run(&self.conn, COMMIT) {
            Ok(()) => ended.committed = true,
            Err(error) => {
                ended.failure = Some(classify(error, During::Commit, &self.path));
                ended.effects = Effects::default();
                self.memo.forget_lanes();
                self.roll_back();
            }
        }
        ended
    }

    fn run_one(&mut self, job: &mut dyn Job, alone: bool, effects: &mut Effects) -> Left {
        if !alone && let Err(error) = self.savepoint("SAVEPOINT retry_call") {
            job.refuse(StoreError::from(&classify(error, During::Call, &self.path)));
            return self.left();
        }
        let desk = Desk {
            conn: &mut self.conn,
            memo: &mut self.memo,
            effects,
        };
        let keep = catch_unwind(AssertUnwindSafe(|| job.run(desk))).unwrap_or_else(|panic| {
            job.refuse(panicked(panic.as_ref()));
            false
        });
        // A claim that nobody receives would keep its tasks until its session ends.
        let keep = keep && !job.is_abandoned();
        if !keep {
            *effects = Effects::default();
            self.memo.forget_lanes();
        }
        if self.conn.is_autocommit() {
            if keep {
                job.refuse(StoreError::unknown(
                    StoreErrorKind::Other,
                    format!(
                        "{}: the write ended the transaction of its group",
                        self.path.display()
                    ),
                ));
            }
            return Left::Lost;
        }
        if alone && keep {
            return Left::Open;
        }
        if alone {
            self.roll_back();
            return Left::Lost;
        }
        let closed = if keep {
            self.savepoint("RELEASE retry_call")
        } else {
            self.savepoint("ROLLBACK TO retry_call")
                .and_then(|()| self.savepoint("RELEASE retry_call"))
        };
        if let Err(error) = closed {
            job.refuse(StoreError::from(&classify(error, During::Call, &self.path)));
            *effects = Effects::default();
            self.memo.forget_lanes();
            // What this write left behind cannot be told from its neighbours' writes.
            self.roll_back();
        }
        self.left()
    }

    fn left(&self) -> Left {
        if self.conn.is_autocommit() {
            Left::Lost
        } else {
            Left::Open
        }
    }

    fn savepoint(&self, sql: &str) -> rusqlite::Result<()> {
        run(&self.conn, sql)
    }

    fn roll_back(&self) {
        if !self.conn.is_autocommit()
            && let Err(error) = self.conn.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, path = %self.path.display(), "a transaction could not be rolled back");
        }
    }
}

fn run(conn: &Connection, sql: &str) -> rusqlite::Result<()> {
    conn.prepare_cached(sql)?.execute([]).map(drop)
}

/// The transaction is gone because of the last write that was run. The others are run again where that is possible.
fn lost(ended: &mut Ended, jobs: &mut VecDeque<Box<dyn Job>>) {
    ended.effects = Effects::default();
    let culprit = ended.answered.pop();
    for mut job in ended.answered.drain(..).rev().collect::<Vec<_>>() {
        if job.can_repeat() {
            jobs.push_front(job);
        } else {
            job.refuse(StoreError::rejected(
                StoreErrorKind::Busy,
                "another write of the same commit made SQLite roll it back; repeat the transaction",
            ));
            ended.answered.push(job);
        }
    }
    ended.answered.extend(culprit);
}

/// The answer of a write that panicked.
pub(crate) fn panicked(panic: &(dyn std::any::Any + Send)) -> StoreError {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a text");
    StoreError::rejected(
        StoreErrorKind::Other,
        format!("the write panicked and was rolled back: {text}"),
    )
}
