//! Owner tasks that an operator ends, and relays that were told of another number of partitions.

use std::time::Duration;

use futures_util::FutureExt as _;
use retry_core::client::Client;
use retry_core::store::{MemoryStore, Page, TaskFilter, TaskStore as _};
use retry_core::task::{State, Task};
use retry_sinks::{Answer, MessageSink, Outgoing, Relay, StartError};
use tokio_util::sync::CancellationToken;

use crate::exec::lock;
use crate::takeover::{Scene, opened, queue};
use crate::world::now;

/// The owner tasks that are stored.
pub(crate) fn owners(store: &MemoryStore) -> Vec<Task> {
    let filter = TaskFilter {
        kinds: vec!["events/owner".try_into().unwrap()],
        ..TaskFilter::default()
    };
    let listed = now(store.list(&filter, &Page::first(1_000)));
    listed.tasks.into_iter().map(|row| row.task).collect()
}

/// The relay on host 0 holds `a` and is paused; an operator cancels the owner task, and its lease is lost.
#[test]
fn a_cancelled_owner_goes_on_where_it_was() {
    let mut scene = Scene::new();
    scene.start(0, &opened(), &CancellationToken::new());
    scene.pass(Duration::from_millis(1_500));
    scene.enqueue("a");
    scene.pass(Duration::from_millis(100));
    assert_eq!(*lock(&scene.brought), ["a"], "it is held");
    scene.exec.pause(0, true);
    let before = owners(&scene.memory).remove(0);
    let client = Client::new(scene.memory.clone());
    client.cancel(before.id).now_or_never().unwrap().unwrap();
    now(scene.memory.close_session(scene.worker()));
    scene.start(1, &opened(), &opened());
    scene.pass(Duration::from_secs(5));
    assert_eq!(owners(&scene.memory)[0].state, State::Cancelled);
    // It looks for the owner tasks when it starts.
    scene.start(2, &opened(), &opened());
    scene.enqueue("b");
    scene.pass(Duration::from_secs(5));
    assert_eq!(*lock(&scene.log), ["a", "b"]);
    let after = owners(&scene.memory);
    assert_eq!(after.len(), 1, "{after:?}");
    assert!(after[0].version > before.version, "the fence goes on");
}

#[derive(Debug)]
struct Nowhere;

#[async_trait::async_trait]
impl MessageSink for Nowhere {
    async fn publish(&self, _: &[Outgoing]) -> Vec<Answer> {
        Vec::new()
    }
}

#[test]
fn a_wrong_number_of_partitions_writes_nothing() {
    let mut scene = Scene::new();
    scene.start(0, &opened(), &opened());
    scene.pass(Duration::from_millis(100));
    let before = owners(&scene.memory);
    let other = Relay::builder(scene.memory.clone(), queue().partitions(4).unwrap(), Nowhere);
    let refused = other.build().unwrap().start().now_or_never().unwrap();
    assert!(matches!(
        refused,
        Err(StartError::Partitions { stored: 1, told: 4 })
    ));
    assert_eq!(owners(&scene.memory), before);
}
