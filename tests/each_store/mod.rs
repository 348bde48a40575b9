//! Runs one test on each of the six stores, each with data of its own; on every server that is given for a store.

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::Arguments;
use task_retry::clock::SystemClock;
use task_retry::store::TaskStore;
use test_servers::{Shared, trial};

use crate::stores::{Data, Store};

/// One trial for each store, and for each server of one.
pub(crate) fn run(test: impl AsyncFn(Arc<dyn TaskStore>) + Copy + Send + 'static) -> ExitCode {
    let mut trials = Vec::new();
    for store in Store::ALL {
        for server in store.servers() {
            let name = server
                .as_ref()
                .map_or(store.name(), |server| server.name())
                .to_owned();
            trials.push(trial(name, move || on(store, server, test)));
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn on(store: Store, server: Option<Arc<Shared>>, test: impl AsyncFn(Arc<dyn TaskStore>)) {
    let folder = tempfile::tempdir().expect("a folder");
    let data = Data::new(store, server);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async {
        let (clock, path) = (Arc::new(SystemClock::new()), folder.path().join("tasks"));
        test(data.open(clock, &path).await).await;
    });
}
