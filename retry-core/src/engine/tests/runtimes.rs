//! A client on a runtime of its own, which ends before the worker's does.

use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;

use super::harness::{WithKind as _, job, script};
use crate::client::Client;
use crate::engine::{Worker, WorkerHandle};
use crate::executor::Outcome;
use crate::store::MemoryStore;
use crate::task::State;

/// Far more than it takes; only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(20);

fn runtime(name: &str) -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(1).thread_name(name).enable_all();
    builder.build().unwrap()
}

struct Two {
    workers: Runtime,
    clients: Runtime,
    client: Client<MemoryStore>,
    handle: WorkerHandle,
    /// Where each run began.
    began: mpsc::Receiver<String>,
    /// Each permit lets a run end.
    gate: Arc<Semaphore>,
}

/// A worker that runs one task at a time.
fn two_runtimes() -> Two {
    let (workers, clients) = (runtime("workers"), runtime("clients"));
    let client = Client::new(MemoryStore::new());
    let (sender, began) = mpsc::channel();
    let (sender, gate) = (Mutex::new(sender), Arc::new(Semaphore::new(0)));
    let closed = Arc::clone(&gate);
    let executor = script(move |_| {
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        sender.lock().unwrap().send(name).unwrap();
        let gate = Arc::clone(&closed);
        async move {
            gate.acquire().await.unwrap().forget();
            Ok(Outcome::Done)
        }
    });
    let worker = Worker::builder(&client).concurrency(1).kind("a", executor);
    let worker = worker.build().unwrap();
    let handle = workers.block_on(async { worker.start() });
    workers.block_on(handle.ready());
    let client = client.attach(&handle);
    Two {
        workers,
        clients,
        client,
        handle,
        began,
        gate,
    }
}

impl Two {
    fn next_began(&self) -> String {
        self.began.recv_timeout(PATIENCE).expect("a task starts")
    }

    fn ends_with(self, stored: usize) {
        self.workers.block_on(self.handle.shutdown());
        let counts = self
            .workers
            .block_on(self.client.count(&Default::default()))
            .unwrap();
        assert_eq!(counts.of(State::Succeeded), stored as u64);
    }
}

#[test]
fn what_a_client_starts_outlives_its_runtime() {
    let mut two = two_runtimes();
    let first = two
        .clients
        .block_on(two.client.enqueue(job("a")).run_here())
        .unwrap();
    assert!(first.is_new());
    assert_eq!(two.next_began(), "workers");
    let behind = job("a");
    two.clients
        .block_on(two.client.enqueue(behind).into_future())
        .unwrap();
    drop(std::mem::replace(&mut two.clients, runtime("others")));
    two.gate.add_permits(2);
    assert_eq!(two.next_began(), "workers", "the next one starts");
    two.ends_with(2);
}

#[test]
fn an_inline_run_that_ends_with_its_runtime_leaves_the_worker_whole() {
    let mut two = two_runtimes();
    let client = two.client.clone();
    two.clients
        .spawn(async move { client.enqueue(job("a")).run_inline().await });
    assert_eq!(two.next_began(), "clients");
    two.workers
        .block_on(two.client.enqueue(job("a")).into_future())
        .unwrap();
    drop(std::mem::replace(&mut two.clients, runtime("others")));
    two.gate.add_permits(2);
    assert_eq!(two.next_began(), "workers");
    assert_eq!(two.next_began(), "workers", "it was handed back");
    two.ends_with(2);
}
