//! The stores that are made one: each with data of its own.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use conformance_tests::{Capabilities, Harness, Instance, Skip};
use task_retry::clock::ManualClock;
use task_retry::postgres::PostgresStore;
use task_retry::redis::RedisStore;
use task_retry::sqlite::SqliteStore;
use task_retry::store::TaskStore;
use test_servers::{Kind, Server, installed, start};

/// Of what the parts of a sharded store are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Store {
    Sqlite,
    Postgres,
    RedisCluster,
}

impl Store {
    pub(crate) const ALL: [Self; 3] = [Self::Sqlite, Self::Postgres, Self::RedisCluster];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::RedisCluster => "redis_cluster",
        }
    }

    const fn server(self) -> Option<Kind> {
        match self {
            Self::Sqlite => None,
            Self::Postgres => Some(Kind::Postgres),
            Self::RedisCluster => Some(Kind::RedisCluster),
        }
    }

    /// Whether its server is not installed, and need not be.
    pub(crate) fn is_ignored(self) -> bool {
        let missing = self.server().is_some_and(|kind| installed(kind).is_err());
        missing && !std::env::var("RETRY_REQUIRE").is_ok_and(|required| required == "all")
    }

    /// Three places: folders, schemas on two servers, or namespaces of one cluster, which live on nodes of their own.
    pub(crate) fn places(self) -> Vec<Arc<Place>> {
        let (one, other): (Arc<Started>, Arc<Started>) = Default::default();
        let servers = match self {
            Self::Sqlite | Self::Postgres => [Arc::clone(&one), other, one],
            Self::RedisCluster => [Arc::clone(&one), Arc::clone(&one), one],
        };
        let place = |server| {
            let made = AtomicU32::new(0);
            Arc::new(Place {
                store: self,
                server,
                made,
            })
        };
        servers.into_iter().map(place).collect()
    }
}

type Started = OnceLock<Result<Server, String>>;

/// Where parts are made.
pub(crate) struct Place {
    store: Store,
    /// Started by the first that needs it.
    server: Arc<Started>,
    made: AtomicU32,
}

impl Place {
    fn url(&self, kind: Kind) -> Result<String, Skip> {
        let started = self
            .server
            .get_or_init(|| start(kind).map_err(|error| error.to_string()));
        match started {
            Ok(server) => Ok(server.url()),
            Err(error) => Err(Skip::new(error.clone())),
        }
    }
}

#[async_trait]
impl Harness for Place {
    fn name(&self) -> &str {
        self.store.name()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new().reopen().peer()
    }

    async fn fresh(&self, clock: ManualClock) -> Result<Box<dyn Instance>, Skip> {
        let url = match self.store.server() {
            Some(kind) => self.url(kind)?,
            None => String::new(),
        };
        let folder = tempfile::tempdir().expect("a folder");
        // Places may share a cluster: the folder's name is nobody else's.
        let unique = folder
            .path()
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .to_lowercase();
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let own: String = unique.chars().filter(char::is_ascii_alphanumeric).collect();
        let data = Data {
            kind: self.store,
            url,
            own: format!("part_{own}_{number}"),
            path: folder.path().join("tasks.db"),
            clock,
        };
        let store = data.open().await;
        Ok(Box::new(Part { store, data, folder }))
    }
}

/// How the data of a part is opened.
struct Data {
    kind: Store,
    url: String,
    own: String,
    path: PathBuf,
    clock: ManualClock,
}

impl Data {
    async fn open(&self) -> Arc<dyn TaskStore> {
        match self.kind {
            Store::Sqlite => {
                let builder = SqliteStore::builder(&self.path).clock(Arc::new(self.clock.clone()));
                Arc::new(builder.readers(1).build().expect("it opens"))
            }
            Store::Postgres => {
                let builder = PostgresStore::builder(&self.url)
                    .schema(&self.own)
                    .max_connections(4);
                Arc::new(builder.connect().await.expect("it connects"))
            }
            Store::RedisCluster => {
                let builder = RedisStore::builder(&self.url).namespace(&self.own);
                Arc::new(builder.connect().await.expect("it connects"))
            }
        }
    }
}

struct Part {
    // Closed before its folder goes.
    store: Arc<dyn TaskStore>,
    data: Data,
    folder: tempfile::TempDir,
}

#[async_trait]
impl Instance for Part {
    fn store(&self) -> Arc<dyn TaskStore> {
        Arc::clone(&self.store)
    }

    async fn reopen(self: Box<Self>) -> Box<dyn Instance> {
        let Self { store, data, folder } = *self;
        drop(store);
        let store = data.open().await;
        Box::new(Self { store, data, folder })
    }

    async fn peer(&self) -> Arc<dyn TaskStore> {
        self.data.open().await
    }
}
