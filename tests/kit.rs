//! The test kit through the facade, with a handler that speaks to a real server over real sockets.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use task_retry::testing::{Fault, TestKit, assert_idempotent, check_idempotent};
use task_retry::{Ctx, State, TaskPayload, TaskState};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Charge {
    cents: u64,
}

impl TaskPayload for Charge {
    const KIND: &'static str = "charge";
}

/// A bank on a socket: it takes a line `KEY CENTS`, charges once for each key, and answers `ok`.
#[derive(Debug, Clone)]
struct Bank {
    address: SocketAddr,
    charges: Arc<Mutex<BTreeMap<String, u64>>>,
}

impl Bank {
    async fn open() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let bank = Self {
            address: listener.local_addr().unwrap(),
            charges: Arc::default(),
        };
        let charges = Arc::clone(&bank.charges);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let charges = Arc::clone(&charges);
                // One by one a caller that stands still would keep the others waiting. One that died is no reason to close.
                tokio::spawn(async move { drop(serve(stream, &charges).await) });
            }
        });
        bank
    }

    fn total(&self) -> u64 {
        self.charges.lock().unwrap().values().sum()
    }
}

async fn serve(stream: TcpStream, charges: &Mutex<BTreeMap<String, u64>>) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    if let Some((key, cents)) = line.trim().split_once(' ') {
        let cents = cents.parse().map_err(io::Error::other)?;
        charges.lock().unwrap().insert(key.to_owned(), cents);
    }
    stream.write_all(b"ok\n").await
}

async fn ask(bank: &Bank, key: &str, cents: u64) -> io::Result<()> {
    let mut stream = BufReader::new(TcpStream::connect(bank.address).await?);
    stream.write_all(format!("{key} {cents}\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_line(&mut answer).await?;
    if answer != "ok\n" {
        return Err(io::Error::other("the bank did not answer"));
    }
    Ok(())
}

async fn careful(task: Charge, ctx: Ctx, State(bank): State<Bank>) -> io::Result<()> {
    ask(&bank, &ctx.id().to_string(), task.cents).await
}

async fn careless(task: Charge, ctx: Ctx, State(bank): State<Bank>) -> io::Result<()> {
    ask(&bank, &format!("{}/{}", ctx.id(), ctx.attempt()), task.cents).await
}

async fn charged_once(kit: &TestKit, bank: &Bank) {
    assert_eq!(kit.tasks::<Charge>()[0].task.state, TaskState::Succeeded);
    assert_eq!(bank.total(), 990);
}

#[tokio::test]
async fn a_real_socket_is_waited_for_while_the_clock_stands() {
    let bank = Bank::open().await;
    let kit = TestKit::new().handler(careful).state(bank.clone());
    kit.enqueue(Charge { cents: 990 }).await;
    let drained = kit.drain().await;
    drained.assert_done();
    assert_eq!((bank.total(), kit.runs().len()), (990, 1));
    assert!(kit.runs()[0].awaits > 0, "a socket answers later");
    assert!(drained.elapsed.is_zero(), "{drained}");
}

#[tokio::test]
async fn idempotence_is_tried_over_real_sockets() {
    let world = async |kit: TestKit| {
        let bank = Bank::open().await;
        (kit.handler(careful).state(bank.clone()), bank)
    };
    assert_idempotent(world, Charge { cents: 990 }, charged_once).await;
    let world = async |kit: TestKit| {
        let bank = Bank::open().await;
        (kit.handler(careless).state(bank.clone()), bank)
    };
    let found = check_idempotent(world, Charge { cents: 990 }, charged_once)
        .await
        .unwrap_err();
    // Whether the bank had read the line at this or that await point is the network's; behind the end it had for sure.
    assert!(
        matches!(
            found.fault,
            Some(Fault::CrashAtAwait(_) | Fault::CrashBeforeSettle(1))
        ),
        "{found}"
    );
}
