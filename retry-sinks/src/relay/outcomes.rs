//! What has become of messages, on its way to the store.

use retry_core::limits::MAX_BATCH;
use retry_core::machine::Event;
use retry_core::store::{Applied, Certainty, StoreError, Took};
use retry_core::task::{Action, Edit, State, Task};

use super::Shared;
use super::claims::failed;
use super::part::Part;
use super::window::{Failure, Held, Sent, Window};

/// An edit on its way.
#[derive(Debug)]
struct Entry {
    edit: Edit,
    /// Of a message that stays held: its key, and its record once the edit is applied.
    recorded: Option<(String, Task)>,
    /// It was sent before, and nobody knows what became of it.
    resent: bool,
}

/// Edits that wait, and those that are under way.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    waiting: Vec<Entry>,
    under_way: Vec<Entry>,
    with_claim: bool,
}

impl Outcomes {
    pub(super) const fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.under_way.is_empty()
    }

    /// How many wait for the store.
    pub(super) const fn len(&self) -> usize {
        self.waiting.len() + self.under_way.len()
    }

    /// Notes what a call of the sink has brought about.
    pub(super) fn take_in(&mut self, part: &Part, shared: &Shared, ended: Vec<Sent>, window: &mut Window) {
        for sent in ended {
            match sent {
                Sent::Acked(held) => {
                    shared.counts.acked(&held.message.topic);
                    let (output, via_fallback) = (None, false);
                    self.end(part, &held.task, Event::Succeed { output, via_fallback });
                }
                Sent::Refused(held, error) => {
                    shared.counts.refused(&held.message.topic);
                    tracing::warn!(task = %held.task.id, "the broker refuses a message for good: it fails");
                    let failure = failed(&held.task, Some(part), part.last_now(), error);
                    self.end(part, &held.task, Event::Fail { failure });
                }
                Sent::Failed(failure) => {
                    shared.counts.retried(&failure.topic);
                    self.record(part, shared, failure, window);
                }
            }
        }
    }

    /// Records a failed attempt; the message stays held unless its attempts or its time are used up.
    fn record(&mut self, part: &Part, shared: &Shared, failure: Failure, window: &mut Window) {
        let Failure {
            key,
            task,
            error,
            failures,
            ..
        } = failure;
        tracing::warn!(task = %task.id, failures, "a message was not acknowledged: it is sent again");
        let pause = shared.options.backoff.delay(failures, part.random.next_u64());
        window.put_off(&key, part.clock.monotonic() + pause);
        let failure = failed(&task, Some(part), part.last_now(), error);
        let Some(edit) = decided(part, &task, Event::RetryInPlace { failure }) else {
            return;
        };
        let recorded = match &edit.action {
            Action::Set(change) if change.to.state == State::Running => {
                let (version, attempt) = (task.version + 1, change.to.attempt);
                Some((
                    key,
                    Task {
                        version,
                        attempt,
                        ..task
                    },
                ))
            }
            _ => {
                window.remove(task.id);
                None
            }
        };
        self.push(edit, recorded);
    }

    /// Ends the lease of a message by `event`; it is not held any more.
    pub(super) fn end(&mut self, part: &Part, task: &Task, event: Event) {
        if let Some(edit) = decided(part, task, event) {
            self.push(edit, None);
        }
    }

    /// Puts messages back in their places, unsent.
    pub(super) fn put_back(&mut self, part: &Part, held: Vec<Held>) {
        for held in held {
            self.end(part, &held.task, Event::PutBack);
        }
    }

    fn push(&mut self, edit: Edit, recorded: Option<(String, Task)>) {
        self.waiting.push(Entry {
            edit,
            recorded,
            resent: false,
        });
    }

    /// Takes what goes out with the next exchange.
    pub(super) fn send(&mut self, with_claim: bool) -> Vec<Edit> {
        self.with_claim = with_claim;
        let n = self.waiting.len().min(MAX_BATCH);
        self.under_way = self.waiting.drain(..n).collect();
        self.under_way.iter().map(|entry| entry.edit.clone()).collect()
    }

    /// The exchange failed: everything goes out again as it was. True when a claim may have been made whose answer is lost.
    pub(super) fn unanswered(&mut self, error: &StoreError) -> bool {
        let unknown = error.certainty() == Certainty::Unknown;
        self.under_way
            .iter_mut()
            .for_each(|entry| entry.resent |= unknown);
        let later = std::mem::take(&mut self.waiting);
        self.waiting = std::mem::take(&mut self.under_way);
        self.waiting.extend(later);
        unknown && self.with_claim
    }

    /// The store has answered. False: a message was not ours any more, so the session is lost.
    pub(super) fn answered(&mut self, applied: Vec<Applied>, window: &mut Window) -> bool {
        let mut ours = true;
        for (entry, applied) in std::mem::take(&mut self.under_way).into_iter().zip(applied) {
            let Entry {
                edit,
                recorded,
                resent,
            } = entry;
            match (applied, recorded) {
                // A cancel was requested meanwhile: the task has ended.
                (
                    Applied::Done {
                        took: Took::Cancelled,
                        ..
                    },
                    Some(_),
                ) => drop(window.remove(edit.id)),
                (Applied::Done { .. } | Applied::Repeated, Some((key, task))) => window.recorded(&key, task),
                (Applied::Done { .. } | Applied::Repeated, None) => {}
                // It was written the first time, and the task has gone on since.
                (Applied::Stale | Applied::Missing, None) if resent => {}
                (Applied::NotTried, recorded) => self.push(edit, recorded),
                _ => ours = false,
            }
        }
        ours
    }
}

/// The edit of an event. One that does not apply is told: the task stays running until its session ends.
fn decided(part: &Part, task: &Task, event: Event) -> Option<Edit> {
    match part.edit(task, event) {
        Ok(edit) => Some(edit),
        Err(why) => {
            tracing::error!(task = %task.id, %why, "a message could not be settled");
            None
        }
    }
}
