//! The largest calls, the largest numbers, and what is left when everything was forgotten.

use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::Trial;
use redis::Value;
use retry_core::id::SessionId;
use retry_core::limits::{MAX_BATCH, MAX_FAILURES_KEPT};
use retry_core::machine::Event;
use retry_core::name::WorkerName;
use retry_core::store::{Applied, ExpiredRequest, SessionInfo, TaskStore};
use retry_core::task::{ErrorText, FailedAttempt, NewTask, Retention, Settings, State, Task};
use retry_core::time::Timestamp;
use test_servers::Shared;

use crate::namespace::Namespace;
use crate::support::{
    NOW, apply, audit, claim, edit, keyed, keys, on_each, send, session, store, success, task, tasks,
};

pub(crate) fn trials(servers: &[Arc<Shared>]) -> Vec<Trial> {
    let shared = [
        on_each(servers, "limits::nothing_is_left_after_a_purge", nothing_left),
        on_each(
            servers,
            "limits::a_thousand_tasks_with_a_full_history_are_forgotten",
            histories,
        ),
        on_each(servers, "limits::numbers_at_their_bounds_are_kept", bounds),
        on_each(
            servers,
            "limits::more_lost_sessions_than_a_page_are_all_looked_at",
            lost_sessions,
        ),
        on_each(
            servers,
            "limits::tasks_that_ended_together_are_forgotten_in_parts",
            in_parts,
        ),
        on_each(servers, "limits::a_large_answer_is_cut_at_its_bytes", bytes),
    ];
    shared.into_iter().flatten().collect()
}

async fn lost_sessions(place: Namespace) {
    /// As many as a purge looks at.
    const PAGE: u64 = 1_000;
    let store = store(&place).await;
    store.insert(&tasks(1_000), NOW).await.expect("an insert");
    let open = async |n: u64| {
        let info = SessionInfo {
            id: SessionId::from_random(n, 0),
            name: WorkerName::new("w").expect("a name"),
            host: String::new(),
            queues: Vec::new(),
            kinds: Vec::new(),
        };
        let until = NOW.saturating_add(Duration::from_mins(1));
        store.open_session(&info, until, NOW).await.expect("it opens");
        info.id
    };
    for n in 1..=PAGE {
        let session = open(n).await;
        assert_eq!(claim(&store, session, 1).await.len(), 1);
    }
    let idle = [open(PAGE + 1).await, open(PAGE + 2).await];
    let later = NOW.saturating_add(Duration::from_mins(2));
    let mark = ExpiredRequest {
        mark: true,
        limit: MAX_BATCH,
        ..ExpiredRequest::default()
    };
    for _ in 0..2 {
        store.expired(&mark, later).await.expect("a round");
    }
    for _ in 0..2 {
        assert_eq!(store.purge(later, 1).await.expect("a purge"), 0);
    }
    let left = store.sessions().await.expect("the sessions");
    assert_eq!(left.len(), 1_000, "those that hold something stay");
    assert!(
        left.iter()
            .all(|session| session.lost && !idle.contains(&session.info.id))
    );
    audit(&place);
}

/// Tasks that end in one call share an entry: a purge takes as many as it may, and not one that was rerun.
async fn in_parts(place: Namespace) {
    let store = store(&place).await;
    let session = session(&store).await;
    store.insert(&tasks(10), NOW).await.expect("an insert");
    let claimed = claim(&store, session, 10).await;
    let edits: Vec<_> = claimed.iter().map(|claimed| success(&claimed.task)).collect();
    apply(&store, &edits).await;
    assert_eq!(send(&place, &["ZCARD", &place.key("p")]), Value::Int(1));
    let late = NOW.saturating_add(Duration::from_hours(30));
    assert_eq!(store.purge(late, 3).await.expect("a purge"), 3);
    audit(&place);

    let last = store
        .get(claimed[9].task.id)
        .await
        .expect("a get")
        .expect("a task");
    let again = Event::Rerun {
        at: late,
        from_start: true,
    };
    apply(&store, &[edit(&last.task, again, 5)]).await;
    audit(&place);
    assert_eq!(store.purge(late, 100).await.expect("a purge"), 6);
    let counts = store.count(&Default::default()).await.expect("a count");
    assert_eq!((counts.of(State::Pending), counts.of(State::Succeeded)), (1, 0));
    assert_eq!(send(&place, &["EXISTS", &place.key("p")]), Value::Int(0));
}

async fn nothing_left(place: Namespace) {
    let store = store(&place).await;
    let session = session(&store).await;
    let mut new = tasks(300);
    new.extend((0..50).map(|n| keyed(&format!("k{n}"))));
    store.insert(&new, NOW).await.expect("an insert");
    let claimed = claim(&store, session, 350).await;
    let edits = claimed.iter().enumerate().map(|(at, claimed)| {
        let task = &claimed.task;
        match at % 3 {
            0 => success(task),
            1 => edit(
                task,
                Event::Fail {
                    failure: failure(task),
                },
                5,
            ),
            _ => edit(
                task,
                Event::Retry {
                    at: NOW,
                    failure: failure(task),
                },
                6,
            ),
        }
    });
    apply(&store, &edits.collect::<Vec<_>>()).await;
    let again = claim(&store, session, 350).await;
    let edits: Vec<_> = again.iter().map(|claimed| success(&claimed.task)).collect();
    apply(&store, &edits).await;
    audit(&place);

    let later = NOW.saturating_add(Duration::from_hours(24 * 365));
    assert_eq!(store.purge(later, MAX_BATCH).await.expect("a purge"), 350);
    store.close_session(session).await.expect("a close");
    assert_eq!(keys(&place), [place.key("v")], "only the version is left");
}

pub(crate) fn failure(task: &Task) -> FailedAttempt {
    FailedAttempt {
        attempt: task.attempt,
        worker: None,
        started_at: NOW,
        ended_at: NOW,
        error: ErrorText::new("no"),
    }
}

/// A purge of 1,000 tasks with 22 failures each deletes more fields than a script can pass at once.
async fn histories(place: Namespace) {
    let store = store(&place).await;
    let session = session(&store).await;
    let settings = Settings {
        max_attempts: None,
        ..Settings::default()
    };
    let new: Vec<NewTask> = (0..MAX_BATCH)
        .map(|_| NewTask {
            settings: settings.clone(),
            ..task()
        })
        .collect();
    store.insert(&new, NOW).await.expect("an insert");
    for round in 0..MAX_FAILURES_KEPT as u64 + 2 {
        let claimed = claim(&store, session, MAX_BATCH).await;
        let retry = |task: &Task| {
            let failure = failure(task);
            edit(task, Event::Retry { at: NOW, failure }, round + 1)
        };
        let edits: Vec<_> = claimed.iter().map(|claimed| retry(&claimed.task)).collect();
        assert_eq!(apply(&store, &edits).await, vec![Applied::DONE; MAX_BATCH]);
    }
    let detail = store.get(new[0].id).await.expect("a get").expect("a task");
    let attempts: Vec<u32> = detail.failures.iter().map(|failure| failure.attempt).collect();
    assert_eq!(
        attempts,
        (3..=22).collect::<Vec<_>>(),
        "the last 20, oldest first"
    );
    let claimed = claim(&store, session, MAX_BATCH).await;
    let edits: Vec<_> = claimed.iter().map(|claimed| success(&claimed.task)).collect();
    apply(&store, &edits).await;
    let later = NOW.saturating_add(Duration::from_hours(48));
    assert_eq!(store.purge(later, MAX_BATCH).await.expect("a purge"), 1_000);
    assert_eq!(
        send(
            &place,
            &["EXISTS", &place.key("b"), &place.key("h"), &place.key("i")]
        ),
        Value::Int(0)
    );
}

async fn bounds(place: Namespace) {
    let store = store(&place).await;
    let session = session(&store).await;
    for (now, run_at, give_up) in [
        (Timestamp::MIN, Timestamp::MIN, Timestamp::MAX),
        (
            Timestamp::from_millis(-1),
            Timestamp::from_millis(-1),
            Timestamp::MIN,
        ),
        (
            Timestamp::MAX,
            Timestamp::MAX,
            Timestamp::from_millis((1 << 53) - 1),
        ),
    ] {
        let new = NewTask {
            run_at,
            wait_secret: u64::MAX - 1,
            settings: Settings {
                give_up_at: Some(give_up),
                expires_at: Some(Timestamp::MAX),
                deadline_after: Some(Duration::MAX),
                rescue_delay: Duration::new(3, 7),
                retention: Retention {
                    succeeded: Some(Duration::MAX),
                    failed: None,
                    cancelled: None,
                },
                ..Settings::default()
            },
            ..task()
        };
        store
            .insert(std::slice::from_ref(&new), now)
            .await
            .expect("an insert");
        let stored = store.get(new.id).await.expect("a get").expect("a task").task;
        assert_eq!(stored, Task::pending(&new, now));
        let exchanged = store
            .exchange(&[], &[crate::support::request(session, 1)], now)
            .await;
        let claimed = exchanged.expect("a claim").claimed.remove(0);
        assert_eq!(
            claimed.tasks[0].task,
            retry_core::machine::claim(&stored, session, now),
            "the claim is the machine's"
        );
        apply(&store, &[success(&claimed.tasks[0].task)]).await;
    }
    audit(&place);
}

/// A claim hands out no more than 8 MiB, and the rest next time.
async fn bytes(place: Namespace) {
    let store = store(&place).await;
    let session = session(&store).await;
    let text = format!("\"{}\"", "x".repeat(1_000_000));
    let payload = retry_core::payload::Payload::from_json(text).expect("JSON");
    for _ in 0..3 {
        let new: Vec<NewTask> = (0..6)
            .map(|_| NewTask {
                payload: payload.clone(),
                ..task()
            })
            .collect();
        store.insert(&new, NOW).await.expect("an insert");
    }
    let mut taken = Vec::new();
    while taken.iter().sum::<usize>() < 18 {
        let exchanged = store
            .exchange(&[], &[crate::support::request(session, 18)], NOW)
            .await;
        let claimed = exchanged.expect("a claim").claimed.remove(0);
        taken.push(claimed.tasks.len());
        let more = taken.iter().sum::<usize>() < 18;
        assert_eq!(claimed.next_due, more.then_some(NOW));
    }
    assert_eq!(taken, [8, 8, 2]);
    let counts = store.count(&Default::default()).await.expect("a count");
    assert_eq!(counts.of(State::Running), 18);
}
