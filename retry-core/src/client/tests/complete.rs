//! Completions whose calls go wrong. (What they do to the task is tested with the worker.)

use futures_util::FutureExt as _;
use tokio_util::sync::CancellationToken;

use super::client;
use crate::client::Error;
use crate::engine::tests::faulty::{Fault, Op};
use crate::engine::tests::harness::{SECOND, WithKind as _, World, job, script};
use crate::executor::Outcome;
use crate::id::TaskId;
use crate::task::{OnWaitDeadline, State};

async fn waiting(world: &World) -> TaskId {
    let id = world
        .enqueue(job("waits").on_wait_deadline(OnWaitDeadline::Fail))
        .await;
    let waits = script(|_| async { Ok(Outcome::Wait(SECOND * 10)) });
    let worker = world.worker().kind("waits", waits).build().unwrap();
    world.finish("the tick", worker.tick(SECOND * 5)).await.unwrap();
    assert_eq!(world.state(id).await, State::Waiting);
    id
}

#[tokio::test]
async fn an_unknown_completion_is_sent_again() {
    for fault in [Fault::Answerless, Fault::Lost] {
        let world = World::new();
        let (client, store) = client(&world);
        let late = waiting(&world).await;
        let early = world.enqueue(job("waits").delay(SECOND * 100)).await;
        for id in [late, early] {
            let token = world.detail(id).await.task.wait_token();
            store.plan(Op::Exchange, &fault, 3);
            world
                .finish("the completion", client.complete(token, &1))
                .await
                .unwrap();
            let again = client.complete(token, &2).await;
            assert!(matches!(again, Err(Error::AlreadyDone)), "{again:?}");
        }
        let detail = world.detail(late).await;
        assert_eq!((detail.task.state, detail.task.step), (State::Pending, 1));
        assert!(world.detail(early).await.early_completion.is_some());
    }
}

#[tokio::test]
async fn an_unknown_completion_is_not_taken_for_another_ones() {
    for (other, same) in [(2, false), (1, true)] {
        let world = World::new();
        let (client, store) = client(&world);
        let id = world.enqueue(job("waits").delay(SECOND * 100)).await;
        let token = world.detail(id).await.task.wait_token();
        // The first call is lost; before the second one somebody else completes.
        store.plan(Op::Exchange, &Fault::Lost, 1);
        let mut completion = Box::pin(client.complete(token, &1));
        assert!(
            (&mut completion).now_or_never().is_none(),
            "it waits to be sent again"
        );
        let (another, _) = super::client(&world);
        another.complete(token, &other).await.unwrap();
        let answer = world.finish("the completion", completion).await;
        match same {
            true => answer.unwrap(),
            false => assert!(matches!(answer, Err(Error::AlreadyDone)), "{answer:?}"),
        }
    }
}

#[tokio::test]
async fn of_a_completion_and_the_deadline_the_first_one_counts() {
    let world = World::new();
    let (client, store) = client(&world);
    let id = waiting(&world).await;
    let token = world.detail(id).await.task.wait_token();
    let gate = CancellationToken::new();
    store.plan(Op::Exchange, &Fault::HoldCall(gate.clone()), 1);
    let mut completion = Box::pin(client.complete(token, &1));
    assert!((&mut completion).now_or_never().is_none());
    world.clock.advance(SECOND * 20);
    let rescuer = world
        .worker()
        .kind("other", crate::engine::tests::harness::done());
    world
        .finish("the tick", rescuer.build().unwrap().tick(SECOND * 5))
        .await
        .unwrap();
    assert_eq!(world.state(id).await, State::Failed);
    gate.cancel();
    let answer = completion.await;
    assert!(matches!(answer, Err(Error::AlreadyDone)), "{answer:?}");
}

#[tokio::test]
async fn what_does_not_serialize_or_is_too_large_is_refused_before_any_write() {
    let world = World::new();
    let (client, store) = client(&world);
    let id = waiting(&world).await;
    let token = world.detail(id).await.task.wait_token();
    let large = "x".repeat(crate::limits::MAX_PAYLOAD_BYTES);
    let answer = client.complete(token, &large).await;
    assert!(matches!(answer, Err(Error::Invalid(_))), "{answer:?}");
    let odd = std::collections::BTreeMap::from([((1, 2), 3)]);
    let answer = client.succeed(token, &odd).await;
    assert!(matches!(answer, Err(Error::Invalid(_))), "{answer:?}");
    assert_eq!(store.all_calls(), 0);
}
