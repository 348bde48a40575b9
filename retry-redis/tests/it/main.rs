//! What is special to Redis: its settings, memory limit, scripts, keys, connections and hints. What changes or stops a server has one
//! of its own; the rest runs on each that is given.

mod audit;
mod cluster;
mod damage;
mod engine;
mod faults;
mod foreign;
mod full;
mod hints;
mod killed;
mod limits;
mod many;
#[path = "../conformance/namespace.rs"]
mod namespace;
mod refusals;
mod short_cuts;
mod support;
mod tls;
mod users;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};
use test_servers::{Kind, shared};

fn main() -> ExitCode {
    let (servers, clusters) = (shared(Kind::Redis), shared(Kind::RedisCluster));
    let all: Vec<Vec<Trial>> = vec![
        refusals::trials(&servers),
        users::trials(&servers),
        faults::trials(&servers),
        damage::trials(&servers),
        foreign::trials(),
        limits::trials(&servers),
        short_cuts::trials(&servers),
        hints::trials(&servers, &clusters),
        killed::trials(),
        many::trials(),
        vec![full::trial()],
        tls::trials(),
        cluster::trials(),
        engine::trials(&servers, &clusters),
    ];
    libtest_mimic::run(&Arguments::from_args(), all.into_iter().flatten().collect()).exit_code()
}
