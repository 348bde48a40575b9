//! Opens each of the six stores with data of its own, for tests that run on all of them.

mod remove;

use std::path::Path;
use std::sync::{Arc, OnceLock};

use sqlx::{AssertSqlSafe, Connection as _, MySqlConnection};
use task_retry::clock::Clock;
use task_retry::mysql::MySqlStore;
use task_retry::postgres::PostgresStore;
use task_retry::redis::RedisStore;
use task_retry::sled::SledStore;
use task_retry::sqlite::SqliteStore;
use task_retry::store::{MemoryStore, TaskStore};
use test_servers::{Address, Kind, Reach as _, Shared, shared, unique};

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

    /// Every place where it can be: the servers that are given, or one that is started; none where it is embedded.
    pub(crate) fn servers(self) -> Vec<Option<Arc<Shared>>> {
        match self.server() {
            Some(kind) => shared(kind).into_iter().map(Some).collect(),
            None => vec![None],
        }
    }
}

/// Data of its own, removed at the end.
pub(crate) struct Data {
    store: Store,
    server: Option<Arc<Shared>>,
    name: String,
    /// In which a Redis keeps them.
    keys: OnceLock<Vec<String>>,
}

impl Data {
    pub(crate) fn new(store: Store, server: Option<Arc<Shared>>) -> Self {
        Self {
            store,
            server,
            name: unique("own"),
            keys: OnceLock::new(),
        }
    }

    fn url(&self) -> String {
        self.server
            .as_ref()
            .map(|server| server.url())
            .unwrap_or_default()
    }

    /// A store with the data: below `path`, or on the server. `clock` is an embedded store's.
    pub(crate) async fn open(&self, clock: Arc<dyn Clock>, path: &Path) -> Arc<dyn TaskStore> {
        let (url, name) = (self.url(), &self.name);
        match self.store {
            Store::Memory => Arc::new(MemoryStore::with_clock(clock)),
            Store::Sqlite => {
                let built = SqliteStore::builder(path).clock(clock).readers(1).build();
                Arc::new(built.expect("it opens"))
            }
            Store::Sled => {
                let built = SledStore::builder(path).clock(clock).readers(1).build();
                Arc::new(built.expect("it opens"))
            }
            Store::Postgres => {
                let builder = PostgresStore::builder(&url).schema(name).max_connections(4);
                Arc::new(builder.connect().await.expect("it connects"))
            }
            Store::MySql => {
                let mut conn = MySqlConnection::connect(&url).await.expect("it connects");
                let create = sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {name}")));
                create.execute(&mut conn).await.expect("databases may be made");
                let url = Address::of(&url).database(name).to_string();
                let builder = MySqlStore::builder(&url).connections(4);
                Arc::new(builder.connect().await.expect("it connects"))
            }
            Store::Redis => {
                let builder = RedisStore::builder(&url).namespace(name);
                let store = builder.connect().await.expect("it connects");
                self.keys.get_or_init(|| store.keys().to_vec());
                Arc::new(store)
            }
        }
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        if !self.server.as_ref().is_some_and(|server| server.is_given()) {
            return;
        }
        match (self.store, self.keys.get()) {
            (Store::Postgres, _) => remove::schema(&self.url(), &self.name),
            (Store::MySql, _) => remove_database(&self.url(), &self.name),
            (_, Some(keys)) => remove::keys(&self.url(), keys),
            _ => {}
        }
    }
}

/// What is left behind all the same disturbs no other run.
fn remove_database(url: &str, name: &str) {
    let sql = format!("SET lock_wait_timeout = 2; DROP DATABASE IF EXISTS {name}");
    let url = url.to_owned();
    remove::aside(async move {
        if let Ok(mut conn) = MySqlConnection::connect(&url).await {
            let _ = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut conn).await;
        }
    });
}
