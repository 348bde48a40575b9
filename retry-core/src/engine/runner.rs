//! Runs claimed tasks, one after another as long as there are some and a permit.

use std::sync::Arc;

use tracing::Instrument as _;

use super::attempt::{self, Ended, Limits};
use super::held::Cancel;
use super::kind::KindEntry;
use super::lease::{Handle, Lease};
use super::part::Part;
use super::permits::Permit;
use super::settle::Report;
use crate::clock::Clock as _;
use crate::executor::{Ctx, Executor};
use crate::machine::Event;
use crate::task::{ClaimedTask, CompletionOutcome, Edit};
use crate::time::Timestamp;

/// Starts every buffered task for which there is a permit.
pub(super) fn start_all(part: &Arc<Part>) {
    while let Some((claimed, permit)) = part.next_startable() {
        let part = Arc::clone(part);
        let spawn = Arc::clone(&part.engine.setup.spawn);
        spawn.spawn(Box::pin(run_on(part, claimed, permit)));
    }
}

/// Runs a task, then the next that can be started, in the same future: a spawn each would cost more than a small
/// handler.
async fn run_on(part: Arc<Part>, claimed: ClaimedTask, permit: Permit) {
    let mut next = Some((claimed, permit));
    while let Some((claimed, permit)) = next {
        run_one(&part, claimed).await;
        drop(permit);
        next = part.next_startable();
        part.pump.notify_one();
        part.engine.progress.notify_waiters();
    }
}

async fn run_one(part: &Arc<Part>, claimed: ClaimedTask) {
    let task = &claimed.task;
    let (id, kind) = (task.id, task.kind.clone());
    let Some(entry) = part.engine.setup.kinds.get(&kind) else {
        // The store gave what was not asked for.
        tracing::error!(task = %id, %kind, "claimed a task of a kind that has no handler; it is handed back");
        return part.hand_back(task);
    };
    if let Some(edit) = unrun(part, &claimed) {
        return part.send(edit);
    }
    let span =
        tracing::info_span!("attempt", task = %id, %kind, attempt = task.attempt, version = task.version);
    let cancel = Cancel::default();
    part.held.start(id, cancel.clone(), entry.options.on_lease_lost);
    let edit = handle(part, entry, claimed, cancel).instrument(span).await;
    part.held.end(id);
    match edit {
        Some(edit) => part.send(edit),
        None => part.held.remove(id),
    }
}

/// The edit that settles a task without running it: a cancel was requested, its start deadline passed, or an early
/// completion ends or repeats its step.
fn unrun(part: &Part, claimed: &ClaimedTask) -> Option<Edit> {
    let task = &claimed.task;
    let delivered = claimed
        .completion
        .as_ref()
        .filter(|completion| completion.step.checked_add(1) == Some(task.step));
    let event = match delivered.map(|completion| &completion.outcome) {
        _ if task.cancel_requested => Event::Snooze { at: Timestamp::MIN },
        _ if task
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

async fn handle(part: &Arc<Part>, entry: &KindEntry, claimed: ClaimedTask, cancel: Cancel) -> Option<Edit> {
    let started_at = part.clock.now();
    let lease = Lease::new(Arc::clone(part), claimed.task.clone(), cancel.clone());
    let states = part.engine.setup.states.clone();
    let ctx = Ctx::new(
        &claimed,
        cancel.token().clone(),
        states,
        Arc::new(Handle(Arc::clone(&lease))),
    );
    let run = |executor: Arc<dyn Executor>| {
        let (payload, ctx, cancel) = (claimed.payload.clone(), ctx.clone(), &cancel);
        let limits = Limits {
            timeout: entry.options.timeout,
            cancel_grace: part.engine.setup.config.cancel_grace,
        };
        async move { attempt::run(&executor, payload, ctx, cancel, part.clock.as_ref(), &limits).await }
    };
    let mut ended = run(Arc::clone(&entry.executor)).await;
    let mut via_fallback = false;
    if let (Some(failure), Some(fallback)) = (ended.failure(), &entry.options.fallback)
        && claimed.task.attempt > fallback.threshold
        && cancel.reason().is_none()
    {
        tracing::info!("the attempt failed; its fallback runs");
        tracing::debug!(error = %failure.text, "the failure before the fallback");
        // What the primary wanted to enqueue on success is void.
        drop(ctx.take_follow_ups());
        let second = run(Arc::clone(&fallback.executor)).await;
        if let Some(failure) = second.failure() {
            tracing::debug!(error = %failure.text, "the fallback failed as well");
        } else {
            via_fallback = matches!(second, Ended::Returned(_));
            ended = second;
        }
    }
    trace_ended(&ended, via_fallback);
    let task = lease.settled_task().await;
    let follow_ups = ctx.take_follow_ups();
    Report {
        task: &task,
        entry,
        started_at,
        via_fallback,
        follow_ups,
    }
    .edit(part, ended)
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
