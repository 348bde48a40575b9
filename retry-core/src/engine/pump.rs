//! The pump: the one exchange in flight. It carries all outcomes that have gathered and claims for what can be run.

use std::sync::Arc;
use std::time::Duration;

use super::drive::Step;
use super::outbox::Outgoing;
use super::part::{Part, lock};
use super::runner;
use super::session::SessionState;
use super::sources::Sources;
use crate::clock::{Clock as _, Monotonic};
use crate::limits::MAX_BATCH;
use crate::store::{Applied, Certainty, ClaimRequest, Claimed, StoreError, StoreErrorKind, Took, Wakeups};
use crate::task::{Action, ErrorText, FailedAttempt};

/// The first pause after a failed exchange; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause: a store that is back is noticed within it.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Pump {
    part: Arc<Part>,
    sources: Sources,
    wakeups: Wakeups,
    /// Failed exchanges in a row.
    failures: u32,
    pause_until: Monotonic,
    /// The last exchange had an unknown outcome: the next one repeats its edits, alone.
    repeat: Option<Vec<Outgoing>>,
    /// How many edits an exchange carries: one, after the store refused a batch.
    batch: usize,
}

impl Pump {
    pub(super) fn new(part: Arc<Part>) -> Self {
        let sources = Sources::new(&part);
        let wakeups = part.store.watch(&part.engine.setup.queues);
        Self {
            part,
            sources,
            wakeups,
            failures: 0,
            pause_until: Monotonic::default(),
            repeat: None,
            batch: MAX_BATCH,
        }
    }

    async fn exchange(&mut self) -> Monotonic {
        let part = Arc::clone(&self.part);
        let now = part.clock.monotonic();
        if now < self.pause_until {
            return self.pause_until;
        }
        let (outgoing, repeated) = match self.repeat.take() {
            Some(outgoing) => (outgoing, true),
            None => (part.outbox.take(self.batch), false),
        };
        let requests = if repeated { Vec::new() } else { self.claims() };
        if outgoing.is_empty() && requests.is_empty() {
            part.set_idle(self.sources.nothing_due());
            return self.wake_at();
        }
        part.set_idle(false);
        let edits: Vec<_> = outgoing.iter().map(|outgoing| outgoing.edit.clone()).collect();
        let (indexes, claims): (Vec<usize>, Vec<ClaimRequest>) = requests.into_iter().unzip();
        match part.store.exchange(&edits, &claims, part.clock.now()).await {
            Ok(answer) => {
                part.answered();
                self.failures = 0;
                self.batch = MAX_BATCH;
                part.outbox.answered();
                for (outgoing, applied) in outgoing.into_iter().zip(answer.applied) {
                    self.applied(outgoing, &applied);
                }
                for ((index, request), claimed) in indexes.into_iter().zip(&claims).zip(answer.claimed) {
                    self.claimed(index, request, claimed);
                }
                part.engine.progress.notify_waiters();
                runner::start_all(&part);
                // Look again at once: outcomes may have gathered meanwhile.
                part.clock.monotonic()
            }
            Err(error) => self.failed(outgoing, &error),
        }
    }

    /// When to look again if nothing happens: while nothing can be claimed only an event changes that.
    fn wake_at(&self) -> Monotonic {
        let part = &self.part;
        if part.outbox.has_waiting() {
            return part.clock.monotonic();
        }
        if part.engine.is_stopping() || !part.lease_is_current() {
            return Monotonic::NEVER;
        }
        let next = self.sources.next_at();
        if next > part.clock.monotonic() {
            next
        } else {
            Monotonic::NEVER
        }
    }

    fn claims(&mut self) -> Vec<(usize, ClaimRequest)> {
        let part = &self.part;
        let session = *lock(&part.session);
        match session.id() {
            Some(id) if part.lease_is_current() && !part.engine.is_stopping() => {
                self.sources.requests(part, id)
            }
            _ => Vec::new(),
        }
    }

    fn applied(&self, outgoing: Outgoing, applied: &Applied) {
        let id = outgoing.edit.id;
        match outgoing.on_applied {
            Some(on_applied) => on_applied(applied),
            None => self.part.held.remove(id),
        }
        match applied {
            Applied::Done {
                took: Took::Cancelled,
                ..
            } => tracing::info!(task = %id, "cancelled"),
            Applied::Done { .. } => trace_settled(&outgoing.edit.action, id),
            Applied::Repeated => tracing::debug!(task = %id, "recorded before"),
            // Somebody else has the task: it was rescued, or an operator changed it.
            other => {
                tracing::warn!(task = %id, answer = ?other, "not recorded: the task is not ours any more")
            }
        }
    }

    fn claimed(&mut self, index: usize, request: &ClaimRequest, claimed: Claimed) {
        let part = &self.part;
        if claimed.session_lost {
            *lock(&part.session) = SessionState::Lost;
            part.heart.notify_one();
        }
        for bad in &claimed.bad {
            tracing::error!(task = %bad.id, reason = %bad.reason, "a stored task cannot be read; it was put aside as failed");
        }
        self.sources.answered(part, index, request.limit, &claimed);
        for task in &claimed.tasks {
            tracing::debug!(task = %task.task.id, kind = %task.task.kind, attempt = task.task.attempt, "claimed");
            part.held.insert(task.task.id);
        }
        if part.engine.is_stopping() || !part.lease_is_current() {
            claimed
                .tasks
                .iter()
                .for_each(|claimed| part.hand_back(&claimed.task));
        } else {
            part.buffer(claimed.tasks);
        }
    }

    fn failed(&mut self, outgoing: Vec<Outgoing>, error: &StoreError) -> Monotonic {
        let part = Arc::clone(&self.part);
        part.failed();
        if error.certainty() == Certainty::Unknown && error.is_retryable() {
            // What was claimed without our knowing shows as a difference in the heartbeat's count.
            self.repeat = (!outgoing.is_empty()).then_some(outgoing);
        } else if error.kind() == StoreErrorKind::Invalid && !outgoing.is_empty() {
            self.refused(outgoing, error);
        } else {
            part.outbox.put_back(outgoing);
        }
        let pause = FIRST_PAUSE
            .saturating_mul(1 << self.failures.min(16))
            .min(LONGEST_PAUSE);
        self.failures = self.failures.saturating_add(1);
        self.pause_until = part.clock.monotonic() + part.engine.jittered(pause);
        tracing::warn!(%error, ?pause, "the store failed; outcomes are kept and sent again");
        self.pause_until
    }

    /// The store refuses something in this batch for good: find it by sending one at a time, and fail its task.
    fn refused(&mut self, mut outgoing: Vec<Outgoing>, error: &StoreError) {
        let part = &self.part;
        let [only] = outgoing.as_mut_slice() else {
            self.batch = 1;
            return part.outbox.put_back(outgoing);
        };
        match refusal(only, part.clock.now(), error) {
            true => part.outbox.put_back(outgoing),
            false => {
                part.outbox.answered();
                for outgoing in outgoing {
                    self.applied(outgoing, &Applied::Stale);
                }
            }
        }
    }
}

/// Turns a settle that the store refuses into the task's failure; false when that is what was refused.
fn refusal(outgoing: &mut Outgoing, now: crate::time::Timestamp, error: &StoreError) -> bool {
    let Action::Set(change) = &mut outgoing.edit.action else {
        return false;
    };
    if outgoing.on_applied.is_some() || (outgoing.edit.insert.is_empty() && change.to.cold.is_none()) {
        return false;
    }
    outgoing.edit.insert.clear();
    (change.if_cancelled, change.if_completed, change.if_none_open) = (None, None, None);
    let target = &mut change.to;
    (target.state, target.session, target.cold) = (crate::task::State::Failed, None, None);
    (target.alarm_at, target.purge_at) = (Some(now), None);
    let error = ErrorText::new(format!("its outcome cannot be stored: {error}"));
    let attempt = target.attempt;
    target.failure = Some(Box::new(FailedAttempt {
        attempt,
        worker: None,
        started_at: now,
        ended_at: now,
        error,
    }));
    true
}

fn trace_settled(action: &Action, id: crate::id::TaskId) {
    match action {
        Action::Set(change) => tracing::debug!(task = %id, state = %change.to.state, "recorded"),
        Action::Delete { .. } => tracing::debug!(task = %id, "succeeded and forgotten"),
        Action::RequestCancel | Action::StoreCompletion(_) => {}
    }
}

impl Step for Pump {
    fn part(&self) -> &Arc<Part> {
        &self.part
    }

    fn name(&self) -> &'static str {
        "pump"
    }

    async fn step(&mut self) -> Monotonic {
        self.exchange().await
    }

    async fn woken(&mut self) {
        let hinted = tokio::select! {
            biased;
            () = self.wakeups.next() => true,
            () = self.part.pump.notified() => false,
        };
        if hinted {
            self.sources.wake();
        }
    }
}
