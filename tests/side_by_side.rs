//! One history on every store side by side: each answer is compared with the other stores' and with the model's.

mod stores;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use conformance_tests::model::{self, SideBySide, Sort};
use conformance_tests::runner::Unpassed;
use conformance_tests::{Harness, Instance, Skip};
use libtest_mimic::Arguments;
use task_retry::clock::ManualClock;
use task_retry::store::TaskStore;
use test_servers::{Reach as _, Shared, trial_within};

use self::stores::{Data, Store};

/// Histories; each runs on every store. `RETRY_CONFORMANCE_CASES` says otherwise.
const HISTORIES: u32 = 40;

fn main() -> ExitCode {
    let histories = number("RETRY_CONFORMANCE_CASES").unwrap_or(HISTORIES);
    // A hundred times what one takes.
    let limit = Duration::from_secs(60) * histories.max(10);
    let trials = vec![trial_within(limit, "every store answers alike", move || {
        every_store_answers_alike(histories);
    })];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn number(name: &str) -> Option<u32> {
    std::env::var(name).ok()?.parse().ok()
}

fn every_store_answers_alike(histories: u32) {
    let members: Vec<_> = Store::ALL.into_iter().flat_map(members).collect();
    let all: Arc<dyn Harness> = Arc::new(SideBySide::new(members));
    let seed = number("RETRY_CONFORMANCE_SEED").unwrap_or(0);
    match model::check_seed(&all, Sort::Sequential, u64::from(seed), histories) {
        Ok(_) => {}
        Err(Unpassed::Failed(failure)) => panic!("{failure}"),
        Err(Unpassed::Skipped(skip)) => panic!("{skip}"),
    }
}

/// Makes stores of one kind, each with data of its own on the member's server.
struct Member {
    store: Store,
    server: Option<Arc<Shared>>,
}

/// One for each server of a store. Where there is none, the test ends here.
fn members(store: Store) -> Vec<Arc<dyn Harness>> {
    let member = |server: Option<Arc<Shared>>| {
        if let Some(server) = &server {
            server.url();
        }
        Arc::new(Member { store, server }) as Arc<dyn Harness>
    };
    store.servers().into_iter().map(member).collect()
}

#[async_trait]
impl Harness for Member {
    fn name(&self) -> &str {
        self.server
            .as_ref()
            .map_or(self.store.name(), |server| server.name())
    }

    async fn fresh(&self, clock: ManualClock) -> Result<Box<dyn Instance>, Skip> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tasks");
        let data = Data::new(self.store, self.server.clone());
        let store = data.open(Arc::new(clock), &path).await;
        Ok(Box::new(Fresh {
            store,
            _data: data,
            _folder: folder,
        }))
    }
}

struct Fresh {
    // Closed before its data go.
    store: Arc<dyn TaskStore>,
    _data: Data,
    _folder: tempfile::TempDir,
}

impl Instance for Fresh {
    fn store(&self) -> Arc<dyn TaskStore> {
        Arc::clone(&self.store)
    }
}
