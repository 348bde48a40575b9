//! The client and the worker on this store, from the call that enqueues to the outcome.

use std::sync::Arc;
use std::time::Duration;

use retry_core::client::Client;
use retry_core::draft::TaskPayload;
use retry_core::engine::Worker;
use retry_core::store::CountScope;
use retry_core::task::State;
use serde::{Deserialize, Serialize};
use sqlx::Connection as _;
use test_servers::Shared;

use crate::support::fresh;

#[derive(Serialize, Deserialize)]
struct Ship {
    order: u64,
}

impl TaskPayload for Ship {
    const KIND: &'static str = "ship";
}

async fn ship(task: Ship) -> Result<(), std::io::Error> {
    if task.order == 13 {
        Err(std::io::Error::other("no stock"))
    } else {
        Ok(())
    }
}

pub(crate) async fn tasks_are_done(server: Arc<Shared>) {
    let (place, store) = fresh(&server).await;
    let client = Client::new(store);
    for order in 0..20 {
        client.enqueue(Ship { order }).await.unwrap();
    }
    let mut conn = place.connect().await;
    let mut tx = conn.begin().await.unwrap();
    client.enqueue(Ship { order: 20 }).in_tx(&mut tx).await.unwrap();
    tx.commit().await.unwrap();
    let worker = Worker::builder(&client).handler(ship).build().unwrap();
    worker.tick(Duration::from_secs(30)).await.unwrap();
    let counts = client.count(&CountScope::default()).await.unwrap();
    assert_eq!(
        (counts.of(State::Succeeded), counts.of(State::Pending)),
        (20, 1),
        "one is to be retried"
    );
}
