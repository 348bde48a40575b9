//! What is special to PostgreSQL: plans, locks, connections, transactions of the user's own, hints, faults.

mod arguments;
mod config;
mod dropped;
mod env;
mod faults;
mod full;
mod held_keys;
mod hints;
mod in_tx;
mod killed;
mod leased;
mod locks;
mod many;
mod outbox;
mod parents;
mod plans;
mod rights;
mod shape;
mod storm;
mod support;
mod tls;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Trial};
use test_servers::{Kind, Shared, shared, trial};

use crate::support::Env;

/// A test on a server that others use as well: on each that is given.
type Test = fn(Arc<Env>);

/// A test on servers of its own.
type Alone = fn();

fn main() -> ExitCode {
    let tests: [&[(&str, Test)]; 14] = [
        config::TESTS,
        dropped::TESTS,
        faults::TESTS,
        held_keys::TESTS,
        hints::TESTS,
        in_tx::TESTS,
        killed::TESTS,
        leased::TESTS,
        locks::TESTS,
        outbox::TESTS,
        parents::TESTS,
        plans::TESTS,
        rights::TESTS,
        shape::TESTS,
    ];
    let alone: [&[(&str, Alone)]; 5] = [
        config::ALONE,
        faults::ALONE,
        many::ALONE,
        storm::ALONE,
        tls::ALONE,
    ];
    let mut trials = vec![full::on_a_small_disk(), many::pooled()];
    for server in shared(Kind::Postgres) {
        let tests = tests.iter().copied().flatten();
        trials.extend(tests.map(|(name, test)| on(&server, name, *test)));
    }
    let alone = alone.into_iter().flatten();
    trials.extend(alone.map(|(name, test)| trial(*name, test)));
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// A test on a server.
fn on(server: &Arc<Shared>, name: &str, test: Test) -> Trial {
    let server = Arc::clone(server);
    trial(server.named(name), move || test(Arc::new(Env::on(&*server))))
}
