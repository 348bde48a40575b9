//! A unique key that a user's open transaction holds: who needs it waits, and nobody else does.

use std::sync::Arc;

use retry_core::client::Client;
use retry_core::draft::{Draft, TaskPayload};
use retry_core::engine::Worker;
use retry_core::executor::Ctx;
use retry_core::store::CountScope;
use retry_core::task::State;
use serde::{Deserialize, Serialize};
use sqlx::Connection as _;
use std::time::Duration;

use crate::Test;
use crate::support::{Env, block_on, number, until};

pub(crate) const TESTS: &[(&str, Test)] = &[(
    "held_keys::outcomes_that_need_none_are_recorded",
    outcomes_that_need_none_are_recorded,
)];

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

fn outcomes_that_need_none_are_recorded(env: Arc<Env>) {
    block_on(async move {
        let (builder, schema) = env.builder();
        let builder = builder.lock_timeout(Duration::from_millis(300));
        let client = Client::new(builder.connect().await.expect("the store opens"));
        let mut conn = env.beside().await;
        let mut tx = conn.begin().await.unwrap();
        client.enqueue(invoice()).in_tx(&mut tx).await.unwrap();
        for number in 0..WITH_KEY + WITHOUT {
            client.enqueue(Order { number }).await.unwrap();
        }
        let worker = Worker::builder(&client).handler(order).build().unwrap().start();
        let mut look = env.beside().await;
        let succeeded = format!("SELECT count(*) FROM \"{schema}\".task WHERE state = 4");
        let all = format!("SELECT count(*) FROM \"{schema}\".task");
        until(&mut look, succeeded.clone(), |n| n == WITHOUT.cast_signed()).await;
        // Also what comes when some wait already.
        for number in 100..100 + WITHOUT {
            client.enqueue(Order { number }).await.unwrap();
        }
        until(&mut look, succeeded.clone(), |n| n == 2 * WITHOUT.cast_signed()).await;
        let counts = client.count(&CountScope::default()).await.unwrap();
        assert_eq!(counts.of(State::Running), WITH_KEY);
        tx.commit().await.unwrap();
        let orders = (WITH_KEY + 2 * WITHOUT).cast_signed();
        until(&mut look, succeeded, |n| n == orders).await;
        assert_eq!(number(&mut look, all).await, orders + 1, "one invoice");
        worker.shutdown().await;
    });
}
