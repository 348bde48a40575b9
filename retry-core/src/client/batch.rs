//! Batches as an operator sees them: how far one is, and another try for what failed.

use std::collections::HashSet;
use std::time::Duration;

use super::{Client, Error, Result, resend};
use crate::executor::Stored;
use crate::id::{Nonce, TaskId};
use crate::limits::MAX_PAGE;
use crate::machine::{Event, Rejected, Restart, transition};
use crate::store::{Applied, Page, TaskFilter, TaskStore};
use crate::task::{Children, Edit, State, Task, TaskDetail};
use crate::time::Timestamp;

/// For how long the first rerun shard is put off while the others are rerun. It keeps the parent waiting; should the caller
/// die meanwhile, it runs by itself after this time.
const HOLD: Duration = Duration::from_mins(10);

/// How far a batch is, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatchProgress {
    /// Its task.
    pub id: TaskId,
    /// What it does.
    pub stage: BatchStage,
    /// The task's state.
    pub state: State,
    /// Its shards: all that are inserted so far, those that have not ended, those that ended without success.
    pub shards: Children,
    /// When its split began, if it has shards.
    pub since: Option<Timestamp>,
    /// The store's time of this answer.
    pub at: Timestamp,
}

/// What a batch does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BatchStage {
    /// Waits for its split, or inserts shards. Those that are there may run already.
    Splitting,
    /// Its shards run.
    Executing,
    /// All shards have ended and some failed: it waits for an operator, who reruns them or releases it.
    Held,
    /// Its reduce runs or is due.
    Reducing,
    /// It has ended.
    Ended,
}

impl BatchProgress {
    fn of(detail: TaskDetail, at: Timestamp) -> Self {
        let task = &detail.task;
        let split = Stored::read(detail.checkpoint).split;
        let shards = split.map_or(task.children, |split| split.own(task.children));
        // Whoever ends a parent by its policy is called by its alarm.
        let held = task.children.open == 0 && task.alarm_at.is_none();
        let stage = match task.state {
            State::Succeeded | State::Failed | State::Cancelled => BatchStage::Ended,
            State::Joining if held => BatchStage::Held,
            State::Joining => BatchStage::Executing,
            // A later step may split as well: once it has stored a chunk, it is seen.
            _ if task.step == 0 || split.is_some_and(|split| split.step == task.step) => {
                BatchStage::Splitting
            }
            _ => BatchStage::Reducing,
        };
        Self {
            id: task.id,
            stage,
            state: task.state,
            shards,
            since: split.map(|split| Timestamp::from_millis(split.since)),
            at,
        }
    }

    /// Shards that succeeded.
    #[must_use]
    pub const fn succeeded(&self) -> u32 {
        self.ended().saturating_sub(self.shards.failed)
    }

    /// Shards that have ended.
    #[must_use]
    pub const fn ended(&self) -> u32 {
        self.shards.total.saturating_sub(self.shards.open)
    }

    /// How many there are in all; none while it is still split.
    #[must_use]
    pub fn total(&self) -> Option<u32> {
        (self.stage != BatchStage::Splitting).then_some(self.shards.total)
    }

    /// Shards that ended per second, on average since the split began. None before the first has ended and when none
    /// is open any more: when the last one ended is not kept.
    #[must_use]
    pub fn rate(&self) -> Option<f64> {
        let span = self.at.saturating_since(self.since?);
        per_second(self.ended(), span).filter(|_| self.shards.open > 0)
    }

    /// Shards that ended per second between an earlier look and this one; none when no time passed.
    #[must_use]
    pub fn rate_since(&self, earlier: &Self) -> Option<f64> {
        let ended = self.ended().saturating_sub(earlier.ended());
        per_second(ended, self.at.saturating_since(earlier.at))
    }

    /// The time until the open shards have ended at the average [rate](Self::rate). None without one, and while it is still
    /// split.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        self.total()?;
        let seconds = f64::from(self.shards.open) / self.rate()?;
        Duration::try_from_secs_f64(seconds).ok()
    }
}

fn per_second(ended: u32, span: Duration) -> Option<f64> {
    (ended > 0 && !span.is_zero()).then(|| f64::from(ended) / span.as_secs_f64())
}

/// What a rerun of failed children did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RerunChildren {
    /// Children that run again.
    pub rerun: u64,
    /// Those that do not: changed meanwhile, or their unique key is taken.
    pub refused: u64,
    /// Parts of the store that did not answer, by number. Whether they keep failed children is not known: make the call
    /// again when they answer. (A [`ShardedStore`](crate::sharded::ShardedStore) asks the parent's own part alone, which keeps
    /// all children; unless it [searches](crate::sharded::Builder::search_all_parts) and does not find the parent.)
    pub missing_parts: Vec<usize>,
}

impl<S: TaskStore + ?Sized> Client<S> {
    /// How far a batch is, or any task that splits; none if there is no such task. One read, whatever its size.
    ///
    /// # Errors
    /// The store failed.
    pub async fn batch(&self, id: TaskId) -> Result<Option<BatchProgress>> {
        let now = self.shared.now(id.shard()).await?;
        let detail = self.get(id).await?;
        Ok(detail.map(|detail| BatchProgress::of(detail, now)))
    }

    /// Runs all children of a task again that failed or were cancelled, in calls of up to 1,000. An ended parent waits for its
    /// children again, and its next step, the reduce of a batch, runs once more when they have ended: from the step behind its
    /// split, without the progress it had stored.
    ///
    /// The parent does not go on before all of them are rerun, however fast they are: one is put off until the others are
    /// written, or for ten minutes if that takes longer. A call that was cut short is made again; what it has rerun is not rerun
    /// twice. Without a child to rerun nothing changes.
    ///
    /// A child that has split itself is run again in the step in which it ended, over its own children as they are.
    /// Rerun those by the child's own id.
    ///
    /// Of a store with parts those children are rerun that can be reached; the answer names the parts that did not answer.
    ///
    /// Where each of them is refused, an ended parent is left waiting for an operator, who releases or cancels it.
    ///
    /// Not cancel-safe in this alone: after a dropped call one child may wait for up to ten minutes, or an ended parent for
    /// an operator.
    ///
    /// # Errors
    /// The parent does not exist; it has not waited for children yet, runs or is about to (its children have ended), or is
    /// being cancelled; or the store failed.
    pub async fn rerun_failed_children(&self, id: TaskId) -> Result<RerunChildren> {
        let parent = self.get(id).await?.ok_or(Error::NotFound(id))?;
        waits_or_has_waited(&parent.task)?;
        let mut failed = Failed::of(&parent);
        let (mut done, mut keystone) = (RerunChildren::default(), None);
        let mut reopen = parent.task.state.is_final();
        while let Some(children) = failed.page(self).await? {
            let mut children = children.as_slice();
            while let (None, [first, others @ ..]) = (keystone, children) {
                if std::mem::take(&mut reopen) {
                    self.decide_on(id, reopening).await?;
                }
                let at = self.shared.now(id.shard()).await?.saturating_add(HOLD);
                match self.rerun_at(first.id, at).await? {
                    true => keystone = Some(first.id),
                    false => done.refused += 1,
                }
                children = others;
            }
            let (rerun, refused) = self.rerun_all(children).await?;
            done.rerun += rerun;
            done.refused += refused;
        }
        done.missing_parts = failed.missing_parts;
        let Some(first) = keystone else {
            return Ok(done);
        };
        done.rerun += 1;
        match self.run_now(first).await {
            // Somebody cancelled it, or ran it already.
            Ok(_) | Err(Error::Rejected(_) | Error::Changed(_) | Error::NotFound(_)) => Ok(done),
            Err(error) => Err(error),
        }
    }

    async fn rerun_at(&self, child: TaskId, at: Timestamp) -> Result<bool> {
        let rerun = || Event::Rerun {
            at,
            from_start: false,
        };
        match self.decide(child, rerun).await {
            Ok(_) => Ok(true),
            Err(Error::Rejected(_) | Error::Changed(_) | Error::KeyTaken(_) | Error::NotFound(_)) => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// How many run again, and how many do not.
    async fn rerun_all(&self, children: &[Task]) -> Result<(u64, u64)> {
        // Children are on their parent's part.
        let Some(shard) = children.first().map(|child| child.id.shard()) else {
            return Ok((0, 0));
        };
        let now = self.shared.now(shard).await?;
        let edit = |child: &Task| {
            let rerun = Event::Rerun {
                at: now,
                from_start: false,
            };
            let action = transition(child, rerun, now, 0).ok()?;
            Some(Edit {
                id: child.id,
                version: child.version,
                nonce: Nonce::from_random(self.shared.random.next_u64()),
                action,
                insert: Vec::new(),
            })
        };
        let edits: Vec<Edit> = children.iter().filter_map(edit).collect();
        let exchange = async || {
            let answer = self.shared.store.exchange(&edits, &[], now).await?;
            Ok(answer.applied)
        };
        let applied = resend(self.shared.clock(shard), exchange).await?;
        let is_rerun = |applied: &&Applied| matches!(applied, Applied::Done { .. } | Applied::Repeated);
        let rerun = applied.iter().filter(is_rerun).count() as u64;
        Ok((rerun, children.len() as u64 - rerun))
    }
}

/// The steps behind the split begin anew: what they stored is of children that are rerun. A parent that ended in mid-split
/// goes on there, and needs the place it keeps.
fn reopening(parent: &TaskDetail) -> Event {
    let stored = Stored::read(parent.checkpoint.clone());
    let split = stored.split;
    let is_in_split = split.is_some_and(|split| split.step >= parent.task.step);
    let restart = || Restart {
        step: split.map_or(parent.task.step, |split| split.step.saturating_add(1)),
        checkpoint: split.and_then(|_| Stored { own: None, ..stored }.write().ok()),
    };
    Event::Reopen {
        restart: (!is_in_split).then(restart),
    }
}

/// Whether children of this task can be rerun: while it waits for them, or behind its end.
fn waits_or_has_waited(task: &Task) -> Result<(), Rejected> {
    match task.state {
        State::Joining if task.cancel_requested => Err(Rejected::AlreadyRequested),
        State::Joining => Ok(()),
        state if !state.is_final() => Err(Rejected::State(state)),
        _ if task.children.open > 0 => Err(Rejected::ChildrenOpen),
        _ if task.step == 0 || task.children.total == 0 => Err(Rejected::NoChildren),
        _ => Ok(()),
    }
}

/// The failed children of a task, page by page.
struct Failed {
    filter: TaskFilter,
    /// Those of its last split, where it had others before.
    own: Option<HashSet<TaskId>>,
    next: Option<Page>,
    missing_parts: Vec<usize>,
}

impl Failed {
    fn of(parent: &TaskDetail) -> Self {
        Self {
            filter: TaskFilter {
                parent: Some(parent.task.id),
                states: vec![State::Failed, State::Cancelled],
                ..TaskFilter::default()
            },
            own: Stored::read(parent.checkpoint.clone())
                .split
                .and_then(|split| split.children_of(parent.task.id)),
            next: Some(Page::first(MAX_PAGE)),
            missing_parts: Vec::new(),
        }
    }

    async fn page<S: TaskStore + ?Sized>(&mut self, client: &Client<S>) -> Result<Option<Vec<Task>>> {
        let Some(page) = self.next.take() else {
            return Ok(None);
        };
        let listed = client.list(&self.filter, &page).await?;
        self.missing_parts.extend(listed.missing_parts);
        self.missing_parts.sort_unstable();
        self.missing_parts.dedup();
        self.next = listed.next.map(|after| Page {
            after: Some(after),
            ..page
        });
        let own = |task: &Task| self.own.as_ref().is_none_or(|own| own.contains(&task.id));
        let children = listed.tasks.into_iter().map(|row| row.task);
        Ok(Some(children.filter(own).collect()))
    }
}
