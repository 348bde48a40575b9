//! The engine on this store: tasks enqueued one by one are run by a worker.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use libtest_mimic::Trial;
use retry_core::client::Client;
use retry_core::draft::TaskPayload;
use retry_core::engine::Worker;
use retry_core::executor::State as Told;
use retry_core::task::State;
use serde::{Deserialize, Serialize};
use test_servers::Shared;

use crate::namespace::Namespace;
use crate::support::{on_each, store};

pub(crate) fn trials(servers: &[Arc<Shared>], clusters: &[Arc<Shared>]) -> Vec<Trial> {
    let shared = [
        on_each(servers, "engine::a_worker_runs_what_is_enqueued", runs),
        on_each(
            clusters,
            "engine::a_worker_runs_what_is_enqueued_on_a_cluster",
            runs,
        ),
    ];
    shared.into_iter().flatten().collect()
}

#[derive(Serialize, Deserialize)]
struct Add {
    number: u64,
}

impl TaskPayload for Add {
    const KIND: &'static str = "add";
}

async fn add(task: Add, Told(sum): Told<Arc<AtomicU64>>) -> Result<(), std::io::Error> {
    sum.fetch_add(task.number, Ordering::SeqCst);
    Ok(())
}

async fn runs(place: Namespace) {
    let client = Client::new(store(&place).await);
    for number in 1..=200 {
        client.enqueue(Add { number }).await.expect("it is enqueued");
    }
    let sum = Arc::new(AtomicU64::new(0));
    let builder = Worker::builder(&client).handler(add).state(Arc::clone(&sum));
    let worker = builder.build().expect("a worker");
    let mut done = 0;
    while done < 200 {
        worker.tick(Duration::from_secs(5)).await.expect("a round");
        done = client
            .count(&Default::default())
            .await
            .expect("a count")
            .of(State::Succeeded);
    }
    assert_eq!(sum.load(Ordering::SeqCst), 200 * 201 / 2, "each once");
}
