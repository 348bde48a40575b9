//! Completing a waiting task by its token, from outside.

use serde::Serialize;

use super::{Client, Error, Result, Shared, not_tried};
use crate::draft::InvalidTask;
use crate::engine::Attachment;
use crate::machine::{Event, Rejected, transition};
use crate::payload::Payload;
use crate::store::{Applied, StoreError, TaskStore};
use crate::task::{Action, Completion, CompletionOutcome, ErrorText, State, TaskDetail, WaitToken};
use crate::time::Timestamp;

/// How often a completion that met a changed task is decided anew.
const TRIES: usize = 8;

impl<S: TaskStore + ?Sized> Client<S> {
    /// Lets the task's next step run with `data`. A completion may come before the task waits; it acts as soon as it
    /// does.
    ///
    /// # Errors
    /// [`Error::AlreadyDone`] for a second or late completion, [`Error::NotFound`] for a wrong token, [`Error::Changed`] when an
    /// answer was lost and the task has gone on since, so that nobody knows whose completion it was, or the store failed.
    pub async fn complete<T: Serialize + Sync + ?Sized>(&self, token: WaitToken, data: &T) -> Result<()> {
        self.answer(token, CompletionOutcome::Resume(encode(data)?)).await
    }

    /// Ends the waiting task as succeeded, with an output.
    ///
    /// # Errors
    /// As [`complete`](Self::complete).
    pub async fn succeed<T: Serialize + Sync + ?Sized>(&self, token: WaitToken, output: &T) -> Result<()> {
        self.answer(token, CompletionOutcome::Succeed(Some(encode(output)?)))
            .await
    }

    /// Ends the waiting task as failed. Sinks of alerts hear of it when the client is [attached](Self::attach) to a worker that
    /// has some.
    ///
    /// # Errors
    /// As [`complete`](Self::complete).
    pub async fn fail(&self, token: WaitToken, error: impl AsRef<str>) -> Result<()> {
        self.answer(token, CompletionOutcome::Fail(ErrorText::new(error)))
            .await
    }

    /// Runs the step that waits again at `at`, its attempts counted on; its next wait has the same token. When no
    /// attempt is left the task fails with `error`.
    ///
    /// # Errors
    /// As [`complete`](Self::complete); and [`Error::Rejected`] when the task does not wait yet: unlike the other
    /// answers, this one cannot come early.
    pub async fn retry(&self, token: WaitToken, at: Timestamp, error: impl AsRef<str>) -> Result<()> {
        self.answer(
            token,
            CompletionOutcome::Retry {
                at,
                error: ErrorText::new(error),
            },
        )
        .await
    }

    async fn answer(&self, token: WaitToken, outcome: CompletionOutcome) -> Result<()> {
        self.shared.answer(token, outcome, self.attached.as_ref()).await
    }
}

fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Payload> {
    Payload::encode(value).map_err(|error| Error::Invalid(InvalidTask::from(error)))
}

impl Shared {
    /// A worker that the client is attached to tells of the failure that this records.
    async fn answer(
        &self,
        token: WaitToken,
        outcome: CompletionOutcome,
        attached: Option<&Attachment>,
    ) -> Result<()> {
        let now = self.now(token.task.shard()).await?;
        for _ in 0..TRIES {
            let detail = self
                .store
                .get(token.task)
                .await?
                .ok_or(Error::NotFound(token.task))?;
            let action = action(&detail, token, outcome.clone(), now)?;
            let early = match &action {
                Action::StoreCompletion(completion) => Some(completion),
                _ => None,
            };
            let (applied, sent) = self.write(&detail, &action).await?;
            if let Some(attached) = attached {
                attached.tell(&detail.task, &action, &applied);
            }
            match applied {
                Applied::Done { .. } => return Ok(()),
                Applied::Repeated => {
                    return match early {
                        Some(_) if sent == 1 => Err(Error::AlreadyDone),
                        Some(completion) => self.was_first(token, completion, &detail).await,
                        None => Ok(()),
                    };
                }
                // Sent twice: the first one may have been written, and the task gone on, or been forgotten.
                Applied::Missing | Applied::Stale if sent > 1 => {
                    return Err(Error::Changed(Box::new(detail)));
                }
                Applied::Missing => return Err(Error::NotFound(token.task)),
                Applied::NotTried => return Err(not_tried().into()),
                Applied::Stale | Applied::KeyTaken(_) => {}
            }
        }
        let detail = self
            .store
            .get(token.task)
            .await?
            .ok_or(Error::NotFound(token.task))?;
        Err(Error::Changed(Box::new(detail)))
    }

    /// Whether an early completion that was sent more than once is the one that is stored. Another one that came in between says
    /// so, unless it is equal: then what was asked for is done, whoever did it.
    async fn was_first(&self, token: WaitToken, completion: &Completion, seen: &TaskDetail) -> Result<()> {
        let found = self.store.get(token.task).await;
        let Some(detail) = found.map_err(StoreError::into_unknown)? else {
            return Err(Error::Changed(Box::new(seen.clone())));
        };
        let equal = |kept: &Completion| (kept.step == token.step).then(|| kept == completion);
        let early = detail.early_completion.as_ref().and_then(equal);
        match early.or_else(|| detail.completion.as_ref().and_then(equal)) {
            Some(true) => Ok(()),
            Some(false) => Err(Error::AlreadyDone),
            // It has done its work, and its data went with it.
            None => Err(Error::Changed(Box::new(detail))),
        }
    }
}

fn action(
    detail: &TaskDetail,
    token: WaitToken,
    outcome: CompletionOutcome,
    now: Timestamp,
) -> Result<Action> {
    let task = &detail.task;
    if task.wait_secret != token.secret || token.step > task.step {
        return Err(Error::NotFound(token.task));
    }
    if token.step < task.step {
        return Err(Error::AlreadyDone);
    }
    let repeats = matches!(outcome, CompletionOutcome::Retry { .. });
    match task.state {
        State::Waiting => Ok(transition(task, Event::Complete { outcome }, now, 0)?),
        // The step is going to run, or runs: there is no attempt yet that could be repeated.
        State::Pending | State::Running if repeats => Err(Rejected::State(task.state).into()),
        State::Pending | State::Running => Ok(Action::StoreCompletion(Completion {
            step: token.step,
            outcome,
        })),
        State::Joining | State::Succeeded | State::Failed | State::Cancelled => Err(Error::AlreadyDone),
    }
}
