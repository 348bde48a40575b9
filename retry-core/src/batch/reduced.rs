//! What a reduce step learns of the shards: how they ended, and what they returned.

use std::collections::{HashSet, VecDeque};
use std::error::Error;
use std::fmt;

use futures_util::stream::try_unfold;
use futures_util::{Stream, TryStreamExt as _};
use serde::de::DeserializeOwned;

use crate::executor::{Ctx, FromCtx};
use crate::id::TaskId;
use crate::limits::MAX_PAGE;
use crate::payload::Payload;
use crate::store::{Page, StoreError, TaskFilter};
use crate::task::{Children, State, TaskSummary};

/// The shards of a batch, as its reduce step finds them: an argument of any handler whose task has split.
///
/// The streams read pages from the store, so that a million outputs take the memory of a thousand. Their order is that of the
/// shards' ids: the same in each attempt, but not the order in which the split gave them. Let an output carry what sorts
/// it. Of a task that was rerun from its start they hold the ids of all shards in memory, to tell them from the earlier
/// ones.
#[derive(Debug, Clone)]
pub struct Reduced(Ctx);

/// A shard that did not succeed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FailedShard {
    /// Its task.
    pub id: TaskId,
    /// Failed or cancelled.
    pub state: State,
    /// Its attempts.
    pub attempts: u32,
    /// Its last error.
    pub error: Option<String>,
}

/// Why the shards cannot be read.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReduceError {
    /// The store failed, or a part of it did not answer.
    Store(StoreError),
    /// An output is not what was asked for.
    Output {
        /// The shard.
        id: TaskId,
        /// Why. It may quote the output: do not log it above debug.
        error: serde_json::Error,
    },
    /// A stored shard cannot be read.
    Unreadable {
        /// The shard.
        id: TaskId,
    },
    /// Shards are not stored any more: the batch had ended, and was reopened after their retention.
    Forgotten {
        /// How many.
        shards: u64,
    },
}

impl fmt::Display for ReduceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(_) => f.write_str("the shards could not be read"),
            Self::Output { id, .. } => write!(f, "the output of shard {id} is not of the type asked for"),
            Self::Unreadable { id } => write!(f, "shard {id} cannot be read"),
            Self::Forgotten { shards } => write!(f, "{shards} shards are not stored any more"),
        }
    }
}

impl Error for ReduceError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Store(error) => Some(error),
            Self::Output { error, .. } => Some(error),
            Self::Unreadable { .. } | Self::Forgotten { .. } => None,
        }
    }
}

impl FromCtx for Reduced {
    fn from_ctx(ctx: &Ctx) -> Option<Self> {
        Some(Self(ctx.clone()))
    }
}

impl Reduced {
    /// How many shards there are and how many ended without success. None is open, except in a dry run of a batch that
    /// still waits.
    #[must_use]
    pub fn counts(&self) -> Children {
        let counted = self.0.children();
        match self.0.stored().split {
            Some(split) => split.own(counted),
            None => counted,
        }
    }

    /// What the shards that succeeded returned, one item each; a shard without output gives JSON `null`, which `()` and
    /// `Option` read. Each call reads anew.
    ///
    /// Items are errors at most once, at the end: [`ReduceError::Forgotten`] when fewer are stored than succeeded.
    pub fn outputs<T: DeserializeOwned + Send>(
        &self,
    ) -> impl Stream<Item = Result<T, ReduceError>> + Send + use<T> {
        let counts = self.counts();
        let wanted = u64::from(counts.total.saturating_sub(counts.open + counts.failed));
        let rows = Rows::new(&self.0, vec![State::Succeeded], true, wanted);
        decoded(rows).map_ok(|(_, output)| output)
    }

    /// As [`outputs`](Self::outputs), behind a shard that was read before, each with its shard. A reduce of many shards
    /// stores what it has added up, with the last shard, by [`Ctx::save_checkpoint`]; a later attempt goes on there.
    ///
    /// Whether all are stored is only checked by a stream from the beginning: count the items, and compare.
    pub fn outputs_behind<T: DeserializeOwned + Send>(
        &self,
        last: Option<TaskId>,
    ) -> impl Stream<Item = Result<(TaskId, T), ReduceError>> + Send + use<T> {
        let mut rows = Rows::new(&self.0, vec![State::Succeeded], true, 0);
        if let Some(page) = &mut rows.next {
            page.after = last;
        }
        decoded(rows)
    }

    /// The shards that failed or were cancelled.
    pub fn failed(&self) -> impl Stream<Item = Result<FailedShard, ReduceError>> + Send + use<> {
        let wanted = u64::from(self.counts().failed);
        let rows = Rows::new(&self.0, vec![State::Failed, State::Cancelled], false, wanted);
        try_unfold(rows, async |mut rows| {
            let Some(row) = rows.next().await? else {
                return Ok(None);
            };
            let failed = FailedShard {
                id: row.task.id,
                state: row.task.state,
                attempts: row.task.attempt,
                error: row.last_error.map(|error| error.as_str().to_owned()),
            };
            Ok(Some((failed, rows)))
        })
    }
}

fn decoded<T: DeserializeOwned + Send>(
    rows: Rows,
) -> impl Stream<Item = Result<(TaskId, T), ReduceError>> + Send + use<T> {
    try_unfold(rows, async |mut rows| {
        let Some(row) = rows.next().await? else {
            return Ok(None);
        };
        let id = row.task.id;
        let output = row.output.unwrap_or_else(Payload::null);
        let output = output
            .decode()
            .map_err(|error| ReduceError::Output { id, error })?;
        Ok(Some(((id, output), rows)))
    })
}

/// The rows of the shards in some states, page by page.
struct Rows {
    ctx: Ctx,
    filter: TaskFilter,
    /// Of a task that was rerun from its start: its own shards, which the list does not tell from earlier ones.
    own: Option<HashSet<TaskId>>,
    page: VecDeque<TaskSummary>,
    next: Option<Page>,
    /// How many are still to come.
    wanted: u64,
}

impl Rows {
    fn new(ctx: &Ctx, states: Vec<State>, with_output: bool, wanted: u64) -> Self {
        Self {
            filter: TaskFilter {
                parent: Some(ctx.id()),
                states,
                with_output,
                ..TaskFilter::default()
            },
            own: ctx.stored().split.and_then(|split| split.children_of(ctx.id())),
            page: VecDeque::new(),
            next: Some(Page::first(MAX_PAGE)),
            ctx: ctx.clone(),
            wanted,
        }
    }

    async fn next(&mut self) -> Result<Option<TaskSummary>, ReduceError> {
        loop {
            if let Some(row) = self.page.pop_front() {
                if self.own.as_ref().is_some_and(|own| !own.contains(&row.task.id)) {
                    continue;
                }
                self.wanted = self.wanted.saturating_sub(1);
                return Ok(Some(row));
            }
            let Some(page) = self.next.take() else {
                return match self.wanted {
                    0 => Ok(None),
                    shards => Err(ReduceError::Forgotten { shards }),
                };
            };
            let attempt = self.ctx.attempt_handle();
            let listed = attempt
                .list(&self.filter, &page)
                .await
                .map_err(ReduceError::Store)?;
            if !listed.missing_parts.is_empty() {
                return Err(ReduceError::Store(StoreError::rejected(
                    crate::store::StoreErrorKind::Unavailable,
                    "a part of the store did not answer",
                )));
            }
            if let Some(bad) = listed.bad.first() {
                return Err(ReduceError::Unreadable { id: bad.id });
            }
            self.page = listed.tasks.into();
            self.next = listed.next.map(|after| Page {
                after: Some(after),
                ..page
            });
        }
    }
}
