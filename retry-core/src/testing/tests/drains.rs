//! Drains, the clock, and what the kit says about tasks.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::{Count, Job, Note, SECOND, World, nap};
use crate::clock::Clock;
use crate::draft::Draft;
use crate::engine::{HandledTask, WorkerBuilder};
use crate::executor::{Ctx, HandlerError, Outcome, State};
use crate::name::Queue;
use crate::payload::Payload;
use crate::task;
use crate::testing::{Stopped, TestKit, Why};

async fn done(_: Job) -> Result<(), Infallible> {
    Ok(())
}

async fn busy_twice(_: Job, ctx: Ctx) -> Result<Outcome, HandlerError> {
    if ctx.attempt() < 3 {
        return Err(io::Error::other("busy").into());
    }
    Ok(Outcome::output(&ctx.attempt())?)
}

#[tokio::test]
async fn retries_pass_in_no_time_and_leave_their_history() {
    let kit = TestKit::new().handler(busy_twice);
    let id = kit.enqueue(Job { n: 1 }).await;
    let drained = kit.drain().await;
    drained.assert_done();
    assert!(drained.elapsed >= Duration::from_secs(120), "{drained}");
    assert!(drained.elapsed < Duration::from_secs(130), "{drained}");
    kit.assert_state(id, task::State::Succeeded);
    assert_eq!(kit.output::<u32>(id), 3);
    assert_eq!(kit.task(id).failures.len(), 2);
    let attempts: Vec<u32> = kit.runs().iter().map(|run| run.attempt).collect();
    assert_eq!(attempts, [1, 2, 3]);
}

#[tokio::test]
async fn what_waits_is_told_with_the_reason() {
    async fn waits(_: Note, ctx: Ctx) -> Result<Outcome, HandlerError> {
        match ctx.completion::<u32>()? {
            Some(answer) => Ok(Outcome::output(&answer)?),
            None => Ok(Outcome::Wait(Duration::from_hours(1))),
        }
    }
    let kit = TestKit::new().handler(done).handler(waits);
    let waiting = kit.enqueue(Note { text: "w".into() }).await;
    let unknown = kit.enqueue(Draft::raw("unknown", Payload::null())).await;
    let elsewhere = kit.enqueue(Draft::of(&Job { n: 1 }).queue("elsewhere")).await;
    kit.client().pause(&Queue::default()).await.unwrap();
    let paused = kit.enqueue(Job { n: 2 }).await;
    let drained = kit.drain().await;
    let why = |id| {
        drained
            .open
            .iter()
            .find(|open| open.id == id)
            .map(|open| open.why)
    };
    assert_eq!(why(waiting), Some(Why::QueuePaused));
    assert_eq!(why(unknown), Some(Why::NoHandler));
    assert_eq!(why(elsewhere), Some(Why::QueueNotClaimed));
    assert_eq!(why(paused), Some(Why::QueuePaused));
    kit.client().resume(&Queue::default()).await.unwrap();
    let drained = kit.drain().await;
    kit.assert_state(paused, task::State::Succeeded);
    let open = drained.open.iter().find(|open| open.id == waiting).unwrap();
    assert!(
        matches!(open.why, Why::Completion(Some(until)) if until > kit.now()),
        "{drained}"
    );
    let token = kit.task(waiting).task.wait_token();
    kit.client().complete(token, &7).await.unwrap();
    assert_eq!(kit.drain().await.open.len(), 2);
    assert_eq!(kit.output::<u32>(waiting), 7);
}

#[tokio::test]
async fn a_wait_reaches_its_deadline_by_advancing() {
    async fn waits(_: Job, ctx: Ctx) -> Result<Outcome, HandlerError> {
        if ctx.step() == 0 {
            return Ok(Outcome::Wait(Duration::from_hours(1)));
        }
        Ok(Outcome::Done)
    }
    let kit = TestKit::new().handler(waits);
    let id = kit.enqueue(Job { n: 1 }).await;
    assert!(!kit.drain().await.is_done());
    kit.advance(Duration::from_mins(59)).await;
    kit.assert_state(id, task::State::Waiting);
    kit.advance(Duration::from_mins(2)).await;
    kit.assert_state(id, task::State::Succeeded);
}

#[tokio::test]
async fn an_endless_task_is_stopped_by_each_limit() {
    async fn never(_: Job) -> Result<Outcome, Infallible> {
        Ok(Outcome::Snooze(Duration::from_mins(10)))
    }
    let kit = TestKit::new().handler(never).max_time(Duration::from_hours(2));
    kit.enqueue(Job { n: 1 }).await;
    let drained = kit.drain().await;
    assert_eq!(drained.stopped, Stopped::TimeLimit);
    assert_eq!(drained.elapsed, Duration::from_hours(2));
    assert!(matches!(drained.open[0].why, Why::Due(_)), "{drained}");
    let text = drained.to_string();
    assert!(
        text.contains("limit of simulated time") && text.contains("job"),
        "{text}"
    );
    let kit = TestKit::new().handler(never).max_steps(100);
    kit.enqueue(Job { n: 1 }).await;
    let drained = kit.drain().await;
    assert_eq!(drained.stopped, Stopped::StepLimit);
    assert!(!drained.is_done());
}

#[tokio::test]
async fn the_limits_hold_all_retries_of_the_default_policy() {
    async fn fails(_: Note) -> Result<(), io::Error> {
        Err(io::Error::other("the whole weekend"))
    }
    // Fewer heartbeats for a faster test.
    let slow = Duration::from_mins(30);
    let kit = TestKit::new().handler(fails);
    let kit = kit.worker(|worker| worker.lease(slow).rescue_interval(slow));
    let id = kit.enqueue(Note { text: "x".into() }).await;
    let drained = kit.drain().await;
    drained.assert_done();
    kit.assert_state(id, task::State::Failed);
    assert_eq!(kit.runs().len(), 100);
    assert!(drained.elapsed > Duration::from_hours(44), "{drained}");
}

#[tokio::test]
async fn handlers_sleep_by_the_kits_clock() {
    async fn naps(_: Job, State(clock): State<Arc<dyn Clock>>) -> Result<(), Infallible> {
        nap(&clock, Duration::from_secs(30)).await;
        nap(&clock, Duration::from_secs(30)).await;
        Ok(())
    }
    let kit = TestKit::new().handler(naps);
    let clock = kit.clock();
    let kit = kit.state(clock);
    kit.enqueue(Job { n: 1 }).await;
    kit.advance(Duration::from_secs(45)).await;
    assert_eq!(kit.runs()[0].awaits, 2);
    let drained = kit.drain().await;
    drained.assert_done();
    assert_eq!(drained.elapsed, Duration::from_secs(15));
}

#[tokio::test]
async fn enqueued_tasks_are_looked_at_by_kind() {
    async fn follows(task: Job, ctx: Ctx) -> Result<(), Infallible> {
        ctx.enqueue_on_success(Note {
            text: format!("after {}", task.n),
        });
        Ok(())
    }
    async fn noted(_: Note) -> Result<(), Infallible> {
        Ok(())
    }
    let kit = TestKit::new().handler(follows).handler(noted);
    kit.assert_not_enqueued::<Note>();
    kit.enqueue(Job { n: 1 }).await;
    kit.enqueue(Job { n: 2 }).await;
    assert_eq!(kit.enqueued::<Job>(), [Job { n: 1 }, Job { n: 2 }]);
    kit.drain().await.assert_done();
    kit.assert_enqueued::<Note>(|note| note.text == "after 2");
    assert_eq!(kit.tasks::<Note>().len(), 2);
}

impl HandledTask for Note {
    fn register(builder: WorkerBuilder) -> WorkerBuilder {
        builder.handler(tells_whether_dry)
    }
}

async fn tells_whether_dry(_: Note, ctx: Ctx) -> Result<Outcome, HandlerError> {
    Ok(Outcome::output(&ctx.is_dry_run())?)
}

#[tokio::test]
async fn a_task_with_a_handler_of_its_own_and_a_dry_run() {
    for dry in [false, true] {
        let kit = TestKit::new().handled::<Note>();
        let kit = if dry { kit.dry_run() } else { kit };
        let id = kit.enqueue(Note { text: "x".into() }).await;
        kit.drain().await.assert_done();
        assert_eq!(kit.output::<bool>(id), dry);
    }
}

#[tokio::test]
async fn a_transaction_of_the_kits_store_is_respected() {
    let kit = TestKit::new().handler(done);
    for commits in [false, true] {
        let mut tx = kit.store().begin();
        kit.client().enqueue(Job { n: 1 }).in_tx(&mut tx).unwrap();
        if commits {
            tx.commit().unwrap();
        }
        kit.drain().await.assert_done();
        assert_eq!(kit.runs().len(), usize::from(commits));
    }
}

#[tokio::test]
async fn asserts_say_what_there_is() {
    async fn fails(_: Job) -> Result<Outcome, Infallible> {
        Ok(Outcome::Stop("no such order".into()))
    }
    let kit = TestKit::new().handler(fails);
    let id = kit.enqueue(Job { n: 7 }).await;
    kit.drain().await.assert_done();
    let said = |check: &dyn Fn()| {
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(check)).unwrap_err();
        *panic.downcast::<String>().unwrap()
    };
    let text = said(&|| kit.assert_state(id, task::State::Succeeded));
    assert!(
        text.contains("failed") && text.contains("no such order"),
        "{text}"
    );
    let text = said(&|| kit.assert_enqueued::<Job>(|job| job.n == 8));
    assert!(text.contains(r#"{\"n\":7}"#), "{text}");
    let text = said(&|| kit.assert_not_enqueued::<Job>());
    assert!(text.contains(r#"{\"n\":7}"#), "{text}");
    let text = said(&|| assert_eq!(kit.output::<u32>(id), 0));
    assert!(text.contains("no output"), "{text}");
}

#[tokio::test]
#[should_panic(expected = "a worker needs at least one handler")]
async fn a_kit_without_handlers_says_so() {
    let _ = TestKit::new().drain().await;
}

#[tokio::test]
#[should_panic(expected = "the kit has run")]
async fn handlers_come_before_the_first_run() {
    let kit = TestKit::new().handler(done);
    kit.advance(SECOND).await;
    let _ = kit.state(7_u32);
}

#[tokio::test]
async fn a_shutdown_hands_back_what_does_not_end_and_a_drain_goes_on() {
    async fn patient(_: Job, ctx: Ctx, State(count): State<Count>) -> Result<Outcome, Infallible> {
        if count.next() == 1 {
            ctx.cancelled().await;
            return Ok(Outcome::Snooze(SECOND));
        }
        Ok(Outcome::Done)
    }
    let patience = Duration::from_millis(10);
    let kit = TestKit::new().handler(patient).state(Count::default());
    let kit = kit.patience(patience);
    let id = kit.enqueue(Job { n: 1 }).await;
    kit.advance(SECOND).await;
    kit.assert_state(id, task::State::Running);
    kit.shutdown().await;
    kit.assert_state(id, task::State::Pending);
    assert_eq!(kit.client().sessions().await.unwrap(), []);
    kit.drain().await.assert_done();
    kit.assert_state(id, task::State::Succeeded);
}

#[tokio::test]
async fn the_same_seed_gives_the_same_run() {
    async fn works(task: Job, State(world): State<World>) -> Result<(), io::Error> {
        for step in 0..3 {
            super::pause().await;
            world.did(format!("{}.{step}", task.n));
        }
        if task.n == 3 {
            Err(io::Error::other("once more"))
        } else {
            Ok(())
        }
    }
    let mut traces = Vec::new();
    for seed in [1, 1, 2] {
        let world = World::default();
        let kit = TestKit::with_seed(seed).handler(works).state(world.clone());
        for n in 0..6 {
            kit.enqueue(Job { n }).await;
        }
        kit.drain().await.assert_done();
        traces.push((world.all(), kit.runs()));
    }
    assert_eq!(traces[0], traces[1]);
    assert_ne!(traces[0].0, traces[2].0, "another seed, another order");
}
