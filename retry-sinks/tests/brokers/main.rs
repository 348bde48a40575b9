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

use libtest_mimic::{Arguments, Failed, Trial};
use test_servers::{Kind, installed};

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
    Trial::test(name, move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        runtime.block_on(test());
        Ok(())
    })
}

/// The same, ignored where its broker is not installed, unless everything is required.
fn with<F: Future<Output = ()>>(kind: Kind, name: &str, test: impl FnOnce() -> F + Send + 'static) -> Trial {
    let missing = installed(kind).is_err();
    let required = std::env::var("RETRY_REQUIRE").is_ok_and(|required| required == "all");
    let name = format!("{kind}::{name}");
    if missing {
        let absent = move || Err(Failed::from(test_servers::install_hint(kind)));
        return Trial::test(name, absent).with_ignored_flag(!required);
    }
    plain(&name, test)
}
