//! Every way into the failed state: who tells it, and what its history says.

use std::sync::Arc;
use std::time::Duration;

use super::harness::{SECOND, WithKind as _, World, done, each_second, job, script};
use super::listener::{Listener, Manner};
use crate::alert::{AlertOptions, AlertReason, AlertRule};
use crate::client::Client;
use crate::engine::{KindOptions, WorkerHandle};
use crate::executor::{Executor, Final, Outcome};
use crate::id::{Nonce, SessionId, TaskId};
use crate::machine::{Event, transition};
use crate::name::{Kind, Queue, WorkerName};
use crate::payload::Payload;
use crate::store::{
    ClaimRequest, MemoryStore, Page, SessionInfo, TaskFilter, TaskStore as _, TaskStoreExt as _,
};
use crate::task::{Edit, FailedAttempt, FailedChildren, OnWaitDeadline, Retention, State};

use AlertReason::{AttemptFailed, TaskFailed};

/// Waits in its first step, is done in the next.
fn waits() -> Arc<dyn Executor> {
    script(|ctx| async move {
        Ok(match ctx.step() {
            0 => Outcome::Wait(SECOND * 60),
            _ => Outcome::Done,
        })
    })
}

/// Has one child, which fails.
fn splits() -> Arc<dyn Executor> {
    script(|ctx| async move {
        Ok(match ctx.step() {
            0 => Outcome::split([job("child").retry(each_second(1))]),
            _ => Outcome::Done,
        })
    })
}

fn worker(world: &World, listener: &Listener) -> WorkerHandle {
    let fails = script(|_| async { Err(Final::new("child").into()) });
    let backed = KindOptions::new().fallback_executor(0, done());
    world
        .worker()
        .kind("waits", waits())
        .kind_with("backed", waits(), backed)
        .kind("parent", splits())
        .kind("child", fails)
        .alert(AlertRule::always())
        .alert_sink(listener.clone())
        .alert_options(AlertOptions::new().cool_down(Duration::ZERO))
        .build()
        .unwrap()
        .start()
}

async fn waiting(world: &World, kind: &str) -> TaskId {
    let draft = job(kind).on_wait_deadline(OnWaitDeadline::Fail);
    let id = world.enqueue(draft).await;
    world.until_state(id, State::Waiting).await;
    id
}

/// The last entry of the history, which is the last error: its attempt and text.
async fn history(world: &World, id: TaskId) -> Vec<(u32, String)> {
    let detail = world.detail(id).await;
    let last = detail.failures.last().map(|failure| failure.error.clone());
    assert_eq!(last, detail.last_error, "the history ends with the last error");
    let entry = |failure: &FailedAttempt| (failure.attempt, failure.error.as_str().to_owned());
    detail.failures.iter().map(entry).collect()
}

#[tokio::test]
async fn a_parent_that_its_children_fail_is_told() {
    let (world, listener) = (World::new(), Listener::new(Manner::Takes));
    let draft = job("parent").on_failed_children(FailedChildren::Fail);
    let id = world.enqueue(draft).await;
    let handle = worker(&world, &listener);
    world.until_final(id).await;
    world.shut_down(handle).await;
    let told = listener.told();
    let kinds: Vec<_> = told
        .iter()
        .filter_map(|alert| Some((alert.kind.as_ref()?.as_str(), alert.reason)))
        .collect();
    assert_eq!(kinds, [("child", TaskFailed), ("parent", TaskFailed)]);
    let error = told[1].error.as_ref().map(|error| error.as_str());
    assert_eq!(error, Some("1 of 1 children failed"));
    assert_eq!(told[1].task.as_ref().unwrap().state, State::Failed);
    assert_eq!(
        history(&world, id).await,
        [(0, "1 of 1 children failed".to_owned())],
        "no attempt of its own"
    );
}

#[tokio::test]
async fn a_wait_that_nobody_completes_is_told() {
    let (world, listener) = (World::new(), Listener::new(Manner::Takes));
    let handle = worker(&world, &listener);
    let id = waiting(&world, "waits").await;
    world.until_final(id).await;
    world.shut_down(handle).await;
    assert_eq!(listener.attempts(), [(1, TaskFailed)]);
    let text = "no completion came before the wait deadline".to_owned();
    assert_eq!(history(&world, id).await, [(1, text)]);
}

#[tokio::test]
async fn what_an_attached_client_ends_is_told_and_what_another_ends_is_not() {
    for (attached, wanted) in [(true, vec![(1, TaskFailed)]), (false, vec![])] {
        let (world, listener) = (World::new(), Listener::new(Manner::Takes));
        let handle = worker(&world, &listener);
        let client: Client<MemoryStore> = match attached {
            true => world.client.attach(&handle),
            false => world.client.clone(),
        };
        let id = waiting(&world, "waits").await;
        let token = world.detail(id).await.task.wait_token();
        client.fail(token, "rejected").await.unwrap();
        assert_eq!(history(&world, id).await, [(1, "rejected".to_owned())]);
        world.shut_down(handle).await;
        assert_eq!(listener.attempts(), wanted, "attached: {attached}");
        let error = listener.told().pop().map(|alert| alert.error.unwrap());
        assert_eq!(
            error.as_ref().map(|error| error.as_str()),
            attached.then_some("rejected")
        );
    }
}

#[tokio::test]
async fn a_step_that_an_attached_client_repeats_is_judged_as_a_failed_attempt() {
    for (kind, judged) in [("waits", true), ("backed", false)] {
        let (world, listener) = (World::new(), Listener::new(Manner::Takes));
        let handle = worker(&world, &listener);
        let client = world.client.attach(&handle);
        let id = waiting(&world, kind).await;
        for _ in 0..3 {
            let token = world.until_state(id, State::Waiting).await.task.wait_token();
            client.retry(token, world.now(), "not yet").await.unwrap();
        }
        let told: Vec<_> = (1..=3).map(|attempt| (attempt, "not yet".to_owned())).collect();
        assert_eq!(history(&world, id).await, told);
        assert_eq!(world.state(id).await, State::Failed, "three attempts are all");
        world.shut_down(handle).await;
        // With a fallback, which did not run, only the end is told.
        let mut wanted = vec![(3, TaskFailed)];
        if judged {
            wanted.splice(0..0, [(1, AttemptFailed), (2, AttemptFailed)]);
        }
        assert_eq!(listener.attempts(), wanted, "{kind}");
    }
}

#[tokio::test]
async fn an_early_end_is_told_by_the_worker_that_delivers_it() {
    let (world, listener) = (World::new(), Listener::new(Manner::Takes));
    let id = world.enqueue(job("waits").delay(SECOND)).await;
    let token = world.detail(id).await.task.wait_token();
    world.client.fail(token, "rejected").await.unwrap();
    let handle = worker(&world, &listener);
    world.until_final(id).await;
    world.shut_down(handle).await;
    assert_eq!(listener.attempts(), [(1, TaskFailed)]);
    assert_eq!(history(&world, id).await, [(1, "rejected".to_owned())]);
}

#[tokio::test]
async fn a_parent_that_left_children_behind_is_not_told_again() {
    let (world, listener) = (World::new(), Listener::new(Manner::Takes));
    let id = world.enqueue(job("parent")).await;
    let store = &world.memory;
    let session = SessionId::from_random(1, 2);
    let info = SessionInfo {
        id: session,
        name: WorkerName::new("foreign").unwrap(),
        host: "elsewhere".into(),
        queues: vec![Queue::default()],
        kinds: vec![],
    };
    let (now, later) = (world.now(), world.now().saturating_add(SECOND * 60));
    store.open_session(&info, later, now).await.unwrap();
    let parent = ClaimRequest::new(session, Queue::default(), [Kind::new("parent").unwrap()], 1);
    store.claim(parent, now).await.unwrap();
    // Some other program's worker inserts a child, and fails its parent.
    let child = job("child").delay(SECOND * 60);
    let child = child.build(TaskId::child(id, 0, 0, 0), now, 1, Some(id)).unwrap();
    let checkpoint = Payload::null();
    let failure = FailedAttempt {
        attempt: 1,
        worker: None,
        started_at: now,
        ended_at: now,
        error: "no".into(),
    };
    let steps = [
        (Event::Checkpoint { checkpoint }, vec![child]),
        (Event::Fail { failure }, vec![]),
    ];
    for (nonce, (event, insert)) in (1..).zip(steps) {
        let task = world.detail(id).await.task;
        let edit = Edit {
            id,
            version: task.version,
            nonce: Nonce::from_random(nonce),
            action: transition(&task, event, now, 0).unwrap(),
            insert,
        };
        store.apply(edit, now).await.unwrap();
    }
    assert!(world.detail(id).await.task.alarm_at.is_some());
    store.close_session(session).await.unwrap();
    let handle = worker(&world, &listener);
    let silent = async || world.detail(id).await.task.alarm_at.is_none();
    world.until("its alarm is silenced", silent).await;
    world.shut_down(handle).await;
    assert_eq!(world.detail(id).await.task.children.open, 0);
    assert_eq!(listener.attempts(), []);
}

#[tokio::test]
async fn what_an_operator_cancels_or_reruns_is_not_told() {
    let (world, listener) = (World::new(), Listener::new(Manner::Takes));
    let handle = worker(&world, &listener);
    let client = world.client.attach(&handle);
    let (cancelled, rerun) = (waiting(&world, "waits").await, waiting(&world, "waits").await);
    client.cancel(cancelled).await.unwrap();
    let token = world.detail(rerun).await.task.wait_token();
    client.succeed(token, &1).await.unwrap();
    client.rerun(rerun).await.unwrap();
    world.shut_down(handle).await;
    assert_eq!(listener.attempts(), []);
}

#[tokio::test]
async fn a_dead_letter_carries_its_details_and_can_be_listed_rerun_and_purged() {
    let (world, listener) = (World::new(), Listener::new(Manner::Takes));
    let executor = script(|ctx| async move {
        match ctx.reruns() {
            0 => Err(Final::new("no such customer").into()),
            _ => Ok(Outcome::Done),
        }
    });
    let retention = Retention {
        succeeded: Some(Duration::from_mins(20)),
        ..Retention::default()
    };
    let id = world.enqueue(job("a").delay(SECOND).retention(retention)).await;
    let handle = world
        .worker()
        .kind("a", executor)
        .alert_sink(listener.clone())
        .build()
        .unwrap()
        .start();
    world.until_final(id).await;
    world
        .until("it is told", async || !listener.told().is_empty())
        .await;
    let alert = listener.told().remove(0);
    assert!(alert.reason.is_dead_letter());
    let task = alert.task.clone().unwrap();
    assert_eq!(
        (task.id, task.state, task.attempt, task.reruns),
        (id, State::Failed, 1, 0)
    );
    assert_eq!(task.next_run_at, None);
    assert_eq!(alert.error.clone().unwrap().as_str(), "no such customer");
    assert_eq!(alert.span, SECOND);
    let json: serde_json::Value = serde_json::from_str(&alert.to_json()).unwrap();
    assert_eq!(json["reason"], "task_failed");
    assert_eq!(json["task"]["id"], id.to_string());
    assert_eq!(json["task"]["state"], "failed");
    assert_eq!(json["span_ms"], 1_000);
    assert_eq!(json["error"], "no such customer");
    let filter = TaskFilter {
        states: vec![State::Failed],
        ..TaskFilter::default()
    };
    assert_eq!(world.list(filter.clone()).await[0].id, id);
    world.client.rerun(id).await.unwrap();
    assert_eq!(world.until_final(id).await.task.state, State::Succeeded);
    assert!(world.list(filter).await.is_empty());
    world.pass(Duration::from_mins(21)).await;
    assert!(
        world
            .memory
            .list(&TaskFilter::default(), &Page::first(1))
            .await
            .unwrap()
            .tasks
            .is_empty()
    );
    assert_eq!(listener.told().len(), 1);
    world.shut_down(handle).await;
}
