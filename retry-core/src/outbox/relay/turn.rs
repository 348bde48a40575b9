//! One turn of the owner task: what was handed over is removed, the next rows are read and handed over, again and again.

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
                handed,
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
    /// What is to be removed from the outbox.
    handed: Vec<RowId>,
    /// How many rows go over at once: fewer after the store refused some, to find the one it does not take.
    room: usize,
    /// How long the next look at an empty outbox is put off.
    pause: Duration,
}

impl Turn {
    async fn run(&mut self) -> Result<(), HandlerError> {
        let stop = self.shared.stop.clone();
        let cancelled = self.ctx.cancellation();
        let end = self.shared.clock.monotonic() + TURN;
        // Dropped at any place, it leaves no more behind than a crash does.
        tokio::select! {
            biased;
            () = stop.cancelled() => Ok(()),
            () = cancelled.cancelled() => Ok(()),
            ended = self.rounds(end) => ended,
        }
    }

    async fn rounds(&mut self, end: Monotonic) -> Result<(), HandlerError> {
        while self.shared.clock.monotonic() < end {
            let room = Room {
                rows: self.room,
                bytes: MAX_OUTBOX_BATCH_BYTES,
            };
            let rows = self
                .shared
                .within(self.shared.table.next(&self.handed, room))
                .await?;
            self.handed.clear();
            if rows.is_empty() {
                self.rest().await;
            } else {
                self.pause = self.shared.options.poll.0;
                self.hand_over(rows).await?;
            }
        }
        Ok(())
    }

    /// Waits a while, twice as long as before unless somebody says that there is something.
    async fn rest(&mut self) {
        let shared = &self.shared;
        let over = shared.clock.sleep_until(shared.clock.monotonic() + self.pause);
        let (first, longest) = shared.options.poll;
        tokio::select! {
            biased;
            () = shared.wake.notified() => self.pause = first,
            () = over => self.pause = self.pause.saturating_mul(2).min(longest),
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
                self.handed = rows;
                Ok(())
            }
            Err(NotWritten::Refused(_)) if rows.len() > 1 => {
                // Nothing was written: half of them again, until it is one.
                self.room = rows.len() / 2;
                Ok(())
            }
            Err(NotWritten::Refused(error)) => {
                // Unless it refuses everything.
                self.write(&[], Vec::new()).await.map_err(failed)?;
                self.set_aside(first, &format!("the store refuses the task: {error}"))
                    .await
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
                Err(Unreadable::Version(_)) if !good.is_empty() => break,
                Err(newer @ Unreadable::Version(_)) => return Err(newer.to_string().into()),
                Err(damage) => self.set_aside(row, &damage.to_string()).await?,
            }
        }
        Ok((good, tasks))
    }

    /// One write: the tasks, and the checkpoint that names their rows.
    async fn write(&self, rows: &[RowId], tasks: Vec<NewTask>) -> Result<(), NotWritten> {
        let own = Payload::encode(&Handed::of(rows))?;
        let progress = Progress::own(self.ctx.known(), own);
        let attempt = Arc::clone(self.ctx.attempt_handle());
        attempt.insert_tasks(progress, tasks).await
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
