//! What is special to PostgreSQL: plans, locks, connections, transactions of the user's own, hints, faults.

mod arguments;
mod config;
mod dropped;
mod faults;
mod full;
mod hints;
mod in_tx;
mod leased;
mod locks;
mod outbox;
mod parents;
mod plans;
mod rights;
mod shape;
mod support;
mod tls;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};
use test_servers::{Kind, installed, small_disk, start};

use crate::support::Env;

/// A test on a server.
type Test = fn(Arc<Env>);

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let missing = installed(Kind::Postgres).is_err();
    let is_required = std::env::var("RETRY_REQUIRE").is_ok_and(|required| required == "all");
    // The test of a full disk starts one for itself.
    let alone = small_disk().is_some();
    let server =
        (!missing && !arguments.list && !alone).then(|| start(Kind::Postgres).expect("a server starts"));
    let env = server.as_ref().map(|server| Arc::new(Env::new(server.url())));
    let groups: [&[(&str, Test)]; 13] = [
        config::TESTS,
        dropped::TESTS,
        faults::TESTS,
        hints::TESTS,
        in_tx::TESTS,
        leased::TESTS,
        locks::TESTS,
        outbox::TESTS,
        parents::TESTS,
        plans::TESTS,
        rights::TESTS,
        shape::TESTS,
        tls::TESTS,
    ];
    let trials = groups.into_iter().flatten().map(|(name, test)| {
        let env = env.clone();
        let run = move || -> Result<(), Failed> {
            installed(Kind::Postgres)?;
            test(env.ok_or("no server")?);
            Ok(())
        };
        Trial::test(*name, run).with_ignored_flag(missing && !is_required)
    });
    let trials = trials.chain([full::trial()]).collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    drop(server);
    conclusion.exit_code()
}
