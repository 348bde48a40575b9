//! From the record, the sessions and the queue to the reason. Pure: time is an argument.

use std::time::Duration;

use super::{Because, Ended, Holder, Joining, Lease, Reason, Running, Serves};
use crate::store::{Lane, QueueInfo, Session};
use crate::task::{State, Task, TaskDetail};
use crate::time::Timestamp;

/// A retry is written this soon after the attempt's recorded end; a later write of the task was another one.
const WRITTEN_WITH: Duration = Duration::from_millis(250);

/// The reason why a task does not run at `now`, or what runs it. `queue` is its queue as the store sees it, none when
/// the store has nothing to say about it.
#[must_use]
pub fn reason(
    detail: &TaskDetail,
    sessions: &[Session],
    queue: Option<&QueueInfo>,
    now: Timestamp,
) -> Reason {
    let task = &detail.task;
    let live = sessions.iter().filter(|session| is_live(session, now)).count();
    match task.state {
        State::Succeeded | State::Failed | State::Cancelled => Reason::Ended(ended(detail)),
        State::Running => Reason::Running(running(task, sessions, live, now)),
        State::Waiting => Reason::Waiting {
            until: task.alarm_at,
            then: task.settings.on_wait_deadline,
        },
        State::Joining => Reason::Joining {
            children: task.children,
            next: joining(task),
        },
        State::Pending => pending(detail, sessions, queue, live, now),
    }
}

fn is_live(session: &Session, now: Timestamp) -> bool {
    !session.lost && session.lease_until >= now
}

fn ended(detail: &TaskDetail) -> Ended {
    let task = &detail.task;
    Ended {
        state: task.state,
        at: task.updated_at,
        error: detail.last_error.clone(),
        via_fallback: detail.via_fallback,
        purge_at: task.purge_at,
        open_children: task.children.open,
    }
}

fn running(task: &Task, sessions: &[Session], rescuers: usize, now: Timestamp) -> Running {
    let holder = sessions
        .iter()
        .find(|session| task.session == Some(session.info.id));
    let lease = match holder {
        None => Lease::Unknown,
        Some(session) if session.lost => Lease::Lost,
        Some(session) if session.lease_until < now => Lease::EndedAt(session.lease_until),
        Some(session) => match task.alarm_at {
            Some(deadline) if deadline <= now => Lease::Overran(deadline),
            _ => Lease::Until(session.lease_until),
        },
    };
    Running {
        since: task.updated_at,
        attempt: task.attempt,
        session: task.session,
        worker: holder.map(|session| Holder {
            name: session.info.name.clone(),
            host: session.info.host.clone(),
        }),
        lease,
        cancel_requested: task.cancel_requested,
        children: task.children,
        rescuers,
    }
}

fn joining(task: &Task) -> Joining {
    // A rescuer is called by the alarm.
    let held = task.alarm_at.is_none();
    match (task.children.open, task.cancel_requested) {
        (1.., true) => Joining::Cancel,
        (1.., false) => Joining::Children,
        (0, false) if held => Joining::Operator,
        (0, _) => Joining::Rescuer,
    }
}

fn pending(
    detail: &TaskDetail,
    sessions: &[Session],
    queue: Option<&QueueInfo>,
    live: usize,
    now: Timestamp,
) -> Reason {
    let task = &detail.task;
    if let Some(at) = task.start_deadline().filter(|at| *at <= now) {
        return Reason::Expired { at, workers: live };
    }
    if task.cancel_requested {
        return Reason::CancelRequested;
    }
    if task.run_at > now {
        let (at, because) = (task.run_at, because(detail));
        return Reason::Later { at, because };
    }
    if queue.is_some_and(|queue| queue.paused) {
        let queue = task.queue.clone();
        return Reason::Paused { queue };
    }
    let live = sessions.iter().filter(|session| is_live(session, now));
    let serving: Vec<&Session> = live.clone().filter(|session| serves(session, task)).collect();
    if serving.is_empty() {
        return Reason::NoWorker {
            queue: task.queue.clone(),
            kind: task.kind.clone(),
            serving: live.map(told).collect(),
        };
    }
    let workers = serving.len();
    if task.is_suspect() {
        return Reason::Suspect {
            crashes: task.crashes,
            budget: task.settings.crash_budget,
            last_life: task.is_on_its_last_life(),
            workers,
        };
    }
    queued(task, &serving, queue, now)
}

fn serves(session: &Session, task: &Task) -> bool {
    session.info.queues.contains(&task.queue) && session.info.kinds.contains(&task.kind)
}

fn told(session: &Session) -> Serves {
    Serves {
        worker: session.info.name.clone(),
        queues: session.info.queues.clone(),
        kinds: session.info.kinds.clone(),
    }
}

/// What its workers claim first: more urgent lanes, lanes of its level whose first task is due earlier, its own lane.
fn queued(task: &Task, serving: &[&Session], queue: Option<&QueueInfo>, now: Timestamp) -> Reason {
    let own = Lane {
        kind: task.kind.clone(),
        priority: task.priority,
        suspect: task.is_suspect(),
    };
    let lanes = queue.map_or(&[][..], |queue| queue.lanes.as_slice());
    let head = lanes.iter().find(|(lane, _)| *lane == own).map(|(_, due)| *due);
    let first = head.unwrap_or(task.run_at).min(task.run_at);
    let is_asked = |lane: &Lane| {
        serving
            .iter()
            .any(|session| session.info.kinds.contains(&lane.kind))
    };
    let comes_first = |lane: &Lane, due: Timestamp| (lane.priority, due) < (own.priority, first);
    let ahead = lanes
        .iter()
        .filter(|(lane, due)| *lane != own && *due <= now && is_asked(lane) && comes_first(lane, *due))
        .map(|(lane, _)| lane.clone())
        .collect();
    Reason::Queued {
        ahead,
        behind: Some(first).filter(|first| *first < task.run_at),
        workers: serving.len(),
    }
}

/// What put a pending task off. The record does not say, but the last failure does when it was written with the task.
fn because(detail: &TaskDetail) -> Because {
    let task = &detail.task;
    if task.version == 0 {
        return Because::Enqueued;
    }
    let written_with = |at: Timestamp| task.updated_at.saturating_since(at) <= WRITTEN_WITH;
    match detail.failures.last() {
        Some(failure) if failure.attempt == task.attempt && written_with(failure.ended_at) => {
            if task.crashes > 0 && failure.worker.is_none() {
                let crashes = task.crashes;
                return Because::Rescued { crashes };
            }
            Because::Retry {
                attempt: failure.attempt,
                error: failure.error.clone(),
            }
        }
        _ => Because::PutOff,
    }
}
