//! The machine walked by enumeration: every state × event × boundary, against the table and the record's invariants.

use std::time::Duration;

use super::*;
use crate::id::{SessionId, Shard, TaskIds};
use crate::name::{Kind, Queue, UniqueKey};
use crate::payload::Payload;
use crate::task::{
    Change, Children, CompletionChange, CompletionOutcome, ErrorText, FailedAttempt, FailedChildren, Field,
    KeyScope, OnWaitDeadline, Retention, Settings, State, Target,
};

const NOW: Timestamp = Timestamp::from_millis(1_000_000);
const EARLIER: Timestamp = Timestamp::from_millis(999_999);
const LATER: Timestamp = Timestamp::from_millis(1_000_001);

fn task(state: State) -> Task {
    let session = (state == State::Running).then(|| SessionId::from_random(1, 2));
    Task {
        id: TaskIds::new().next(EARLIER, Shard::default(), 0),
        kind: Kind::new("k").unwrap(),
        queue: Queue::default(),
        priority: crate::priority::Priority::Normal,
        created_at: Timestamp::from_millis(500_000),
        state,
        run_at: EARLIER,
        attempt: 1,
        crashes: 0,
        step: 1,
        version: 3,
        session,
        cancel_requested: false,
        alarm_at: None,
        purge_at: state.is_final().then_some(LATER),
        holds_key: false,
        updated_at: EARLIER,
        unique: None,
        parent: None,
        children: Children::default(),
        settings: Settings::default(),
        wait_secret: 1,
        reruns: 0,
    }
}

fn failure() -> FailedAttempt {
    FailedAttempt {
        attempt: 1,
        worker: None,
        started_at: EARLIER,
        ended_at: NOW,
        error: ErrorText::new("e"),
    }
}

fn events() -> Vec<(&'static str, Event)> {
    let data = || Payload::encode("data").unwrap();
    let mut events = vec![
        (
            "succeed",
            Event::Succeed {
                output: None,
                via_fallback: false,
            },
        ),
        (
            "succeed",
            Event::Succeed {
                output: Some(data()),
                via_fallback: true,
            },
        ),
        ("fail", Event::Fail { failure: failure() }),
        ("checkpoint", Event::Checkpoint { checkpoint: data() }),
        ("split", Event::Split { checkpoint: None }),
        (
            "split",
            Event::Split {
                checkpoint: Some(data()),
            },
        ),
        ("reopen", Event::Reopen { restart: None }),
        ("reopen", restart(1)),
        (
            "complete",
            Event::Complete {
                outcome: CompletionOutcome::Succeed(Some(data())),
            },
        ),
        (
            "complete",
            Event::Complete {
                outcome: CompletionOutcome::Fail(ErrorText::new("e")),
            },
        ),
        ("wait deadline", Event::WaitDeadline),
        ("lease lost", Event::LeaseLost { process_dead: false }),
        ("lease lost", Event::LeaseLost { process_dead: true }),
        ("deadline passed", Event::DeadlinePassed),
        ("expire", Event::Expire),
        ("alarm done", Event::AlarmDone),
        ("children ended", Event::ChildrenEnded),
        ("cancel", Event::Cancel),
        ("hand back", Event::HandBack),
        ("put back", Event::PutBack),
        ("retry in place", Event::RetryInPlace { failure: failure() }),
        ("release", Event::Release),
        (
            "edit",
            Event::Edit(AdminEdit {
                payload: Some(data()),
                headers: None,
            }),
        ),
        ("delete", Event::Delete),
    ];
    events.extend(
        [Timestamp::MIN, EARLIER, NOW, LATER, Timestamp::MAX]
            .into_iter()
            .flat_map(timed_events),
    );
    events
}

fn restart(step: u32) -> Event {
    let checkpoint = Some(Payload::encode("place").unwrap());
    let restart = Some(Restart { step, checkpoint });
    Event::Reopen { restart }
}

fn timed_events(at: Timestamp) -> [(&'static str, Event); 8] {
    let data = || Payload::encode("data").unwrap();
    {
        [
            (
                "retry",
                Event::Retry {
                    at,
                    failure: failure(),
                },
            ),
            ("snooze", Event::Snooze { at }),
            (
                "continue",
                Event::Continue {
                    at,
                    checkpoint: data(),
                },
            ),
            ("wait", Event::Wait { deadline: at }),
            (
                "complete",
                Event::Complete {
                    outcome: CompletionOutcome::Retry {
                        at,
                        error: ErrorText::new("e"),
                    },
                },
            ),
            (
                "rerun",
                Event::Rerun {
                    at,
                    from_start: false,
                },
            ),
            ("rerun", Event::Rerun { at, from_start: true }),
            ("reschedule", Event::Reschedule { at }),
        ]
    }
}

/// Every boundary of the fields on which the machine decides.
fn tasks(state: State) -> Vec<Task> {
    let mut all: Vec<Task> = Vec::new();
    let attempts = [
        (0, Some(1)),
        (1, Some(1)),
        (1, Some(2)),
        (2, Some(2)),
        (crate::limits::MAX_COUNT, None),
    ];
    for (attempt, max_attempts) in attempts {
        for limit in [None, Some(EARLIER), Some(NOW), Some(LATER)] {
            for (crashes, crash_budget) in [
                (0, Some(1)),
                (0, Some(3)),
                (2, Some(3)),
                (crate::limits::MAX_COUNT, None),
            ] {
                for (cancel_requested, open) in [(false, 0), (true, 0), (false, 2), (true, 2)] {
                    let mut task = Task {
                        attempt,
                        crashes,
                        cancel_requested,
                        alarm_at: limit,
                        ..task(state)
                    };
                    task.children = Children {
                        total: 2,
                        open,
                        failed: 0,
                    };
                    task.settings.max_attempts = max_attempts;
                    task.settings.crash_budget = crash_budget;
                    task.settings.give_up_at = limit;
                    task.settings.expires_at = limit;
                    all.push(task);
                }
            }
        }
    }
    let in_first_step = |task: &Task| Task {
        step: 0,
        ..task.clone()
    };
    let childless = |task: &Task| Task {
        children: Children::default(),
        ..task.clone()
    };
    let split: Vec<Task> = all.iter().map(in_first_step).collect();
    let none_open = split.iter().filter(|task| task.children.open == 0);
    let begins: Vec<Task> = none_open.map(childless).collect();
    all.extend(split);
    all.extend(begins);
    all
}

fn targets(change: &Change) -> impl Iterator<Item = &Target> {
    let alternatives = [&change.if_cancelled, &change.if_completed, &change.if_none_open];
    std::iter::once(&change.to).chain(alternatives.into_iter().flatten().map(AsRef::as_ref))
}

fn assert_sound(task: &Task, target: &Target) {
    let state = target.state;
    assert_eq!(
        target.session.is_some(),
        state == State::Running,
        "a session runs exactly the running tasks"
    );
    assert!(!(state.is_final() && task.unique.is_none() && target.holds_key));
    assert!(
        state.is_final() || target.purge_at.is_none(),
        "only ended tasks are forgotten"
    );
    if state == State::Failed && !task.state.is_final() {
        assert!(target.failure.is_some(), "what fails says why in its history");
    }
    assert!(target.step <= crate::limits::MAX_COUNT && target.crashes <= crate::limits::MAX_COUNT);
    if state == State::Pending {
        let mut expires = task.settings.expires_at;
        if let Some(cold) = &target.cold {
            cold.expires_at.apply(&mut expires);
        }
        let expected = expires.filter(|_| target.step == 0 && task.children.total == 0);
        assert_eq!(
            target.alarm_at, expected,
            "a pending task's alarm is its expiry, in the first step and without children"
        );
    }
}

#[test]
fn every_state_and_event_follows_the_table() {
    for state in State::ALL {
        for task in variants(state) {
            for (name, event) in events() {
                let rule = TABLE
                    .iter()
                    .find(|rule| rule.event == name)
                    .expect("every event has a row");
                match transition(&task, event.clone(), NOW, u64::MAX / 2) {
                    Ok(action) => {
                        assert!(rule.from.contains(&state), "{name} accepted from {state}");
                        if let Action::Set(change) = &action {
                            assert_eq!(change.from, state);
                            for target in targets(change) {
                                assert!(
                                    rule.to.contains(&target.state),
                                    "{name}: {state} to {}",
                                    target.state
                                );
                                assert_sound(&task, target);
                            }
                        }
                    }
                    Err(Rejected::State(at)) => assert!(at == state),
                    Err(_) => assert!(rule.from.contains(&state), "{name} from {state}"),
                }
            }
        }
    }
}

#[test]
fn every_row_of_the_table_is_reached() {
    for rule in TABLE
        .iter()
        .filter(|rule| !matches!(rule.event, "claim" | "child final"))
    {
        for from in rule.from {
            let accepted = events()
                .into_iter()
                .filter(|(name, _)| *name == rule.event)
                .any(|(_, event)| {
                    tasks(*from)
                        .iter()
                        .any(|task| transition(task, event.clone(), NOW, 0).is_ok())
                });
            assert!(accepted, "{} from {from}", rule.event);
        }
        for to in rule.to {
            let reached = events()
                .into_iter()
                .filter(|(name, _)| *name == rule.event)
                .any(|(_, event)| {
                    rule.from.iter().flat_map(|from| variants(*from)).any(|task| {
                        matches!(transition(&task, event.clone(), NOW, 0), Ok(Action::Set(change))
                        if targets(&change).any(|target| target.state == *to))
                    })
                });
            assert!(reached, "{} to {to}", rule.event);
        }
    }
}

fn variants(state: State) -> Vec<Task> {
    let mut all = tasks(state);
    all.extend(tasks(state).into_iter().map(|mut task| {
        task.settings.on_wait_deadline = OnWaitDeadline::Fail;
        task.settings.on_failed_children = FailedChildren::Fail;
        task.children.failed = task.children.total.min(1);
        task.settings.give_up_at = None;
        task
    }));
    all
}

#[test]
fn the_printed_table_is_this_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/state-machine.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, render_table()).unwrap();
    }
    let page = std::fs::read_to_string(path).unwrap();
    assert!(
        page == render_table(),
        "docs/state-machine.md is stale: run the tests of retry-core with UPDATE_DOCS=1"
    );
}

fn set(action: Action) -> Change {
    match action {
        Action::Set(change) => change,
        other => panic!("expected a change, got {other:?}"),
    }
}

fn decide(task: &Task, event: Event) -> Change {
    set(transition(task, event, NOW, 0).unwrap())
}

#[test]
fn retry_ends_at_the_last_attempt_and_at_the_give_up_time() {
    let retry = |at| Event::Retry {
        at,
        failure: failure(),
    };
    let with = |attempt, max, give_up| {
        let mut task = Task {
            attempt,
            ..task(State::Running)
        };
        (task.settings.max_attempts, task.settings.give_up_at) = (max, give_up);
        task
    };
    for (attempt, max, give_up, at, state) in [
        (1, Some(2), None, LATER, State::Pending),
        (2, Some(2), None, LATER, State::Failed),
        (3, Some(2), None, LATER, State::Failed),
        (u32::MAX, None, None, LATER, State::Pending),
        (1, None, Some(LATER), NOW, State::Pending),
        (1, None, Some(LATER), LATER, State::Failed),
        (1, None, Some(NOW), LATER, State::Failed),
    ] {
        let change = decide(&with(attempt, max, give_up), retry(at));
        assert_eq!(
            change.to.state, state,
            "attempt {attempt} of {max:?}, give up at {give_up:?}, next at {at:?}"
        );
        assert_eq!(change.to.attempt, attempt);
        assert!(change.to.failure.is_some());
    }
}

#[test]
fn a_start_deadline_binds_until_the_first_step_has_children() {
    for state in [State::Pending, State::Running] {
        for (step, total, expires) in [(0, 0, true), (0, 1, false), (1, 0, false)] {
            let mut task = Task { step, ..task(state) };
            task.children.total = total;
            task.settings.expires_at = Some(EARLIER);
            let decided = transition(&task, Event::Expire, NOW, 0);
            assert_eq!(
                decided.is_ok(),
                expires,
                "{state} in step {step}, {total} children"
            );
        }
    }
}

#[test]
fn a_retry_is_never_due_in_the_past() {
    let change = decide(
        &task(State::Running),
        Event::Retry {
            at: Timestamp::MIN,
            failure: failure(),
        },
    );
    assert_eq!(change.to.run_at, NOW);
    let change = decide(&task(State::Pending), Event::Reschedule { at: Timestamp::MIN });
    assert_eq!(change.to.run_at, NOW);
}

#[test]
fn a_snooze_keeps_its_place_at_best() {
    let before = Timestamp::from_millis(EARLIER.as_millis() - 1);
    for (at, run_at) in [
        (Timestamp::MIN, EARLIER),
        (before, EARLIER),
        (EARLIER, EARLIER),
        (NOW, NOW),
        (LATER, LATER),
    ] {
        let change = decide(&task(State::Running), Event::Snooze { at });
        assert_eq!(change.to.run_at, run_at, "{at:?}");
    }
    let mut over = task(State::Running);
    over.settings.give_up_at = Some(NOW);
    assert_eq!(
        decide(&over, Event::Snooze { at: EARLIER }).to.state,
        State::Failed
    );
}

#[test]
fn what_is_no_error_gives_the_attempt_back() {
    for event in [
        Event::Snooze { at: LATER },
        Event::Continue {
            at: LATER,
            checkpoint: Payload::null(),
        },
    ] {
        for (attempt, left) in [(1, 0), (7, 6), (0, 0)] {
            let change = decide(
                &Task {
                    attempt,
                    crashes: 2,
                    ..task(State::Running)
                },
                event.clone(),
            );
            assert_eq!((change.to.attempt, change.to.crashes), (left, 0));
        }
    }
}

/// Neither rescue delay nor crash budget: rescued, it comes back where it was.
fn ordered(crashes: u32) -> Task {
    let mut task = Task {
        crashes,
        attempt: 4,
        alarm_at: Some(NOW),
        ..task(State::Running)
    };
    (task.settings.rescue_delay, task.settings.crash_budget) = (Duration::ZERO, None);
    task.settings.max_attempts = None;
    task
}

#[test]
fn a_task_without_rescue_delay_and_crash_budget_keeps_its_place_in_its_lane() {
    let lost = |process_dead| Event::LeaseLost { process_dead };
    for (event, attempt) in [
        (lost(false), 4),
        (lost(true), 4),
        (Event::DeadlinePassed, 4),
        (Event::PutBack, 3),
    ] {
        let change = decide(&ordered(0), event);
        assert_eq!((change.to.state, change.to.run_at), (State::Pending, EARLIER));
        assert_eq!((change.to.crashes, change.to.attempt), (0, attempt));
    }
    // Either of the two alone is an ordinary task's.
    for change_one in [
        |settings: &mut Settings| settings.rescue_delay = Duration::from_millis(2),
        |settings: &mut Settings| settings.crash_budget = Some(3),
    ] {
        let mut task = ordered(0);
        change_one(&mut task.settings);
        let change = decide(&task, lost(false));
        assert_eq!(change.to.crashes, 1);
        assert!(change.to.run_at >= NOW);
    }
    // It still ends at its limits.
    let mut task = ordered(0);
    task.settings.give_up_at = Some(NOW);
    assert_eq!(decide(&task, lost(true)).to.state, State::Failed);
}

#[test]
fn a_retry_in_place_is_recorded_and_keeps_the_lease() {
    let event = Event::RetryInPlace { failure: failure() };
    let task = ordered(2);
    let change = decide(&task, event.clone());
    assert_eq!(
        (change.to.state, change.to.session),
        (State::Running, task.session)
    );
    assert_eq!(
        (change.to.attempt, change.to.crashes, change.to.run_at),
        (5, 2, EARLIER)
    );
    assert_eq!(change.to.alarm_at, task.alarm_at);
    assert!(change.to.failure.is_some() && change.if_cancelled.is_some());
    let mut last = ordered(0);
    last.settings.max_attempts = Some(4);
    assert_eq!(decide(&last, event).to.state, State::Failed);
}

#[test]
fn a_hand_back_gives_the_attempt_back_and_forgives_no_crash() {
    let change = decide(
        &Task {
            attempt: 4,
            crashes: 2,
            ..task(State::Running)
        },
        Event::HandBack,
    );
    assert_eq!((change.to.state, change.to.run_at), (State::Pending, NOW));
    assert_eq!((change.to.attempt, change.to.crashes), (3, 2));
}

#[test]
fn an_early_end_ends_in_the_step_that_waited() {
    for (outcome, state) in [
        (CompletionOutcome::Succeed(None), State::Succeeded),
        (CompletionOutcome::Fail(ErrorText::new("e")), State::Failed),
    ] {
        let event = || Event::Complete {
            outcome: outcome.clone(),
        };
        let early = decide(&task(State::Running), event()).to;
        assert_eq!((early.state, early.step), (state, 0));
        let cold = early.cold.unwrap();
        assert_eq!(
            cold.completion,
            CompletionChange::Clear,
            "a rerun must not meet it again"
        );
        assert_eq!(decide(&task(State::Waiting), event()).to.step, 1);
    }
}

#[test]
fn the_crash_budget_counts_consecutive_losses() {
    for (crashes, budget, state) in [
        (0, Some(1), State::Failed),
        (1, Some(3), State::Pending),
        (2, Some(3), State::Failed),
        (99, None, State::Pending),
    ] {
        let mut task = Task {
            crashes,
            ..task(State::Running)
        };
        task.settings.crash_budget = budget;
        let change = decide(&task, Event::LeaseLost { process_dead: false });
        assert_eq!(
            (change.to.state, change.to.crashes),
            (state, crashes + 1),
            "{crashes} of {budget:?}"
        );
    }
}

#[test]
fn rescued_tasks_are_spread_over_the_second_half_of_the_delay() {
    let task = task(State::Running);
    let delay = task.settings.rescue_delay;
    let lost = |random, process_dead| {
        let event = Event::LeaseLost { process_dead };
        set(transition(&task, event, NOW, random).unwrap())
            .to
            .run_at
            .saturating_since(NOW)
    };
    assert_eq!(lost(0, false), delay / 2);
    assert_eq!(lost(u64::MAX, false), delay);
    assert_eq!(lost(u64::MAX, true), Duration::ZERO);
}

#[test]
fn a_requested_cancel_ends_every_settle_but_a_final_one() {
    let flagged = Task {
        cancel_requested: true,
        ..task(State::Running)
    };
    for event in [
        Event::Retry {
            at: LATER,
            failure: failure(),
        },
        Event::Snooze { at: LATER },
        Event::Continue {
            at: LATER,
            checkpoint: Payload::null(),
        },
        Event::Wait { deadline: LATER },
        Event::Split { checkpoint: None },
        Event::LeaseLost { process_dead: false },
    ] {
        assert_eq!(
            decide(&flagged, event.clone()).to.state,
            State::Cancelled,
            "{event:?}"
        );
        let unseen = decide(&task(State::Running), event.clone());
        assert_eq!(
            unseen.if_cancelled.expect("the flag may be set meanwhile").state,
            State::Cancelled,
            "{event:?}"
        );
    }
    let change = decide(
        &flagged,
        Event::Succeed {
            output: None,
            via_fallback: false,
        },
    );
    assert_eq!((change.to.state, change.if_cancelled), (State::Succeeded, None));
}

#[test]
fn success_without_retention_deletes_only_a_task_nobody_needs() {
    let mut alone = task(State::Running);
    alone.settings.retention = Retention {
        succeeded: Some(Duration::ZERO),
        ..Retention::default()
    };
    let succeed = || Event::Succeed {
        output: None,
        via_fallback: false,
    };
    assert_eq!(
        transition(&alone, succeed(), NOW, 0),
        Ok(Action::Delete { from: State::Running })
    );
    let child = Task {
        parent: Some(alone.id),
        ..alone.clone()
    };
    assert_eq!(decide(&child, succeed()).to.state, State::Succeeded);
    let parent = Task {
        children: Children {
            total: 1,
            open: 1,
            failed: 0,
        },
        ..alone
    };
    assert_eq!(decide(&parent, succeed()).to.alarm_at, Some(NOW));
}

#[test]
fn a_key_is_held_until_its_scope_ends() {
    for (scope, kept) in [(KeyScope::Active, false), (KeyScope::UntilPurged, true)] {
        let unique = Some((UniqueKey::new("u").unwrap(), scope));
        let running = Task {
            unique: unique.clone(),
            holds_key: true,
            ..task(State::Running)
        };
        assert!(decide(&running, Event::Snooze { at: NOW }).to.holds_key);
        assert_eq!(
            decide(
                &running,
                Event::Succeed {
                    output: None,
                    via_fallback: false
                }
            )
            .to
            .holds_key,
            kept
        );
        let ended = Task {
            unique,
            holds_key: kept,
            ..task(State::Failed)
        };
        assert!(
            decide(
                &ended,
                Event::Rerun {
                    at: NOW,
                    from_start: false
                }
            )
            .to
            .holds_key
        );
    }
}

#[test]
fn a_rerun_counts_anew_and_moves_the_limits_on() {
    let mut ended = Task {
        attempt: 9,
        crashes: 3,
        cancel_requested: true,
        ..task(State::Failed)
    };
    // Moved on by an earlier rerun: the span counts, not what is left of the limit.
    ended.settings.give_up_at = Some(Timestamp::from_millis(900_000));
    ended.settings.give_up_after = Some(Duration::from_millis(100_000));
    let change = decide(
        &ended,
        Event::Rerun {
            at: LATER,
            from_start: true,
        },
    );
    assert_eq!((change.to.attempt, change.to.crashes, change.to.step), (0, 0, 0));
    assert_eq!(change.to.cancel_requested, Some(false));
    let cold = change.to.cold.unwrap();
    assert_eq!(cold.reruns, Some(1));
    assert_eq!(
        cold.give_up_at,
        Field::Set(LATER.saturating_add(Duration::from_millis(100_000)))
    );
    assert_eq!(
        decide(
            &ended,
            Event::Rerun {
                at: LATER,
                from_start: false
            }
        )
        .to
        .step,
        1
    );
}

#[test]
fn join_follows_the_policy_when_no_child_is_open() {
    let parent = |failed, policy, flagged| {
        let mut parent = Task {
            cancel_requested: flagged,
            ..task(State::Joining)
        };
        parent.children = Children {
            total: 3,
            open: 0,
            failed,
        };
        parent.settings.on_failed_children = policy;
        parent
    };
    for (failed, policy, flagged, state) in [
        (0, FailedChildren::Reduce, false, State::Pending),
        (0, FailedChildren::Fail, false, State::Pending),
        (0, FailedChildren::Hold, false, State::Pending),
        (1, FailedChildren::Reduce, false, State::Pending),
        (1, FailedChildren::Fail, false, State::Failed),
        (1, FailedChildren::Hold, false, State::Joining),
        (1, FailedChildren::Hold, true, State::Cancelled),
        (0, FailedChildren::Reduce, true, State::Cancelled),
    ] {
        let parent = parent(failed, policy, flagged);
        let joined = join(&parent, NOW);
        let why = format!("{failed} failed, {policy:?}, flagged {flagged}");
        match state {
            State::Pending => {
                assert_eq!(joined.map(|joined| joined.state), Some(State::Pending), "{why}")
            }
            ended => {
                let rings = Joined {
                    state: State::Joining,
                    run_at: parent.run_at,
                    alarm_at: Some(NOW),
                };
                assert_eq!(joined, Some(rings), "{why}");
                let ringing = Task {
                    alarm_at: Some(NOW),
                    ..parent
                };
                let change = decide(&ringing, Event::ChildrenEnded);
                assert_eq!(
                    change.if_none_open.map(|target| target.state),
                    Some(ended),
                    "{why}"
                );
                assert_eq!(
                    (change.to.state, change.to.alarm_at),
                    (State::Joining, None),
                    "{why}"
                );
            }
        }
    }
    let open = Task {
        children: Children {
            total: 3,
            open: 1,
            failed: 0,
        },
        ..task(State::Joining)
    };
    assert_eq!(join(&open, NOW), None);
    for state in State::ALL.into_iter().filter(|state| *state != State::Joining) {
        assert_eq!(join(&task(state), NOW), None, "{state}");
    }
}

/// Children may end before their parent's split does: then nobody but the policy says what follows.
#[test]
fn a_split_behind_its_last_child_s_end_goes_by_the_policy() {
    let due = (State::Pending, None);
    let held = (State::Joining, None);
    let failed = (State::Failed, None);
    for (total, bad, policy, ended) in [
        (0, 0, FailedChildren::Fail, due),
        (0, 0, FailedChildren::Hold, due),
        (2, 1, FailedChildren::Reduce, due),
        (2, 0, FailedChildren::Fail, due),
        (2, 1, FailedChildren::Fail, failed),
        (2, 0, FailedChildren::Hold, due),
        (2, 1, FailedChildren::Hold, held),
    ] {
        let mut parent = task(State::Running);
        parent.children = Children {
            total,
            open: total,
            failed: 0,
        };
        parent.settings.on_failed_children = policy;
        let none_open = *decide(&parent, Event::Split { checkpoint: None })
            .if_none_open
            .unwrap();
        let (state, alarm_at) = (none_open.state, none_open.alarm_at);
        let found = if (state, alarm_at) == (State::Joining, Some(NOW)) {
            (parent.children.open, parent.children.failed) = (0, bad);
            (parent.state, parent.alarm_at) = (state, alarm_at);
            let change = decide(&parent, Event::ChildrenEnded);
            assert_eq!((change.to.state, change.to.alarm_at), held, "a child was rerun");
            let ended = *change.if_none_open.unwrap();
            assert_eq!(ended.step, parent.step);
            (ended.state, ended.alarm_at)
        } else {
            (state, alarm_at)
        };
        assert_eq!(found, ended, "{bad} of {total} failed, {policy:?}");
    }
}

#[test]
fn a_ringing_parent_with_a_rerun_child_waits_on() {
    let parent = |policy, cancel_requested| {
        let mut parent = Task {
            cancel_requested,
            alarm_at: Some(EARLIER),
            ..task(State::Joining)
        };
        (parent.children.total, parent.children.open) = (3, 1);
        parent.settings.on_failed_children = policy;
        parent
    };
    for (policy, none_open) in [
        (FailedChildren::Fail, Some((State::Joining, Some(NOW)))),
        (FailedChildren::Hold, Some((State::Joining, Some(NOW)))),
        (FailedChildren::Reduce, None),
    ] {
        let change = decide(&parent(policy, false), Event::ChildrenEnded);
        assert_eq!((change.to.state, change.to.alarm_at), (State::Joining, None));
        let ends = change.if_none_open.map(|target| (target.state, target.alarm_at));
        assert_eq!(ends, none_open, "{policy:?}: a rescuer looks at the new counters");
        assert_eq!(
            transition(&parent(policy, true), Event::ChildrenEnded, NOW, 0),
            Err(Rejected::ChildrenOpen)
        );
    }
}

#[test]
fn a_reopened_parent_starts_anew_behind_its_split() {
    let mut ended = Task {
        step: 3,
        ..task(State::Succeeded)
    };
    ended.children.total = 1;
    for (asked, step) in [(0, 1), (1, 1), (2, 2), (3, 3), (4, 3), (u32::MAX, 3)] {
        let to = decide(&ended, restart(asked)).to;
        assert_eq!((to.state, to.step, to.attempt), (State::Joining, step, 0));
        let cold = to.cold.unwrap();
        assert!(matches!(cold.checkpoint, Field::Set(_)));
        assert_eq!(cold.completion, CompletionChange::Clear);
    }
    let to = decide(&ended, Event::Reopen { restart: None }).to;
    let cold = to.cold.unwrap();
    assert_eq!(
        (to.step, cold.checkpoint, cold.completion),
        (3, Field::Keep, CompletionChange::Keep)
    );
}

#[test]
fn an_early_completion_is_delivered_and_a_resume_needs_no_settle() {
    let change = decide(&task(State::Running), Event::Wait { deadline: LATER });
    let early = change.if_completed.unwrap();
    assert_eq!(
        (early.state, early.step, early.attempt, early.run_at),
        (State::Pending, 2, 0, NOW)
    );
    let resume = Event::Complete {
        outcome: CompletionOutcome::Resume(Payload::null()),
    };
    assert_eq!(
        transition(&task(State::Running), resume, NOW, 0),
        Err(Rejected::State(State::Running))
    );
    let again = |at| Event::Complete {
        outcome: CompletionOutcome::Retry {
            at,
            error: ErrorText::new("e"),
        },
    };
    assert_eq!(
        transition(&task(State::Running), again(LATER), NOW, 0),
        Err(Rejected::State(State::Running))
    );
    let repeated = decide(&task(State::Waiting), again(LATER)).to;
    assert_eq!(
        (repeated.state, repeated.step, repeated.attempt),
        (State::Pending, 1, 1)
    );
    let mut last = task(State::Waiting);
    last.settings.max_attempts = Some(1);
    assert_eq!(
        decide(&last, again(LATER)).to.state,
        State::Failed,
        "no attempt is left"
    );
}

#[test]
fn a_claim_counts_saturates_and_sets_the_deadline() {
    let mut due = task(State::Pending);
    due.settings.deadline_after = Some(Duration::from_secs(9));
    let claimed = claim(&due, SessionId::from_random(5, 6), NOW);
    assert_eq!(
        (claimed.state, claimed.attempt, claimed.version),
        (State::Running, 2, 4)
    );
    assert_eq!(claimed.alarm_at, Some(NOW.saturating_add(Duration::from_secs(9))));
    let worn = Task {
        attempt: crate::limits::MAX_COUNT,
        version: crate::limits::MAX_VERSION,
        ..due
    };
    let claimed = claim(&worn, SessionId::from_random(5, 6), NOW);
    assert_eq!(
        (claimed.attempt, claimed.version),
        (crate::limits::MAX_COUNT, crate::limits::MAX_VERSION)
    );
}
