//! Tasks for a store that cannot join your transaction: an order and its mail are one write in SQLite, and a relay hands the mail
//! over to sled, Redis or any other store, exactly once.
//!
//! ```console
//! cargo run --example outbox_relay --features sled
//! cargo run --example outbox_relay --features redis -- redis://127.0.0.1
//! ```
//!
//! It makes a file `outbox_relay.db` with a table of orders and an outbox, and takes the store from its argument. With a store on
//! SQLite, PostgreSQL or MySQL in the same database nothing of this is needed: there `.in_tx(&tx)` is all.
#![expect(
    clippy::print_stdout,
    reason = "a program for the command line shows its result there"
)]

use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use task_retry::outbox::OutboxRelay;
use task_retry::sqlite::SqliteOutbox;
use task_retry::{Client, State, TaskPayload, Worker};
use tokio::sync::mpsc;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// The file of the orders.
const FILE: &str = "outbox_relay.db";

#[derive(Serialize, Deserialize)]
struct Confirm {
    order: i64,
}

impl TaskPayload for Confirm {
    const KIND: &'static str = "confirm";
}

/// Sends the mail; here, to whoever listens.
async fn confirm(task: Confirm, State(mails): State<mpsc::Sender<i64>>) -> Result<(), AnyError> {
    mails.send(task.order).await?;
    Ok(())
}

/// Writes an order and its mail in one transaction. Without stock there is neither.
fn order(
    shop: &mut Connection,
    outbox: &SqliteOutbox,
    client: &Client,
    item: &str,
    in_stock: bool,
) -> Result<i64, AnyError> {
    let tx = shop.transaction()?;
    tx.execute("INSERT INTO orders (item) VALUES (?1)", [item])?;
    let order = tx.last_insert_rowid();
    client.enqueue(Confirm { order }).outbox(outbox, &tx)?;
    if in_stock {
        tx.commit()?;
        return Ok(order);
    }
    // Dropped, it rolls back.
    Err(format!("there is no {item} in stock").into())
}

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let store = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "sled:outbox_relay.sled".to_owned());
    let mut shop = Connection::open(FILE)?;
    shop.execute_batch("CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, item TEXT NOT NULL)")?;
    let outbox = SqliteOutbox::open("shop", FILE)?;

    let client = task_retry::connect(&store).await?;
    let (mails, mut sent) = mpsc::channel::<i64>(16);
    let worker = Worker::builder(&client)
        .handler(confirm)
        .state(mails)
        .build()?
        .start();
    // Any process may relay; several take turns.
    let relay = OutboxRelay::builder(&client, outbox.clone()).build()?.start();
    let waker = relay.waker();

    let mut ordered = Vec::new();
    for item in ["lamp", "chair", "table"] {
        let order = order(&mut shop, &outbox, &client, item, true)?;
        println!("order {order} is written");
        ordered.push(order);
    }
    let refused = order(&mut shop, &outbox, &client, "sofa", false)
        .err()
        .ok_or("a sofa was sold")?;
    println!("no order: {refused}");
    // It would look by itself a little later.
    waker.wake();

    let mut confirmed = Vec::new();
    while confirmed.len() < ordered.len() {
        let order = sent.recv().await.ok_or("no mail was sent")?;
        println!("order {order} is confirmed");
        confirmed.push(order);
    }
    let (counts, lag) = (relay.counts(), relay.lag().await?);
    println!("{} tasks handed over, {:?} left", counts.handed_over, lag.rows);
    relay.shutdown().await;
    worker.shutdown().await;
    confirmed.sort_unstable();
    if confirmed != ordered || sent.try_recv().is_ok() {
        return Err("a mail is missing, or one too many was sent".into());
    }
    Ok(())
}
