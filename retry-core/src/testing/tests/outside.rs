//! Handlers that wait for the real world: the clock stands meanwhile, up to the kit's patience.

use std::io;
use std::time::Duration;

use tokio::sync::mpsc;

use super::{Count, Job};
use crate::executor::{Ctx, HandlerError, Outcome, State};
use crate::task;
use crate::testing::{Fault, TestKit, check_idempotent};

/// Asks a thread of its own and waits for the answer: as real I/O, woken from outside.
async fn asks(_: Job, State(asked): State<Count>) -> Result<(), io::Error> {
    for _ in 0..3 {
        let (reply, mut answer) = mpsc::channel(1);
        let thread = std::thread::spawn(move || {
            // A busy machine, without asking it for the time.
            (0..20).for_each(|_| std::thread::yield_now());
            reply.blocking_send(1)
        });
        answer.recv().await.ok_or(io::ErrorKind::BrokenPipe)?;
        asked.next();
        drop(thread);
    }
    Ok(())
}

#[tokio::test]
async fn the_clock_stands_while_a_handler_waits_for_the_world() {
    let asked = Count::default();
    let kit = TestKit::new()
        .handler_with(asks, |kind| kind.timeout(Duration::from_millis(1)))
        .state(asked.clone())
        .patience(Duration::from_mins(10)); // however busy the machine is
    let id = kit.enqueue(Job { n: 1 }).await;
    let drained = kit.drain().await;
    drained.assert_done();
    kit.assert_state(id, task::State::Succeeded);
    assert_eq!((asked.get(), kit.task(id).task.attempt), (3, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runtime_of_many_threads_does_as_well() {
    let tried = check_idempotent(
        async |kit: TestKit| (kit.handler(asks).state(Count::default()), ()),
        Job { n: 1 },
        async |kit: &TestKit, _: &()| {
            assert_eq!(kit.tasks::<Job>()[0].task.state, task::State::Succeeded);
        },
    )
    .await
    .unwrap()
    .tried;
    assert!(tried.contains(&Fault::CrashBeforeSettle(1)), "{tried:?}");
}

#[tokio::test]
async fn a_handler_that_waits_for_nothing_meets_its_timeout_when_patience_ends() {
    async fn stuck(_: Job, ctx: Ctx) -> Result<Outcome, HandlerError> {
        if ctx.attempt() == 1 {
            std::future::pending::<()>().await;
        }
        Ok(Outcome::Done)
    }
    let kit = TestKit::new()
        .handler_with(stuck, |kind| kind.timeout(Duration::from_secs(30)))
        .patience(Duration::from_millis(10));
    let id = kit.enqueue(Job { n: 1 }).await;
    kit.drain().await.assert_done();
    assert!(
        kit.task(id).failures[0]
            .error
            .as_str()
            .contains("no answer within 30s")
    );
}

#[tokio::test]
async fn futures_of_the_runtime_are_waited_for() {
    async fn spawns(_: Job) -> Result<Outcome, HandlerError> {
        let sum = tokio::spawn(async {
            tokio::task::yield_now().await;
            1 + 1
        });
        let blocking = tokio::task::spawn_blocking(|| 40);
        Ok(Outcome::output(&(sum.await? + blocking.await?))?)
    }
    let kit = TestKit::new().handler(spawns);
    let id = kit.enqueue(Job { n: 1 }).await;
    kit.drain().await.assert_done();
    assert_eq!(kit.output::<u32>(id), 42);
}
