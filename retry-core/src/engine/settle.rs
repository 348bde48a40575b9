//! From a handler's end to the edit that records it.

use super::attempt::{Ended, Failure};
use super::held::CancelReason;
use super::kind::KindEntry;
use super::part::Part;
use crate::clock::Clock as _;
use crate::draft::{Draft, InvalidTask};
use crate::executor::{LastChunk, Outcome, SplitEnd, SplitState, Stored};
use crate::headers::Headers;
use crate::id::TaskId;
use crate::limits::{MAX_BATCH, MAX_CALL_BYTES, MAX_SPLIT_CHILDREN};
use crate::machine::Event;
use crate::propagate;
use crate::task::{Action, Edit, ErrorText, FailedAttempt, NewTask, State, Task};
use crate::time::Timestamp;

/// What became of an attempt, before the machine decides what it means.
pub(super) struct Report<'a> {
    pub(super) task: &'a Task,
    pub(super) headers: Headers,
    pub(super) entry: &'a KindEntry,
    pub(super) started_at: Timestamp,
    pub(super) via_fallback: bool,
    pub(super) follow_ups: Vec<Draft>,
    /// What the handler's checkpoint holds beside its own progress, and how a split came to its end here.
    pub(super) stored: Stored,
    pub(super) split_end: Option<SplitEnd>,
    pub(super) ended: Ended,
}

fn is_cancel(edit: &Edit) -> bool {
    matches!(&edit.action, Action::Set(change) if change.to.state == State::Cancelled)
}

impl Report<'_> {
    /// The edit that records the end. What cannot be recorded as asked, such as children beyond the bounds, is
    /// recorded as the task's failure.
    pub(super) fn edit(mut self, part: &Part) -> Option<Edit> {
        let ended = std::mem::replace(&mut self.ended, Ended::Returned(Outcome::Done));
        let made = match ended {
            Ended::Returned(outcome) => self.outcome(part, outcome),
            Ended::Cancelled(reason) => Ok((self.cancelled(reason), Vec::new())),
            Ended::Failed(failure) => Ok((self.failed(part, failure), Vec::new())),
        };
        let (event, insert) =
            made.unwrap_or_else(|error| (self.invalid(part, &error.to_string()), Vec::new()));
        let mut edit = self.decide(part, event)?;
        // Decided on a record that is to be cancelled, a split is the cancel: nobody would cancel its children.
        if !is_cancel(&edit) {
            edit.insert = insert;
        }
        if edit.bytes() > MAX_CALL_BYTES || edit.insert.len() > MAX_BATCH {
            let text = format!(
                "its outcome has {} bytes and {} tasks to insert, at most {MAX_CALL_BYTES} and {MAX_BATCH} are allowed",
                edit.bytes(),
                edit.insert.len()
            );
            return self.decide(part, self.invalid(part, &text));
        }
        Some(edit)
    }

    fn decide(&self, part: &Part, event: Event) -> Option<Edit> {
        part.edit(self.task, event)
            .inspect_err(
                |why| tracing::error!(task = %self.task.id, %why, "an outcome does not fit its task"),
            )
            .ok()
    }

    fn outcome(&mut self, part: &Part, outcome: Outcome) -> Result<(Event, Vec<NewTask>), InvalidTask> {
        let later = |after| part.clock.now().saturating_add(after);
        let alone = |event| Ok((event, Vec::new()));
        match outcome {
            Outcome::Done => self.succeeded(part, None),
            Outcome::Output(output) => self.succeeded(part, Some(output)),
            Outcome::Snooze(after) => {
                let at = match self.split_end {
                    // Not behind its own shards.
                    Some(SplitEnd::HandedBack) if after.is_zero() => self.task.run_at,
                    _ => later(after),
                };
                alone(Event::Snooze { at })
            }
            Outcome::Continue(checkpoint, after) => {
                let at = later(after);
                let own = Some(checkpoint);
                let split = self.stored.split;
                let checkpoint = Stored { split, own }.write()?;
                alone(Event::Continue { at, checkpoint })
            }
            Outcome::Stop(reason) => alone(Event::Fail {
                failure: self.attempt(part, ErrorText::new(reason)),
            }),
            Outcome::Wait(limit) => alone(Event::Wait {
                deadline: later(limit),
            }),
            Outcome::Split(children) => self.split(part, children),
        }
    }

    fn succeeded(
        &mut self,
        part: &Part,
        output: Option<crate::payload::Payload>,
    ) -> Result<(Event, Vec<NewTask>), InvalidTask> {
        let follow_ups = std::mem::take(&mut self.follow_ups);
        let insert = self::follow_ups(part, self.task.id, &self.headers, follow_ups)?;
        Ok((
            Event::Succeed {
                output,
                via_fallback: self.via_fallback,
            },
            insert,
        ))
    }

    fn split(&mut self, part: &Part, children: Vec<Draft>) -> Result<(Event, Vec<NewTask>), InvalidTask> {
        if let Some(SplitEnd::Complete(LastChunk { stored, children })) = self.split_end.take() {
            let checkpoint = Some(stored.write()?);
            return Ok((Event::Split { checkpoint }, children));
        }
        if children.len() > MAX_SPLIT_CHILDREN {
            return Err(InvalidTask::TooManyChildren {
                given: children.len(),
                limit: MAX_SPLIT_CHILDREN,
            });
        }
        let parent = self.task;
        let child = |(index, draft)| {
            let id = TaskId::child(parent.id, parent.reruns, parent.step, index);
            child(part, parent, &self.headers, id, draft)
        };
        let children: Vec<NewTask> = (0..).zip(children).map(child).collect::<Result<_, _>>()?;
        let checkpoint = self.place_behind(part, &children).map(|stored| stored.write());
        let checkpoint = checkpoint.transpose()?;
        Ok((Event::Split { checkpoint }, children))
    }

    /// What is remembered of a split in one write: nothing, unless the task had children in an earlier life.
    fn place_behind(&self, part: &Part, children: &[NewTask]) -> Option<Stored> {
        let Task {
            step,
            reruns,
            children: before,
            ..
        } = *self.task;
        let later = reruns > 0 && before.total > 0 && self.stored.split.is_none();
        let split = later.then(|| SplitState {
            next: u32::try_from(children.len()).unwrap_or(u32::MAX),
            ..SplitState::begun(step, reruns, part.clock.now(), before)
        });
        let own = self.stored.own.clone();
        split.map(|_| Stored { split, own })
    }

    fn cancelled(&self, reason: CancelReason) -> Event {
        tracing::debug!(task = %self.task.id, ?reason, "the attempt was cancelled");
        // The machine makes this an end where an operator asked for it; else the task is handed back.
        Event::HandBack
    }

    fn failed(&self, part: &Part, failure: Failure) -> Event {
        let recorded = self.attempt(part, failure.text);
        if failure.is_final {
            return Event::Fail { failure: recorded };
        }
        let at = self.entry.retry.next_run(
            self.task.attempt.max(1),
            self.started_at,
            recorded.ended_at,
            part.engine.random(),
        );
        Event::Retry {
            at,
            failure: recorded,
        }
    }

    fn invalid(&self, part: &Part, text: &str) -> Event {
        Event::Fail {
            failure: self.attempt(part, ErrorText::new(format!("its outcome is invalid: {text}"))),
        }
    }

    fn attempt(&self, part: &Part, error: ErrorText) -> FailedAttempt {
        failed_attempt(part, self.task, self.started_at, error)
    }
}

/// A child of `parent`, in its queue unless told otherwise, with what is handed down to it. To be called in the attempt's
/// span.
pub(super) fn child(
    part: &Part,
    parent: &Task,
    headers: &Headers,
    id: TaskId,
    draft: Draft,
) -> Result<NewTask, InvalidTask> {
    let draft = handed_down(part, headers, draft).queue_unless_named(&parent.queue);
    draft.build(id, part.clock.now(), part.engine.random(), Some(parent.id))
}

/// The tasks that follow a success of `task`, with what is handed down to them. To be called in the attempt's span.
pub(super) fn follow_ups(
    part: &Part,
    task: TaskId,
    headers: &Headers,
    drafts: Vec<Draft>,
) -> Result<Vec<NewTask>, InvalidTask> {
    let build = |draft: Draft| {
        let now = part.clock.now();
        let draft = handed_down(part, headers, draft);
        let id = part.engine.next_id(now, task.shard());
        draft.build(id, now, part.engine.random(), None)
    };
    drafts.into_iter().map(build).collect()
}

fn handed_down(part: &Part, headers: &Headers, draft: Draft) -> Draft {
    let setup = &part.engine.setup;
    let propagator = setup.propagator.as_deref();
    propagate::handed_down(draft, headers, &setup.config.inherit_headers, propagator)
}

/// The history's entry for an attempt of this worker that failed just now.
pub(super) fn failed_attempt(
    part: &Part,
    task: &Task,
    started_at: Timestamp,
    error: ErrorText,
) -> FailedAttempt {
    FailedAttempt {
        attempt: task.attempt,
        worker: Some(part.engine.setup.config.name.clone()),
        started_at,
        ended_at: part.clock.now(),
        error,
    }
}
