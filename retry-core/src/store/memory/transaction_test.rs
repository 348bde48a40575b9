//! A transaction in memory keeps what it says.

use crate::client::{Client, Error};
use crate::draft::Draft;
use crate::engine::tests::harness::{WithKind as _, World, stuck};
use crate::payload::Payload;
use crate::store::{Inserted, MemoryStore, Page, StoreErrorKind, TaskFilter, TaskStore as _};
use crate::task::State;

fn job() -> Draft {
    Draft::raw("a", Payload::null())
}

async fn stored(client: &Client<MemoryStore>) -> usize {
    let listed = client
        .list(&TaskFilter::default(), &Page::first(10))
        .await
        .unwrap();
    listed.tasks.len()
}

#[tokio::test]
async fn tasks_exist_from_the_commit_on_and_never_after_a_rollback() {
    let store = MemoryStore::new();
    let client = Client::new(store.clone());
    let mut tx = store.begin();
    client.enqueue(job()).in_tx(&mut tx).unwrap();
    client.enqueue(job()).in_tx(&mut tx).unwrap();
    assert_eq!(stored(&client).await, 0, "not before the commit");
    tx.rollback();
    assert_eq!(stored(&client).await, 0);
    let mut tx = store.begin();
    let enqueued = client.enqueue(job()).in_tx(&mut tx).unwrap();
    tx.commit().unwrap();
    assert!(client.get(enqueued.id).await.unwrap().is_some());
    assert_eq!(stored(&client).await, 1);
}

#[tokio::test]
async fn a_duplicate_is_told_also_within_the_transaction() {
    let store = MemoryStore::new();
    let client = Client::new(store.clone());
    let outside = client.enqueue(job().unique("x")).await.unwrap();
    let mut tx = store.begin();
    let first = client.enqueue(job().unique("x")).in_tx(&mut tx).unwrap();
    assert_eq!(first.id, outside.id);
    let new = client.enqueue(job().unique("y")).in_tx(&mut tx).unwrap();
    let second = client.enqueue(job().unique("y")).in_tx(&mut tx).unwrap();
    assert!(matches!(second.inserted, Inserted::Duplicate { holder, .. } if holder == new.id));
    tx.commit().unwrap();
    assert_eq!(stored(&client).await, 2);
}

#[tokio::test]
async fn a_key_taken_meanwhile_refuses_the_whole_commit() {
    let store = MemoryStore::new();
    let client = Client::new(store.clone());
    let mut tx = store.begin();
    assert!(client.enqueue(job().unique("x")).in_tx(&mut tx).unwrap().is_new());
    client.enqueue(job()).in_tx(&mut tx).unwrap();
    client.enqueue(job().unique("x")).await.unwrap();
    assert_eq!(tx.commit().unwrap_err().kind(), StoreErrorKind::Busy);
    assert_eq!(stored(&client).await, 1);
}

#[tokio::test]
async fn a_holder_that_moves_on_and_a_session_that_ends_refuse_no_commit() {
    let world = World::new();
    let holder = world.enqueue(job().unique("x")).await;
    let mut tx = world.memory.begin();
    let told = world.client.enqueue(job().unique("x")).in_tx(&mut tx).unwrap();
    assert!(matches!(
        told.inserted,
        Inserted::Duplicate {
            state: State::Pending,
            ..
        }
    ));
    let handle = world.worker().kind("a", stuck()).build().unwrap().start();
    world.until_state(holder, State::Running).await;
    let client = world.client.attach(&handle);
    let (leased, run) = client.enqueue(job()).in_tx_leased(&mut tx).unwrap();
    assert!(run.is_leased());
    let session = world.memory.sessions().await.unwrap()[0].info.id;
    world.memory.close_session(session).await.unwrap();
    tx.commit().unwrap();
    assert_eq!(world.state(leased.id).await, State::Pending);
}

#[tokio::test]
async fn a_transaction_of_another_store_and_an_invalid_task_are_refused() {
    let (store, other) = (MemoryStore::new(), MemoryStore::new());
    let client = Client::new(store.clone());
    let mut tx = other.begin();
    let refused = client.enqueue(job()).in_tx(&mut tx).unwrap_err();
    assert!(matches!(refused, Error::Store(error) if error.kind() == StoreErrorKind::Invalid));
    let mut tx = store.begin();
    let invalid = client
        .enqueue(Draft::raw("no kind", Payload::null()))
        .in_tx(&mut tx);
    assert!(matches!(invalid, Err(Error::Invalid(_))));
    tx.commit().unwrap();
    assert_eq!(stored(&client).await, 0);
}
