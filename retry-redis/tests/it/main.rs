//! What is special to Redis: its settings, memory limit, scripts, keys, connections and hints. Each test starts a server.

mod audit;
mod cluster;
mod damage;
mod engine;
mod faults;
mod hints;
mod limits;
mod refusals;
mod short_cuts;
mod support;
mod tls;
mod users;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let all: Vec<Vec<Trial>> = vec![
        refusals::trials(),
        users::trials(),
        faults::trials(),
        damage::trials(),
        limits::trials(),
        short_cuts::trials(),
        hints::trials(),
        tls::trials(),
        cluster::trials(),
        engine::trials(),
    ];
    libtest_mimic::run(&Arguments::from_args(), all.into_iter().flatten().collect()).exit_code()
}
