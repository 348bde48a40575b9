//! Sharded stores on real databases: the suite over SQLite files, schemas on two PostgreSQL servers, and namespaces of a Redis
//! Cluster; and two PostgreSQL servers of which one is killed.

mod killed;
mod parts;
#[path = "../stores/remove.rs"]
mod remove;

use std::process::ExitCode;
use std::sync::Arc;

use conformance_tests::sharded::{Sharded, outage};
use conformance_tests::{Harness, trials};
use libtest_mimic::Arguments;
use test_servers::trial;

use self::parts::{Place, Store};

/// Generated histories on each; `RETRY_CONFORMANCE_CASES` says otherwise.
const HISTORIES: u32 = 24;

fn main() -> ExitCode {
    let mut all = Vec::new();
    for store in Store::ALL {
        let places = store.places();
        let parts = || -> Vec<Arc<dyn Harness>> {
            let part = |place: &Arc<Place>| Arc::clone(place) as Arc<dyn Harness>;
            places.iter().map(part).collect()
        };
        let name = store.name();
        let one_slot = Sharded::one_slot(format!("{name}_sharded"), parts()).histories(HISTORIES);
        all.extend(trials(Arc::new(one_slot)));
        let spread = Arc::new(Sharded::spread(format!("{name}_spread"), parts()));
        all.extend(outage::trials(&spread));
        all.extend(trials(spread));
    }
    all.push(trial(
        "one of two PostgreSQL servers is killed",
        killed::one_is_killed,
    ));
    libtest_mimic::run(&Arguments::from_args(), all).exit_code()
}
