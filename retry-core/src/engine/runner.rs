//! Runs claimed tasks, one after another as long as there are some and a permit.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use tracing::Instrument as _;

use super::alerts::Judge;
use super::attempt::{self, Ended, Limits};
use super::frame::{Abandoned, Frame};
use super::held::{Cancel, Hold};
use super::kind::KindEntry;
use super::lease::Lease;
use super::part::{Engine, Part};
use super::permits::{InUse, Permit};
use super::quick;
use super::runnable::Runnable;
use super::settle::Report;
use super::teller::Teller;
use crate::clock::{Clock as _, Monotonic};
use crate::draft::Draft;
use crate::executor::{Attempt, Ctx, Executor, Known, Outcome, SplitEnd};
use crate::headers::Headers;
use crate::machine::Event;
use crate::payload::Payload;
use crate::task::{CompletionOutcome, Edit, Task};
use crate::time::Timestamp;

/// A task that may run.
type Startable = (Arc<Part>, Runnable, Permit);

fn next_startable(engine: &Engine) -> Option<Startable> {
    if engine.is_stopping() {
        return None;
    }
    engine.buffer.next(&engine.permits)
}

/// Starts every waiting task for which there is a permit.
pub(super) fn start_all(engine: &Engine) {
    while let Some(startable) = next_startable(engine) {
        engine.spawn.spawn(Box::pin(run_on(startable)));
    }
}

/// Starts a task that has its permit.
pub(super) fn start(startable: Startable) {
    let part = Arc::clone(&startable.0);
    part.engine.spawn.spawn(Box::pin(run_on(startable)));
}

/// Runs a task, then the next that can be started, in the same future: a spawn each would cost more than a small
/// handler.
pub(super) async fn run_on(first: Startable) {
    let mut next = Some(first);
    while let Some((part, claimed, permit)) = next {
        let permit = InUse::new(&part.engine, permit);
        run_one(&part, claimed, None).await;
        drop(permit);
        next = next_startable(&part.engine);
    }
}

/// Runs a task and puts its outcome on its way; `teller` hears what became of it.
pub(super) async fn run_one(part: &Arc<Part>, mut claimed: Runnable, teller: Option<Teller>) {
    let task = Arc::clone(&claimed.task);
    let (id, hold, kind) = (task.id, Hold::of(&task), &task.kind);
    if part.engine.is_stopping() || !part.lease_is_current() {
        // The shutdown, or the lease's end, came between the start and this first poll.
        return part.hand_back_telling(&task, teller);
    }
    let Some(entry) = claimed.entry.take() else {
        // The store gave what was not asked for.
        tracing::error!(task = %id, %kind, "claimed a task of a kind that has no handler; it is handed back");
        return part.hand_back_telling(&task, teller);
    };
    if let Some(edit) = unrun(part, &claimed) {
        return part.settle(hold, task, edit, Judge::Rules, teller);
    }
    let mut frame = Frame::new(part, &task, &claimed.carried.headers, Abandoned::HandBack);
    if !frame.start(entry.options.on_lease_lost) {
        tracing::debug!(task = %id, "not run: it was taken away while it waited for a permit");
        return part.held.remove(hold);
    }
    frame.begin();
    let lease = Lease::new(Arc::clone(part), Arc::clone(&task), frame.cancel().clone());
    let handled = handle(part, &entry, claimed, lease).instrument(frame.span().clone());
    let settled = AssertUnwindSafe(handled).catch_unwind().await;
    frame.end();
    match settled {
        Ok(Some(Settled {
            task,
            edit,
            output,
            judge,
        })) => {
            let teller = teller.map(|teller| teller.with_output(output));
            part.settle(hold, task, edit, judge, teller);
        }
        Ok(None) => part.held.remove(hold),
        Err(_) => {
            tracing::error!(task = %id, "the attempt's end panicked; the heartbeat hands the task back");
            part.held.remove(hold);
        }
    }
}

/// The edit that settles a task without running it: a cancel was requested, its start deadline passed, or an early
/// completion ends it.
fn unrun(part: &Part, claimed: &Runnable) -> Option<Edit> {
    let task = &claimed.task;
    let delivered = claimed
        .carried
        .completion
        .as_ref()
        .filter(|completion| completion.step.checked_add(1) == Some(task.step));
    let event = match delivered.map(|completion| &completion.outcome) {
        _ if task.cancel_requested => Event::HandBack,
        _ if task
            .start_deadline()
            .is_some_and(|expires| expires <= part.clock.now()) =>
        {
            Event::Expire
        }
        None | Some(CompletionOutcome::Resume(_)) => return None,
        Some(outcome) => Event::Complete {
            outcome: outcome.clone(),
        },
    };
    part.edit(task, event).ok()
}

/// An attempt's end, decided.
pub(super) struct Settled {
    pub(super) task: Arc<Task>,
    pub(super) edit: Edit,
    output: Option<Payload>,
    judge: Judge,
}

/// Runs the handler, and what follows it, and decides the edit that records the outcome.
pub(super) async fn handle(
    part: &Arc<Part>,
    entry: &KindEntry,
    claimed: Runnable,
    lease: Arc<Lease>,
) -> Option<Settled> {
    let cancel = lease.cancel().clone();
    let attempt = Arc::clone(&lease);
    let ran = run_attempt(part, entry, claimed, &cancel, attempt).await;
    let task = lease.settled_task().await;
    let output = match &ran.ended {
        Ended::Returned(Outcome::Output(output)) => Some(output.clone()),
        _ => None,
    };
    let judge = ran.judge;
    let edit = ran.report(&task, entry).edit(part)?;
    Some(Settled {
        task,
        edit,
        output,
        judge,
    })
}

/// What an attempt's runs came to.
#[derive(Debug)]
pub(super) struct Ran {
    /// What the task came with, for those that it leaves behind.
    pub(super) headers: Headers,
    pub(super) ended: Ended,
    pub(super) via_fallback: bool,
    /// How its failure is judged for alerts.
    pub(super) judge: Judge,
    pub(super) follow_ups: Vec<Draft>,
    /// Read when no write is under way any more.
    pub(super) known: Known,
    /// Of a split, which its outcome is of.
    pub(super) split_end: Option<SplitEnd>,
    pub(super) started_at: Timestamp,
}

impl Ran {
    /// The report on which the machine decides.
    pub(super) fn report<'a>(self, task: &'a Task, entry: &'a KindEntry) -> Report<'a> {
        Report {
            task,
            headers: self.headers,
            entry,
            started_at: self.started_at,
            via_fallback: self.via_fallback,
            follow_ups: self.follow_ups,
            stored: self.known.get(),
            split_end: self.split_end,
            ended: self.ended,
        }
    }
}

/// Runs the handler, its quick retries and its fallback, all in one attempt.
pub(super) async fn run_attempt(
    part: &Part,
    entry: &KindEntry,
    claimed: Runnable,
    cancel: &Cancel,
    attempt: Arc<dyn Attempt>,
) -> Ran {
    let Runnable {
        task,
        payload,
        carried,
        ..
    } = claimed;
    let (started_at, began) = (part.clock.now(), part.clock.monotonic());
    let states = part.engine.setup.states.clone();
    let options = &entry.options;
    // A timeout cancels the first run's token only, where another run may follow.
    let token = || match (&options.fallback, &options.quick) {
        (None, None) => cancel.token().clone(),
        _ => cancel.token().child_token(),
    };
    let mut ctx = Ctx::new(Arc::clone(&task), carried, token(), states, attempt);
    let run = |executor: Arc<dyn Executor>, ctx: Ctx, began: Monotonic| {
        let payload = payload.clone();
        let limits = Limits {
            deadline: options.timeout.map(|timeout| (began + timeout, timeout)),
            cancel_grace: part.engine.setup.config.cancel_grace,
        };
        async move { attempt::run(&executor, payload, ctx, cancel, part.clock.as_ref(), &limits).await }
    };
    let deadline = options.timeout.map(|timeout| began + timeout);
    let mut quick = quick::Progress::new(options.quick, began, deadline);
    let mut ended = run(Arc::clone(&entry.executor), ctx.clone(), began).await;
    while quick.again(&ended, cancel, part.clock.as_ref()).await {
        ctx = ctx.anew(token());
        ended = run(Arc::clone(&entry.executor), ctx.clone(), began).await;
    }
    ended = quick.record(ended);
    let mut via_fallback = false;
    // With a fallback only its failure is judged.
    let mut judge = match &options.fallback {
        Some(_) => Judge::Nothing,
        None => Judge::Rules,
    };
    if let (Some(failure), Some(fallback)) = (ended.failure(), &options.fallback)
        && task.attempt > fallback.threshold
        && cancel.reason().is_none()
    {
        tracing::info!("the attempt failed; its fallback runs");
        tracing::debug!(error = %failure.text, "the failure before the fallback");
        ctx = ctx.anew(cancel.token().child_token());
        let second = run(
            Arc::clone(&fallback.executor),
            ctx.clone(),
            part.clock.monotonic(),
        )
        .await;
        if let Some(failure) = second.failure() {
            tracing::debug!(error = %failure.text, "the fallback failed as well");
            judge = Judge::Rules;
        } else {
            via_fallback = matches!(second, Ended::Returned(_));
            ended = second;
        }
    }
    trace_ended(&ended, via_fallback);
    let follow_ups = ctx.take_follow_ups();
    Ran {
        headers: ctx.headers().clone(),
        ended,
        via_fallback,
        judge,
        follow_ups,
        known: ctx.known(),
        split_end: ctx.take_split_end(),
        started_at,
    }
}

fn trace_ended(ended: &Ended, via_fallback: bool) {
    match ended.failure() {
        Some(failure) => {
            tracing::info!(is_final = failure.is_final, "the attempt failed");
            tracing::debug!(error = %failure.text, "its error");
        }
        None => tracing::debug!(via_fallback, "the attempt ended"),
    }
}
