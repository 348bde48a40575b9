//! Alerts of failed attempts and dead letters: when, in which order, how many, and that no sink disturbs the worker.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::faulty::{Fault, Op};
use super::harness::{SECOND, WithKind as _, World, done, each_second, job, quiet, script, stuck};
use super::listener::{Listener, Manner};
use crate::alert::{AlertCounts, AlertOptions, AlertReason, AlertRule, CoolDownBy};
use crate::engine::{BuildError, KindOptions, WorkerBuilder};
use crate::executor::{Executor, Final, Outcome};
use crate::store::{Page, TaskFilter, TaskStore as _};
use crate::task::{Retention, State};

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
async fn a_dead_letter_carries_its_details_and_can_be_listed_rerun_and_purged() {
    let (world, listener) = (World::new(), Listener::new(Manner::Takes));
    let executor = script(|ctx| async move {
        match ctx.reruns() {
            0 => Err(Final::new("no such customer").into()),
            _ => Ok(Outcome::Done),
        }
    });
    let retention = Retention {
        succeeded: Some(Duration::from_mins(20)),
        ..Retention::default()
    };
    let id = world.enqueue(job("a").delay(SECOND).retention(retention)).await;
    let handle = world
        .worker()
        .kind("a", executor)
        .alert_sink(listener.clone())
        .build()
        .unwrap()
        .start();
    world.until_final(id).await;
    world
        .until("it is told", async || !listener.told().is_empty())
        .await;
    let alert = listener.told().remove(0);
    assert!(alert.reason.is_dead_letter());
    let task = alert.task.clone().unwrap();
    assert_eq!(
        (task.id, task.state, task.attempt, task.reruns),
        (id, State::Failed, 1, 0)
    );
    assert_eq!(task.next_run_at, None);
    assert_eq!(alert.error.clone().unwrap().as_str(), "no such customer");
    assert_eq!(alert.span, SECOND);
    let json: serde_json::Value = serde_json::from_str(&alert.to_json()).unwrap();
    assert_eq!(json["reason"], "task_failed");
    assert_eq!(json["task"]["id"], id.to_string());
    assert_eq!(json["task"]["state"], "failed");
    assert_eq!(json["span_ms"], 1_000);
    assert_eq!(json["error"], "no such customer");
    let filter = TaskFilter {
        states: vec![State::Failed],
        ..TaskFilter::default()
    };
    assert_eq!(world.list(filter.clone()).await[0].id, id);
    world.client.rerun(id).await.unwrap();
    assert_eq!(world.until_final(id).await.task.state, State::Succeeded);
    assert!(world.list(filter).await.is_empty());
    world.pass(Duration::from_mins(21)).await;
    assert!(
        world
            .memory
            .list(&TaskFilter::default(), &Page::first(1))
            .await
            .unwrap()
            .tasks
            .is_empty()
    );
    assert_eq!(listener.told().len(), 1);
    world.shut_down(handle).await;
}

#[tokio::test]
async fn a_cool_down_holds_back_and_counts() {
    for (by, tasks_told) in [(CoolDownBy::Kind, 1), (CoolDownBy::Task, 3)] {
        let (world, listener) = (World::new(), Listener::new(Manner::Takes));
        for _ in 0..3 {
            world.enqueue(job("a").retry(each_second(4))).await;
        }
        let options = AlertOptions::new().cool_down(SECOND * 2).cool_down_by(by);
        let handle = world
            .worker()
            .kind("a", fails())
            .alert(AlertRule::always())
            .alert_sink(listener.clone())
            .alert_options(options)
            .build()
            .unwrap()
            .start();
        world.pass(SECOND * 5).await;
        let told = listener.told();
        let of = |reason| told.iter().filter(move |alert| alert.reason == reason);
        // The attempts come at 0, 1, 2 and 3 s, the last as dead letters.
        assert_eq!(of(AttemptFailed).count(), 2 * tasks_told, "{by:?}");
        assert_eq!(of(TaskFailed).count(), 3, "{by:?}: dead letters are each told");
        let held_back: u64 = of(AttemptFailed).map(|alert| alert.suppressed).sum();
        let counts = handle.alerts();
        assert_eq!(counts.suppressed, 9 - 2 * tasks_told as u64, "{by:?}");
        assert!(held_back > 0 && held_back <= counts.suppressed);
        assert_eq!(counts.raised, told.len() as u64);
        world.shut_down(handle).await;
    }
}

#[tokio::test]
async fn a_dropped_alert_starts_no_cool_down() {
    let (world, listener) = (World::new(), Listener::new(Manner::Hangs));
    let mut worker = world.worker();
    for kind in ["a", "b", "c"] {
        world.enqueue(job(kind).retry(each_second(100))).await;
        worker = worker.kind(kind, fails());
    }
    let handle = worker
        .alert(AlertRule::always())
        .alert_sink(listener.clone())
        // One is delivered and one waits, or less; so one of three is dropped at first.
        .alert_options(AlertOptions::new().queue(1).timeout(SECOND * 5))
        .build()
        .unwrap()
        .start();
    world.pass(SECOND).await;
    assert!(handle.alerts().dropped > 0);
    world.pass(SECOND * 25).await;
    let mut kinds: Vec<_> = listener
        .told()
        .into_iter()
        .filter_map(|alert| alert.kind)
        .collect();
    kinds.sort();
    let kinds: Vec<_> = kinds.iter().map(crate::name::Kind::as_str).collect();
    assert_eq!(kinds, ["a", "b", "c"], "each within its cool-down's minute");
    world.shut_down(handle).await;
}

fn worker_with(world: &World, listener: &Listener) -> WorkerBuilder {
    world
        .worker()
        .kind("a", fails())
        .kind("good", done())
        .alert(AlertRule::always())
        .alert_sink(listener.clone())
        .alert_options(each())
}

#[tokio::test]
async fn a_sink_that_fails_or_panics_is_counted_and_the_next_alert_comes() {
    for manner in [Manner::Fails, Manner::Panics] {
        let (world, listener, other) = (World::new(), Listener::new(manner), Listener::new(Manner::Takes));
        let id = world.enqueue(job("a").retry(each_second(3))).await;
        let handle = worker_with(&world, &listener)
            .alert_sink(other.clone())
            .build()
            .unwrap()
            .start();
        world.until_final(id).await;
        quiet().await;
        let AlertCounts {
            raised,
            delivered,
            failed,
            dropped,
            ..
        } = handle.alerts();
        assert_eq!((raised, delivered, failed, dropped), (3, 3, 3, 0), "{manner:?}");
        assert_eq!(listener.attempts(), other.attempts());
        world.shut_down(handle).await;
    }
}

#[tokio::test]
async fn a_sink_that_hangs_disturbs_nobody_and_what_does_not_fit_is_counted() {
    let (world, listener) = (World::new(), Listener::new(Manner::Hangs));
    for _ in 0..20 {
        world.enqueue(job("a").retry(each_second(1))).await;
    }
    let options = each().queue(5).timeout(SECOND * 30);
    let handle = worker_with(&world, &listener)
        .alert_options(options)
        .build()
        .unwrap()
        .start();
    world.pass(SECOND).await;
    assert_eq!(listener.told().len(), 1, "the first is under way");
    let counts = handle.alerts();
    assert_eq!(counts.raised + counts.dropped, 20);
    assert!((5..=6).contains(&counts.raised), "{counts:?}");
    let (good, since) = (world.enqueue(job("good")).await, world.elapsed());
    world.until_final(good).await;
    assert_eq!(world.elapsed(), since, "the worker goes on");
    world.pass(SECOND * 30).await;
    assert_eq!((handle.alerts().failed, listener.told().len()), (1, 2));
    drop(handle);
}

#[tokio::test]
async fn a_shutdown_gives_the_last_alerts_a_sinks_time_within_bounds() {
    for (timeout, gives) in [(1, 5), (7, 7), (10, 10), (30, 10)] {
        let (world, listener) = (World::new(), Listener::new(Manner::Hangs));
        for _ in 0..20 {
            world.enqueue(job("a").retry(each_second(1))).await;
        }
        let handle = worker_with(&world, &listener)
            .alert_options(each().timeout(SECOND * timeout))
            .build()
            .unwrap()
            .start();
        world.pass(SECOND).await;
        let since = world.elapsed();
        world.shut_down(handle).await;
        // The delivery that is under way then, like any call, has five more.
        let took = (world.elapsed() - since).as_secs();
        assert!((gives..=gives + 5).contains(&took), "{timeout}: {took}");
    }
}

#[tokio::test]
async fn a_sink_that_hangs_takes_nothing_from_another() {
    let (world, dead, other) = (
        World::new(),
        Listener::new(Manner::Hangs),
        Listener::new(Manner::Takes),
    );
    for second in 0..20 {
        let task = job("a").delay(SECOND * second).retry(each_second(1));
        world.enqueue(task).await;
    }
    let handle = worker_with(&world, &dead)
        .alert_sink(other.clone())
        .alert_options(each().queue(5).timeout(SECOND * 30))
        .build()
        .unwrap()
        .start();
    world.pass(SECOND * 20).await;
    assert_eq!((dead.told().len(), other.told().len()), (1, 20));
    let counts = handle.alerts();
    assert_eq!((counts.raised, counts.dropped, counts.delivered), (20, 14, 20));
    world.shut_down(handle).await;
}

#[tokio::test]
async fn a_dead_letter_takes_the_place_of_another_alert() {
    let (world, listener) = (World::new(), Listener::new(Manner::Hangs));
    world.enqueue(job("a").retry(each_second(100))).await;
    world
        .enqueue(job("b").delay(SECOND).retry(each_second(100)))
        .await;
    for second in [2, 3] {
        let task = job("dead").delay(SECOND * second).retry(each_second(1));
        world.enqueue(task).await;
    }
    let handle = world
        .worker()
        .kind("a", fails())
        .kind("b", fails())
        .kind("dead", fails())
        .alert(AlertRule::always())
        .alert_sink(listener.clone())
        .alert_options(AlertOptions::new().queue(1).timeout(SECOND * 5))
        .build()
        .unwrap()
        .start();
    world.pass(SECOND * 4).await;
    assert_eq!(listener.attempts(), [(1, AttemptFailed)], "it is under way");
    let counts = handle.alerts();
    assert_eq!(counts.raised, 3, "a, b, and the first that is dead in b's place");
    assert!(counts.dropped >= 2, "{counts:?}: b, and the second that is dead");
    world.pass(SECOND * 16).await;
    assert_eq!(listener.reasons(), [AttemptFailed, TaskFailed, AttemptFailed]);
    let last = listener.told().pop().unwrap();
    assert_eq!(last.kind.unwrap().as_str(), "b", "no cool-down of what gave way");
    world.shut_down(handle).await;
}

#[tokio::test]
async fn a_shutdown_delivers_what_waits() {
    let (world, listener) = (World::new(), Listener::new(Manner::Takes));
    for _ in 0..50 {
        world.enqueue(job("a").retry(each_second(1))).await;
    }
    let worker = worker_with(&world, &listener).build().unwrap();
    world.finish("the tick", worker.tick(SECOND * 10)).await.unwrap();
    assert_eq!(listener.reasons(), [TaskFailed; 50]);
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
