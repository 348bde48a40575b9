//! Alerts of failed attempts: by which rule, when, in which order.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::faulty::{Fault, Op};
use super::harness::{SECOND, WithKind as _, World, done, each_second, job, script, stuck};
use super::listener::{Listener, Manner};
use crate::alert::{AlertOptions, AlertReason, AlertRule};
use crate::engine::{BuildError, KindOptions};
use crate::executor::{Executor, Final, Outcome};
use crate::id::Nonce;
use crate::machine::{Event, transition};
use crate::store::{TaskFilter, TaskStoreExt as _};
use crate::task::{Edit, State};

use AlertReason::{AttemptFailed, LeaseLost, TaskFailed};

const MAX: u32 = 6;

fn fails() -> Arc<dyn Executor> {
    script(|_| async { Err("primary".into()) })
}

fn each() -> AlertOptions {
    AlertOptions::new().cool_down(Duration::ZERO)
}

/// One failing task, to its end; what was told.
async fn told(
    rule: Option<AlertRule>,
    options: KindOptions,
    primary: Arc<dyn Executor>,
) -> (State, Vec<(u32, AlertReason)>) {
    let (world, listener) = (World::new(), Listener::new(Manner::Takes));
    let id = world.enqueue(job("a").retry(each_second(MAX))).await;
    let mut worker = world
        .worker()
        .kind_with("a", primary, options)
        .alert_sink(listener.clone())
        .alert_options(each());
    if let Some(rule) = rule {
        worker = worker.alert(rule);
    }
    let handle = worker.build().unwrap().start();
    let state = world.until_final(id).await.task.state;
    world.shut_down(handle).await;
    (state, listener.attempts())
}

/// A rule, and the attempts that fit it.
type Rule = (&'static str, fn(u32) -> bool);

/// Every combination of a rule, a fallback and how that ends.
#[tokio::test]
async fn rules_and_fallbacks_combine_as_the_table_says() {
    let rules: [Rule; 5] = [
        ("attempts > 1 && attempts < 5", |attempt| {
            attempt > 1 && attempt < 5
        }),
        ("attempts == 1", |attempt| attempt == 1),
        ("attempts % 2 == 0", |attempt| attempt % 2 == 0),
        ("error.contains('primary')", |_| true),
        ("false", |_| false),
    ];
    for (text, fits) in rules {
        for threshold in [None, Some(0), Some(1), Some(3), Some(MAX)] {
            for succeeds in [false, true] {
                let mut options = KindOptions::new();
                if let Some(threshold) = threshold {
                    let fallback = script(move |_| async move {
                        if succeeds {
                            Ok(Outcome::Done)
                        } else {
                            Err("fallback".into())
                        }
                    });
                    options = options.fallback_executor(threshold, fallback);
                }
                let mut wanted = Vec::new();
                let mut state = State::Failed;
                for attempt in 1..=MAX {
                    let fallback_ran = threshold.is_some_and(|threshold| attempt > threshold);
                    if fallback_ran && succeeds {
                        state = State::Succeeded;
                        break;
                    }
                    let judged = threshold.is_none() || fallback_ran;
                    if attempt == MAX {
                        wanted.push((attempt, TaskFailed));
                    } else if judged && fits(attempt) {
                        wanted.push((attempt, AttemptFailed));
                    }
                }
                let rule = AlertRule::parse(text).unwrap();
                let case = format!("{text}, threshold {threshold:?}, fallback succeeds: {succeeds}");
                let by_worker = told(Some(rule.clone()), options.clone(), fails()).await;
                assert_eq!(by_worker, (state, wanted.clone()), "{case}");
                let by_kind = told(Some(AlertRule::always()), options.alert(rule), fails()).await;
                assert_eq!(by_kind, (state, wanted), "{case}, as the kind's own rule");
            }
        }
    }
}

#[tokio::test]
async fn the_default_rule_is_from_the_second_attempt_to_the_fourth() {
    let wanted: Vec<_> = (2..5)
        .map(|attempt| (attempt, AttemptFailed))
        .chain([(MAX, TaskFailed)])
        .collect();
    assert_eq!(
        told(None, KindOptions::new(), fails()).await,
        (State::Failed, wanted)
    );
}

#[tokio::test]
async fn the_order_is_primary_fallback_alert() {
    let (world, log) = (World::new(), Arc::new(Mutex::new(Vec::new())));
    let note = |what: &'static str| {
        let log = Arc::clone(&log);
        script(move |ctx| {
            log.lock().unwrap().push(format!("{what} {}", ctx.attempt()));
            async move { Err(what.into()) }
        })
    };
    let id = world.enqueue(job("a").retry(each_second(2))).await;
    let judged = Arc::clone(&log);
    let rule = AlertRule::when("noted", move |facts| {
        judged.lock().unwrap().push(format!("judged {}", facts.attempts));
        true
    });
    let listener = Listener::new(Manner::Takes);
    let handle = world
        .worker()
        .kind_with(
            "a",
            note("primary"),
            KindOptions::new().fallback_executor(0, note("fallback")),
        )
        .alert(rule)
        .alert_sink(listener.clone())
        .build()
        .unwrap()
        .start();
    world.until_final(id).await;
    world.shut_down(handle).await;
    let wanted = ["primary 1", "fallback 1", "judged 1", "primary 2", "fallback 2"];
    assert_eq!(
        *log.lock().unwrap(),
        wanted,
        "the dead letter is told without a rule"
    );
    assert_eq!(listener.attempts(), [(1, AttemptFailed), (2, TaskFailed)]);
    let alert = &listener.told()[0];
    assert_eq!(alert.error.as_ref().unwrap().as_str(), "primary");
    assert_eq!(alert.task.as_ref().unwrap().id, id);
}

#[tokio::test]
async fn a_final_error_a_stop_and_a_timeout_are_told() {
    let always = || Some(AlertRule::always());
    let last = script(|_| async { Err(Final::new("never").into()) });
    assert_eq!(
        told(always(), KindOptions::new(), last).await.1,
        [(1, TaskFailed)]
    );
    let stop = script(|_| async { Ok(Outcome::Stop("no".into())) });
    assert_eq!(
        told(always(), KindOptions::new(), stop).await.1,
        [(1, TaskFailed)]
    );
    let timed = told(always(), KindOptions::new().timeout(SECOND), stuck())
        .await
        .1;
    assert_eq!(timed.len(), MAX as usize);
    assert_eq!(told(always(), KindOptions::new(), done()).await.1, []);
}

#[tokio::test]
async fn an_outcome_that_is_sent_again_is_told_once() {
    for fault in [Fault::Lost, Fault::Answerless] {
        let (world, listener) = (World::new(), Listener::new(Manner::Takes));
        let store = world.store();
        let id = world.enqueue(job("a").retry(each_second(3))).await;
        let failing = store.clone();
        let executor = script(move |_| {
            failing.plan(Op::Exchange, &fault, 2);
            async { Err("primary".into()) }
        });
        let handle = world
            .worker_on(&store)
            .kind("a", executor)
            .alert(AlertRule::always())
            .alert_sink(listener.clone())
            .alert_options(each())
            .build()
            .unwrap()
            .start();
        world.until_final(id).await;
        world.shut_down(handle).await;
        let wanted = [(1, AttemptFailed), (2, AttemptFailed), (3, TaskFailed)];
        assert_eq!(listener.attempts(), wanted);
    }
}

#[tokio::test]
async fn a_lost_lease_is_judged_and_a_spent_crash_budget_is_told() {
    let (world, listener) = (World::new(), Listener::new(Manner::Takes));
    let id = world
        .enqueue(job("a").crash_budget(2).retry(each_second(10)))
        .await;
    for life in 1..=2 {
        let worker = world.worker().kind("a", stuck()).build().unwrap();
        let handle = worker.start();
        world
            .until("it runs", async || world.state(id).await == State::Running)
            .await;
        // Dropped like a crash: nothing is handed back.
        drop(handle);
        let rescuer = world
            .worker()
            .kind("other", done())
            .alert(AlertRule::always())
            .alert_sink(listener.clone())
            .build()
            .unwrap()
            .start();
        world
            .until("it is rescued", async || world.state(id).await != State::Running)
            .await;
        world
            .until("it is told", async || listener.told().len() == life)
            .await;
        world.shut_down(rescuer).await;
    }
    assert_eq!(
        listener.attempts(),
        [(1, LeaseLost), (2, AlertReason::CrashBudgetSpent)]
    );
    let crashes: Vec<_> = listener
        .told()
        .iter()
        .map(|alert| alert.task.as_ref().unwrap().crashes)
        .collect();
    assert_eq!(crashes, [1, 2]);
}

#[tokio::test]
async fn a_lost_task_that_cannot_be_read_is_told_once() {
    let (world, listener) = (World::new(), Listener::new(Manner::Takes));
    let id = world.enqueue(job("a")).await;
    let lost = world.worker().kind("a", stuck()).build().unwrap().start();
    world.until_state(id, State::Running).await;
    drop(lost);
    let store = world.store();
    store.spoil(id);
    let rescuer = world
        .worker_on(&store)
        .kind("other", done())
        .alert_sink(listener.clone())
        .build()
        .unwrap()
        .start();
    world.pass(SECOND * 300).await;
    assert_eq!(listener.reasons(), [AlertReason::Unreadable]);
    let alert = listener.told().remove(0);
    assert_eq!(alert.incident, format!("task:{id}:unreadable"));
    assert!(alert.error.unwrap().as_str().contains("spoiled"));
    world.shut_down(rescuer).await;
}

#[tokio::test]
async fn a_cancelled_tasks_failure_is_not_told_unless_it_ended_it() {
    for (is_final, ended, wanted) in [
        (false, State::Cancelled, vec![]),
        (true, State::Failed, vec![TaskFailed]),
    ] {
        let (world, listener) = (World::new(), Listener::new(Manner::Takes));
        let id = world.enqueue(job("a")).await;
        let go = Arc::new(tokio::sync::Notify::new());
        let told_to_go = Arc::clone(&go);
        let executor = script(move |_| {
            let go = Arc::clone(&told_to_go);
            async move {
                go.notified().await;
                if is_final {
                    Err(Final::new("no").into())
                } else {
                    Err("no".into())
                }
            }
        });
        let handle = world
            .worker()
            .kind("a", executor)
            .alert(AlertRule::always())
            .alert_sink(listener.clone())
            .build()
            .unwrap()
            .start();
        world
            .until("it runs", async || world.state(id).await == State::Running)
            .await;
        // The flag is stored; no beat has told the handler yet.
        world.client.cancel(id).await.unwrap();
        go.notify_one();
        assert_eq!(world.until_final(id).await.task.state, ended);
        world.shut_down(handle).await;
        assert_eq!(listener.reasons(), wanted);
    }
}

/// A rescuer that comes too late for a child cancels it for its parent: that edit is not the rescue.
#[tokio::test]
async fn a_rescue_that_came_too_late_is_not_told() {
    let (world, listener) = (World::new(), Listener::new(Manner::Takes));
    let id = world.enqueue(job("parent")).await;
    let parent = script(|_| async {
        let child = job("child").deadline_after(SECOND * 10).rescue_delay(SECOND);
        Ok(Outcome::split([child]))
    });
    let store = world.store();
    store.always(Op::Expired, Some(Fault::Lost));
    let owner = world
        .worker_on(&store)
        .kind("parent", parent)
        .kind("child", stuck());
    let owner = owner.build().unwrap().start();
    world.until_state(id, State::Joining).await;
    let child = world
        .list(TaskFilter {
            parent: Some(id),
            ..TaskFilter::default()
        })
        .await
        .remove(0)
        .id;
    world.until_state(child, State::Running).await;
    world.pass(SECOND * 12).await;
    world.client.cancel(id).await.unwrap();
    let (late, gate) = (world.store(), CancellationToken::new());
    late.plan(Op::Expired, &Fault::HoldAnswer(gate.clone()), 1);
    let rescuer = world.worker_on(&late).kind("other", done());
    let rescuer = rescuer
        .alert(AlertRule::always())
        .alert_sink(listener.clone())
        .build()
        .unwrap()
        .start();
    world
        .until("it has looked", async || late.calls(Op::Expired) > 0)
        .await;
    // Another rescuer was faster.
    let task = world.detail(child).await.task;
    let rescue = Edit {
        id: child,
        version: task.version,
        nonce: Nonce::from_random(7),
        action: transition(&task, Event::DeadlinePassed, world.now(), 1).unwrap(),
        insert: Vec::new(),
    };
    world.memory.apply(rescue, world.now()).await.unwrap();
    assert_eq!(world.state(child).await, State::Pending);
    gate.cancel();
    assert_eq!(world.until_final(child).await.task.state, State::Cancelled);
    world.until_final(id).await;
    assert_eq!(listener.attempts(), []);
    world.shut_down(rescuer).await;
    drop(owner);
}

#[test]
fn wrong_rules_and_options_are_refused_when_the_worker_is_built() {
    let world = World::new();
    let error = world
        .worker()
        .kind("a", done())
        .alert("attempt > 1")
        .build()
        .unwrap_err();
    assert!(
        matches!(error, BuildError::AlertRule { kind: None, .. }),
        "{error}"
    );
    let options = KindOptions::new().alert("attempts >");
    let error = world
        .worker()
        .kind_with("a", done(), options)
        .build()
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("the kind a: the alert rule `attempts >`"),
        "{error}"
    );
    for options in [
        AlertOptions::new().queue(0),
        AlertOptions::new().timeout(Duration::ZERO),
        AlertOptions::new().check_interval(Duration::ZERO),
    ] {
        let built = world.worker().kind("a", done()).alert_options(options).build();
        assert!(matches!(built.unwrap_err(), BuildError::Zero(_)));
    }
}
