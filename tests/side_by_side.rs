//! One history on every store side by side: each answer is compared with the other stores' and with the model's.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use conformance_tests::model::{self, SideBySide, Sort};
use conformance_tests::runner::Unpassed;
use conformance_tests::{Harness, Instance, Skip};
use libtest_mimic::{Arguments, Failed, Trial};
use task_retry::clock::ManualClock;
use task_retry::mysql::MySqlStore;
use task_retry::postgres::PostgresStore;
use task_retry::redis::RedisStore;
use task_retry::sled::SledStore;
use task_retry::sqlite::SqliteStore;
use task_retry::store::{MemoryStore, TaskStore};
use test_servers::{Kind, Server, installed, start};

/// Histories; each runs on six stores. `RETRY_CONFORMANCE_CASES` says otherwise.
const HISTORIES: u32 = 40;

/// The servers that are needed.
const KINDS: [Kind; 3] = [Kind::Postgres, Kind::MySql, Kind::Redis];

fn main() -> ExitCode {
    let missing = KINDS.into_iter().any(|kind| installed(kind).is_err());
    let required = std::env::var("RETRY_REQUIRE").is_ok_and(|required| required == "all");
    let trial = Trial::test("every store answers alike", every_store_answers_alike);
    let trials = vec![trial.with_ignored_flag(missing && !required)];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn every_store_answers_alike() -> Result<(), Failed> {
    let [postgres, mysql, redis] = KINDS.map(start);
    let members: Vec<Arc<dyn Harness>> = vec![
        member("memory", None, Opener::Memory),
        member("sqlite", None, Opener::Sqlite),
        member("sled", None, Opener::Sled),
        member("postgres", Some(postgres?), Opener::Postgres),
        member("mysql", Some(mysql?), Opener::MySql),
        member("redis", Some(redis?), Opener::Redis),
    ];
    let all: Arc<dyn Harness> = Arc::new(SideBySide::new(members));
    let number = |name: &str| std::env::var(name).ok()?.parse().ok();
    let histories = number("RETRY_CONFORMANCE_CASES").unwrap_or(HISTORIES);
    let seed = number("RETRY_CONFORMANCE_SEED").unwrap_or(0);
    match model::check_seed(&all, Sort::Sequential, u64::from(seed), histories) {
        Ok(_) => Ok(()),
        Err(Unpassed::Failed(failure)) => Err(Failed::from(failure.to_string())),
        Err(Unpassed::Skipped(skip)) => Err(Failed::from(skip.to_string())),
    }
}

#[derive(Debug, Clone, Copy)]
enum Opener {
    Memory,
    Sqlite,
    Sled,
    Postgres,
    MySql,
    Redis,
}

/// Makes stores of one kind, each with data of its own on the member's server.
struct Member {
    name: &'static str,
    opener: Opener,
    server: Option<Server>,
    made: AtomicU32,
}

fn member(name: &'static str, server: Option<Server>, opener: Opener) -> Arc<dyn Harness> {
    let made = AtomicU32::new(0);
    Arc::new(Member {
        name,
        opener,
        server,
        made,
    })
}

#[async_trait]
impl Harness for Member {
    fn name(&self) -> &str {
        self.name
    }

    async fn fresh(&self, clock: ManualClock) -> Result<Box<dyn Instance>, Skip> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tasks");
        let own = format!("history_{}", self.made.fetch_add(1, Ordering::Relaxed));
        let url = self.server.as_ref().map(Server::url).unwrap_or_default();
        let clock = Arc::new(clock);
        let store: Arc<dyn TaskStore> = match self.opener {
            Opener::Memory => Arc::new(MemoryStore::with_clock(clock)),
            Opener::Sqlite => {
                let built = SqliteStore::builder(path).clock(clock).readers(1).build();
                Arc::new(built.expect("it opens"))
            }
            Opener::Sled => {
                let built = SledStore::builder(path).clock(clock).readers(1).build();
                Arc::new(built.expect("it opens"))
            }
            Opener::Postgres => {
                let builder = PostgresStore::builder(&url).schema(own).max_connections(4);
                Arc::new(builder.connect().await.expect("it connects"))
            }
            Opener::MySql => {
                let builder = MySqlStore::builder(&url).prefix(own).connections(4);
                Arc::new(builder.connect().await.expect("it connects"))
            }
            Opener::Redis => {
                let builder = RedisStore::builder(&url).namespace(own);
                Arc::new(builder.connect().await.expect("it connects"))
            }
        };
        Ok(Box::new(Fresh {
            store,
            _folder: folder,
        }))
    }
}

struct Fresh {
    // Closed before its folder goes.
    store: Arc<dyn TaskStore>,
    _folder: tempfile::TempDir,
}

impl Instance for Fresh {
    fn store(&self) -> Arc<dyn TaskStore> {
        Arc::clone(&self.store)
    }
}
