//! Runs one test on each of the six stores, each with data of its own and, where it needs one, with a server of its own.

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};
use task_retry::clock::SystemClock;
use task_retry::store::TaskStore;
use test_servers::{Server, start};

use crate::stores::Store;

/// One trial for each store, whose data are called `own`. A store whose server is missing is told as ignored.
pub(crate) fn run(
    own: &'static str,
    test: impl AsyncFn(Arc<dyn TaskStore>) + Copy + Send + 'static,
) -> ExitCode {
    let trials = Store::ALL.into_iter().map(|store| {
        let trial = Trial::test(store.name(), move || on(store, own, test));
        trial.with_ignored_flag(store.is_ignored())
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

fn on(store: Store, own: &str, test: impl AsyncFn(Arc<dyn TaskStore>)) -> Result<(), Failed> {
    let server = store.server().map(start).transpose()?;
    let folder = tempfile::tempdir()?;
    let url = server.as_ref().map(Server::url).unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let (clock, path) = (Arc::new(SystemClock::new()), folder.path().join("tasks"));
        test(store.open(clock, &path, &url, own.to_owned()).await).await;
    });
    Ok(())
}
