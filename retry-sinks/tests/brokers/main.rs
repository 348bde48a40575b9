//! Every sink against the real broker, which is killed and restarted in the middle: nothing is lost, and the receiver sees the
//! messages of a key in their order once it drops what it knows.

#[cfg(feature = "http")]
mod http;
#[cfg(feature = "kafka")]
mod kafka;
#[cfg(feature = "nats")]
mod nats;
#[cfg(feature = "rabbitmq")]
mod rabbitmq;
#[cfg(feature = "redis-streams")]
mod redis_streams;
mod stream;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use test_servers::{Kind, installed};

fn main() -> ExitCode {
    let mut trials = Vec::new();
    #[cfg(feature = "http")]
    trials.extend(http::trials());
    #[cfg(feature = "kafka")]
    trials.extend(kafka::trials());
    #[cfg(feature = "nats")]
    trials.extend(nats::trials());
    #[cfg(feature = "rabbitmq")]
    trials.extend(rabbitmq::trials());
    #[cfg(feature = "redis-streams")]
    trials.extend(redis_streams::trials());
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
#[cfg_attr(
    not(any(feature = "nats", feature = "rabbitmq", feature = "redis-streams")),
    expect(dead_code, reason = "for the brokers")
)]
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
