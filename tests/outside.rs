//! What a program outside of this project can rely on: only the facade, a real file, and what its operator would do.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use task_retry::client::Changes;
use task_retry::engine::{Skipped, TickEnd, TickOptions};
use task_retry::name::{Kind, Queue};
use task_retry::payload::Payload;
use task_retry::sqlite::SqliteStore;
use task_retry::store::{Page, TaskFilter};
use task_retry::{
    Backoff, BuildError, Client, Ctx, Draft, Error, Final, HandlerError, Jitter, RetryPolicy, State, TaskId,
    TaskOptions, TaskPayload, TaskState, Worker,
};

#[derive(Serialize, Deserialize)]
struct Charge {
    cents: u64,
}

impl TaskPayload for Charge {
    const KIND: &'static str = "charge";

    fn options() -> TaskOptions {
        let soon = RetryPolicy::builder()
            .backoff(Backoff::fixed(Duration::ZERO))
            .jitter(Jitter::None);
        TaskOptions::new().retry(soon.max_attempts(3).build().expect("it is valid"))
    }
}

type Seen = Arc<Mutex<Vec<u64>>>;

/// Even amounts are charged, odd ones are refused, zero is refused for good.
async fn charge(task: Charge, State(seen): State<Seen>, _: Ctx) -> Result<(), HandlerError> {
    seen.lock().expect("no test panics inside").push(task.cents);
    match task.cents {
        0 => Err(Final::new("nothing to charge").into()),
        cents if cents % 2 == 1 => Err("the bank is busy".into()),
        _ => Ok(()),
    }
}

struct Program {
    client: Client<SqliteStore>,
    worker: Worker,
    seen: Seen,
    _folder: tempfile::TempDir,
}

fn program() -> Program {
    let folder = tempfile::tempdir().expect("a folder");
    let client = Client::new(SqliteStore::open(folder.path().join("tasks.db")).expect("it opens"));
    let seen = Seen::default();
    let worker = Worker::builder(&client)
        .handler(charge)
        .state(Arc::clone(&seen))
        .build();
    Program {
        client,
        worker: worker.expect("it is valid"),
        seen,
        _folder: folder,
    }
}

impl Program {
    async fn charge(&self, cents: u64) -> TaskId {
        self.client
            .enqueue(Charge { cents })
            .await
            .expect("it is stored")
            .id
    }

    async fn state(&self, id: TaskId) -> TaskState {
        let detail = self.client.get(id).await.expect("the store answers");
        detail.expect("it is kept").task.state
    }

    async fn attempts(&self, n: usize) -> usize {
        let options = TickOptions::new().limit(n).time_limit(Duration::from_secs(30));
        self.worker
            .tick(options)
            .await
            .expect("the store answers")
            .claimed
    }
}

#[tokio::test]
async fn unknown_kinds_wait_in_sight_and_in_nobodys_way() {
    let program = program();
    for _ in 0..3 {
        let unknown = Draft::raw("of-tomorrow", Payload::null()).priority(task_retry::Priority::Urgent);
        program.client.enqueue(unknown).await.expect("it is stored");
    }
    let known = program.charge(2).await;
    let summary = program
        .worker
        .tick(Duration::from_secs(30))
        .await
        .expect("the store answers");
    assert_eq!((summary.claimed, summary.ended), (1, TickEnd::NothingDue));
    assert_eq!(program.state(known).await, TaskState::Succeeded);
    let queues = program.client.queues().await.expect("the store answers");
    let lanes: Vec<_> = queues[0]
        .lanes
        .iter()
        .map(|(lane, _)| lane.kind.as_str())
        .collect();
    assert_eq!(lanes, ["of-tomorrow"], "parked, and an operator sees it");
    let filter = TaskFilter {
        kinds: vec![Kind::new("of-tomorrow").expect("a name")],
        ..TaskFilter::default()
    };
    let listed = program
        .client
        .list(&filter, &Page::first(10))
        .await
        .expect("the store answers");
    assert_eq!(listed.tasks.len(), 3);
    assert!(
        listed
            .tasks
            .iter()
            .all(|row| row.task.state == TaskState::Pending && row.task.attempt == 0)
    );
    let why = program
        .client
        .why(listed.tasks[0].task.id)
        .await
        .expect("the store answers");
    assert!(
        why.to_string().contains("no live worker serves kind of-tomorrow"),
        "{why}"
    );
}

#[tokio::test]
async fn two_handlers_for_a_kind_are_refused_at_the_start() {
    let program = program();
    let twice = Worker::builder(&program.client)
        .handler(charge)
        .handler(charge)
        .state(Seen::default());
    let error = twice.build().unwrap_err();
    assert_eq!(
        error,
        BuildError::DuplicateKind(Kind::new("charge").expect("a name"))
    );
    assert_eq!(error.to_string(), "the kind charge has two handlers");
}

#[tokio::test]
async fn a_payload_is_mended_between_attempts_and_only_then() {
    let program = program();
    let id = program.charge(7).await;
    assert_eq!(program.attempts(1).await, 1);
    let changes = |cents| Changes {
        payload: Some(Payload::encode(&Charge { cents }).expect("it serializes")),
        headers: None,
    };
    let edited = program.client.edit(id, changes(8)).await.expect("it is pending");
    assert_eq!(edited.payload.as_json(), r#"{"cents":8}"#);
    assert_eq!(program.attempts(1).await, 1);
    assert_eq!(*program.seen.lock().expect("no panic"), [7, 8]);
    assert_eq!(program.state(id).await, TaskState::Succeeded);
    let late = program.client.edit(id, changes(9)).await;
    assert!(matches!(late, Err(Error::Rejected(_))), "{late:?}");
}

#[tokio::test]
async fn an_undecodable_payload_fails_at_once_with_the_reason() {
    let program = program();
    let payload = Payload::from_json(r#"{"cents":"secret"}"#).expect("it is JSON");
    let draft = Draft::raw("charge", payload);
    let id = program.client.enqueue(draft).await.expect("it is stored").id;
    assert_eq!(program.attempts(9).await, 1);
    let detail = program
        .client
        .get(id)
        .await
        .expect("the store answers")
        .expect("it is kept");
    assert_eq!((detail.task.state, detail.task.attempt), (TaskState::Failed, 1));
    let error = detail.last_error.expect("there is one");
    assert!(
        error
            .as_str()
            .starts_with("the payload does not decode: invalid type, expected u64"),
        "{error}"
    );
    assert!(!error.as_str().contains("secret"), "{error}");
}

#[tokio::test]
async fn the_dead_are_listed_page_by_page_and_rerun_under_guard() {
    let program = program();
    let mut dead = Vec::new();
    for _ in 0..5 {
        dead.push(program.charge(0).await);
    }
    let alive = program
        .client
        .enqueue(Charge { cents: 2 })
        .delay(Duration::from_secs(900))
        .await;
    let alive = alive.expect("it is stored").id;
    assert_eq!(program.attempts(9).await, 5);
    let filter = TaskFilter {
        states: vec![TaskState::Failed],
        error_contains: Some("nothing to charge".to_owned()),
        ..TaskFilter::default()
    };
    let (mut found, mut page) = (Vec::new(), Page::first(2));
    loop {
        let listed = program
            .client
            .list(&filter, &page)
            .await
            .expect("the store answers");
        found.extend(listed.tasks.iter().map(|row| row.task.id));
        match listed.next {
            Some(next) => page.after = Some(next),
            None => break,
        }
    }
    found.reverse();
    assert_eq!(found, dead, "oldest last, each once");
    let refused = program.client.rerun(alive).await;
    assert!(
        matches!(refused, Err(Error::Rejected(_))),
        "it has not ended: {refused:?}"
    );
    let rerun = program.client.rerun(dead[0]).await.expect("it has ended");
    assert_eq!(
        (rerun.task.state, rerun.task.attempt, rerun.task.reruns),
        (TaskState::Pending, 0, 1)
    );
    assert_eq!(program.attempts(9).await, 1);
    // The same by ids and their expected states, with the attempt in one call.
    let forced = TickOptions::new()
        .ids([dead[1], alive])
        .from_states([TaskState::Failed]);
    let summary = program.worker.tick(forced).await.expect("the store answers");
    assert_eq!((summary.claimed, summary.failed), (1, 1));
    assert!(matches!(summary.skipped[..], [(id, Skipped::NotDue(_))] if id == alive));
    let paused = Queue::new("default").expect("a name");
    program.client.pause(&paused).await.expect("the store answers");
    let rerun = TickOptions::new().ids([dead[2]]).from_states([TaskState::Failed]);
    let summary = program.worker.tick(rerun).await.expect("the store answers");
    assert_eq!(
        summary.skipped,
        [(dead[2], Skipped::NotClaimed)],
        "a paused queue stays paused"
    );
}
