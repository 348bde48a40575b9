//! The transactional outbox on PostgreSQL: an order and the mail that follows from it are one write, or none. For tasks that go to
//! a store outside of the order's database see `outbox_relay`.
//!
//! ```console
//! cargo run --example outbox_postgres --features postgres -- postgres://user:password@localhost/shop
//! ```
//!
//! It makes a table `outbox_orders` there, beside the tables of the tasks. The mail leaves this process right after the
//! commit, without a claim. A process that dies in between leaves it to the other workers.
#![expect(
    clippy::print_stdout,
    reason = "a program for the command line shows its result there"
)]

use serde::{Deserialize, Serialize};
use sqlx::{PgPool, Row as _};
use task_retry::postgres::PostgresStore;
use task_retry::{Client, State, TaskPayload, Worker};
use tokio::sync::mpsc;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

#[derive(Serialize, Deserialize)]
struct Confirm {
    order: i64,
}

impl TaskPayload for Confirm {
    const KIND: &'static str = "outbox.confirm";
}

/// Sends the mail; here, to whoever listens.
async fn confirm(task: Confirm, State(mails): State<mpsc::Sender<i64>>) -> Result<(), AnyError> {
    mails.send(task.order).await?;
    Ok(())
}

/// Writes an order and its mail in one transaction. Without stock there is neither.
async fn order(
    client: &Client<PostgresStore>,
    pool: &PgPool,
    item: &str,
    in_stock: bool,
) -> Result<i64, AnyError> {
    client
        .transaction(pool, async |tx| {
            let row = sqlx::query("INSERT INTO outbox_orders (item) VALUES ($1) RETURNING id")
                .bind(item)
                .fetch_one(&mut **tx)
                .await?;
            let order: i64 = row.try_get(0)?;
            tx.enqueue(Confirm { order }).await?;
            if in_stock {
                Ok(order)
            } else {
                Err(format!("there is no {item} in stock").into())
            }
        })
        .await
}

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let url = std::env::args()
        .nth(1)
        .ok_or("give the URL of a PostgreSQL database")?;
    let pool = PgPool::connect(&url).await?;
    sqlx::raw_sql("CREATE TABLE IF NOT EXISTS outbox_orders (id BIGSERIAL PRIMARY KEY, item TEXT NOT NULL)")
        .execute(&pool)
        .await?;
    let (mails, mut sent) = mpsc::channel::<i64>(16);
    let client = Client::new(PostgresStore::connect(&url).await?);
    let handle = Worker::builder(&client)
        .handler(confirm)
        .state(mails)
        .build()?
        .start();
    handle.ready().await;
    let client = client.attach(&handle);

    let ordered = order(&client, &pool, "lamp", true).await?;
    println!("order {ordered} is written");
    let confirmed = sent.recv().await.ok_or("no mail was sent")?;
    println!("order {confirmed} is confirmed");

    let refused = order(&client, &pool, "sofa", false)
        .await
        .err()
        .ok_or("a sofa was sold")?;
    println!("no order: {refused}");
    let sofas = sqlx::query("SELECT count(*) FROM outbox_orders WHERE item = 'sofa'")
        .fetch_one(&pool)
        .await?;
    let sofas: i64 = sofas.try_get(0)?;
    handle.shutdown().await;
    if sofas > 0 || sent.try_recv().is_ok() || confirmed != ordered {
        return Err("something of the order that was rolled back remains".into());
    }
    println!("nothing of it remains");
    Ok(())
}
