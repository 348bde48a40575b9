//! Tasks born running here, by an attached client.

use std::sync::Arc;

use super::attached::{here, here_with};
use super::faulty::{Fault, Op};
use super::harness::{SECOND, done, job, quiet, script, stuck};
use crate::client::Client;
use crate::draft::Draft;
use crate::executor::Outcome;
use crate::payload::Payload;
use crate::store::{Inserted, MemoryStore, QueueSetting, StoreErrorKind, TaskStore as _};
use crate::task::State;
use crate::time::Timestamp;

#[tokio::test]
async fn it_runs_at_once_and_without_a_claim() {
    let here = here(done()).await;
    let enqueued = here.client.enqueue(job("a")).run_here().await.unwrap();
    assert_eq!(enqueued.inserted, Inserted::New { leased: true });
    let born = here.world.detail(enqueued.id).await.task;
    assert_eq!((born.state, born.version, born.attempt), (State::Running, 1, 1));
    quiet().await;
    let ended = here.world.detail(enqueued.id).await.task;
    assert_eq!(
        (ended.state, ended.version),
        (State::Succeeded, 2),
        "birth and success"
    );
    here.world.shut_down(here.handle).await;
}

#[tokio::test]
async fn what_cannot_start_here_is_pending() {
    let here = here(stuck()).await;
    let pending = Inserted::New { leased: false };
    let answer = async |client: &Client<MemoryStore>, draft: Draft| {
        let enqueued = client.enqueue(draft).run_here().await.unwrap();
        assert_eq!(here.world.state(enqueued.id).await, State::Pending);
        enqueued.inserted
    };
    let client = &here.client;
    assert_eq!(
        answer(&here.world.client, job("a")).await,
        pending,
        "not attached"
    );
    here.world.memory.purge(Timestamp::MAX, 1_000).await.unwrap();
    assert_eq!(answer(client, job("a").delay(SECOND)).await, pending, "not due");
    assert_eq!(
        answer(client, job("b")).await,
        pending,
        "a kind without a handler"
    );
    assert_eq!(
        answer(client, job("a").queue("other")).await,
        pending,
        "not its queue"
    );
    let default = crate::name::Queue::default();
    here.world
        .memory
        .set_queue(&default, QueueSetting::Pause)
        .await
        .unwrap();
    assert_eq!(answer(client, job("a")).await, pending, "a paused queue");
    here.world.shut_down(here.handle).await;
    assert_eq!(answer(client, job("a")).await, pending, "a stopped worker");
}

#[tokio::test]
async fn without_a_permit_it_is_pending_and_no_limit_is_exceeded() {
    let here = here(stuck()).await;
    let first = here.client.enqueue(job("a")).run_here().await.unwrap();
    let second = here.client.enqueue(job("a")).run_here().await.unwrap();
    assert_eq!(first.inserted, Inserted::New { leased: true });
    assert_eq!(second.inserted, Inserted::New { leased: false });
    quiet().await;
    assert_eq!((here.runs.most(), here.handle.running()), (1, 1));
    here.world.shut_down(here.handle).await;
}

#[tokio::test]
async fn a_failed_insert_or_a_duplicate_gives_the_permit_back() {
    let here = here(done()).await;
    let held = job("a").unique("k").delay(SECOND * 1_000);
    here.world.enqueue(held).await;
    let duplicate = here
        .client
        .enqueue(job("a").unique("k"))
        .run_here()
        .await
        .unwrap();
    assert!(matches!(duplicate.inserted, Inserted::Duplicate { .. }));
    let store = here.world.store();
    store.always(Op::Insert, Some(Fault::Rejected(StoreErrorKind::Full)));
    let faulty = Client::builder(store)
        .clock(Arc::new(here.world.clock.clone()))
        .build()
        .attach(&here.handle);
    faulty.enqueue(job("a")).run_here().await.unwrap_err();
    faulty
        .enqueue(Draft::raw("not a kind", Payload::null()))
        .run_here()
        .await
        .unwrap_err();
    let id = here.world.enqueue(job("a")).await;
    here.world.until_final(id).await;
    assert_eq!(here.runs.total(), 1);
    here.world.shut_down(here.handle).await;
}

#[tokio::test]
async fn an_insert_of_unknown_outcome_is_looked_at_before_it_runs() {
    for fault in [Fault::Answerless, Fault::Lost] {
        let here = here(done()).await;
        let store = here.world.store();
        store.plan(Op::Insert, &fault, 1);
        let faulty = Client::builder(store)
            .clock(Arc::new(here.world.clock.clone()))
            .build()
            .attach(&here.handle);
        let enqueue = faulty.enqueue(job("a")).run_here();
        let enqueued = here.world.finish("the enqueue", enqueue).await.unwrap();
        quiet().await;
        let ended = here.world.detail(enqueued.id).await.task;
        assert_eq!((ended.state, ended.version), (State::Succeeded, 2), "{fault:?}");
        here.world.shut_down(here.handle).await;
    }
}

#[tokio::test]
async fn an_attached_client_keeps_no_worker_alive() {
    let here = here_with(script(|_| async { Ok(Outcome::Done) }), 4).await;
    let client = here.client.clone().erase();
    assert!(client.is_attached() && !here.world.client.is_attached());
    drop(here.handle);
    quiet().await;
    let enqueued = client.enqueue(job("a")).run_here().await.unwrap();
    assert_eq!(enqueued.inserted, Inserted::New { leased: false });
}
