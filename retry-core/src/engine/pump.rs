//! The pump: the one exchange in flight. It carries all outcomes that have gathered and claims for what can be run.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt as _;

use super::drive::Step;
use super::outgoing::Batch;
use super::part::Part;
use super::runnable::Runnable;
use super::session::SessionState;
use super::sources::Sources;
use super::{answers, refusal, runner};
use crate::clock::{Clock as _, Monotonic};
use crate::limits::MAX_BATCH;
use crate::store::{Certainty, ClaimRequest, Claimed, Exchanged, StoreError, StoreErrorKind, Wakeups};

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
    /// Edits that were sent and not answered: by a store that failed, or a driver that panicked. The next exchange
    /// repeats them, alone.
    sent: Batch,
    /// How many edits an exchange carries: fewer after the store refused a batch, to find the one it does not take.
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
            sent: Batch::default(),
            batch: MAX_BATCH,
        }
    }

    async fn exchange(&mut self) -> Monotonic {
        let part = Arc::clone(&self.part);
        runner::start_all(&part.engine);
        let now = part.clock.monotonic();
        if self.wakeups.next().now_or_never().is_some() | part.take_look_again() {
            self.sources.wake(now);
        }
        if now < self.pause_until {
            return self.pause_until;
        }
        // Before the claims are made, so that a shutdown either stops them or waits for their answer.
        let under_way = part.begin_exchange();
        let repeated = !self.sent.is_empty();
        if !repeated {
            self.sent = part.outgoing.take(self.batch);
        }
        let requests = if repeated || self.batch < MAX_BATCH {
            Vec::new()
        } else {
            self.claims()
        };
        let asked = requests.iter().map(|(_, request)| request.limit).sum();
        // Given back however this ends, by a panic too: what is claimed by then is counted.
        let reserved = Reserved(Arc::clone(&part), asked);
        if self.sent.is_empty() && requests.is_empty() {
            if std::mem::replace(&mut self.batch, MAX_BATCH) < MAX_BATCH {
                // The claims were left out until all of a refused batch had gone.
                return now;
            }
            let nothing_due = self.sources.nothing_due() && part.lease_is_current();
            part.set_idle(nothing_due || part.engine.round.is_spent());
            return self.wake_at();
        }
        part.set_idle(false);
        let (indexes, claims): (Vec<usize>, Vec<ClaimRequest>) = requests.into_iter().unzip();
        let meters = &part.engine.setup.meters;
        meters.exchange(self.sent.edits.len(), claims.len());
        let call = part.store.exchange(&self.sent.edits, &claims, part.clock.now());
        let next = match part.call(call).await {
            Ok(answer) => self.answered(&indexes, &claims, answer),
            Err(error) => {
                let with_claims = !claims.is_empty();
                self.sources.failed(&part, indexes.into_iter().zip(claims));
                self.failed(&error, with_claims)
            }
        };
        runner::start_all(&part.engine);
        drop((reserved, under_way));
        next
    }

    /// When to look again if nothing happens: while nothing can be claimed only an event changes that.
    fn wake_at(&self) -> Monotonic {
        let part = &self.part;
        let now = part.clock.monotonic();
        if part.outgoing.has_waiting() {
            return now;
        }
        if part.engine.is_stopping() || !part.lease_is_current() {
            return Monotonic::NEVER;
        }
        self.sources.next_after(now)
    }

    fn claims(&mut self) -> Vec<(usize, ClaimRequest)> {
        let part = &self.part;
        let session = part.session();
        if part.outgoing.is_full() {
            return Vec::new();
        }
        match session.id() {
            Some(id) if session.is_current(part.clock.monotonic()) && !part.engine.is_stopping() => {
                let round = &part.engine.round;
                let granted = round.reserve(MAX_BATCH);
                let requests = self.sources.requests(part, id, granted);
                let asked: usize = requests.iter().map(|(_, request)| request.limit).sum();
                round.give_back(granted - asked);
                requests
            }
            _ => Vec::new(),
        }
    }

    fn answered(&mut self, indexes: &[usize], claims: &[ClaimRequest], answer: Exchanged) -> Monotonic {
        let part = Arc::clone(&self.part);
        part.answered();
        self.failures = 0;
        self.batch = self.batch.saturating_mul(2).min(MAX_BATCH);
        let answers::Answered {
            not_tried,
            may_be_due,
        } = answers::all(&part, std::mem::take(&mut self.sent), answer.applied);
        if may_be_due {
            self.sources.wake(part.clock.monotonic());
        }
        let poll = part.clock.monotonic() + part.engine.jittered(part.engine.setup.config.idle_poll);
        for ((index, request), claimed) in indexes.iter().zip(claims).zip(answer.claimed) {
            self.claimed(*index, request, claimed, poll);
        }
        if not_tried.is_empty() {
            part.outgoing.answered();
            // Look again at once: outcomes may have gathered meanwhile.
            return part.clock.monotonic();
        }
        part.outgoing.put_back(not_tried);
        self.pause()
    }

    fn claimed(&mut self, index: usize, request: &ClaimRequest, claimed: Claimed, poll: Monotonic) {
        let part = &self.part;
        let session = part.session();
        let same_session = session.id() == Some(request.session);
        if claimed.session_lost && same_session {
            part.set_session(SessionState::Lost);
            part.heart.notify_one();
        }
        let meters = &part.engine.setup.meters;
        meters.unreadable(&request.queue, claimed.bad.len());
        for bad in &claimed.bad {
            tracing::error!(task = %bad.id, reason = %bad.reason, "a stored task cannot be read; it was put aside as failed");
            let alerts = &part.engine.alerts;
            if let Some(alert) = alerts.of_bad(bad, &request.queue, part.clock.now()) {
                alerts.raise(alert, part.clock.monotonic());
            }
        }
        self.sources.answered(part, index, request, &claimed, poll);
        if request.max_suspects > 0 {
            let careful = claimed
                .tasks
                .iter()
                .any(|claimed| claimed.task.is_on_its_last_life());
            part.careful.store(careful, Ordering::Release);
        }
        let ids = claimed.tasks.iter().map(|claimed| claimed.task.id);
        part.engine.round.claimed(ids);
        let may_run = same_session && session.is_current(part.clock.monotonic());
        let mut alone = part.held.any_on_last_life();
        let mut runnable = Vec::with_capacity(claimed.tasks.len());
        for claimed in claimed.tasks {
            let task = &claimed.task;
            tracing::debug!(task = %task.id, kind = %task.kind, attempt = task.attempt, "claimed");
            part.engine.setup.meters.claimed(task);
            let last_life = task.is_on_its_last_life();
            let surplus = last_life && std::mem::replace(&mut alone, true);
            let new = part.held.insert(task, same_session, last_life && !surplus);
            let claimed = Runnable::new(claimed, &part.engine.setup);
            if !new {
                tracing::warn!(task = %claimed.task.id, version = claimed.task.version, "claimed again under the same version: the store lost writes");
            } else if may_run && !surplus {
                runnable.push(claimed);
            } else {
                part.hand_back(&claimed.task);
            }
        }
        part.engine.buffer.add(part, runnable);
        // Looked at behind the addition: a shutdown that began meanwhile may have found the buffer empty.
        if part.engine.is_stopping() {
            part.hand_back_buffer();
        }
    }

    fn failed(&mut self, error: &StoreError, with_claims: bool) -> Monotonic {
        let part = Arc::clone(&self.part);
        if error.kind() == StoreErrorKind::Invalid && !self.sent.is_empty() {
            // What stays in `sent` goes again alone: the claims may have been what was refused.
            if !with_claims {
                self.refused(error);
            }
            return part.clock.monotonic();
        }
        part.health.failed();
        if error.is_contention() && self.detour(error) {
            return part.clock.monotonic();
        }
        // What was claimed without our knowing shows as a difference in the heartbeat's count.
        if error.certainty() == Certainty::Rejected || !error.is_retryable() {
            part.outgoing.put_back(std::mem::take(&mut self.sent));
        }
        if self.failures > 0 && !self.sent.is_empty() {
            // A store may wait for a lock for longer than a call is waited for.
            self.sent = part.outgoing.set_aside(std::mem::take(&mut self.sent));
            part.detour.notify_one();
        }
        let next = self.pause();
        tracing::warn!(%error, "the store failed; outcomes are kept and sent again");
        next
    }

    /// Leaves to the detour what may wait for somebody else's key; whether there is any. The rest goes again at once.
    fn detour(&mut self, error: &StoreError) -> bool {
        let part = &self.part;
        let moved = part.outgoing.put_back_busy(std::mem::take(&mut self.sent));
        if moved > 0 {
            tracing::warn!(moved, %error, "outcomes that take unique keys wait for somebody else's transaction; the others go on");
            part.detour.notify_one();
        }
        moved > 0
    }

    fn pause(&mut self) -> Monotonic {
        let pause = FIRST_PAUSE
            .saturating_mul(1 << self.failures.min(16))
            .min(LONGEST_PAUSE);
        self.failures = self.failures.saturating_add(1);
        self.pause_until = self.part.clock.monotonic() + self.part.engine.jittered(pause);
        self.pause_until
    }

    /// The store refuses something in this batch for good: half of it at a time leads to the one, whose task fails.
    fn refused(&mut self, error: &StoreError) {
        let part = &self.part;
        let sent = std::mem::take(&mut self.sent);
        if sent.len() > 1 {
            self.batch = sent.len() / 2;
            part.outgoing.put_back(sent);
        } else {
            part.outgoing.put_back(refusal::refused(part, sent, error));
        }
    }
}

/// Tasks that a claim may bring, set aside of a tick's limit.
#[derive(Debug)]
struct Reserved(Arc<Part>, usize);

impl Drop for Reserved {
    fn drop(&mut self) {
        self.0.engine.give_back(self.1);
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
        tokio::select! {
            biased;
            () = self.wakeups.next() => self.part.look_again(),
            () = self.part.pump.notified() => {}
        }
    }
}
