//! An owner's turn at a partition: claims its messages in order, sends them, settles what the broker has taken.
//!
//! One exchange with the store, one call of the sink and one renewal are under way at a time, side by side. What ends while
//! an exchange is under way goes out with the next.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use retry_core::clock::Monotonic;
use retry_core::executor::{Ctx, HandlerError};
use retry_core::id::SessionId;
use retry_core::store::{Exchanged, Renewed, Result, Wakeups};

use super::Shared;
use super::claims;
use super::outcomes::Outcomes;
use super::part::Part;
use super::publish::publish;
use super::session::{Session, close};
use super::takeover::{Sessions, take_over};
use super::window::Window;
use crate::limits::MAX_HELD;
use crate::message::Outgoing;
use crate::meters::Place;
use crate::sink::Answer;

/// How soon an exchange is repeated while the store fails.
const RETRY: Duration = Duration::from_millis(500);

/// Why a turn is over.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// Everything is settled or back in its place.
    Clean,
    /// Messages may still be held under the session: the next owner puts them back.
    Abandoned,
}

type Slot<T> = Option<BoxFuture<'static, T>>;

/// What has come to pass.
enum Happened {
    Exchanged(Result<Exchanged>),
    Published(Vec<Outgoing>, Vec<Answer>),
    Renewed(Monotonic, Result<Renewed>),
    Cancelled,
    /// A hint, a time that has come, or the order to stop.
    Woken,
    Hint,
}

pub(super) struct Turn {
    shared: Arc<Shared>,
    part: Arc<Part>,
    partition: u16,
    ctx: Ctx,
    session: Session,
    /// Goes to receivers with every message.
    fence: u64,
    window: Window,
    outcomes: Outcomes,
    hints: Wakeups,
    exchange: Slot<Result<Exchanged>>,
    publish: Slot<(Vec<Outgoing>, Vec<Answer>)>,
    renew: Slot<(Monotonic, Result<Renewed>)>,
    /// When the next claim is due.
    claim_at: Monotonic,
    /// No exchange before.
    exchange_at: Monotonic,
    /// Nothing new is begun from then on.
    until: Monotonic,
    /// A claim's answer was lost: messages may be held that are not known here.
    unsure: bool,
}

/// Takes the partition over and serves it until the turn is over; answers the sessions that may still hold messages.
pub(super) async fn serve(
    shared: Arc<Shared>,
    part: Arc<Part>,
    partition: u16,
    ctx: Ctx,
) -> std::result::Result<Sessions, HandlerError> {
    let session = take_over(&part, &shared.queue, partition, &ctx).await?;
    let now = part.clock.monotonic();
    let turn = Turn {
        fence: ctx.version(),
        hints: part.store.watch(&[shared.queue.queue_of(partition)]),
        window: Window::default(),
        outcomes: Outcomes::default(),
        exchange: None,
        publish: None,
        renew: None,
        claim_at: now,
        exchange_at: now,
        until: now + part.jittered(shared.options.turn),
        unsure: false,
        session,
        partition,
        ctx,
        shared,
        part,
    };
    turn.run().await
}

impl Turn {
    async fn run(mut self) -> std::result::Result<Sessions, HandlerError> {
        let end = self.work().await?;
        tracing::debug!(partition = self.partition, ?end, "a turn is over");
        if end == End::Clean {
            close(self.part.store.as_ref(), self.session.id).await;
            return Ok(Sessions::default());
        }
        Ok(Sessions {
            sessions: vec![self.session.id],
        })
    }

    async fn work(&mut self) -> std::result::Result<End, HandlerError> {
        loop {
            if !self.may_write() {
                return Ok(End::Abandoned);
            }
            // What the store still has to hear of a message comes before its return.
            if self.is_over() && self.publish.is_none() && self.exchange.is_none() && self.outcomes.is_empty()
            {
                if self.window.len() == 0 {
                    return Ok(if self.unsure { End::Abandoned } else { End::Clean });
                }
                self.outcomes.put_back(&self.part, self.window.take_all());
            }
            self.measure();
            self.begin();
            match self.next().await {
                Happened::Cancelled => return Err("the owner of a partition was stopped".into()),
                Happened::Exchanged(answer) => {
                    if !self.exchanged(answer)? {
                        return Ok(End::Abandoned);
                    }
                }
                Happened::Published(wave, answers) => self.published(&wave, answers),
                Happened::Renewed(sent, answer) => {
                    if !self.renewed(sent, answer) {
                        return Ok(End::Abandoned);
                    }
                }
                Happened::Hint => self.claim_at = self.part.clock.monotonic(),
                Happened::Woken => {}
            }
        }
    }

    /// Tells how long the oldest message has waited.
    fn measure(&self) {
        let meters = &self.shared.counts.meters;
        if meters.are_on() {
            meters.oldest(self.place(), self.window.oldest(), self.part.last_now());
        }
    }

    fn place(&self) -> Place {
        (self.part.index, self.partition)
    }

    /// Whether this owner may still write to the broker: asked right before each write. What is under way when the answer
    /// turns to no can only repeat what the next owner sends.
    fn may_write(&self) -> bool {
        self.part.clock.monotonic() < self.session.lease_end && !self.ctx.is_cancelled()
    }

    fn is_over(&self) -> bool {
        self.unsure || self.shared.stop.is_cancelled() || self.part.clock.monotonic() >= self.until
    }

    /// How many more messages may be claimed.
    fn room(&self) -> usize {
        if self.window.is_full() {
            return 0;
        }
        MAX_HELD.saturating_sub(self.window.len() + self.outcomes.len())
    }

    /// Begins what can begin.
    fn begin(&mut self) {
        let now = self.part.clock.monotonic();
        if self.renew.is_none() && now >= self.session.renew_at {
            self.renew = Some(renew(Arc::clone(&self.part), self.session.id));
        }
        let over = self.is_over();
        if self.publish.is_none() && !over {
            let sink = &self.shared.sink;
            let most = sink.max_wave().clamp(1, MAX_HELD);
            let mut wave = self.window.wave(now, most, sink.takes_runs());
            if !wave.is_empty() {
                for message in &mut wave {
                    message.fence = self.fence;
                    message.topic = (self.shared.options.naming)(&message.topic);
                }
                let shared = Arc::clone(&self.shared);
                let clock = Arc::clone(&self.part.clock);
                self.publish = Some(Box::pin(async move {
                    let answers = publish(&shared, clock.as_ref(), &wave).await;
                    (wave, answers)
                }));
            }
        }
        if self.exchange.is_none() && now >= self.exchange_at {
            let room = self.room();
            let claiming = !over && room > 0 && now >= self.claim_at;
            if claiming || !self.outcomes.is_empty() {
                let request = claiming
                    .then(|| claims::request(&self.shared.queue, self.partition, self.session.id, room));
                let edits = self.outcomes.send(request.is_some());
                self.exchange = Some(claims::exchange(Arc::clone(&self.part), edits, request));
            }
        }
    }

    /// Waits for whatever comes first.
    async fn next(&mut self) -> Happened {
        let wake = self.part.clock.sleep_until(self.next_wake());
        let over = self.is_over();
        let (stop, ctx, hints) = (&self.shared.stop, &self.ctx, &self.hints);
        tokio::select! {
            biased;
            () = ctx.cancelled() => Happened::Cancelled,
            answer = of(&mut self.exchange) => Happened::Exchanged(answer),
            (wave, answers) = of(&mut self.publish) => Happened::Published(wave, answers),
            (sent, answer) = of(&mut self.renew) => Happened::Renewed(sent, answer),
            () = stop.cancelled(), if !over => Happened::Woken,
            () = hints.next(), if !over => Happened::Hint,
            () = wake => Happened::Woken,
        }
    }

    /// The next instant at which something can begin, or must end.
    fn next_wake(&self) -> Monotonic {
        let mut wake = self.session.lease_end;
        if self.renew.is_none() {
            wake = wake.min(self.session.renew_at);
        }
        if !self.is_over() {
            wake = wake.min(self.until);
            if self.publish.is_none() {
                wake = wake.min(self.window.next_ready());
            }
        }
        if self.exchange.is_none() {
            let claim = if self.room() > 0 && !self.is_over() {
                self.claim_at
            } else {
                Monotonic::NEVER
            };
            let due = if self.outcomes.is_empty() {
                claim
            } else {
                Monotonic::default()
            };
            wake = wake.min(due.max(self.exchange_at));
        }
        wake
    }

    /// False: somebody else has the partition's messages.
    fn exchanged(&mut self, answer: Result<Exchanged>) -> std::result::Result<bool, HandlerError> {
        let now = self.part.clock.monotonic();
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) if !error.is_retryable() => return Err(error.into()),
            Err(error) => {
                tracing::warn!(partition = self.partition, %error, "messages were not settled or claimed; it is tried again");
                self.unsure |= self.outcomes.unanswered(&error);
                self.exchange_at = now + RETRY;
                return Ok(true);
            }
        };
        if !self.outcomes.answered(answer.applied, &mut self.window) {
            return Ok(false);
        }
        for claimed in answer.claimed {
            if claimed.session_lost {
                return Ok(false);
            }
            for bad in &claimed.bad {
                tracing::error!(task = %bad.id, reason = bad.reason, "a stored message cannot be read; it was put aside");
            }
            self.claim_at = claims::next(&self.part, &self.shared.options, now, &claimed);
            for task in claimed.tasks {
                match claims::held(task, self.part.last_now()) {
                    Ok(held) => self.window.push(held),
                    Err((task, event)) => self.outcomes.end(&self.part, &task, event),
                }
            }
        }
        Ok(true)
    }

    fn published(&mut self, wave: &[Outgoing], answers: Vec<Answer>) {
        let ended = self.window.answered(wave, answers);
        self.outcomes
            .take_in(&self.part, &self.shared, ended, &mut self.window);
    }

    /// False: the session is lost.
    fn renewed(&mut self, sent: Monotonic, answer: Result<Renewed>) -> bool {
        match answer {
            Ok(Renewed::Live { cancel, .. } | Renewed::Uncounted { cancel }) => {
                self.session.renewed(sent, self.part.lease);
                let cancelled: Vec<_> = cancel
                    .into_iter()
                    .filter_map(|id| self.window.release(id))
                    .collect();
                self.outcomes.put_back(&self.part, cancelled);
                true
            }
            Ok(_) => {
                tracing::warn!(partition = self.partition, "the session of a partition is lost");
                false
            }
            Err(error) => {
                tracing::warn!(partition = self.partition, %error, "the session of a partition was not renewed");
                self.session.renew_at = self.part.clock.monotonic() + RETRY;
                true
            }
        }
    }
}

/// What it held is somebody else's, however the turn ended.
impl Drop for Turn {
    fn drop(&mut self) {
        let now = self.part.last_now();
        self.shared.counts.meters.oldest(self.place(), None, now);
    }
}

/// Ends when what is in the slot has ended; never, when it is empty. Cancel-safe: what was begun stays in the slot.
async fn of<T>(slot: &mut Slot<T>) -> T {
    match slot {
        Some(future) => {
            let output = future.await;
            *slot = None;
            output
        }
        None => std::future::pending().await,
    }
}

fn renew(part: Arc<Part>, session: SessionId) -> BoxFuture<'static, (Monotonic, Result<Renewed>)> {
    Box::pin(async move {
        let sent = part.clock.monotonic();
        let answer = match part.now().await {
            Ok(now) => {
                part.store
                    .renew(session, now.saturating_add(part.lease), now)
                    .await
            }
            Err(error) => Err(error),
        };
        (sent, answer)
    })
}
