//! What a handler may answer, and every form of error, does what the documentation says: through the facade, on SQLite.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use task_retry::executor::Handler;
use task_retry::payload::Payload;
use task_retry::sqlite::SqliteStore;
use task_retry::store::TaskFilter;
use task_retry::task::{Children, TaskDetail};
use task_retry::{
    Backoff, Client, Ctx, Draft, Final, HandlerError, KindOptions, Outcome, RetryPolicy, State, TaskOptions,
    TaskPayload, TaskState, Worker,
};

/// Far longer than any of these takes.
const LIMIT: Duration = Duration::from_secs(30);
const HOUR: Duration = Duration::from_hours(1);

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Job;

impl TaskPayload for Job {
    const KIND: &'static str = "job";

    fn options() -> TaskOptions {
        let retry = RetryPolicy::builder().backoff(Backoff::fixed(Duration::ZERO));
        TaskOptions::new().retry(retry.max_attempts(3).build().unwrap())
    }
}

struct Desk {
    client: Client<SqliteStore>,
    _folder: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let client = Client::new(SqliteStore::open(folder.path().join("tasks.db")).unwrap());
        Self {
            client,
            _folder: folder,
        }
    }

    /// Runs everything that is due.
    async fn run<Args: 'static, H: Handler<Job, Args>>(&self, handler: H, options: KindOptions) {
        let worker = Worker::builder(&self.client)
            .state(7_u32)
            .handler_with(handler, |_| options);
        worker.build().unwrap().tick(LIMIT).await.unwrap();
    }

    /// One task, after everything that was due has run.
    async fn ran<Args: 'static, H: Handler<Job, Args>>(&self, handler: H) -> TaskDetail {
        let id = self.client.enqueue(Job).await.unwrap().id;
        self.run(handler, KindOptions::new()).await;
        self.client.get(id).await.unwrap().unwrap()
    }

    async fn count(&self) -> usize {
        let page = task_retry::store::Page::first(100);
        self.client
            .list(&TaskFilter::default(), &page)
            .await
            .unwrap()
            .tasks
            .len()
    }
}

fn errors(detail: &TaskDetail) -> Vec<&str> {
    detail
        .failures
        .iter()
        .map(|failure| failure.error.as_str())
        .collect()
}

#[tokio::test]
async fn done_with_and_without_an_output() {
    let desk = Desk::new();
    let plain = desk.ran(async |_: Job| Ok::<_, HandlerError>(())).await;
    assert_eq!((plain.task.state, plain.output), (TaskState::Succeeded, None));
    async fn rich(_: Job, ctx: Ctx, State(seven): State<u32>) -> anyhow::Result<Outcome> {
        assert!(!ctx.is_dry_run() && ctx.attempt() == 1);
        Ok(Outcome::output(&(seven, ctx.kind().as_str()))?)
    }
    let rich = desk.ran(rich).await;
    assert_eq!(rich.output.unwrap().as_json(), r#"[7,"job"]"#);
}

#[tokio::test]
async fn a_snooze_is_no_attempt_and_no_error() {
    async fn later(_: Job) -> anyhow::Result<Outcome> {
        Ok(Outcome::Snooze(HOUR))
    }
    let snoozed = Desk::new().ran(later).await;
    assert_eq!(
        (snoozed.task.state, snoozed.task.attempt),
        (TaskState::Pending, 0)
    );
    assert!(snoozed.task.run_at >= snoozed.task.created_at.saturating_add(HOUR));
    assert!(snoozed.failures.is_empty());
}

#[tokio::test]
async fn a_continue_is_called_again_with_its_progress() {
    async fn counts(_: Job, ctx: Ctx) -> anyhow::Result<Outcome> {
        let progress: u32 = ctx.checkpoint()?.unwrap_or(0);
        if progress == 5 {
            return Ok(Outcome::output(&ctx.attempt())?);
        }
        Ok(Outcome::continue_after(&(progress + 1), Duration::ZERO)?)
    }
    let done = Desk::new().ran(counts).await;
    assert_eq!(done.task.state, TaskState::Succeeded);
    assert_eq!(done.checkpoint.unwrap().as_json(), "5");
    assert_eq!(
        done.output.unwrap().as_json(),
        "1",
        "five more calls, one attempt"
    );
}

#[tokio::test]
async fn a_checkpoint_outlives_the_attempt_that_stored_it() {
    async fn goes_on(_: Job, ctx: Ctx) -> anyhow::Result<()> {
        let before: Option<u32> = ctx.checkpoint()?;
        assert_eq!(before, (ctx.attempt() > 1).then_some(ctx.attempt() - 1));
        let version = ctx.version();
        ctx.save_checkpoint(&ctx.attempt()).await?;
        assert_eq!(ctx.version(), version + 1);
        anyhow::ensure!(ctx.attempt() == 3, "not yet");
        Ok(())
    }
    let done = Desk::new().ran(goes_on).await;
    assert_eq!(
        (done.task.state, errors(&done)),
        (TaskState::Succeeded, vec!["not yet"; 2])
    );
}

#[tokio::test]
async fn a_stop_fails_for_good_with_its_reason() {
    async fn stops(_: Job) -> anyhow::Result<Outcome> {
        Ok(Outcome::Stop("no such order".into()))
    }
    let stopped = Desk::new().ran(stops).await;
    assert_eq!((stopped.task.state, stopped.task.attempt), (TaskState::Failed, 1));
    assert_eq!(errors(&stopped), ["no such order"]);
}

#[tokio::test]
async fn a_wait_is_completed_by_its_token() {
    async fn waits(_: Job, ctx: Ctx) -> anyhow::Result<Outcome> {
        match ctx.completion::<String>()? {
            Some(answer) => Ok(Outcome::output(&answer)?),
            None => Ok(Outcome::Wait(HOUR)),
        }
    }
    let desk = Desk::new();
    let waiting = desk.ran(waits).await;
    assert_eq!(waiting.task.state, TaskState::Waiting);
    assert!(
        waiting.task.alarm_at.unwrap() > waiting.task.created_at,
        "it has a deadline"
    );
    let token = waiting.task.wait_token().to_string().parse().unwrap();
    desk.client.complete(token, "printed").await.unwrap();
    assert!(matches!(
        desk.client.complete(token, "again").await,
        Err(task_retry::Error::AlreadyDone)
    ));
    desk.run(waits, KindOptions::new()).await;
    let done = desk.client.get(token.task).await.unwrap().unwrap();
    assert_eq!(done.output.unwrap().as_json(), r#""printed""#);
}

#[tokio::test]
async fn a_split_goes_on_behind_its_children() {
    async fn splits(_: Job, ctx: Ctx) -> anyhow::Result<Outcome> {
        let Some(depth) = ctx.headers().get("depth") else {
            return match ctx.step() {
                0 => Ok(Outcome::split(
                    (1..=3).map(|n| Draft::of(&Job).header("depth", n.to_string())),
                )),
                _ => Ok(Outcome::output(&ctx.children())?),
            };
        };
        anyhow::ensure!(depth != "3", Final::new("the third child fails"));
        Ok(Outcome::Done)
    }
    let parent = Desk::new().ran(splits).await;
    let children = Children {
        total: 3,
        open: 0,
        failed: 1,
    };
    assert_eq!(parent.output.unwrap().decode::<Children>().unwrap(), children);
}

#[tokio::test]
async fn a_follow_up_exists_exactly_when_its_task_succeeds() {
    async fn follows(_: Job, ctx: Ctx) -> anyhow::Result<()> {
        if ctx.headers().get("follow-up").is_some() {
            return Ok(());
        }
        ctx.enqueue_on_success(Draft::of(&Job).header("follow-up", "1"));
        anyhow::ensure!(ctx.attempt() == 3, "not yet");
        Ok(())
    }
    let desk = Desk::new();
    assert_eq!(desk.ran(follows).await.task.state, TaskState::Succeeded);
    assert_eq!(desk.count().await, 2, "not one for each failed attempt");
}

/// An error type of the user's own, with a cause.
#[derive(Debug)]
struct Refused(std::io::Error);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bank refused")
    }
}

impl StdError for Refused {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.0)
    }
}

fn refused() -> Refused {
    Refused(std::io::Error::other("no funds"))
}

#[tokio::test]
async fn every_ordinary_error_is_retried_until_the_attempts_are_used_up() {
    async fn own(_: Job) -> Result<(), Refused> {
        Err(refused())
    }
    async fn of_anyhow(_: Job) -> anyhow::Result<()> {
        use anyhow::Context as _;
        Err(refused()).context("charging")
    }
    async fn of_eyre(_: Job) -> eyre::Result<()> {
        use eyre::WrapErr as _;
        Err(refused()).wrap_err("charging")
    }
    async fn boxed(_: Job) -> Result<(), Box<dyn StdError + Send + Sync>> {
        Err(refused().into())
    }
    async fn text(_: Job) -> Result<(), &'static str> {
        Err("the bank refused: no funds")
    }
    async fn panics(_: Job) -> Result<(), HandlerError> {
        panic!("the bank is gone")
    }
    let desk = Desk::new();
    let plain = "the bank refused: no funds";
    let with_context = "charging: the bank refused: no funds";
    for (failed, error) in [
        (desk.ran(own).await, plain),
        (desk.ran(of_anyhow).await, with_context),
        (desk.ran(of_eyre).await, with_context),
        (desk.ran(boxed).await, plain),
        (desk.ran(text).await, plain),
        (desk.ran(panics).await, "the handler panicked: the bank is gone"),
    ] {
        assert_eq!(
            (failed.task.state, failed.task.attempt),
            (TaskState::Failed, 3),
            "{error}"
        );
        assert_eq!(errors(&failed), [error; 3]);
    }
}

#[tokio::test]
async fn a_final_error_is_found_in_every_wrapper() {
    async fn plain(_: Job) -> Result<(), Final> {
        Err(Final::new(refused()))
    }
    async fn by_question_mark(_: Job) -> Result<(), HandlerError> {
        Err(Final::new("no such customer"))?;
        Ok(())
    }
    async fn of_anyhow(_: Job) -> anyhow::Result<()> {
        use anyhow::Context as _;
        Err(Final::new(refused())).context("charging").context("order 7")
    }
    async fn of_eyre(_: Job) -> eyre::Result<()> {
        use eyre::WrapErr as _;
        Err(Final::new(refused())).wrap_err("charging")
    }
    async fn around_anyhow(_: Job) -> Result<(), Final> {
        Err(Final::new(anyhow::Error::new(refused()).context("charging")))
    }
    let desk = Desk::new();
    for (failed, error) in [
        (desk.ran(plain).await, "the bank refused: no funds"),
        (desk.ran(by_question_mark).await, "no such customer"),
        (
            desk.ran(of_anyhow).await,
            "order 7: charging: the bank refused: no funds",
        ),
        (desk.ran(of_eyre).await, "charging: the bank refused: no funds"),
        (
            desk.ran(around_anyhow).await,
            "charging: the bank refused: no funds",
        ),
    ] {
        assert_eq!(
            (failed.task.state, failed.task.attempt),
            (TaskState::Failed, 1),
            "{error}"
        );
        assert_eq!(errors(&failed), [error]);
    }
}

#[tokio::test]
async fn a_fallback_does_the_work_of_a_primary_that_failed_too_often() {
    async fn primary(_: Job) -> anyhow::Result<()> {
        anyhow::bail!("the route is closed")
    }
    async fn fallback(_: Job, ctx: Ctx) -> anyhow::Result<Outcome> {
        Ok(Outcome::output(&ctx.attempt())?)
    }
    let desk = Desk::new();
    let id = desk.client.enqueue(Job).await.unwrap().id;
    desk.run(primary, KindOptions::new().fallback(1, fallback)).await;
    let done = desk.client.get(id).await.unwrap().unwrap();
    assert_eq!((done.task.state, done.via_fallback), (TaskState::Succeeded, true));
    assert_eq!(
        done.output.as_ref().unwrap().as_json(),
        "2",
        "not in the first attempt"
    );
    assert_eq!(errors(&done), ["the route is closed"]);
}

#[tokio::test]
async fn a_payload_that_does_not_decode_fails_at_once_with_the_reason() {
    let desk = Desk::new();
    let wrong = Draft::raw("job", Payload::from_json(r#"{"secret": 1}"#).unwrap());
    let id = desk.client.enqueue(wrong).await.unwrap().id;
    desk.run(async |_: Job| Ok::<_, HandlerError>(()), KindOptions::new())
        .await;
    let failed = desk.client.get(id).await.unwrap().unwrap();
    assert_eq!((failed.task.state, failed.task.attempt), (TaskState::Failed, 1));
    let error = errors(&failed)[0];
    assert!(
        error.starts_with("the payload does not decode") && !error.contains("secret"),
        "{error}"
    );
}

#[tokio::test]
async fn a_payload_changes_between_attempts_by_a_guarded_edit() {
    #[derive(Serialize, Deserialize)]
    struct Sum {
        cents: i64,
    }
    impl TaskPayload for Sum {
        const KIND: &'static str = "sum";
    }
    async fn pays(sum: Sum) -> anyhow::Result<()> {
        anyhow::ensure!(sum.cents > 0, "nothing to pay");
        Ok(())
    }
    let desk = Desk::new();
    let id = desk.client.enqueue(Sum { cents: -5 }).await.unwrap().id;
    let worker = Worker::builder(&desk.client).handler(pays).build().unwrap();
    worker.tick(LIMIT).await.unwrap();
    let changes = task_retry::Changes {
        payload: Some(Payload::encode(&Sum { cents: 5 }).unwrap()),
        ..task_retry::Changes::default()
    };
    let edited = desk.client.edit(id, changes).await.unwrap();
    assert_eq!((edited.task.state, edited.task.attempt), (TaskState::Pending, 1));
    desk.client.run_now(id).await.unwrap();
    worker.tick(LIMIT).await.unwrap();
    assert_eq!(
        desk.client.get(id).await.unwrap().unwrap().task.state,
        TaskState::Succeeded
    );
}

#[tokio::test]
async fn a_dead_letter_is_tried_dry_before_it_is_run_again() {
    async fn fixed(_: Job, ctx: Ctx) -> anyhow::Result<Outcome> {
        anyhow::ensure!(ctx.is_dry_run(), Final::new("the bug"));
        Ok(Outcome::Done)
    }
    let desk = Desk::new();
    let failed = desk.ran(fixed).await;
    assert_eq!(failed.task.state, TaskState::Failed);
    let worker = Worker::builder(&desk.client)
        .state(7_u32)
        .handler(fixed)
        .build()
        .unwrap();
    let dry = desk.client.dry_run(failed.task.id, &worker).await.unwrap();
    assert_eq!(dry.state(), TaskState::Succeeded);
    assert_eq!(
        desk.client.get(failed.task.id).await.unwrap().unwrap(),
        failed,
        "version included"
    );
}
