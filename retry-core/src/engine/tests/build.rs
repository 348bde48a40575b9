//! What the builder refuses.

use std::time::Duration;

use super::harness::{SECOND, WithKind as _, World, done};
use crate::draft::{TaskOptions, TaskPayload};
use crate::engine::{BuildError, KindOptions, ScanWindow, WorkerBuilder, WorkerConfig};
use crate::executor::{HandlerError, State};
use crate::name::Kind;

#[derive(serde::Serialize, serde::Deserialize)]
struct Mail;

impl TaskPayload for Mail {
    const KIND: &'static str = "mail";

    fn options() -> TaskOptions {
        TaskOptions::new().queue("post")
    }
}

async fn send(_: Mail, State(address): State<String>) -> Result<(), HandlerError> {
    assert_eq!(address, "here");
    Ok(())
}

fn limited(queue: &str) -> WorkerConfig {
    let mut config = WorkerConfig::new();
    config.queue_limits.insert(queue.to_owned(), 1);
    config
}

fn crossed() -> ScanWindow {
    ScanWindow::new().min_age(SECOND * 2).max_age(SECOND)
}

fn error(builder: WorkerBuilder) -> BuildError {
    builder.build().unwrap_err()
}

#[test]
fn mistakes_are_named() {
    let world = World::new();
    let worker = || world.worker().kind("a", done());
    let a = Kind::new("a").unwrap();
    assert_eq!(error(world.worker()), BuildError::NoHandlers);
    assert_eq!(error(worker().kind("a", done())), BuildError::DuplicateKind(a));
    let missing = error(worker().handler(send));
    assert!(matches!(missing, BuildError::MissingState { .. }));
    assert!(
        missing.to_string().contains("State<alloc::string::String>"),
        "{missing}"
    );
    let fallback = error(worker().handler_with(
        async |_: Mail| Ok::<(), HandlerError>(()),
        |kind| kind.fallback(0, send),
    ));
    assert!(matches!(fallback, BuildError::MissingState { .. }));
    for (builder, what) in [
        (worker().kind("no spaces", done()), "kind"),
        (worker().queue(""), "queue"),
        (worker().queue_with_limit("é", 1), "queue"),
        (worker().name("x".repeat(129)), "worker name"),
    ] {
        let error = error(builder);
        assert!(
            matches!(&error, BuildError::Name { what: named, .. } if *named == what),
            "{error}"
        );
    }
    let options = KindOptions::new;
    for builder in [
        worker().concurrency(0),
        worker().queue_with_limit("q", 0),
        worker().idle_poll(Duration::ZERO),
        worker().rescue_interval(Duration::ZERO),
        worker().purge_interval(Duration::ZERO),
        worker().kind_with("b", done(), options().concurrency(0)),
        worker().kind_with("b", done(), options().timeout(Duration::ZERO)),
    ] {
        let error = error(builder);
        assert!(matches!(error, BuildError::Zero(_)), "{error}");
    }
    let short = error(worker().lease(SECOND / 2));
    assert!(matches!(short, BuildError::LeaseTooShort { .. }), "{short}");
    assert!(
        worker()
            .prefetch(0)
            .shutdown_grace(Duration::ZERO)
            .cancel_grace(Duration::ZERO)
            .build()
            .is_ok()
    );
}

#[test]
fn settings_beyond_their_bounds_or_against_each_other_are_refused() {
    let world = World::new();
    let worker = || world.worker().kind("a", done());
    for (builder, told) in [
        (
            worker().lease(SECOND * 3_601),
            "the lease of 3601s is longer than the longest interval of 3600s",
        ),
        (worker().idle_poll(SECOND * 3_601), "the idle poll"),
        (
            worker().purge_batch(1_001),
            "the purge batch of 1001 is too large",
        ),
        (
            worker().rescue_interval(SECOND * 16),
            "the rescue interval of 16s is longer than the lease of 15s",
        ),
        (
            worker().prefetch(1_001),
            "the prefetch of 1001 is too large, at most 1000",
        ),
        (
            worker().concurrency(100_001),
            "the concurrency of 100001 is too large",
        ),
        (
            worker().config(limited("mail")),
            "the queue mail has a limit, but the worker claims from default only",
        ),
        (
            worker().scan_window(crossed()),
            "the scan window ends before it begins",
        ),
    ] {
        let error = error(builder).to_string();
        assert!(error.contains(told), "{error}");
    }
    let bounds = worker()
        .lease(SECOND * 3_600)
        .rescue_interval(SECOND * 3_600)
        .idle_poll(SECOND * 3_600);
    let bounds = bounds
        .purge_interval(SECOND * 3_153_600_000)
        .prefetch(1_000)
        .concurrency(100_000);
    assert!(bounds.config(limited("default")).build().is_ok());
}

#[test]
fn the_first_mistake_is_told() {
    let world = World::new();
    let first = error(world.worker().queue("no spaces").concurrency(0));
    assert!(matches!(first, BuildError::Name { .. }), "{first}");
}

#[tokio::test]
async fn a_worker_claims_from_its_payloads_queues_unless_told_otherwise() {
    let world = World::new();
    let id = world.client.enqueue(Mail).await.unwrap().id;
    let elsewhere = world
        .worker()
        .handler(send)
        .state("here".to_owned())
        .queue("other");
    let handle = elsewhere.build().unwrap().start();
    world.pass(SECOND * 10).await;
    assert_eq!(world.state(id).await, crate::task::State::Pending);
    world.shut_down(handle).await;
    let handle = world
        .worker()
        .handler(send)
        .state("here".to_owned())
        .build()
        .unwrap()
        .start();
    assert_eq!(
        world.until_final(id).await.task.state,
        crate::task::State::Succeeded
    );
    world.shut_down(handle).await;
}
