//! Runs claimed tasks, one after another as long as there are some and a permit.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use tracing::Instrument as _;

use super::alerts::Judge;
use super::attempt::{self, Ended, Limits};
use super::held::{Cancel, CancelReason, Hold};
use super::kind::{KindEntry, OnLeaseLost};
use super::lease::Lease;
use super::part::{Engine, Part};
use super::permits::Permit;
use super::runnable::Runnable;
use super::settle::Report;
use crate::clock::Clock as _;
use crate::executor::{Ctx, Executor};
use crate::machine::Event;
use crate::task::{CompletionOutcome, Edit, Task};

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
        engine.setup.spawn.spawn(Box::pin(run_on(startable)));
    }
}

/// Runs a task, then the next that can be started, in the same future: a spawn each would cost more than a small
/// handler.
async fn run_on(first: Startable) {
    let mut next = Some(first);
    while let Some((part, claimed, permit)) = next {
        run_one(&part, claimed).await;
        drop(permit);
        next = next_startable(&part.engine);
        part.engine.permit_freed();
    }
}

async fn run_one(part: &Arc<Part>, mut claimed: Runnable) {
    let task = Arc::clone(&claimed.task);
    let (id, hold, kind) = (task.id, Hold::of(&task), &task.kind);
    if part.engine.is_stopping() || !part.lease_is_current() {
        // The shutdown, or the lease's end, came between the start and this first poll.
        return part.hand_back(&task);
    }
    let Some(entry) = claimed.entry.take() else {
        // The store gave what was not asked for.
        tracing::error!(task = %id, %kind, "claimed a task of a kind that has no handler; it is handed back");
        return part.hand_back(&task);
    };
    if let Some(edit) = unrun(part, &claimed) {
        return part.settle(hold, task, edit, Judge::Rules);
    }
    let span =
        tracing::info_span!("attempt", task = %id, %kind, attempt = task.attempt, version = task.version);
    let cancel = Cancel::default();
    let meters = &part.engine.setup.meters;
    let started = part.clock.monotonic();
    if !part
        .held
        .start(hold, &cancel, entry.options.on_lease_lost, started)
    {
        tracing::debug!(task = %id, "not run: it was taken away while it waited for a permit");
        return part.held.remove(hold);
    }
    if !part.lease_is_current() && entry.options.on_lease_lost == OnLeaseLost::Cancel {
        // It ended since the look above, and whoever cancels by lease may have passed already.
        cancel.cancel(CancelReason::LeaseLost);
    }
    if meters.are_on() {
        meters.started(&task, part.clock.now(), part.engine.permits.taken_in_all());
    }
    let handled = handle(part, &entry, claimed, cancel).instrument(span);
    let settled = AssertUnwindSafe(handled).catch_unwind().await;
    part.held.end(hold);
    if meters.are_on() {
        let took = part.clock.monotonic().saturating_since(started);
        meters.ended(&task, took, part.engine.permits.taken_in_all().saturating_sub(1));
    }
    match settled {
        Ok(Some((task, edit, judge))) => part.settle(hold, task, edit, judge),
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
        _ if task.step == 0
            && task
                .settings
                .expires_at
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

async fn handle(
    part: &Arc<Part>,
    entry: &KindEntry,
    claimed: Runnable,
    cancel: Cancel,
) -> Option<(Arc<Task>, Edit, Judge)> {
    let Runnable {
        task,
        payload,
        carried,
        ..
    } = claimed;
    let started_at = part.clock.now();
    let lease = Lease::new(Arc::clone(part), Arc::clone(&task), cancel.clone());
    let states = part.engine.setup.states.clone();
    // A timeout cancels the first run's token only, where a second run may follow.
    let token = match entry.options.fallback {
        Some(_) => cancel.token().child_token(),
        None => cancel.token().clone(),
    };
    let attempt = Arc::clone(&lease);
    let mut ctx = Ctx::new(Arc::clone(&task), carried, token, states, attempt);
    let run = |executor: Arc<dyn Executor>, ctx: Ctx| {
        let (payload, cancel) = (payload.clone(), &cancel);
        let limits = Limits {
            timeout: entry.options.timeout,
            cancel_grace: part.engine.setup.config.cancel_grace,
        };
        async move { attempt::run(&executor, payload, ctx, cancel, part.clock.as_ref(), &limits).await }
    };
    let mut ended = run(Arc::clone(&entry.executor), ctx.clone()).await;
    let mut via_fallback = false;
    // With a fallback only its failure is judged.
    let mut judge = match entry.options.fallback {
        Some(_) => Judge::Nothing,
        None => Judge::Rules,
    };
    if let (Some(failure), Some(fallback)) = (ended.failure(), &entry.options.fallback)
        && task.attempt > fallback.threshold
        && cancel.reason().is_none()
    {
        tracing::info!("the attempt failed; its fallback runs");
        tracing::debug!(error = %failure.text, "the failure before the fallback");
        ctx = ctx.anew(cancel.token().child_token());
        let second = run(Arc::clone(&fallback.executor), ctx.clone()).await;
        if let Some(failure) = second.failure() {
            tracing::debug!(error = %failure.text, "the fallback failed as well");
            judge = Judge::Rules;
        } else {
            via_fallback = matches!(second, Ended::Returned(_));
            ended = second;
        }
    }
    trace_ended(&ended, via_fallback);
    let task = lease.settled_task().await;
    let follow_ups = ctx.take_follow_ups();
    let report = Report {
        task: &task,
        entry,
        started_at,
        via_fallback,
        follow_ups,
    };
    let edit = report.edit(part, ended)?;
    Some((task, edit, judge))
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
