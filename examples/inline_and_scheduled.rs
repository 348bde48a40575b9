//! One task in every mode: inline in the caller, started right after a commit, tried before it is stored, and scheduled.
//!
//! ```console
//! cargo run --example inline_and_scheduled
//! ```
//!
//! It needs nothing: the tasks are in a SQLite file in the folder for temporary files.
#![expect(
    clippy::print_stdout,
    reason = "a program for the command line shows its result there"
)]

use std::time::Duration;

use serde::{Deserialize, Serialize};
use task_retry::client::Inline;
use task_retry::sqlite::SqliteStore;
use task_retry::{Client, Ctx, Outcome, State, TaskPayload, Worker};
use tokio::sync::mpsc;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug, Serialize, Deserialize)]
struct Invoice {
    order: u32,
    /// The printer jams at the first attempt.
    jams: bool,
}

impl TaskPayload for Invoice {
    const KIND: &'static str = "invoice";
}

/// Prints an invoice and answers its number.
async fn print(
    invoice: Invoice,
    State(done): State<mpsc::Sender<u32>>,
    ctx: Ctx,
) -> Result<Outcome, AnyError> {
    if invoice.jams && ctx.attempt() == 1 {
        return Err("the printer jams".into());
    }
    done.send(invoice.order).await?;
    Ok(Outcome::output(&format!("2026-{:04}", invoice.order))?)
}

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let dir = tempfile::tempdir()?;
    let store = SqliteStore::open(dir.path().join("invoices.db"))?;
    let client = Client::new(store);
    let (done, mut prints) = mpsc::channel::<u32>(16);
    let handle = Worker::builder(&client)
        .handler(print)
        .state(done)
        .build()?
        .start();
    handle.ready().await;
    // Only a client that is attached to a running worker can have tasks run on the spot.
    let client = client.attach(&handle);
    let invoice = |order| Invoice { order, jams: false };

    // Inline: durable before the handler starts, the outcome durable before the answer.
    let printed = client.enqueue(invoice(1)).run_inline().await?;
    println!("inline:      {}", printed.output::<String>()?.unwrap_or_default());

    // A failed attempt is the workers' from then on.
    let jammed = Invoice { order: 2, jams: true };
    let Inline::Retrying { id, error, .. } = client.enqueue(jammed).run_inline().await? else {
        return Err("the printer should have jammed".into());
    };
    println!("inline:      {error}; the workers retry {id}");
    client.run_now(id).await?;

    // Tried first: a success leaves nothing in the store.
    let printed = client.enqueue(invoice(3)).try_first().await?;
    println!("tried first: {}", printed.output::<String>()?.unwrap_or_default());

    // In a transaction: the order and its invoice, or neither. It starts when the commit is done.
    let order = client
        .transaction_blocking(move |tx| {
            tx.execute_batch("CREATE TABLE orders (id INTEGER PRIMARY KEY)")?;
            tx.execute("INSERT INTO orders VALUES (4)", [])?;
            Ok::<_, AnyError>(tx.enqueue(invoice(4))?.id)
        })
        .await?;
    println!("committed:   {order}");

    // Scheduled: every mode honours the time it is due.
    let later = client.enqueue(invoice(5)).delay(Duration::from_secs(3600));
    let Inline::Enqueued(scheduled) = later.run_inline().await? else {
        return Err("it is not due for an hour".into());
    };
    println!("scheduled:   {}", scheduled.id);

    // The one that jammed, and the one of the transaction, were printed in the background.
    let mut numbers = vec![];
    while numbers.len() < 4 {
        numbers.push(prints.recv().await.ok_or("the worker stopped")?);
    }
    handle.shutdown().await;
    println!("printed:     {numbers:?}");
    Ok(())
}
