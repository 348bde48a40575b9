//! The engine on this store: tasks enqueued one by one are run by a worker.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use libtest_mimic::Trial;
use retry_core::client::Client;
use retry_core::draft::TaskPayload;
use retry_core::engine::Worker;
use retry_core::executor::State as Shared;
use retry_core::task::State;
use serde::{Deserialize, Serialize};

use crate::support::{on_redis, server, store, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        on_redis("engine::a_worker_runs_what_is_enqueued", on_a_server),
        trial(
            "engine::a_worker_runs_what_is_enqueued_on_a_cluster",
            test_servers::Kind::RedisCluster,
            on_a_cluster,
        ),
    ]
}

#[derive(Serialize, Deserialize)]
struct Add {
    number: u64,
}

impl TaskPayload for Add {
    const KIND: &'static str = "add";
}

async fn add(task: Add, Shared(sum): Shared<Arc<AtomicU64>>) -> Result<(), std::io::Error> {
    sum.fetch_add(task.number, Ordering::SeqCst);
    Ok(())
}

async fn on_a_server() {
    let server = server(&[]);
    runs(store(&server).await).await;
}

async fn on_a_cluster() {
    let cluster = test_servers::start(test_servers::Kind::RedisCluster).expect("a cluster");
    let store = retry_redis::RedisStore::connect(cluster.url()).await;
    runs(store.expect("a store")).await;
}

async fn runs(store: retry_redis::RedisStore) {
    let client = Client::new(store);
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
