//! Every sink against the real broker, which is killed and restarted in the middle: nothing is lost, and the receiver sees the
//! messages of a key in their order once it drops what it knows.

mod http;
mod kafka;
mod nats;
mod rabbitmq;
mod redis_streams;
mod stream;
mod tls;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Trial};
use test_servers::{Kind, Reach as _, Shared, needs, shared, trial};

fn main() -> ExitCode {
    let trials = [
        http::trials(),
        kafka::trials(),
        nats::trials(),
        rabbitmq::trials(),
        redis_streams::trials(),
        tls::trials(),
    ];
    let trials = trials.into_iter().flatten().collect();
    let mut arguments = Arguments::from_args();
    // Brokers are heavy: one at a time.
    arguments.test_threads = Some(1);
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// A test with a runtime of its own.
fn plain<F: Future<Output = ()>>(name: &str, test: impl FnOnce() -> F + Send + 'static) -> Trial {
    trial(name, move || block_on(test()))
}

/// The same with a broker of its own: what is killed or set up otherwise is never one that is given by URL.
fn with<F: Future<Output = ()>>(kind: Kind, name: &str, test: impl FnOnce() -> F + Send + 'static) -> Trial {
    trial(format!("{kind}::{name}"), move || {
        needs(kind);
        block_on(test());
    })
}

/// On each broker that is given, else on one that is started: others use it as well.
fn on_each<F>(kind: Kind, name: &'static str, test: fn(Arc<Shared>) -> F) -> Vec<Trial>
where
    F: Future<Output = ()> + 'static,
{
    let on = |server: Arc<Shared>| {
        trial(format!("{}::{name}", server.name()), move || {
            // Outside of the runtime: it may have to be started, which waits.
            server.url();
            block_on(test(server));
        })
    };
    shared(kind).into_iter().map(on).collect()
}

fn block_on(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(test);
}
