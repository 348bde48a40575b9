//! Opens each of the six stores with data of its own, for tests that run on all of them.

use std::path::Path;
use std::sync::Arc;

use task_retry::clock::Clock;
use task_retry::mysql::MySqlStore;
use task_retry::postgres::PostgresStore;
use task_retry::redis::RedisStore;
use task_retry::sled::SledStore;
use task_retry::sqlite::SqliteStore;
use task_retry::store::{MemoryStore, TaskStore};
use test_servers::{Kind, installed};

/// A kind of store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Store {
    Memory,
    Sqlite,
    Sled,
    Postgres,
    MySql,
    Redis,
}

impl Store {
    pub(crate) const ALL: [Self; 6] = [
        Self::Memory,
        Self::Sqlite,
        Self::Sled,
        Self::Postgres,
        Self::MySql,
        Self::Redis,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Sqlite => "sqlite",
            Self::Sled => "sled",
            Self::Postgres => "postgres",
            Self::MySql => "mysql",
            Self::Redis => "redis",
        }
    }

    /// The server that it needs.
    pub(crate) const fn server(self) -> Option<Kind> {
        match self {
            Self::Memory | Self::Sqlite | Self::Sled => None,
            Self::Postgres => Some(Kind::Postgres),
            Self::MySql => Some(Kind::MySql),
            Self::Redis => Some(Kind::Redis),
        }
    }

    /// Whether its server is not installed, and need not be.
    pub(crate) fn is_ignored(self) -> bool {
        let missing = self.server().is_some_and(|kind| installed(kind).is_err());
        missing && !std::env::var("RETRY_REQUIRE").is_ok_and(|required| required == "all")
    }

    /// A store with the data `own`: below `path`, or on the server at `url`. `clock` is an embedded store's.
    pub(crate) async fn open(
        self,
        clock: Arc<dyn Clock>,
        path: &Path,
        url: &str,
        own: String,
    ) -> Arc<dyn TaskStore> {
        match self {
            Self::Memory => Arc::new(MemoryStore::with_clock(clock)),
            Self::Sqlite => {
                let built = SqliteStore::builder(path).clock(clock).readers(1).build();
                Arc::new(built.expect("it opens"))
            }
            Self::Sled => {
                let built = SledStore::builder(path).clock(clock).readers(1).build();
                Arc::new(built.expect("it opens"))
            }
            Self::Postgres => {
                let builder = PostgresStore::builder(url).schema(own).max_connections(4);
                Arc::new(builder.connect().await.expect("it connects"))
            }
            Self::MySql => {
                let builder = MySqlStore::builder(url).prefix(own).connections(4);
                Arc::new(builder.connect().await.expect("it connects"))
            }
            Self::Redis => {
                let builder = RedisStore::builder(url).namespace(own);
                Arc::new(builder.connect().await.expect("it connects"))
            }
        }
    }
}
