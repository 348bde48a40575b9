//! The conformance suite on Redis or Valkey servers and on a cluster.

#[path = "it/audit.rs"]
mod audit;
#[path = "conformance/namespace.rs"]
mod namespace;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use conformance_tests::{Capabilities, Harness, Instance, Skip};
use namespace::Namespace;
use retry_core::clock::ManualClock;
use retry_core::id::TaskId;
use retry_core::store::TaskStore;
use retry_redis::RedisStore;
use test_servers::{Kind, Shared, shared};

/// One server, or one cluster.
struct Redis(Arc<Shared>);

#[async_trait]
impl Harness for Redis {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new().reopen().damage().peer().histories(96)
    }

    async fn fresh(&self, _clock: ManualClock) -> Result<Box<dyn Instance>, Skip> {
        let url = self.0.reached();
        let namespace = Namespace::fresh(&url.map_err(|missing| Skip::new(missing.to_string()))?);
        let store = open(&namespace).await;
        Ok(Box::new(Fresh {
            store,
            namespace,
            sound: AtomicBool::new(true),
        }))
    }
}

/// A store in a namespace of its own.
struct Fresh {
    store: RedisStore,
    namespace: Namespace,
    /// Nobody has damaged it.
    sound: AtomicBool,
}

/// After every case and history, all indexes are compared with the records.
impl Drop for Fresh {
    fn drop(&mut self) {
        if self.sound.load(Ordering::SeqCst) && !std::thread::panicking() {
            audit::audit(self.namespace.url(), self.namespace.name());
        }
    }
}

async fn open(namespace: &Namespace) -> RedisStore {
    let builder = RedisStore::builder(namespace.url()).namespace(namespace.name());
    builder.connect().await.expect("the server takes the store")
}

#[async_trait]
impl Instance for Fresh {
    fn store(&self) -> Arc<dyn TaskStore> {
        Arc::new(self.store.clone())
    }

    async fn reopen(self: Box<Self>) -> Box<dyn Instance> {
        // The old connections go with the old handle, which nobody else holds.
        let mut reopened = *self;
        reopened.store = open(&reopened.namespace).await;
        Box::new(reopened)
    }

    async fn damage(&self, id: TaskId) {
        self.sound.store(false, Ordering::SeqCst);
        self.namespace.cut_record(id);
    }

    async fn peer(&self) -> Arc<dyn TaskStore> {
        Arc::new(open(&self.namespace).await)
    }
}

fn main() -> ExitCode {
    let servers = [Kind::Redis, Kind::RedisCluster].into_iter().flat_map(shared);
    conformance_tests::run_all(servers.map(Redis))
}
