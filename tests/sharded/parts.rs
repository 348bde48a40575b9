//! The stores that are made one: each with data of its own.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use conformance_tests::{Capabilities, Harness, Instance, Skip};
use task_retry::clock::ManualClock;
use task_retry::postgres::PostgresStore;
use task_retry::redis::RedisStore;
use task_retry::sqlite::SqliteStore;
use task_retry::store::TaskStore;
use test_servers::{Kind, Server, given, installed, start, unique};

use crate::remove;

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

    /// Three places: folders, schemas on two servers, or namespaces of one cluster, which live on nodes of their own. One server
    /// that is given alone has a second beside it, if that can be started.
    pub(crate) fn places(self) -> Vec<Arc<Place>> {
        let kind = self.server();
        let given = kind.map(given).unwrap_or_default();
        let alone = kind.is_some_and(|kind| installed(kind).is_err());
        let found = |given: Option<&String>| {
            Arc::new(Found {
                given: given.cloned(),
                started: OnceLock::new(),
            })
        };
        let one = found(given.first());
        let other = found(given.get(1).or(given.first().filter(|_| alone)));
        let servers = match self {
            Self::Sqlite | Self::Postgres => [Arc::clone(&one), other, one],
            Self::RedisCluster => [Arc::clone(&one), Arc::clone(&one), one],
        };
        let place = |server| Arc::new(Place { store: self, server });
        servers.into_iter().map(place).collect()
    }
}

/// A server, given or started by the first that needs it.
struct Found {
    given: Option<String>,
    started: OnceLock<Result<Server, String>>,
}

impl Found {
    fn url(&self, kind: Kind) -> Result<String, Skip> {
        if let Some(url) = &self.given {
            return Ok(url.clone());
        }
        let started = self
            .started
            .get_or_init(|| start(kind).map_err(|error| error.to_string()));
        match started {
            Ok(server) => Ok(server.url()),
            Err(error) => Err(Skip::new(error.clone())),
        }
    }
}

/// Where parts are made.
pub(crate) struct Place {
    store: Store,
    server: Arc<Found>,
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
            Some(kind) => self.server.url(kind)?,
            None => String::new(),
        };
        let folder = tempfile::tempdir().expect("a folder");
        let data = Data {
            kind: self.store,
            url,
            lives_on: self.server.given.is_some(),
            own: unique("part"),
            path: folder.path().join("tasks.db"),
            clock,
            keys: OnceLock::new(),
        };
        let store = data.open().await;
        Ok(Box::new(Part { store, data, folder }))
    }
}

/// How the data of a part is opened.
struct Data {
    kind: Store,
    url: String,
    /// Its server does: what is made there must be removed.
    lives_on: bool,
    own: String,
    path: PathBuf,
    clock: ManualClock,
    keys: OnceLock<Vec<String>>,
}

impl Drop for Data {
    fn drop(&mut self) {
        match (self.kind, self.keys.get()) {
            _ if !self.lives_on => {}
            (Store::Postgres, _) => remove::schema(&self.url, &self.own),
            (_, Some(keys)) => remove::keys(&self.url, keys),
            _ => {}
        }
    }
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
                let store = builder.connect().await.expect("it connects");
                self.keys.get_or_init(|| store.keys().to_vec());
                Arc::new(store)
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
