//! The owner task in the hands of operators, and what cannot be built.

use std::sync::Arc;
use std::time::Duration;

use super::harness::{Fault, Office};
use crate::client::{Client, Error};
use crate::engine;
use crate::engine::tests::harness::{SECOND, job};
use crate::limits::MAX_BATCH;
use crate::name::Queue;
use crate::outbox::BuildError;
use crate::sharded::ShardedStore;
use crate::store::{MemoryStore, TaskFilter, TaskStore};
use crate::task::{State, Task};

pub(super) fn queue() -> Queue {
    Queue::new("outbox/orders").unwrap()
}

async fn owner(office: &Office) -> Task {
    let filter = TaskFilter {
        queues: vec![queue()],
        ..TaskFilter::default()
    };
    let mut tasks = office.world.list(filter).await;
    assert_eq!(tasks.len(), 1);
    tasks.remove(0)
}

#[tokio::test]
async fn an_ended_owner_task_goes_on_with_its_checkpoint() {
    let office = Office::new();
    let worker = office.worker();
    let (store, table) = (office.store(), office.table());
    // The rows are handed over and not removed when the task is cancelled.
    table.plan(1, Fault::HoldAnswer(tokio_util::sync::CancellationToken::new()));
    let relay = Office::start(office.builder(&store, &table));
    let mut tasks = office.commit_all(3);
    office.world.pass(SECOND).await;
    let id = owner(&office).await.id;
    office
        .world
        .finish("the cancel", office.world.client.cancel(id))
        .await
        .unwrap();
    office.world.until_state(id, State::Cancelled).await;
    tasks.extend(office.commit_all(2));
    office.assert_once(&tasks, "an operator ended it").await;
    assert_eq!(owner(&office).await.id, id);
    relay.kill().await;
    office.world.shut_down(worker).await;
}

#[tokio::test]
async fn a_pause_of_its_queue_stops_it_within_a_turn() {
    let office = Office::new();
    let relay = office.relay();
    office.world.pass(SECOND).await;
    let queue = queue();
    office.world.client.pause(&queue).await.unwrap();
    office.world.pass(Duration::from_secs(65)).await;
    office.commit_all(1);
    office.world.pass(Duration::from_mins(5)).await;
    assert_eq!(office.waiting().await, 1);
    office.world.client.resume(&queue).await.unwrap();
    office.world.pass(SECOND * 3).await;
    assert_eq!(office.waiting().await, 0);
    relay.kill().await;
}

#[tokio::test]
async fn a_paused_queue_leaves_no_row_that_was_handed_over() {
    let office = Office::new();
    let mut table = office.table();
    // The fifth look has not ended when the turn is over, and its rows are handed over all the same.
    table.slow = SECOND * 7;
    let relay = Office::start(office.builder(&office.store(), &table));
    office.world.pass(SECOND * 58).await;
    office.world.client.pause(&queue()).await.unwrap();
    let tasks = office.commit_all(2);
    office.world.pass(SECOND * 60).await;
    assert_eq!(office.sent(), tasks);
    assert_eq!(office.waiting().await, 0, "they would count as lag");
    relay.kill().await;
}

#[tokio::test]
async fn an_idle_relay_writes_nothing_but_its_turns() {
    let office = Office::new();
    let relay = office.relay();
    office.world.pass(Duration::from_mins(30)).await;
    let task = owner(&office).await;
    assert!(
        task.version <= 62,
        "a claim and a hand-back a minute: {}",
        task.version
    );
    assert!(task.attempt <= 1);
    relay.kill().await;
}

#[tokio::test]
async fn what_cannot_work_is_not_built() {
    let office = Office::new();
    let (store, table) = (office.store(), office.table());
    let builder = || office.builder(&store, &table);
    assert!(builder().batch(1).build().is_ok() && builder().batch(MAX_BATCH).build().is_ok());
    for rows in [0, MAX_BATCH + 1] {
        assert!(matches!(builder().batch(rows).build(), Err(BuildError::Batch(n)) if n == rows));
    }
    for pauses in [Duration::ZERO..=SECOND, SECOND..=Duration::from_millis(999)] {
        assert!(matches!(builder().poll(pauses).build(), Err(BuildError::Poll)));
    }
    let lease = builder().lease(Duration::from_millis(10)).build();
    assert!(matches!(
        lease,
        Err(BuildError::Worker(engine::BuildError::LeaseTooShort { .. }))
    ));
}

#[tokio::test]
async fn a_store_with_parts_is_refused_on_both_sides() {
    let office = Office::new();
    let store = office.store();
    let part: Arc<dyn TaskStore> = Arc::new(office.world.memory.clone());
    store.shard(vec![part]);
    let built = office.builder(&store, &office.table()).build();
    assert!(matches!(built, Err(BuildError::Parts(_))));
    let client = Client::new(store);
    let mut tx = office.outbox.begin();
    let refused = client.enqueue(job("a")).outbox(&office.outbox, &mut tx);
    assert!(matches!(refused, Err(Error::Store(_))));
    tx.commit();
    assert_eq!(office.waiting().await, 0);
}

#[tokio::test]
async fn an_outbox_serves_one_part_of_a_sharded_store() {
    let office = Office::new();
    let clock = || Arc::new(office.world.clock.clone());
    let whole = ShardedStore::builder()
        .part("here", office.world.memory.clone())
        .part("there", MemoryStore::with_clock(clock()))
        .clock(clock())
        .build()
        .unwrap();
    let client = Client::builder(office.world.memory.clone())
        .slots(whole.slots("here").unwrap())
        .clock(clock())
        .build();
    let mut tx = office.outbox.begin();
    let mut enqueue = || client.enqueue(job("a")).outbox(&office.outbox, &mut tx).unwrap();
    let ids: Vec<_> = (0..8).map(|_| enqueue()).collect();
    tx.commit();
    let relay = office.relay();
    office.world.pass(SECOND * 2).await;
    for id in ids {
        assert!(whole.get(id).await.unwrap().is_some(), "the whole store finds it");
    }
    relay.kill().await;
}
