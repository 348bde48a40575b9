//! Fencing: the late write of a stalled worker is refused by your own database.
//!
//! ```console
//! cargo run --example fencing
//! ```
//!
//! A lease cannot stop a process that stands still (a long pause of its host, a frozen virtual machine) from going on when
//! it wakes, after another worker has done its work. The task's version can: it is greater in every later attempt, so a
//! write that carries it and refuses a lower one comes from the present holder or not at all. Here the first worker
//! stands still in the middle of its handler, heartbeat and all, until the second has taken over and is done.
#![expect(
    clippy::print_stdout,
    reason = "a program for the command line shows its result there"
)]

use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};
use task_retry::sqlite::SqliteStore;
use task_retry::{Client, Ctx, Draft, State, TaskOptions, TaskPayload, Worker};

type AnyError = Box<dyn std::error::Error + Send + Sync>;

#[derive(Serialize, Deserialize)]
struct SetPrice {
    item: String,
    cents: i64,
}

impl TaskPayload for SetPrice {
    const KIND: &'static str = "set-price";

    fn options() -> TaskOptions {
        // A lost worker's task is due again at once.
        TaskOptions::new().rescue_delay(Duration::ZERO)
    }
}

/// The shop's own database, which knows nothing of tasks but a number.
#[derive(Clone)]
struct Shop(Arc<Mutex<Connection>>);

impl Shop {
    fn open(path: &Path) -> Result<Self, rusqlite::Error> {
        let conn = Connection::open(path)?;
        conn.execute_batch(
            "CREATE TABLE price (item TEXT PRIMARY KEY, cents INTEGER NOT NULL, task TEXT, fence INTEGER)",
        )?;
        Ok(Self(Arc::new(Mutex::new(conn))))
    }

    /// Writes a price, unless a later attempt of the same task has written already; whether it did.
    fn set_price(&self, price: &SetPrice, by: &str, ctx: &Ctx) -> Result<bool, rusqlite::Error> {
        let version = i64::try_from(ctx.version()).unwrap_or(i64::MAX);
        let written = self.0.lock().expect("no writer panics").execute(
            "INSERT INTO price VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (item) DO UPDATE SET cents = excluded.cents, task = excluded.task, fence = excluded.fence
             WHERE price.task IS NOT excluded.task OR price.fence <= excluded.fence",
            params![price.item, price.cents, ctx.id().to_string(), version],
        )?;
        let word = if written == 1 { "writes" } else { "is refused" };
        println!("{by} {word}, with version {version}");
        Ok(written == 1)
    }
}

/// What stands still in the first worker, and how it is told to go on.
#[derive(Clone)]
struct Stall {
    began: mpsc::Sender<()>,
    go_on: Arc<Mutex<mpsc::Receiver<()>>>,
}

async fn stalls(
    price: SetPrice,
    State(shop): State<Shop>,
    State(stall): State<Stall>,
    ctx: Ctx,
) -> Result<(), AnyError> {
    stall.began.send(())?;
    // Blocks the worker's only thread: no heartbeat leaves this process any more.
    stall.go_on.lock().expect("no other stalls").recv()?;
    let cheaper = SetPrice {
        cents: price.cents / 2,
        ..price
    };
    if shop.set_price(&cheaper, "the stalled worker", &ctx)? {
        return Err("the late write was not refused".into());
    }
    Ok(())
}

async fn works(
    price: SetPrice,
    State(shop): State<Shop>,
    State(done): State<mpsc::Sender<()>>,
    ctx: Ctx,
) -> Result<(), AnyError> {
    if !shop.set_price(&price, "its successor", &ctx)? {
        return Err("the successor was refused".into());
    }
    Ok(done.send(())?)
}

/// A worker with a thread and a connection to the tasks of its own.
fn stalled_worker(
    tasks: &Path,
    shop: Shop,
    stall: Stall,
    stop: tokio::sync::oneshot::Receiver<()>,
) -> Result<(), AnyError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let worker = Worker::builder(SqliteStore::open(tasks)?)
            .handler(stalls)
            .state(shop)
            .state(stall)
            .lease(Duration::from_secs(1))
            .build()?;
        worker.run_until(async { _ = stop.await }).await;
        Ok(())
    })
}

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let dir = tempfile::tempdir()?;
    let tasks = dir.path().join("tasks.db");
    let shop = Shop::open(&dir.path().join("shop.db"))?;
    let client = Client::new(SqliteStore::open(&tasks)?);
    let lamp = SetPrice {
        item: "lamp".into(),
        cents: 4_900,
    };
    let id = client.enqueue(Draft::of(&lamp)).await?.id;

    let (began, stalled) = mpsc::channel();
    let (go_on, wait) = mpsc::channel();
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let stall = Stall {
        began,
        go_on: Arc::new(Mutex::new(wait)),
    };
    let (path, theirs) = (tasks.clone(), shop.clone());
    let first = std::thread::spawn(move || stalled_worker(&path, theirs, stall, stopped));
    tokio::task::spawn_blocking(move || stalled.recv()).await??;
    println!("the first worker stands still in the middle of {id}");

    let (done, worked) = mpsc::channel::<()>();
    let worker = Worker::builder(&client)
        .handler(works)
        .state(shop.clone())
        .state(done);
    let second = worker.lease(Duration::from_secs(1)).build()?.start();
    // When the lease has ended, and the rescuer has made sure that it is not its own view that is old.
    tokio::task::spawn_blocking(move || worked.recv()).await??;
    second.shutdown().await;

    go_on.send(())?;
    // The worker is gone already if it failed.
    let _ = stop.send(());
    first.join().map_err(|_| "the first worker panicked")??;
    let conn = shop.0.lock().expect("no writer panics");
    let cents: i64 = conn.query_row("SELECT cents FROM price WHERE item = 'lamp'", [], |row| {
        row.get(0)
    })?;
    println!("the price is {cents}");
    if cents == 4_900 {
        Ok(())
    } else {
        Err("the late write won".into())
    }
}
