//! Inserts the shards of a split as children: in one write with the parent's wait where they fit, else in chunks, each with
//! its place in the checkpoint.

use std::error::Error;
use std::fmt;
use std::task::Poll;
use std::time::Duration;

use super::shards::{Given, Shards};
use crate::draft::{Draft, InvalidTask};
use crate::executor::{
    Ctx, Final, HandlerError, LastChunk, LeaseLost, NotWritten, Outcome, Progress, SplitEnd, SplitState,
    Stored,
};
use crate::id::TaskId;
use crate::limits::{MAX_CHUNK_BYTES, MAX_SHARDS};
use crate::payload::Payload;
use crate::task::NewTask;

/// Shards that are passed over between two looks of whoever runs the attempt.
const PASSED_OVER: u32 = 1_000;

/// Why a split cannot go on, in this attempt and in any other: the task fails, and the shards that are stored are
/// cancelled.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum SplitError {
    /// An earlier call gave more shards than this one: it does not give the same ones each time.
    Fewer {
        /// What it gave now.
        given: u32,
        /// What is stored.
        stored: u32,
    },
    /// It gives more than [`MAX_SHARDS`].
    TooMany,
    /// A shard is larger than a chunk may be.
    TooLarge {
        /// Its bytes: payload and headers.
        bytes: usize,
    },
    /// A shard is invalid.
    Invalid {
        /// Its place among all, from 0.
        index: u32,
        /// What is wrong with it.
        error: InvalidTask,
    },
}

impl fmt::Display for SplitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fewer { given, stored } => write!(
                f,
                "the split gave {given} shards, but {stored} are stored of an earlier call: \
                 it has to give the same ones in the same order each time, or keep a cursor"
            ),
            Self::TooMany => write!(f, "the split gives more than {MAX_SHARDS} shards"),
            Self::TooLarge { bytes } => {
                write!(
                    f,
                    "a shard has {bytes} bytes, at most {MAX_CHUNK_BYTES} are allowed"
                )
            }
            Self::Invalid { index, error } => write!(f, "shard {index} is invalid: {error}"),
        }
    }
}

impl Error for SplitError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Invalid { error, .. } => error.source(),
            Self::Fewer { .. } | Self::TooMany | Self::TooLarge { .. } => None,
        }
    }
}

impl SplitError {
    /// No other attempt would do better.
    fn last(self) -> HandlerError {
        Final::new(self).into()
    }
}

impl Ctx {
    /// Inserts `shards` as children of this task, in its queue unless they name another, and answers the outcome that a
    /// handler is to return at once: the next step runs when all of them have ended.
    ///
    /// Up to 1,000 shards and 4 MiB are one write with the task's wait. More are inserted in chunks, each in one write with
    /// its place in the checkpoint, so that after a crash the next attempt goes on behind it. The first ones may run, and end,
    /// before the last are stored. After 50 chunks the outcome says to run the task again at once, ahead of its shards, which
    /// goes on as after a crash; that does not count as an attempt. A shard whose unique key is held by another task is left out.
    ///
    /// If the task ends before its split is complete (it fails for good, or is cancelled), the shards that are stored are
    /// cancelled. A task that was rerun half-way goes on behind them.
    ///
    /// Cancel-safe: a dropped call has stored whole chunks only, and keeps their place.
    ///
    /// # Errors
    /// An error of the shards' own source; [`SplitError`], which is final; the lease is gone, or the attempt is to stop.
    pub async fn split<S>(&self, shards: Shards<S>) -> Result<Outcome, HandlerError> {
        let mut split = Split::resumed(self, shards).await?;
        let mut chunks = 0;
        while let Some(given) = split.next(true).await? {
            let Some(given) = given else { continue };
            let child = split.child(given.draft)?;
            if !split.has_room(&child)? {
                if self.is_cancelled() {
                    return Err("the attempt is to stop".into());
                }
                if !split.write().await? {
                    // Tried before it is stored: a worker does it.
                    return Ok(Outcome::Snooze(Duration::ZERO));
                }
                chunks += 1;
                if chunks == split.shards.chunks_per_attempt {
                    self.set_split_end(SplitEnd::HandedBack);
                    return Ok(Outcome::Snooze(Duration::ZERO));
                }
            }
            split.push(child, given.place)?;
        }
        // A place of the split's own is of no use behind it; other progress is the task's.
        let own = self.stored().own.filter(|_| !split.shards.keeps_place);
        let (stored, children) = (split.stored(own), split.chunk);
        self.set_split_end(SplitEnd::Complete(LastChunk { stored, children }));
        Ok(Outcome::Split(Vec::new()))
    }
}

struct Split<'c, S> {
    ctx: &'c Ctx,
    shards: Shards<S>,
    /// Behind what is in the chunk.
    state: SplitState,
    /// The place behind the chunk, of a source that keeps it.
    place: Option<Payload>,
    chunk: Vec<NewTask>,
    bytes: usize,
}

impl<'c, S> Split<'c, S> {
    /// Behind what earlier attempts have stored.
    async fn resumed(ctx: &'c Ctx, shards: Shards<S>) -> Result<Self, HandlerError> {
        let begun = ctx.stored().split.filter(|split| split.step == ctx.step());
        let state = begun.unwrap_or_else(|| {
            SplitState::begun(
                ctx.step(),
                ctx.reruns(),
                ctx.attempt_handle().now(),
                ctx.children(),
            )
        });
        let mut split = Self {
            ctx,
            shards,
            state,
            place: None,
            chunk: Vec::new(),
            bytes: 0,
        };
        if !split.shards.keeps_place {
            split.pass_over(state.next).await?;
        }
        Ok(split)
    }

    /// Takes the shards that are stored from the source. A timeout would count their time again in each attempt, until one is
    /// too long for any progress; so it does not count them, as long as some come.
    async fn pass_over(&mut self, stored: u32) -> Result<(), HandlerError> {
        let now = || self.ctx.attempt_handle().now();
        let mut looked = now();
        for given in 0..stored {
            if self.next(false).await?.is_none() {
                return Err(SplitError::Fewer { given, stored }.last());
            }
            if given % PASSED_OVER == PASSED_OVER - 1 {
                let passed = now();
                self.ctx.passed_over().add(passed.saturating_since(looked));
                looked = passed;
                yield_once().await;
            }
        }
        Ok(())
    }

    async fn next(&mut self, wanted: bool) -> Result<Option<Option<Given>>, HandlerError> {
        let source = &mut self.shards.source;
        std::future::poll_fn(|context| source.as_mut().poll_next(context, wanted))
            .await
            .transpose()
    }

    fn child(&self, draft: Draft) -> Result<NewTask, HandlerError> {
        let (task, state) = (self.ctx.task(), &self.state);
        let index = state.next;
        let id = TaskId::child(task.id, state.reruns, state.step, index);
        let made = self.ctx.attempt_handle().child(id, draft, self.ctx.headers());
        made.map_err(|error| SplitError::Invalid { index, error }.last())
    }

    /// Whether the chunk takes one more.
    fn has_room(&self, child: &NewTask) -> Result<bool, HandlerError> {
        let bytes = child.bytes();
        if bytes > MAX_CHUNK_BYTES {
            return Err(SplitError::TooLarge { bytes }.last());
        }
        Ok(self.chunk.len() < self.shards.chunk && self.bytes + bytes <= MAX_CHUNK_BYTES)
    }

    fn push(&mut self, child: NewTask, place: Option<Payload>) -> Result<(), HandlerError> {
        if self.state.next >= MAX_SHARDS {
            return Err(SplitError::TooMany.last());
        }
        self.state.next += 1;
        self.bytes += child.bytes();
        self.chunk.push(child);
        self.place = place;
        Ok(())
    }

    const fn stored(&self, own: Option<Payload>) -> Stored {
        Stored {
            split: Some(self.state),
            own,
        }
    }

    /// Stores the chunk and its place; false: the task itself is not stored yet.
    async fn write(&mut self) -> Result<bool, HandlerError> {
        let progress = Progress::split(self.ctx.known(), self.state, self.place.take());
        let children = std::mem::take(&mut self.chunk);
        self.bytes = 0;
        let attempt = self.ctx.attempt_handle();
        match attempt.clone().insert_children(progress, children).await {
            Ok(()) => Ok(true),
            Err(NotWritten::NotStored) => Ok(false),
            Err(NotWritten::LeaseLost) => Err(LeaseLost.into()),
            Err(NotWritten::Invalid(error)) => Err(error.into()),
            Err(NotWritten::Refused(error)) => Err(error.into()),
        }
    }
}

async fn yield_once() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
