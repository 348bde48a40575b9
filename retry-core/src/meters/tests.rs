//! The metrics of a real worker, to the number; and the page that lists them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};

use super::names::{Metric, TABLE};
use crate::alert::{AlertReason, TracingSink};
use crate::engine::KindOptions;
use crate::engine::tests::faulty::{Fault, Op};
use crate::engine::tests::harness::{SECOND, WithKind as _, World, done, each_second, job, script};
use crate::executor::{Final, Outcome};
use crate::name::{Kind, Queue};
use crate::store::StoreErrorKind;
use crate::task::{FailedChildren, State};

/// Every value by the metric's name and labels, `name{label=value,…}`.
#[derive(Debug)]
struct Values(BTreeMap<String, DebugValue>);

impl Values {
    fn of(snapshotter: &Snapshotter) -> Self {
        let mut values = BTreeMap::new();
        for (key, _, _, value) in snapshotter.snapshot().into_vec() {
            let key = key.key();
            let mut labels: Vec<_> = key
                .labels()
                .map(|label| format!("{}={}", label.key(), label.value()))
                .collect();
            labels.sort();
            values.insert(format!("{}{{{}}}", key.name(), labels.join(",")), value);
        }
        Self(values)
    }

    fn counter(&self, key: &str) -> u64 {
        match self.0.get(key) {
            Some(DebugValue::Counter(count)) => *count,
            None => 0,
            Some(other) => panic!("{key} is {other:?}"),
        }
    }

    fn gauge(&self, key: &str) -> f64 {
        match self.0.get(key) {
            Some(DebugValue::Gauge(value)) => value.into_inner(),
            other => panic!("{key} is {other:?}"),
        }
    }

    fn recorded(&self, key: &str) -> Vec<f64> {
        match self.0.get(key) {
            Some(DebugValue::Histogram(values)) => values.iter().map(|value| value.into_inner()).collect(),
            other => panic!("{key} is {other:?}"),
        }
    }
}

async fn live(world: &World) {
    let store = world.store();
    for _ in 0..3 {
        world.enqueue(job("good")).await;
    }
    let bad = world.enqueue(job("bad").retry(each_second(3))).await;
    world.enqueue(job("final").queue("other")).await;
    let snoozes = world.enqueue(job("snoozes")).await;
    world.enqueue(job("nobodys")).await;
    assert!(
        !world
            .client
            .enqueue(job("good").unique("k"))
            .await
            .unwrap()
            .id
            .to_string()
            .is_empty()
    );
    assert!(
        !world
            .client
            .enqueue(job("good").unique("k"))
            .await
            .unwrap()
            .is_new()
    );
    store.plan(Op::Purge, &Fault::Rejected(StoreErrorKind::Busy), 1);
    let slow = script(|ctx| async move {
        let _ = ctx;
        Err("again".into())
    });
    let handle = world
        .worker_on(&store)
        .queue("default")
        .queue("other")
        .concurrency(8)
        .kind("good", done())
        .kind("bad", slow)
        .kind("final", script(|_| async { Err(Final::new("no").into()) }))
        .kind_with(
            "snoozes",
            script(|ctx| async move {
                match ctx.created_at() {
                    _ if ctx.version() < 2 => Ok(Outcome::Snooze(SECOND)),
                    _ => Ok(Outcome::Done),
                }
            }),
            KindOptions::new(),
        )
        .alert_sink(TracingSink)
        .build()
        .unwrap()
        .start();
    assert_eq!(world.until_final(bad).await.task.state, State::Failed);
    world.until_final(snoozes).await;
    world.pass(SECOND * 100).await;
    world.shut_down(handle).await;
}

#[test]
fn a_workers_life_is_counted_exactly() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    metrics::with_local_recorder(&recorder, || runtime.block_on(live(&World::new())));
    let values = Values::of(&snapshotter);
    let count = |name: &str, kind: &str, queue: &str| {
        values.counter(&format!("task_retry_{name}_total{{kind={kind},queue={queue}}}"))
    };
    let row = |kind, queue| {
        [
            count("enqueued", kind, queue),
            count("claimed", kind, queue),
            count("succeeded", kind, queue),
            count("attempts_failed", kind, queue),
            count("retried", kind, queue),
            count("failed", kind, queue),
            count("snoozed", kind, queue),
            count("cancelled", kind, queue),
            count("leases_lost", kind, queue),
        ]
    };
    assert_eq!(row("good", "default"), [4, 4, 4, 0, 0, 0, 0, 0, 0]);
    assert_eq!(row("bad", "default"), [1, 3, 0, 3, 2, 1, 0, 0, 0]);
    assert_eq!(row("final", "other"), [1, 1, 0, 1, 0, 1, 0, 0, 0]);
    assert_eq!(row("snoozes", "default"), [1, 2, 1, 0, 0, 0, 1, 0, 0]);
    assert_eq!(row("nobodys", "default"), [1, 0, 0, 0, 0, 0, 0, 0, 0]);
    let good = "{kind=good,queue=default}";
    assert_eq!(
        values
            .recorded(&format!("task_retry_attempt_seconds{good}"))
            .len(),
        4
    );
    assert_eq!(
        values.recorded(&format!("task_retry_wait_seconds{good}")),
        [0.0; 4]
    );
    assert_eq!(values.gauge("task_retry_running{}"), 0.0);
    assert_eq!(values.gauge("task_retry_permits{}"), 8.0);
    assert_eq!(values.gauge("task_retry_sessions{}"), 1.0);
    let lag = values.gauge("task_retry_oldest_due_seconds{queue=default}");
    assert!((55.0..=110.0).contains(&lag), "{lag}");
    assert_eq!(
        values.counter("task_retry_store_errors_total{call=purge,error=busy}"),
        1
    );
    let alerts = |reason: &str, kind: &str, queue: &str| {
        values.counter(&format!(
            "task_retry_alerts_total{{kind={kind},queue={queue},reason={reason}}}"
        ))
    };
    assert_eq!(alerts("attempt_failed", "bad", "default"), 1);
    assert_eq!(alerts("task_failed", "bad", "default"), 1);
    assert_eq!(alerts("task_failed", "final", "other"), 1);
    assert!(!values.recorded("task_retry_exchange_edits{}").is_empty());
    let known = |key: &String| {
        let name = key.split('{').next().unwrap_or_default();
        TABLE.iter().any(|metric| metric.name == name)
    };
    assert!(
        values.0.keys().all(known),
        "every metric is in the table: {:?}",
        values.0.keys()
    );
}

/// Enqueued, waits and attempts that are counted of a kind.
async fn live_here(world: &World) {
    let fails = || script(|_| async { Err(Final::new("no").into()) });
    let worker = world.worker().kind("here", done()).kind("inline", done());
    let worker = worker.kind("tried", done()).kind("kept", fails());
    let handle = worker.build().unwrap().start();
    handle.ready().await;
    let client = world.client.attach(&handle);
    let here = client.enqueue(job("here")).run_here().await.unwrap();
    world.until_final(here.id).await;
    let inline = client.enqueue(job("inline")).run_inline();
    world.finish("the run", inline).await.unwrap();
    for kind in ["tried", "kept"] {
        let tried = client.enqueue(job(kind)).try_first();
        world.finish("the try", tried).await.unwrap();
    }
    world.shut_down(handle).await;
}

#[test]
fn what_runs_where_it_is_enqueued_is_counted_like_the_rest() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    metrics::with_local_recorder(&recorder, || runtime.block_on(live_here(&World::new())));
    let values = Values::of(&snapshotter);
    let of = |kind| {
        let labels = format!("{{kind={kind},queue=default}}");
        (
            values.counter(&format!("task_retry_enqueued_total{labels}")),
            values.recorded(&format!("task_retry_wait_seconds{labels}")).len(),
            values
                .recorded(&format!("task_retry_attempt_seconds{labels}"))
                .len(),
        )
    };
    assert_eq!(of("here"), (1, 1, 1));
    assert_eq!(of("inline"), (1, 1, 1));
    assert_eq!(of("tried"), (0, 1, 1), "it is not stored");
    for (kind, tried) in [("tried", 1), ("kept", 0), ("inline", 0)] {
        let name = format!("task_retry_tried_total{{kind={kind},queue=default}}");
        assert_eq!(values.counter(&name), tried, "{kind}");
    }
    assert_eq!(of("kept"), (1, 1, 1));
    assert_eq!(values.gauge("task_retry_running{}"), 0.0);
}

#[test]
fn names_beyond_the_bound_share_one_label() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        let (meters, world) = (super::Meters::new(), World::new());
        drop(world);
        for number in 0..1_100 {
            let (kind, queue) = (Kind::new(format!("k{number}")).unwrap(), Queue::default());
            let new = job(kind.as_str()).queue(queue.as_str()).build(
                crate::id::TaskId::from_bytes([7; 16]),
                crate::time::Timestamp::EPOCH,
                0,
                None,
            );
            let inserted = crate::store::Inserted::New { leased: false };
            meters.enqueued(&[new.unwrap()], &[inserted]);
        }
    });
    let values = Values::of(&snapshotter);
    assert_eq!(
        values.counter("task_retry_enqueued_total{kind=other,queue=other}"),
        100
    );
    let enqueued = values
        .0
        .keys()
        .filter(|key| key.starts_with("task_retry_enqueued_total"));
    assert_eq!(enqueued.count(), 1_001);
}

#[test]
fn lags_and_alerts_of_names_beyond_the_bound_share_one_label() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let name = |number: u64| format!("n{number:04}");
    metrics::with_local_recorder(&recorder, || {
        let meters = super::Meters::new();
        let queue = |number: u64| Queue::new(name(number)).unwrap();
        let lags = |seconds: fn(u64) -> u64| {
            let lag = |number| (queue(number), SECOND * u32::try_from(seconds(number)).unwrap());
            (0..1_100).map(lag).collect::<BTreeMap<_, _>>()
        };
        meters.lags(&lags(|number| 2_000 - number));
        for number in 0..1_100 {
            let kind = Kind::new(name(number)).unwrap();
            meters.alert(AlertReason::TaskFailed, &queue(number), Some(&kind), true);
            meters.alert(AlertReason::Unreadable, &queue(number), None, false);
        }
    });
    let values = Values::of(&snapshotter);
    let gauge = |queue: &str| values.gauge(&format!("task_retry_oldest_due_seconds{{queue={queue}}}"));
    assert_eq!(
        (gauge("n0000"), gauge("other")),
        (2_000.0, 1_000.0),
        "the largest"
    );
    let raised = "task_retry_alerts_total{kind=other,queue=other,reason=task_failed}";
    assert_eq!(values.counter(raised), 100);
    let dropped = "task_retry_alerts_dropped_total{kind=,queue=other,reason=unreadable}";
    assert_eq!(values.counter(dropped), 100);
    for metric in ["oldest_due_seconds", "alerts_total", "alerts_dropped_total"] {
        let of = |key: &&String| key.starts_with(&format!("task_retry_{metric}{{"));
        assert_eq!(values.0.keys().filter(of).count(), 1_001, "{metric}");
    }
}

/// A task of another queue waits, is measured, and is gone with its queue.
async fn drained(world: &World) {
    let worker = world.worker().kind("a", done()).build().unwrap();
    let id = world.enqueue(job("a").queue("elsewhere")).await;
    let handle = worker.start();
    world.pass(SECOND * 100).await;
    world.client.cancel(id).await.unwrap();
    world.client.delete(id).await.unwrap();
    world.pass(SECOND * 100).await;
    world.shut_down(handle).await;
}

#[test]
fn a_queue_that_is_gone_does_not_lag() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async {
            let world = World::new();
            drained(&world).await;
            assert!(
                world
                    .client
                    .queues()
                    .await
                    .unwrap()
                    .iter()
                    .all(|queue| queue.lanes.is_empty())
            );
        });
    });
    let values = Values::of(&snapshotter);
    assert_eq!(
        values.gauge("task_retry_oldest_due_seconds{queue=elsewhere}"),
        0.0
    );
}

/// A parent that its child fails, waits that a client ends, a task that it cancels, and an outcome taken back.
async fn ends(world: &World) {
    let parent = script(|ctx| async move {
        Ok(match ctx.step() {
            0 => Outcome::split([job("child")]),
            _ => Outcome::Done,
        })
    });
    let waits = script(|ctx| async move {
        Ok(match ctx.step() {
            0 => Outcome::Wait(SECOND * 60),
            _ => Outcome::Done,
        })
    });
    let child = script(|_| async { Err(Final::new("no").into()) });
    let worker = world.worker().kind("parent", parent).kind("child", child);
    let handle = worker.kind("waits", waits).build().unwrap().start();
    let fails = job("parent").on_failed_children(FailedChildren::Fail);
    let parent = world.enqueue(fails).await;
    world.until_final(parent).await;
    let mut waiting = Vec::new();
    for _ in 0..4 {
        let id = world.enqueue(job("waits")).await;
        waiting.push(world.until_state(id, State::Waiting).await.task);
    }
    let (client, token) = (&world.client, |n: usize| waiting[n].wait_token());
    client.fail(token(0), "no").await.unwrap();
    client.succeed(token(1), &1).await.unwrap();
    client.retry(token(2), world.now(), "not yet").await.unwrap();
    client.cancel(waiting[3].id).await.unwrap();
    // Neither a rerun nor a deletion is an end.
    client.rerun(waiting[0].id).await.unwrap();
    client.delete(waiting[1].id).await.unwrap();
    world.shut_down(handle).await;
}

#[test]
fn an_end_is_counted_by_whoever_writes_it() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    metrics::with_local_recorder(&recorder, || runtime.block_on(ends(&World::new())));
    let values = Values::of(&snapshotter);
    let row = |kind| {
        [
            "succeeded",
            "attempts_failed",
            "retried",
            "failed",
            "snoozed",
            "cancelled",
        ]
        .map(|name| values.counter(&format!("task_retry_{name}_total{{kind={kind},queue=default}}")))
    };
    assert_eq!(row("parent"), [0, 0, 0, 1, 0, 0], "no attempt of its own failed");
    assert_eq!(row("child"), [0, 1, 0, 1, 0, 0]);
    assert_eq!(row("waits"), [1, 2, 1, 1, 0, 1]);
}

/// Two parts whose queues wait for different times; one says nothing in the end.
async fn in_two_parts(world: &World) {
    let other = World::beside(world);
    let (whole, broken) = (world.store(), world.store());
    whole.shard(vec![Arc::new(broken.clone()), Arc::new(other.memory.clone())]);
    world.enqueue(job("nobodys")).await;
    other.enqueue(job("nobodys").delay(SECOND * 200)).await;
    let handle = world.worker_on(&whole).kind("a", done()).build().unwrap().start();
    world.pass(SECOND * 300).await;
    broken.all(Some(Fault::Lost));
    world.pass(SECOND * 100).await;
    broken.all(None);
    world.shut_down(handle).await;
}

#[test]
fn parts_are_measured_together() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    metrics::with_local_recorder(&recorder, || runtime.block_on(in_two_parts(&World::new())));
    let values = Values::of(&snapshotter);
    let lag = values.gauge("task_retry_oldest_due_seconds{queue=default}");
    // The last look at both was after at least 225 s, those since at the younger one alone.
    assert!((225.0..=300.0).contains(&lag), "{lag}");
    assert_eq!(values.gauge("task_retry_sessions{}"), 1.0);
}

/// A place is kept for a transaction while a task runs.
async fn reserved(world: &World) {
    let handle = world.worker().kind("a", done()).build().unwrap().start();
    world.finish("ready", handle.ready()).await;
    let id = crate::id::TaskId::from_bytes([7; 16]);
    let unborn = job("a").build(id, world.now(), 0, None).unwrap();
    let kept = handle.attachment().reserve(&unborn, |_| Some(0), world.now());
    assert!(kept.is_some());
    let id = world.enqueue(job("a")).await;
    world.until_final(id).await;
    drop(kept);
    world.shut_down(handle).await;
}

#[test]
fn a_place_that_is_kept_is_no_attempt_that_runs() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    metrics::with_local_recorder(&recorder, || runtime.block_on(reserved(&World::new())));
    assert_eq!(Values::of(&snapshotter).gauge("task_retry_running{}"), 0.0);
}

fn row(metric: &Metric) -> String {
    let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
    let (name, ty, about) = (metric.name, metric.ty.name(), metric.about);
    format!("| `{name}` | {ty} | {} | {about} |", labels.join(", "))
}

#[test]
fn the_page_lists_every_metric() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    let page = std::fs::read_to_string(&path).unwrap();
    // Those of a relay stand in a table of their own, which its crate compares.
    let is_row =
        |line: &&str| line.starts_with("| `task_retry_") && !line.starts_with("| `task_retry_relay_");
    let listed: Vec<_> = page.lines().filter(is_row).collect();
    let wanted: Vec<_> = TABLE.iter().map(row).collect();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let rest: Vec<_> = page.lines().filter(|line| !is_row(line)).collect();
        let head = rest.iter().position(|line| line.starts_with("|---")).unwrap();
        let mut lines: Vec<String> = rest.iter().map(|line| (*line).to_owned()).collect();
        lines.splice(head + 1..head + 1, wanted.clone());
        return std::fs::write(path, lines.join("\n") + "\n").unwrap();
    }
    assert_eq!(
        listed, wanted,
        "UPDATE_DOCS=1 cargo test -p retry-core --features metrics writes the page anew"
    );
}
