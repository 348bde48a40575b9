//! A unique key that a user's open transaction holds: who needs it waits, and nobody else does.

use std::sync::Arc;
use std::time::Duration;

use retry_core::client::Client;
use retry_core::draft::{Draft, TaskPayload};
use retry_core::engine::Worker;
use retry_core::executor::Ctx;
use retry_core::store::CountScope;
use retry_core::task::State;
use retry_mysql::MySqlStore;
use serde::{Deserialize, Serialize};
use sqlx::Connection as _;
use test_servers::Shared;

use crate::support::{Place, until};

/// Orders that need the key, and orders that do not.
const WITH_KEY: u64 = 5;
const WITHOUT: u64 = 40;

#[derive(Serialize, Deserialize)]
struct Order {
    number: u64,
}

impl TaskPayload for Order {
    const KIND: &'static str = "order";
}

#[derive(Serialize, Deserialize)]
struct Invoice;

impl TaskPayload for Invoice {
    const KIND: &'static str = "invoice";
}

fn invoice() -> Draft {
    Draft::of(&Invoice).unique("the customer's")
}

async fn order(order: Order, ctx: Ctx) -> Result<(), std::io::Error> {
    if order.number < WITH_KEY {
        ctx.enqueue_on_success(invoice());
    }
    Ok(())
}

async fn counted(client: &Client<MySqlStore>, state: State) -> u64 {
    client.count(&CountScope::default()).await.unwrap().of(state)
}

async fn until_succeeded(client: &Client<MySqlStore>, tasks: u64) {
    let what = format!("{tasks} tasks succeed");
    until(&what, async || counted(client, State::Succeeded).await == tasks).await;
}

pub(crate) async fn outcomes_that_need_none_are_recorded(server: Arc<Shared>) {
    let place = Place::new(&server).await;
    let builder = place.builder().lock_timeout(Duration::from_secs(1));
    let client = Client::new(builder.connect().await.unwrap());
    let mut conn = place.connect().await;
    let mut tx = conn.begin().await.unwrap();
    client.enqueue(invoice()).in_tx(&mut tx).await.unwrap();
    for number in 0..WITH_KEY + WITHOUT {
        client.enqueue(Order { number }).await.unwrap();
    }
    let worker = Worker::builder(&client).handler(order).build().unwrap().start();
    until_succeeded(&client, WITHOUT).await;
    // Also what comes when some wait already.
    for number in 100..100 + WITHOUT {
        client.enqueue(Order { number }).await.unwrap();
    }
    until_succeeded(&client, 2 * WITHOUT).await;
    assert_eq!(counted(&client, State::Running).await, WITH_KEY);
    tx.commit().await.unwrap();
    until_succeeded(&client, WITH_KEY + 2 * WITHOUT).await;
    assert_eq!(counted(&client, State::Pending).await, 1, "one invoice");
    worker.shutdown().await;
}

/// Whoever was told of a key's holder, and has not ended his transaction, may keep the holder from ending.
pub(crate) async fn a_holder_that_was_met_holds_up_nobody(server: Arc<Shared>) {
    let place = Place::new(&server).await;
    let builder = place.builder().lock_timeout(Duration::from_secs(1));
    let client = Client::new(builder.connect().await.unwrap());
    let keyed = Draft::of(&Order { number: 99 }).unique("its own");
    client.enqueue(keyed.clone()).await.unwrap();
    let mut conn = place.connect().await;
    let mut tx = conn.begin().await.unwrap();
    let again = client.enqueue(keyed).in_tx(&mut tx).await.unwrap();
    assert!(!again.is_new());
    for number in 100..100 + WITHOUT {
        client.enqueue(Order { number }).await.unwrap();
    }
    let worker = Worker::builder(&client).handler(order).build().unwrap().start();
    until("the others succeed", async || {
        counted(&client, State::Succeeded).await >= WITHOUT
    })
    .await;
    tx.rollback().await.unwrap();
    until_succeeded(&client, WITHOUT + 1).await;
    worker.shutdown().await;
}
