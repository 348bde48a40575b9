//! One history on every store side by side: each answer is compared with the other stores' and with the model's.

mod stores;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use conformance_tests::model::{self, SideBySide, Sort};
use conformance_tests::runner::Unpassed;
use conformance_tests::{Harness, Instance, Skip};
use libtest_mimic::{Arguments, Failed, Trial};
use task_retry::clock::ManualClock;
use task_retry::store::TaskStore;
use test_servers::{Server, start};

use self::stores::Store;

/// Histories; each runs on six stores. `RETRY_CONFORMANCE_CASES` says otherwise.
const HISTORIES: u32 = 40;

fn main() -> ExitCode {
    let ignored = Store::ALL.into_iter().any(Store::is_ignored);
    let trial = Trial::test("every store answers alike", every_store_answers_alike);
    let trials = vec![trial.with_ignored_flag(ignored)];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn every_store_answers_alike() -> Result<(), Failed> {
    let members = Store::ALL.into_iter().map(member).collect::<Result<_, _>>()?;
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

/// Makes stores of one kind, each with data of its own on the member's server.
struct Member {
    store: Store,
    server: Option<Server>,
    made: AtomicU32,
}

fn member(store: Store) -> Result<Arc<dyn Harness>, Failed> {
    let server = store.server().map(start).transpose()?;
    let made = AtomicU32::new(0);
    Ok(Arc::new(Member { store, server, made }))
}

#[async_trait]
impl Harness for Member {
    fn name(&self) -> &str {
        self.store.name()
    }

    async fn fresh(&self, clock: ManualClock) -> Result<Box<dyn Instance>, Skip> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tasks");
        let own = format!("history_{}", self.made.fetch_add(1, Ordering::Relaxed));
        let url = self.server.as_ref().map(Server::url).unwrap_or_default();
        let store = self.store.open(Arc::new(clock), &path, &url, own).await;
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
