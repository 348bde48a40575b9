//! A dry run answers what a run would do, from every state, and leaves the store as it was.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::client::{Client, Error};
use crate::draft::{Draft, TaskOptions, TaskPayload};
use crate::engine::tests::harness::{SECOND, World, each_second};
use crate::engine::{DryRun, Worker};
use crate::executor::{Ctx, Final, HandlerError, Outcome, State};
use crate::id::TaskId;
use crate::payload::Payload;
use crate::store::{CountScope, MemoryStore, TaskStore as _};
use crate::task::{FailedChildren, Retention, State as TaskState};
use crate::time::Timestamp;

#[derive(Debug, Clone, Serialize, Deserialize)]
enum Job {
    Done,
    Retry,
    Stop,
    Checkpoints,
    FollowUp,
    Split(u32),
    Wait,
    Panic,
    Hangs,
    HangsWet,
}

impl TaskPayload for Job {
    const KIND: &'static str = "job";

    fn options() -> TaskOptions {
        TaskOptions::new().retry(each_second(3))
    }
}

/// Only a wet run leaves a mark.
type Marks = Arc<std::sync::Mutex<Vec<TaskId>>>;

async fn job(task: Job, ctx: Ctx, State(marks): State<Marks>) -> Result<Outcome, HandlerError> {
    if !ctx.is_dry_run() {
        marks.lock().unwrap().push(ctx.id());
    }
    match task {
        Job::Done => Ok(Outcome::output(&ctx.attempt())?),
        Job::Retry => Err("busy".into()),
        Job::Stop => Err(Final::new("never").into()),
        Job::Checkpoints => {
            let before: u32 = ctx.checkpoint()?.unwrap_or(0);
            let version = ctx.version();
            ctx.save_checkpoint(&(before + 1)).await?;
            ctx.save_checkpoint(&(before + 2)).await?;
            assert_eq!(ctx.version(), version + 2);
            Err("later".into())
        }
        Job::FollowUp => {
            ctx.enqueue_on_success(Job::Done);
            Ok(Outcome::Done)
        }
        Job::Split(children) if ctx.step() == 0 => Ok(Outcome::split((0..children).map(|_| Job::Wait))),
        Job::Split(_) => Ok(Outcome::output(&ctx.children())?),
        Job::Wait if ctx.step() == 0 => Ok(Outcome::Wait(SECOND * 3_600)),
        Job::Wait => Ok(Outcome::output(&ctx.completion::<u32>()?)?),
        Job::Panic => panic!("oh"),
        Job::HangsWet if ctx.is_dry_run() => Err("would hang".into()),
        Job::Hangs | Job::HangsWet => std::future::pending().await,
    }
}

struct Desk {
    world: World,
    worker: Worker,
    marks: Marks,
}

impl Desk {
    fn new() -> Self {
        let (world, marks) = (World::new(), Marks::default());
        let worker = world
            .worker()
            .state(marks.clone())
            .handler_with(job, |kind| kind.timeout(Duration::from_secs(30)));
        let worker = worker.build().unwrap();
        Self { world, worker, marks }
    }

    async fn enqueue(&self, task: impl Into<Draft>) -> TaskId {
        self.world.enqueue(task.into()).await
    }

    fn client(&self) -> &Client<MemoryStore> {
        &self.world.client
    }

    /// Runs everything that is due.
    async fn run(&self) {
        let tick = self.worker.tick(SECOND * 10);
        self.world.finish("the tick", tick).await.unwrap();
        self.marks.lock().unwrap().clear();
    }

    /// A dry run that is seen to change nothing.
    async fn dry_run(&self, id: TaskId) -> DryRun {
        let before = self.world.detail(id).await;
        let counts = self.world.memory.count(&CountScope::default()).await.unwrap();
        let dry = self.client().dry_run(id, &self.worker);
        let dry = self.world.finish("the dry run", dry).await.unwrap();
        assert_eq!(self.world.detail(id).await, before, "version included");
        assert_eq!(
            self.world.memory.count(&CountScope::default()).await.unwrap(),
            counts
        );
        assert!(self.marks.lock().unwrap().is_empty(), "the handler knew");
        assert!(self.world.memory.sessions().await.unwrap().is_empty());
        dry
    }
}

#[tokio::test]
async fn a_pending_task_answers_as_its_next_attempt() {
    let desk = Desk::new();
    let later = Draft::of(&Job::Done).delay(SECOND * 1_000);
    let dry = desk.dry_run(desk.enqueue(later).await).await;
    assert_eq!((dry.state(), dry.kept), (TaskState::Succeeded, true));
    assert_eq!(dry.after.output.as_ref().unwrap().as_json(), "1");
    assert_eq!(dry.runs_again_at(), None);
    let retry = desk.enqueue(Job::Retry).await;
    let dry = desk.dry_run(retry).await;
    assert_eq!(dry.runs_again_at(), Some(desk.world.now().saturating_add(SECOND)));
    assert_eq!(dry.after.failures[0].error.as_str(), "busy");
    let dry = desk.dry_run(desk.enqueue(Job::Stop).await).await;
    assert_eq!(dry.state(), TaskState::Failed);
    let dry = desk.dry_run(desk.enqueue(Job::Panic).await).await;
    assert!(dry.after.last_error.unwrap().as_str().contains("panicked: oh"));
    let dry = desk.dry_run(desk.enqueue(Job::Hangs).await).await;
    assert!(
        dry.after
            .last_error
            .unwrap()
            .as_str()
            .contains("no answer within 30s")
    );
}

#[tokio::test]
async fn what_it_would_store_is_told() {
    let desk = Desk::new();
    let id = desk.enqueue(Job::Checkpoints).await;
    let dry = desk.dry_run(id).await;
    let texts: Vec<_> = dry.checkpoints.iter().map(Payload::as_json).collect();
    assert_eq!(texts, ["1", "2"]);
    assert_eq!(dry.after.checkpoint.as_ref().unwrap().as_json(), "2");
    assert_eq!(dry.state(), TaskState::Pending);
    let dry = desk.dry_run(desk.enqueue(Job::FollowUp).await).await;
    assert_eq!(dry.would_enqueue.len(), 1);
    assert_eq!(dry.would_enqueue[0].payload.as_json(), r#""Done""#);
    let parent = desk.enqueue(Job::Split(2)).await;
    let dry = desk.dry_run(parent).await;
    assert_eq!(
        (dry.state(), dry.after.task.children.open),
        (TaskState::Joining, 2)
    );
    assert!(dry.would_enqueue.iter().all(|child| child.parent == Some(parent)));
    let forgotten = Retention {
        succeeded: Some(Duration::ZERO),
        ..Retention::default()
    };
    let dry = desk
        .dry_run(desk.enqueue(Draft::of(&Job::Done).retention(forgotten)).await)
        .await;
    assert_eq!((dry.state(), dry.kept), (TaskState::Succeeded, false));
}

#[tokio::test]
async fn every_other_state_answers_as_well() {
    let desk = Desk::new();
    let done = desk.enqueue(Job::Done).await;
    let stopped = desk.enqueue(Job::Stop).await;
    let waiting = desk.enqueue(Job::Wait).await;
    let joining = desk
        .enqueue(Draft::of(&Job::Split(1)).on_failed_children(FailedChildren::Hold))
        .await;
    desk.run().await;
    let dry = desk.dry_run(done).await;
    assert_eq!((dry.state(), dry.after.task.reruns), (TaskState::Succeeded, 1));
    assert_eq!(
        dry.after.output.unwrap().as_json(),
        "1",
        "its attempts are counted anew"
    );
    assert_eq!(desk.dry_run(stopped).await.state(), TaskState::Failed);
    let dry = desk.dry_run(waiting).await;
    assert_eq!(dry.after.output.unwrap().as_json(), "null", "no completion came");
    assert_eq!(dry.after.task.step, 1);
    let dry = desk.dry_run(joining).await;
    assert_eq!(
        dry.after.output.unwrap().as_json(),
        r#"{"total":1,"open":1,"failed":0}"#
    );
    desk.client().cancel(waiting).await.unwrap();
    let dry = desk.dry_run(waiting).await;
    assert_eq!(
        dry.state(),
        TaskState::Waiting,
        "a rerun begins in the step that waited"
    );
}

#[tokio::test]
async fn a_running_task_is_not_disturbed() {
    let desk = Desk::new();
    let id = desk.enqueue(Job::HangsWet).await;
    let handle = desk.worker.start();
    desk.world.until_state(id, TaskState::Running).await;
    desk.marks.lock().unwrap().clear();
    let before = desk.world.detail(id).await;
    let dry = desk.client().dry_run(id, &desk.worker).await.unwrap();
    assert_eq!(dry.after.failures[0].attempt, before.task.attempt + 1);
    assert_eq!(desk.world.detail(id).await, before);
    assert!(desk.marks.lock().unwrap().is_empty());
    desk.world.shut_down(handle).await;
}

#[tokio::test]
async fn what_cannot_be_tried_is_an_error() {
    let desk = Desk::new();
    let unknown = desk.client().dry_run(TaskId::MIN, &desk.worker).await;
    assert!(matches!(unknown, Err(Error::NotFound(TaskId::MIN))));
    let other = desk.enqueue(Draft::raw("other", Payload::null())).await;
    let refused = desk.client().dry_run(other, &desk.worker).await.unwrap_err();
    assert!(refused.to_string().contains("no handler for other"), "{refused}");
}

#[tokio::test]
async fn the_deadlines_of_the_task_are_passed_over() {
    let desk = Desk::new();
    let expired = Draft::of(&Job::Done).expires_at(Timestamp::MIN);
    let dry = desk.dry_run(desk.enqueue(expired).await).await;
    assert_eq!(dry.state(), TaskState::Succeeded);
}

#[tokio::test]
async fn a_dry_worker_tells_its_handlers() {
    let (world, marks) = (World::new(), Marks::default());
    let id = world.enqueue(Draft::of(&Job::FollowUp)).await;
    let worker = Worker::dry_run(&world.client)
        .clock(Arc::new(world.clock.clone()))
        .state(marks.clone())
        .handler(job);
    let tick = worker.build().unwrap();
    world.finish("the tick", tick.tick(SECOND * 10)).await.unwrap();
    assert_eq!(world.state(id).await, TaskState::Succeeded);
    let counts = world.memory.count(&CountScope::default()).await.unwrap();
    assert_eq!(counts.of(TaskState::Succeeded), 2, "the follow-up as well");
    assert!(marks.lock().unwrap().is_empty());
}
