//! Context and headers on their way from an enqueue to attempts, children and follow-ups; kinds under other names.

use std::sync::{Arc, Mutex};

use super::harness::{Meter, SECOND, WithKind as _, World, done, job, script};
use crate::clock::Clock as _;
use crate::draft::{DecodeError, Draft, TaskOptions, TaskPayload, VERSION_HEADER};
use crate::engine::{BuildError, KindOptions, TickOptions, WorkerConfig};
use crate::executor::{HandlerError, Outcome, State as Shared};
use crate::headers::Headers;
use crate::limits::MAX_HEADERS_BYTES;
use crate::name::{Kind, Queue};
use crate::payload::Payload;
use crate::propagate::Propagator;
use crate::store::TaskFilter;
use crate::task::State;

/// Says one thing, and notes what it is told.
#[derive(Debug, Clone, Default)]
pub(super) struct Echo {
    says: Vec<(String, String)>,
    pub(super) told: Arc<Mutex<Vec<Vec<String>>>>,
}

impl Echo {
    fn new(says: &[(&str, &str)]) -> Self {
        let says = says
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Self {
            says: says.collect(),
            told: Arc::default(),
        }
    }
}

impl Propagator for Echo {
    fn inject(&self) -> Vec<(String, String)> {
        self.says.clone()
    }

    fn extract(&self, headers: &Headers, _: &tracing::Span) {
        let headers = headers.iter().map(|(key, value)| format!("{key}={value}"));
        self.told.lock().unwrap().push(headers.collect());
    }
}

pub(super) async fn headers_of(world: &World, kind: &str) -> Vec<String> {
    let filter = TaskFilter {
        kinds: vec![Kind::new(kind).unwrap()],
        ..TaskFilter::default()
    };
    let task = world.list(filter).await.pop().expect("there is one");
    let detail = world.detail(task.id).await;
    detail
        .headers
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect()
}

/// A parent that splits, and then enqueues a follow-up.
fn parent() -> Arc<dyn crate::executor::Executor> {
    script(|ctx| async move {
        if ctx.step() == 0 {
            return Ok(Outcome::split([job("child").header("own", "child's")]));
        }
        ctx.enqueue_on_success(job("follow-up"));
        Ok(Outcome::Done)
    })
}

async fn run(world: &World, worker: crate::engine::WorkerBuilder) {
    let worker = worker
        .kind("parent", parent())
        .kind("child", done())
        .kind("follow-up", done());
    let worker = worker.build().unwrap();
    world.finish("the tick", worker.tick(SECOND * 60)).await.unwrap();
}

#[tokio::test]
async fn headers_are_handed_down() {
    let world = World::new();
    let traced = || {
        job("parent")
            .header("traceparent", "far")
            .header("tenant", "7")
            .header("own", "mine")
    };
    world.enqueue(traced()).await;
    run(&world, world.worker()).await;
    assert_eq!(
        headers_of(&world, "child").await,
        ["own=child's", "traceparent=far"]
    );
    assert_eq!(headers_of(&world, "follow-up").await, ["traceparent=far"]);

    let world = World::new();
    world.enqueue(traced()).await;
    run(
        &world,
        world.worker().inherit_headers(["tenant", "own", "absent"]),
    )
    .await;
    assert_eq!(headers_of(&world, "child").await, ["own=child's", "tenant=7"]);
    assert_eq!(headers_of(&world, "follow-up").await, ["own=mine", "tenant=7"]);
}

#[tokio::test]
async fn the_nearest_context_wins_and_what_is_set_by_hand_wins_over_all() {
    let world = World::new();
    let enqueuer = Echo::new(&[("traceparent", "far"), ("tracestate", "far")]);
    let client = world.client.clone().with_propagator(enqueuer);
    client
        .enqueue(job("parent").header("tracestate", "hand"))
        .await
        .unwrap();
    let many = client.enqueue_many([job("other")]).await.unwrap();
    assert_eq!(
        world.detail(many[0].id).await.headers.get("traceparent"),
        Some("far")
    );
    let attempt = Echo::new(&[("traceparent", "near")]);
    run(&world, world.worker().propagator(attempt.clone())).await;
    assert_eq!(
        headers_of(&world, "child").await,
        ["own=child's", "traceparent=near"],
        "not half of each"
    );
    assert_eq!(
        attempt.told.lock().unwrap()[0],
        ["traceparent=far", "tracestate=hand"]
    );
    assert_eq!(attempt.told.lock().unwrap().len(), 4, "each attempt is joined");
}

#[tokio::test]
async fn context_that_does_not_fit_is_left_out() {
    let world = World::new();
    let client = world
        .client
        .clone()
        .with_propagator(Echo::new(&[("traceparent", "far")]));
    let full = job("a").header("k", "x".repeat(MAX_HEADERS_BYTES - 1));
    let id = client.enqueue(full).await.unwrap().id;
    assert_eq!(world.detail(id).await.headers.get("traceparent"), None);
}

#[tokio::test]
async fn a_propagator_that_panics_does_not_cost_the_task_or_the_permit() {
    #[derive(Debug)]
    struct Panics;
    impl Propagator for Panics {
        fn inject(&self) -> Vec<(String, String)> {
            Vec::new()
        }
        fn extract(&self, _: &Headers, _: &tracing::Span) {
            panic!("no context")
        }
    }
    let world = World::new();
    let ids = [world.enqueue(job("a")).await, world.enqueue(job("a")).await];
    let worker = world
        .worker()
        .concurrency(1)
        .propagator(Panics)
        .kind("a", done())
        .build()
        .unwrap();
    let summary = world.finish("the tick", worker.tick(SECOND * 60)).await.unwrap();
    assert_eq!(summary.succeeded, 2);
    assert_eq!(world.state(ids[1]).await, State::Succeeded);
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Letter {
    to: String,
}

impl TaskPayload for Letter {
    const KIND: &'static str = "letter";
    const ALIASES: &'static [&'static str] = &["mail", "post"];
    const VERSION: u32 = 2;

    fn options() -> TaskOptions {
        TaskOptions::new().retry(super::harness::each_second(3))
    }

    fn migrate(
        _: u32,
        payload: serde_json::Value,
    ) -> Result<serde_json::Value, Box<dyn std::error::Error + Send + Sync>> {
        let to = payload["address"].as_str().ok_or("there is no address")?;
        Ok(serde_json::json!({ "to": to }))
    }
}

type Sent = Shared<Arc<Mutex<Vec<String>>>>;

async fn send(letter: Letter, Shared(sent): Sent) -> Result<(), HandlerError> {
    sent.lock().unwrap().push(letter.to);
    Ok(())
}

fn raw(kind: &str, version: &str, json: &str) -> Draft {
    let retry = super::harness::each_second(3);
    let draft = Draft::raw(kind, Payload::from_json(json).unwrap()).retry(retry);
    if version.is_empty() {
        draft
    } else {
        draft.header(VERSION_HEADER, version)
    }
}

#[tokio::test]
async fn tasks_of_old_names_and_forms_run_and_those_of_newer_ones_wait() {
    let world = World::new();
    let sent: Arc<Mutex<Vec<String>>> = Arc::default();
    world.enqueue(raw("mail", "", r#"{"address":"old"}"#)).await;
    world.enqueue(raw("post", "2", r#"{"to":"renamed"}"#)).await;
    world
        .client
        .enqueue(Letter { to: "new".to_owned() })
        .await
        .unwrap();
    let newer = world.enqueue(raw("letter", "3", r#"{"recipients":[]}"#)).await;
    let broken = world.enqueue(raw("letter", "1", r#"{"to":"nobody"}"#)).await;
    let check = world.client.check_payloads::<Letter>(100).await.unwrap();
    assert_eq!((check.checked, check.complete), (5, true));
    let stored = DecodeError::Newer { stored: 3, known: 2 };
    assert!(check.undecodable.contains(&(newer, stored)), "{check:?}");
    assert_eq!(check.undecodable.len(), 2);
    let two = world.client.check_payloads::<Letter>(2).await.unwrap();
    assert_eq!((two.checked, two.complete, two.is_ok()), (2, false, false));
    let worker = world
        .worker()
        .handler(send)
        .state(Arc::clone(&sent))
        .build()
        .unwrap();
    let summary = world.finish("the tick", worker.tick(SECOND / 2)).await.unwrap();
    assert_eq!((summary.succeeded, summary.failed, summary.retried), (3, 1, 1));
    sent.lock().unwrap().sort();
    assert_eq!(*sent.lock().unwrap(), ["new", "old", "renamed"]);
    let newer = world.detail(newer).await;
    assert_eq!(newer.task.state, State::Pending, "a newer program may come to it");
    assert!(
        newer
            .last_error
            .unwrap()
            .as_str()
            .contains("a newer one has to run it")
    );
    let broken = world.detail(broken).await;
    assert_eq!(broken.task.state, State::Failed);
    assert!(
        broken
            .last_error
            .unwrap()
            .as_str()
            .contains("there is no address")
    );
}

#[tokio::test]
async fn an_edit_of_headers_keeps_the_version() {
    let world = World::new();
    let id = world
        .client
        .enqueue(Letter { to: "new".to_owned() })
        .await
        .unwrap()
        .id;
    let mut headers = Headers::new();
    headers.insert("k", "v").unwrap();
    let changes = crate::client::Changes {
        payload: None,
        headers: Some(headers),
    };
    let edited = world.client.edit(id, changes).await.unwrap();
    let headers: Vec<_> = edited.headers.iter().collect();
    assert_eq!(headers, [("k", "v"), (VERSION_HEADER, "2")]);
}

#[tokio::test]
async fn a_limit_counts_all_names_of_a_kind() {
    let world = World::new();
    let (clock, meter) = (world.clock.clone(), Meter::default());
    let inner = meter.clone();
    let slow = script(move |_| {
        let (clock, inside) = (clock.clone(), inner.enter());
        async move {
            clock.sleep_until(clock.monotonic() + SECOND / 100).await;
            drop(inside);
            Ok(Outcome::Done)
        }
    });
    for n in 0..30 {
        world.enqueue(job(["now", "old", "older"][n % 3])).await;
    }
    let options = KindOptions::new().concurrency(2).alias("old").alias("older");
    let worker = world.worker().kind_with("now", slow, options).build().unwrap();
    let summary = world
        .finish("the tick", worker.tick(TickOptions::new()))
        .await
        .unwrap();
    assert_eq!((summary.succeeded, meter.total(), meter.most()), (30, 30, 2));
    let twice = world.worker().kind("old", done());
    let twice = twice
        .kind_with("now", done(), KindOptions::new().alias("old"))
        .build()
        .unwrap_err();
    assert_eq!(twice, BuildError::DuplicateKind(Kind::new("old").unwrap()));
    let invalid = world
        .worker()
        .kind_with("now", done(), KindOptions::new().alias("an old one"));
    assert!(matches!(
        invalid.build().unwrap_err(),
        BuildError::Name { what: "kind", .. }
    ));
}

#[tokio::test]
async fn code_wins_over_a_configuration_in_either_order() {
    let world = World::new();
    let mut given = WorkerConfig::new();
    (given.concurrency, given.queues) = (Some(1), Some(vec!["b".to_owned()]));
    let in_b = world.enqueue(job("a").queue("b")).await;
    let by_config = world
        .worker()
        .config(given.clone())
        .kind("a", done())
        .build()
        .unwrap();
    assert_eq!(by_config.setup.config.concurrency, 1);
    world
        .finish("the tick", by_config.tick(SECOND * 9))
        .await
        .unwrap();
    assert_eq!(world.state(in_b).await, State::Succeeded);
    let before = world.worker().concurrency(2).queue("c").config(given.clone());
    let after = world.worker().config(given.clone()).concurrency(2).queue("c");
    for builder in [before, after] {
        let worker = builder.kind("a", done()).build().unwrap();
        assert_eq!(worker.setup.config.concurrency, 2);
        assert_eq!(worker.setup.queues, [Queue::new("c").unwrap()]);
    }
    let mut second = WorkerConfig::new();
    (second.concurrency, second.prefetch) = (Some(9), Some(9));
    let both = world
        .worker()
        .config(given)
        .config(second)
        .kind("a", done())
        .build()
        .unwrap();
    assert_eq!(
        (both.setup.config.concurrency, both.setup.config.prefetch()),
        (1, 9)
    );
}
