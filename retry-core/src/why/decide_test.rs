//! Every state with every state of sessions, queue and times: the reason is the one a reader of the record would give.

use std::time::Duration;

use super::*;
use crate::draft::Draft;
use crate::id::{Shard, TaskIds};
use crate::name::{Kind, Queue, WorkerName};
use crate::payload::Payload;
use crate::priority::Priority;
use crate::store::{Lane as StoreLane, QueueInfo, Session, SessionInfo};
use crate::task::{ClaimedTask, FailedAttempt, FailedChildren, Task, TaskDetail};

const SECOND: Duration = Duration::from_secs(1);

fn now() -> Timestamp {
    Timestamp::from_millis(1_000_000)
}

fn ago(seconds: u32) -> Timestamp {
    now().saturating_sub(SECOND * seconds)
}

fn ahead(seconds: u32) -> Timestamp {
    now().saturating_add(SECOND * seconds)
}

fn kind(name: &str) -> Kind {
    Kind::new(name).unwrap()
}

fn detail(change: impl FnOnce(&mut Task)) -> TaskDetail {
    let id = TaskIds::new().next(ago(60), Shard::default(), 7);
    let new = Draft::raw("mail", Payload::null())
        .build(id, ago(60), 1, None)
        .unwrap();
    let mut task = Task::pending(&new, ago(60));
    change(&mut task);
    TaskDetail::new(ClaimedTask {
        task,
        payload: Payload::null(),
        headers: crate::headers::Headers::new(),
        checkpoint: None,
        completion: None,
    })
}

fn session(number: u64, kinds: &[&str], until: Timestamp, lost: bool) -> Session {
    let info = SessionInfo {
        id: SessionId::from_random(number, number),
        name: WorkerName::new(format!("worker-{number}")).unwrap(),
        host: "host".to_owned(),
        queues: vec![Queue::default()],
        kinds: kinds.iter().copied().map(kind).collect(),
    };
    Session::new(info, until, lost)
}

fn live() -> Session {
    session(1, &["mail"], ahead(10), false)
}

fn lane(name: &str, priority: Priority) -> StoreLane {
    StoreLane {
        kind: kind(name),
        priority,
        suspect: false,
    }
}

fn queue(paused: bool, lanes: Vec<(StoreLane, Timestamp)>) -> QueueInfo {
    QueueInfo::new(Queue::default(), paused, lanes)
}

fn told(detail: &TaskDetail, sessions: &[Session], queue: Option<&QueueInfo>) -> (Reason, String) {
    let again = || reason(detail, sessions, queue, now());
    let text = Why::new(detail.task.id, now(), again()).to_string();
    (again(), text)
}

fn failure(attempt: u32, at: Timestamp, worker: bool, error: &str) -> FailedAttempt {
    FailedAttempt {
        attempt,
        worker: worker.then(|| WorkerName::new("worker-1").unwrap()),
        started_at: at,
        ended_at: at,
        error: ErrorText::new(error),
    }
}

/// One point of the product of everything that decides.
#[derive(Debug, Clone, Copy)]
struct Point {
    state: State,
    /// Which of the sessions there are.
    sessions: usize,
    paused: bool,
    due: Timestamp,
    expired: bool,
    crashes: u32,
    cancel: bool,
}

/// None; live and serving; live with another kind; its lease over; lost.
fn sessions(number: usize) -> Vec<Session> {
    match number {
        0 => vec![],
        1 => vec![live()],
        2 => vec![session(1, &["other"], ahead(10), false)],
        3 => vec![session(1, &["mail"], ago(1), false)],
        _ => vec![session(1, &["mail"], ahead(10), true)],
    }
}

impl Point {
    fn detail(self) -> TaskDetail {
        detail(|task| {
            (task.state, task.run_at, task.crashes) = (self.state, self.due, self.crashes);
            task.cancel_requested = self.cancel;
            task.settings.expires_at = self.expired.then(|| ago(1));
            task.session = (self.state == State::Running).then(|| SessionId::from_random(1, 1));
        })
    }

    /// Whether the reason is the first of those that hold.
    fn is_right(self, reason: &Reason) -> bool {
        let live = usize::from(self.sessions == 1 || self.sessions == 2);
        let open = !self.expired && !self.cancel;
        let due = open && self.due <= now();
        match (reason, self.state) {
            (Reason::Ended(ended), state) => state.is_final() && ended.state == state,
            (Reason::Running(running), State::Running) => {
                let held = Lease::Until(ahead(10));
                let lease = [Lease::Unknown, held, held, Lease::EndedAt(ago(1)), Lease::Lost];
                running.lease == lease[self.sessions] && running.cancel_requested == self.cancel
            }
            (Reason::Waiting { .. }, State::Waiting) | (Reason::Joining { .. }, State::Joining) => true,
            (Reason::Expired { workers, .. }, State::Pending) => self.expired && *workers == live,
            (Reason::CancelRequested, State::Pending) => self.cancel && !self.expired,
            (Reason::Later { at, .. }, State::Pending) => open && *at == self.due && self.due > now(),
            (Reason::Paused { .. }, State::Pending) => due && self.paused,
            (Reason::NoWorker { serving, .. }, State::Pending) => {
                due && !self.paused && self.sessions != 1 && serving.len() == live
            }
            (Reason::Suspect { last_life, .. }, State::Pending) => {
                due && !self.paused && self.sessions == 1 && self.crashes == 2 && *last_life
            }
            (Reason::Queued { workers, .. }, State::Pending) => {
                due && !self.paused && self.sessions == 1 && self.crashes == 0 && *workers == 1
            }
            _ => false,
        }
    }
}

/// The whole product: what comes first in the order of reasons is told, whatever else is true.
#[test]
fn the_first_reason_is_told_whatever_else_holds() {
    let mut points = Vec::new();
    let flags = || [false, true].into_iter();
    for (state, number) in State::ALL
        .iter()
        .flat_map(|state| (0..5).map(move |number| (*state, number)))
    {
        for (paused, expired) in flags().flat_map(|one| flags().map(move |other| (one, other))) {
            for (cancel, crashes) in flags().flat_map(|cancel| [0, 2].map(|crashes| (cancel, crashes))) {
                points.extend([ago(1), now(), ahead(9)].map(|due| Point {
                    state,
                    sessions: number,
                    paused,
                    due,
                    expired,
                    crashes,
                    cancel,
                }));
            }
        }
    }
    assert_eq!(points.len(), 7 * 5 * 4 * 4 * 3);
    for point in points {
        let queues = [Some(queue(point.paused, vec![])), None];
        for queue in queues.iter().take(if point.paused { 1 } else { 2 }) {
            let (reason, text) = told(&point.detail(), &sessions(point.sessions), queue.as_ref());
            assert!(point.is_right(&reason), "{point:?}: {reason:?}");
            assert!(text.len() > 10 && !text.ends_with(' '), "{text}");
        }
    }
}

#[test]
fn a_delay_is_told_with_its_cause() {
    let pending = |version, attempt, crashes, failures: Vec<FailedAttempt>| {
        let mut detail = detail(|task| {
            (task.version, task.attempt, task.crashes) = (version, attempt, crashes);
            (task.run_at, task.updated_at) = (ahead(20), ago(5));
        });
        detail.failures = failures;
        match told(&detail, &[live()], None) {
            (Reason::Later { because, .. }, text) => (because, text),
            (other, _) => panic!("{other:?}"),
        }
    };
    assert_eq!(pending(0, 0, 0, vec![]).0, Because::Enqueued);
    let (because, text) = pending(2, 3, 0, vec![failure(3, ago(5), true, "refused")]);
    assert!(
        matches!(because, Because::Retry { attempt: 3, .. }),
        "{because:?}"
    );
    assert_eq!(text, "it is due in 20s: attempt 3 failed: refused");
    let (because, _) = pending(
        2,
        3,
        0,
        vec![failure(3, ago(5), false, "the attempt overran its deadline")],
    );
    assert!(
        matches!(because, Because::Retry { attempt: 3, .. }),
        "{because:?}"
    );
    let lost = failure(2, ago(5), false, "its worker's lease was lost");
    assert_eq!(pending(2, 2, 1, vec![lost]).0, Because::Rescued { crashes: 1 });
    let before = failure(1, ago(30), true, "refused");
    assert_eq!(
        pending(4, 1, 0, vec![before.clone()]).0,
        Because::PutOff,
        "snoozed since"
    );
    assert_eq!(pending(4, 0, 0, vec![]).0, Because::PutOff);
    assert_eq!(pending(4, 2, 0, vec![before]).0, Because::PutOff);
}

#[test]
fn what_is_claimed_first_is_counted() {
    let task = detail(|task| task.run_at = ago(10));
    let own = (lane("mail", Priority::Normal), ago(10));
    let both = [session(1, &["mail", "sms"], ahead(10), false)];
    let queued = |sessions: &[Session], lanes: Vec<(StoreLane, Timestamp)>| match told(
        &task,
        sessions,
        Some(&queue(false, lanes)),
    ) {
        (Reason::Queued { ahead, behind, .. }, text) => (ahead, behind, text),
        (other, _) => panic!("{other:?}"),
    };
    let (first, behind, text) = queued(&both, vec![own.clone()]);
    assert_eq!((first.len(), behind), (0, None));
    assert!(text.contains("nothing is ahead of it"), "{text}");
    let (urgent, later) = (lane("sms", Priority::Urgent), lane("sms", Priority::Low));
    let lanes = vec![own.clone(), (urgent.clone(), ago(1)), (later, ago(50))];
    let (first, _, text) = queued(&both, lanes.clone());
    assert_eq!(first, std::slice::from_ref(&urgent));
    assert!(text.contains("ahead of it: 1 lane (sms urgent)"), "{text}");
    assert_eq!(
        queued(&[live()], lanes).0,
        [],
        "its worker does not run that kind"
    );
    assert_eq!(
        queued(&both, vec![own.clone(), (urgent, ahead(1))]).0,
        [],
        "not due"
    );
    let sooner = lane("sms", Priority::Normal);
    assert_eq!(
        queued(&both, vec![own.clone(), (sooner.clone(), ago(11))])
            .0
            .len(),
        1
    );
    assert_eq!(queued(&both, vec![own, (sooner, ago(9))]).0.len(), 0);
    let (_, behind, text) = queued(&both, vec![(lane("mail", Priority::Normal), ago(90))]);
    assert_eq!(behind, Some(ago(90)));
    assert!(text.contains("due since 1m 30s ago"), "{text}");
}

#[test]
fn a_parent_waits_for_children_an_operator_or_a_rescuer() {
    use FailedChildren::{Fail, Hold, Reduce};
    for (open, failed, cancel, policy, next) in [
        (2, 0, false, Reduce, Joining::Children),
        (2, 1, false, Hold, Joining::Children),
        (2, 0, true, Hold, Joining::Cancel),
        (0, 1, false, Hold, Joining::Operator),
        // Reopened, and none rerun.
        (0, 1, false, Reduce, Joining::Operator),
        (0, 1, true, Hold, Joining::Rescuer),
        (0, 1, false, Fail, Joining::Rescuer),
        (0, 0, true, Reduce, Joining::Rescuer),
    ] {
        let task = detail(|task| {
            (task.state, task.cancel_requested) = (State::Joining, cancel);
            (task.children.total, task.children.open, task.children.failed) = (3, open, failed);
            task.settings.on_failed_children = policy;
            // The store rings for a rescuer.
            task.alarm_at = (next == Joining::Rescuer).then(|| ago(1));
        });
        let (reason, text) = told(&task, &[], None);
        assert!(
            matches!(&reason, Reason::Joining { next: is, .. } if *is == next),
            "{reason:?}"
        );
        assert!(
            text.starts_with(&format!("it waits for its children: {open} of 3 open")),
            "{text}"
        );
    }
}

#[test]
fn a_running_task_names_its_worker_and_its_rescue() {
    let running = |alarm: Option<Timestamp>, sessions: &[Session]| {
        let task = detail(|task| {
            (task.state, task.session) = (State::Running, Some(SessionId::from_random(1, 1)));
            (task.attempt, task.updated_at, task.alarm_at) = (2, ago(3), alarm);
        });
        told(&task, sessions, None).1
    };
    assert_eq!(
        running(Some(ahead(1)), &[live()]),
        "worker-1 on host has it since 3s ago (attempt 2); it runs, its lease ends in 10s unless renewed"
    );
    let overran = running(Some(ago(1)), &[live()]);
    assert!(
        overran.ends_with("its deadline was 1s ago: a worker is about to rescue it"),
        "{overran}"
    );
    let lost = running(None, &[session(1, &["mail"], ago(4), false)]);
    assert!(
        lost.ends_with("the lease ended 4s ago: no worker is live to rescue it"),
        "{lost}"
    );
    let gone = running(None, &[session(2, &[], ahead(4), false)]);
    assert!(gone.starts_with("a worker that is gone has it"), "{gone}");
    assert!(
        gone.ends_with("the lease is lost: a worker is about to rescue it"),
        "{gone}"
    );
}
