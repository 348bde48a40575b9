//! One turn of the owner task: what was handed over is removed, the next rows are read and handed over, again and again.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::{Shared, count};
use crate::clock::Monotonic;
use crate::executor::{Ctx, Executor, HandlerError, LeaseLost, NotWritten, Outcome, Progress};
use crate::id::TaskId;
use crate::limits::MAX_OUTBOX_BATCH_BYTES;
use crate::meters;
use crate::outbox::body::{Unreadable, decode};
use crate::outbox::table::{OutboxRow, Room, RowId};
use crate::payload::Payload;
use crate::task::{ErrorText, NewTask};

/// How long a turn is. Then the task is given back and claimed anew, by this relay or another: so a pause of its queue
/// takes effect, and no attempt looks as if it never ended.
const TURN: Duration = Duration::from_mins(1);

/// How long a turn may go on after the relay is to stop: for the hand-over under way, and the removal of its rows. Less than what
/// the worker inside gives it.
const LAST_CALLS: Duration = Duration::from_secs(2);

/// The owner task's checkpoint: the rows that went over with it. Until they are removed nothing else is handed over.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Handed {
    rows: Vec<(i64, TaskId)>,
}

impl Handed {
    fn of(rows: &[RowId]) -> Self {
        Self {
            rows: rows.iter().map(|row| (row.seq, row.id)).collect(),
        }
    }

    fn rows(self) -> Vec<RowId> {
        self.rows.into_iter().map(|(seq, id)| RowId { seq, id }).collect()
    }
}

/// Runs the owner task.
#[derive(Debug)]
pub(super) struct Owner(pub(super) Arc<Shared>);

impl Executor for Owner {
    fn execute(&self, _: Payload, ctx: Ctx) -> BoxFuture<'static, Result<Outcome, HandlerError>> {
        let shared = Arc::clone(&self.0);
        Box::pin(async move {
            if ctx.is_dry_run() {
                return Ok(Outcome::Done);
            }
            let handed = ctx.checkpoint::<Handed>()?.unwrap_or_default().rows();
            let mut turn = Turn {
                removed: handed.is_empty(),
                handed,
                refused: None,
                room: shared.options.batch,
                pause: shared.options.poll.0,
                shared,
                ctx,
            };
            turn.run().await?;
            Ok(Outcome::Snooze(Duration::ZERO))
        })
    }
}

struct Turn {
    shared: Arc<Shared>,
    ctx: Ctx,
    /// What the stored checkpoint names.
    handed: Vec<RowId>,
    /// The outbox has answered that it removed them.
    removed: bool,
    /// How many rows go over at once: fewer after the store refused some, to find the one it does not take.
    room: usize,
    /// The one that it refused last.
    refused: Option<RowId>,
    /// How long the next look at an empty outbox is put off.
    pause: Duration,
}

impl Turn {
    async fn run(&mut self) -> Result<(), HandlerError> {
        let (stop, clock) = (self.shared.stop.clone(), Arc::clone(&self.shared.clock));
        let cancelled = self.ctx.cancellation();
        let end = clock.monotonic() + TURN;
        let overdue = async {
            stop.cancelled().await;
            clock.sleep_until(clock.monotonic() + LAST_CALLS).await;
        };
        // Dropped at any place, it leaves no more behind than a crash does.
        tokio::select! {
            biased;
            () = overdue => Ok(()),
            () = cancelled.cancelled() => Ok(()),
            ended = self.rounds(end) => ended,
        }
    }

    /// Ends when nothing is left to be removed: whoever counts what waits, or moves it elsewhere, finds nothing that went over.
    async fn rounds(&mut self, end: Monotonic) -> Result<(), HandlerError> {
        loop {
            let began = self.shared.clock.monotonic();
            let last = began >= end || self.shared.stop.is_cancelled();
            if last && self.removed {
                return Ok(());
            }
            let room = Room {
                rows: if last { 1 } else { self.room },
                bytes: MAX_OUTBOX_BATCH_BYTES,
            };
            let rows = self.look(room).await?;
            let took = self.shared.clock.monotonic().saturating_since(began);
            if last {
                return Ok(());
            }
            if rows.is_empty() {
                self.rest(took).await;
            } else {
                self.pause = self.shared.options.poll.0;
                self.hand_over(rows).await?;
            }
        }
    }

    async fn look(&mut self, room: Room) -> Result<Vec<OutboxRow>, HandlerError> {
        let handed: &[RowId] = if self.removed { &[] } else { &self.handed };
        let rows = self.shared.within(self.shared.table.next(handed, room)).await?;
        self.removed = true;
        // The database was set back to before the removal, or answers out of a copy that is behind. The next turn removes
        // them again.
        let handed: HashSet<&RowId> = self.handed.iter().collect();
        if rows.iter().any(|row| handed.contains(&row.row)) {
            return Err("rows that were removed from the outbox are there again".into());
        }
        Ok(rows)
    }

    /// Waits a while, twice as long as before unless somebody says that there is something; at least as long as the look
    /// `took`, so that a slow one does not keep the database busy.
    async fn rest(&mut self, took: Duration) {
        let Shared {
            clock, wake, stop, ..
        } = &*self.shared;
        let now = clock.monotonic();
        let woken = async {
            clock.sleep_until(now + took).await;
            wake.notified().await;
        };
        let (first, longest) = self.shared.options.poll;
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = woken => self.pause = first,
            () = clock.sleep_until(now + self.pause.max(took)) => {
                self.pause = self.pause.saturating_mul(2).min(longest);
            }
        }
    }

    /// Hands the first of these rows over, as many as can be.
    async fn hand_over(&mut self, rows: Vec<OutboxRow>) -> Result<(), HandlerError> {
        let (rows, tasks) = self.read(rows).await?;
        let Some(first) = rows.first().copied() else {
            return Ok(());
        };
        match self.write(&rows, tasks).await {
            Ok(()) => {
                self.room = self.room.saturating_mul(2).min(self.shared.options.batch);
                count(&self.shared.counts.handed_over, rows.len());
                meters::outbox_handed_over(self.shared.table.name(), rows.len());
                Ok(())
            }
            Err(NotWritten::Refused(_)) if rows.len() > 1 => {
                // Nothing was written: half of them again, until it is one.
                self.room = rows.len() / 2;
                Ok(())
            }
            Err(NotWritten::Refused(error)) => {
                // Unless it refuses everything, or refused this one by chance: it is tried twice.
                self.write(&[], Vec::new()).await.map_err(failed)?;
                self.room = 1;
                if self.refused.replace(first) == Some(first) {
                    self.set_aside(first, &format!("the store refuses the task: {error}"))
                        .await?;
                }
                Ok(())
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// The tasks of rows. One that is damaged is set aside; one of a newer program stays, and keeps those behind it, until a
    /// relay comes that can read it.
    async fn read(&self, rows: Vec<OutboxRow>) -> Result<(Vec<RowId>, Vec<NewTask>), HandlerError> {
        let (mut good, mut tasks) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
        for OutboxRow { row, body, .. } in rows {
            match decode(row.id, body) {
                Ok(task) => {
                    good.push(row);
                    tasks.push(task);
                }
                Err(Unreadable::Newer(_)) if !good.is_empty() => break,
                Err(newer @ Unreadable::Newer(_)) => return Err(newer.to_string().into()),
                Err(damage) => self.set_aside(row, &damage.to_string()).await?,
            }
        }
        Ok((good, tasks))
    }

    /// One write: the tasks, and the checkpoint that names their rows.
    async fn write(&mut self, rows: &[RowId], tasks: Vec<NewTask>) -> Result<(), NotWritten> {
        let own = Payload::encode(&Handed::of(rows))?;
        let progress = Progress::own(self.ctx.known(), own);
        let attempt = Arc::clone(self.ctx.attempt_handle());
        attempt.insert_tasks(progress, tasks).await?;
        self.handed = rows.to_vec();
        self.removed = rows.is_empty();
        Ok(())
    }

    async fn set_aside(&self, row: RowId, reason: &str) -> Result<(), HandlerError> {
        let outbox = self.shared.table.name();
        let reason = ErrorText::new(reason);
        self.shared
            .within(self.shared.table.set_aside(row, &reason))
            .await?;
        tracing::error!(%outbox, row = row.seq, task = %row.id, %reason, "a row of the outbox was set aside");
        count(&self.shared.counts.set_aside, 1);
        meters::outbox_set_aside(outbox);
        Ok(())
    }
}

fn failed(error: NotWritten) -> HandlerError {
    match error {
        NotWritten::Refused(error) => error.into(),
        NotWritten::Invalid(error) => error.into(),
        NotWritten::LeaseLost | NotWritten::NotStored => LeaseLost.into(),
    }
}
