//! Tasks that do not start and attempts that do not end: told once, when automatic recovery has had its chance. And what
//! became of expiry and retention.

use std::time::Duration;

use super::faulty::{Fault, Op};
use super::harness::{SECOND, WithKind as _, World, done, job, quiet, stuck};
use super::listener::{Listener, Manner};
use crate::alert::{AlertOptions, AlertReason};
use crate::engine::KindOptions;
use crate::name::Queue;
use crate::store::StoreErrorKind;
use crate::task::{Retention, State};

const MINUTE: Duration = Duration::from_mins(1);

use AlertReason::{NotStarted, RunningLong, UnhandledKind};

#[tokio::test]
async fn a_backlog_is_one_incident_until_it_is_gone() {
    let (world, listener) = (World::new(), Listener::new(Manner::Takes));
    for _ in 0..3 {
        world.enqueue(job("a")).await;
    }
    // One runs for ever, so the others wait.
    let handle = world
        .worker()
        .kind_with("a", stuck(), KindOptions::new().concurrency(1))
        .prefetch(0)
        .alert_sink(listener.clone())
        .alert_options(AlertOptions::new().running_after(None))
        .build()
        .unwrap()
        .start();
    world.pass(MINUTE * 5).await;
    assert_eq!(listener.reasons(), [], "not yet");
    world.pass(MINUTE * 4).await;
    assert_eq!(listener.reasons(), [NotStarted], "two looks found it");
    let alert = listener.told().remove(0);
    assert_eq!(alert.kind.as_ref().unwrap().as_str(), "a");
    assert!(
        alert.span > MINUTE * 5 && alert.span < MINUTE * 9,
        "{:?}",
        alert.span
    );
    assert_eq!(alert.incident, "waits:default:a");
    world.pass(MINUTE * 10).await;
    assert_eq!(listener.reasons(), [NotStarted], "once");
    drop(handle);
}

#[tokio::test]
async fn a_kind_that_nobody_runs_and_a_paused_queue() {
    let (world, listener) = (World::new(), Listener::new(Manner::Takes));
    world.enqueue(job("nobodys")).await;
    world.enqueue(job("a").queue("paused")).await;
    world.enqueue(job("a").delay(MINUTE * 600)).await;
    world.client.pause(&Queue::new("paused").unwrap()).await.unwrap();
    let handle = world
        .worker()
        .queue("default")
        .queue("paused")
        .kind("a", done())
        .alert_sink(listener.clone())
        .build()
        .unwrap()
        .start();
    world.pass(MINUTE * 15).await;
    let told = listener.told();
    assert_eq!(listener.reasons(), [UnhandledKind], "{told:?}");
    assert_eq!(told[0].kind.as_ref().unwrap().as_str(), "nobodys");
    world.shut_down(handle).await;
}

#[tokio::test]
async fn a_run_that_does_not_end_is_told_once() {
    let (world, listener) = (World::new(), Listener::new(Manner::Takes));
    let id = world.enqueue(job("a")).await;
    let handle = world
        .worker()
        .kind("a", stuck())
        .alert_sink(listener.clone())
        .build()
        .unwrap()
        .start();
    world.pass(MINUTE * 30).await;
    assert_eq!(listener.reasons(), []);
    world.pass(MINUTE * 4).await;
    assert_eq!(listener.reasons(), [RunningLong]);
    let alert = listener.told().remove(0);
    assert!(alert.span > MINUTE * 30, "{:?}", alert.span);
    assert_eq!(alert.task.as_ref().unwrap().id, id);
    world.pass(MINUTE * 10).await;
    assert_eq!(listener.reasons(), [RunningLong], "once");
    drop(handle);
}

#[tokio::test]
async fn a_long_run_is_looked_up_until_it_is_told_and_no_error_hides_the_rest() {
    let (world, listener) = (World::new(), Listener::new(Manner::Takes));
    world.enqueue(job("a")).await;
    world.enqueue(job("nobodys")).await;
    let store = world.store();
    // The store tells queues and sessions, and no task.
    store.always(Op::Get, Some(Fault::Rejected(StoreErrorKind::Busy)));
    let handle = world
        .worker_on(&store)
        .kind("a", stuck())
        .alert_sink(listener.clone())
        .alert_options(AlertOptions::new().running_after(MINUTE))
        .build()
        .unwrap()
        .start();
    world.pass(MINUTE * 10).await;
    assert_eq!(listener.reasons(), [UnhandledKind], "the look went on");
    store.always(Op::Get, None);
    world.pass(MINUTE * 5).await;
    assert_eq!(listener.reasons(), [UnhandledKind, RunningLong]);
    let asked = store.calls(Op::Get);
    world.pass(MINUTE * 20).await;
    assert_eq!(store.calls(Op::Get), asked, "it is told");
    drop(handle);
}

#[tokio::test]
async fn a_look_asks_no_further_when_the_store_is_away_and_passes_over_a_row_that_is_damaged() {
    let mut asked = Vec::new();
    for kind in [StoreErrorKind::Unavailable, StoreErrorKind::Corrupt] {
        let (world, listener) = (World::new(), Listener::new(Manner::Takes));
        world.enqueue(job("a")).await;
        world.enqueue(job("a")).await;
        let store = world.store();
        store.always(Op::Get, Some(Fault::Rejected(kind)));
        let handle = world
            .worker_on(&store)
            .kind("a", stuck())
            .alert_sink(listener.clone())
            .alert_options(
                AlertOptions::new()
                    .running_after(MINUTE)
                    .check_interval(MINUTE * 2),
            )
            .build()
            .unwrap()
            .start();
        world
            .until("it is looked up", async || store.calls(Op::Get) > 0)
            .await;
        asked.push(store.calls(Op::Get));
        store.always(Op::Get, None);
        world.pass(MINUTE * 10).await;
        assert_eq!(listener.reasons(), [RunningLong; 2], "{kind:?}");
        drop(handle);
    }
    assert_eq!(asked, [1, 2]);
}

#[tokio::test]
async fn what_recovers_by_itself_is_not_told() {
    let (world, listener) = (World::new(), Listener::new(Manner::Takes));
    let options = AlertOptions::new()
        .not_started_after(SECOND * 30)
        .running_after(MINUTE);
    // Its attempts are ended by the time-out long before; its tasks wait behind each other for a while only.
    world.enqueue(job("a")).await;
    let store = world.store();
    let handle = world
        .worker_on(&store)
        .kind_with("a", stuck(), KindOptions::new().timeout(SECOND * 50))
        .kind("b", done())
        .alert("false")
        .alert_sink(listener.clone())
        .alert_options(options)
        .build()
        .unwrap()
        .start();
    world.pass(SECOND * 20).await;
    // An outage of almost a minute: the task is late when it is over, and claimed at once.
    store.always(Op::Exchange, Some(Fault::Lost));
    world.enqueue(job("b")).await;
    world.pass(SECOND * 57).await;
    store.always(Op::Exchange, None);
    world.pass(MINUTE * 10).await;
    let told = listener.told();
    assert!(told.iter().all(|alert| alert.reason.is_dead_letter()), "{told:?}");
    world.shut_down(handle).await;
}

#[tokio::test]
async fn limits_may_be_lifted_and_nobody_asks_without_a_sink() {
    let (world, listener) = (World::new(), Listener::new(Manner::Takes));
    world.enqueue(job("nobodys")).await;
    let never = AlertOptions::new().not_started_after(None).running_after(None);
    let handle = world
        .worker()
        .kind("a", done())
        .alert_sink(listener.clone())
        .alert_options(never)
        .build()
        .unwrap()
        .start();
    world.pass(MINUTE * 20).await;
    assert_eq!(listener.reasons(), []);
    world.shut_down(handle).await;
    let store = world.store();
    let handle = world.worker_on(&store).kind("a", done()).build().unwrap().start();
    world.pass(MINUTE * 10).await;
    if cfg!(not(feature = "metrics")) {
        assert_eq!(store.calls(Op::Sessions), 0);
    }
    world.shut_down(handle).await;
}

#[tokio::test]
async fn a_task_past_its_start_deadline_is_cancelled_with_the_reason() {
    let world = World::new();
    let expired = world.enqueue(job("nobodys").expires_after(MINUTE)).await;
    let kept = world.enqueue(job("nobodys").expires_after(MINUTE * 10)).await;
    let handle = world.worker().kind("a", done()).build().unwrap().start();
    world.pass(MINUTE - SECOND).await;
    assert_eq!(world.state(expired).await, State::Pending);
    world.pass(SECOND * 3).await;
    let ended = world.detail(expired).await;
    assert_eq!((ended.task.state, ended.task.attempt), (State::Cancelled, 0));
    assert!(ended.last_error.unwrap().as_str().contains("start deadline"));
    assert_eq!(world.state(kept).await, State::Pending);
    world.shut_down(handle).await;
}

#[tokio::test]
async fn a_purge_goes_on_in_batches_until_nothing_is_left() {
    let world = World::new();
    let retention = Retention {
        succeeded: Some(MINUTE * 11),
        ..Retention::default()
    };
    for _ in 0..10 {
        world.enqueue(job("a").retention(retention)).await;
    }
    let store = world.store();
    let handle = world
        .worker_on(&store)
        .kind("a", done())
        .purge_interval(MINUTE)
        .purge_batch(4)
        .build()
        .unwrap()
        .start();
    world.pass(MINUTE * 10).await;
    let before = store.calls(Op::Purge);
    world.pass(MINUTE * 3).await;
    assert!(world.list(crate::store::TaskFilter::default()).await.is_empty());
    let calls = store.calls(Op::Purge) - before;
    assert!((5..=6).contains(&calls), "4 and 4 and 2 in one round: {calls}");
    world.shut_down(handle).await;
    let built = world.worker().kind("a", done()).purge_batch(0).build();
    assert!(built.is_err());
}

#[tokio::test]
async fn retention_is_by_final_state_and_zero_deletes_a_success_at_once() {
    let world = World::new();
    let retention = |minutes: [Option<u32>; 3]| {
        let [succeeded, failed, cancelled] = minutes.map(|minutes| minutes.map(|minutes| MINUTE * minutes));
        Retention {
            succeeded,
            failed,
            cancelled,
        }
    };
    let kept = retention([Some(12), Some(15), None]);
    let good = world.enqueue(job("good").retention(kept)).await;
    let bad = world.enqueue(job("bad").retention(kept)).await;
    let cancelled = world.enqueue(job("good").delay(MINUTE).retention(kept)).await;
    world.client.cancel(cancelled).await.unwrap();
    let forgotten = world
        .enqueue(job("good").retention(retention([Some(0), None, None])))
        .await;
    let fails = super::harness::script(|_| async { Err(crate::executor::Final::new("no").into()) });
    let handle = world
        .worker()
        .kind("good", done())
        .kind("bad", fails)
        .purge_interval(SECOND * 30)
        .build()
        .unwrap()
        .start();
    let stored = async |id| world.client.get(id).await.unwrap().is_some();
    world.pass(MINUTE).await;
    assert!(!stored(forgotten).await, "deleted by the write that settled it");
    assert!(stored(good).await && stored(bad).await && stored(cancelled).await);
    world.pass(MINUTE * 10).await;
    assert!(stored(good).await);
    world.pass(MINUTE * 2).await;
    assert!(!stored(good).await && stored(bad).await);
    world.pass(MINUTE * 3).await;
    assert!(!stored(bad).await);
    world.pass(MINUTE * 5).await;
    assert!(stored(cancelled).await, "kept until it is deleted by hand");
    quiet().await;
    world.shut_down(handle).await;
}
