//! What the small numbers of a generated history stand for.

use std::time::Duration;

use retry_core::headers::Headers;
use retry_core::id::TaskId;
use retry_core::machine::{AdminEdit, Event, Restart, transition};
use retry_core::name::Queue;
use retry_core::payload::Payload;
use retry_core::priority::Priority;
use retry_core::task::{
    Action, Completion, CompletionOutcome, ErrorText, FailedChildren, KeyScope, NewTask, OnDuplicate,
    OnWaitDeadline, Retention, Settings, State, Task, Unique,
};
use retry_core::time::Timestamp;

use super::op::{EditSpec, NewSpec, What};
use crate::fixture::{failure, json, kind, unique};

impl NewSpec {
    /// A child of a split, plain but for its settings.
    pub(super) const fn child(settings: u8) -> Self {
        Self {
            kind: settings % 3,
            queue: 0,
            priority: 2,
            due: 0,
            key: None,
            leased_by: None,
            settings,
            known: None,
            text: settings,
        }
    }
}

/// The kinds: two that differ in case only, and one with every sign a name may have.
pub(super) const KINDS: [&str; 3] = ["a", "A", "b.1_:/-"];

/// One of two queues, whose names differ in case only.
pub(super) fn queue(name: u8) -> Queue {
    crate::fixture::queue(if name.is_multiple_of(2) { "q0" } else { "Q0" })
}

/// A span of time, mostly short.
pub(super) const fn span(span: u8) -> Duration {
    match span % 12 {
        0 => Duration::from_millis(1),
        1..=4 => Duration::from_secs(1),
        5..=7 => Duration::from_secs(6),
        8 | 9 => Duration::from_millis(15_001),
        10 => Duration::from_mins(11),
        _ => Duration::from_hours(24 * 31),
    }
}

/// Mostly about now; sometimes the past, sometimes an edge of time.
fn at(now: Timestamp, pick: u8) -> Timestamp {
    match pick % 16 {
        0..=5 => now,
        6 => now.saturating_sub(Duration::from_secs(u64::from(pick))),
        7 => now.saturating_sub(Duration::from_millis(1)),
        8 | 9 => now.saturating_add(Duration::from_millis(1)),
        10..=12 => now.saturating_add(Duration::from_secs(1)),
        13 | 14 => now.saturating_add(Duration::from_secs(20)),
        _ => EDGES[usize::from(pick / 16) % EDGES.len()],
    }
}

/// Times at which number formats end: ±2⁵³, the epoch, 32 bits of seconds and of milliseconds, the year 10,000.
const EDGES: [Timestamp; 9] = [
    Timestamp::MAX,
    Timestamp::MIN,
    Timestamp::EPOCH,
    Timestamp::from_millis(-1),
    Timestamp::from_millis(Timestamp::MAX.as_millis() - 1),
    Timestamp::from_millis(Timestamp::MIN.as_millis() + 1),
    Timestamp::from_millis(1 << 32),
    Timestamp::from_millis(1_000 << 31),
    Timestamp::from_millis(253_402_300_800_000),
];

/// Texts that a careless store cuts, escapes, folds or executes.
const HOSTILE: [&str; 12] = [
    "'; DROP TABLE retry_task; --",
    "\"\\\"\\'`${x}%s%n{}",
    " leading and trailing ",
    "tab\tnew\nline\r\n",
    "𝔘𝔫𝔦 👩‍👩‍👧 e\u{301} é ß ẞ İ",
    "\u{feff}\u{200b}\u{202e}bidi",
    "\u{1}\u{7f}\u{9f}\u{ffff}\u{10ffff}",
    "9007199254740993",
    "NULL",
    "a\\0b\\x00c",
    "%_[]*?",
    "",
];

fn hostile(pick: u8) -> &'static str {
    HOSTILE[usize::from(pick) % HOSTILE.len()]
}

fn text(pick: u8) -> Payload {
    match pick % 6 {
        0 => json("null"),
        1 => json(" { \"é\" : 1.0 } "),
        2 => json("[1e400, -0, 123456789012345678901234567890, \"\\u0000\\ud83d\\ude00\"]"),
        3 => {
            let quoted = hostile(pick / 6).escape_default().to_string();
            let plain: String = hostile(pick / 6).chars().filter(|c| !c.is_control()).collect();
            let plain = plain.replace(['\\', '"'], "");
            json(&format!(
                "{{\"{}\": \"{plain}\"}}",
                quoted.replace(['\\', '"'], "")
            ))
        }
        _ => json(&format!("\"{pick} \"")),
    }
}

/// A task as its specification says.
pub(super) fn new_task(spec: &NewSpec, id: TaskId, now: Timestamp) -> NewTask {
    let mut headers = Headers::new();
    if spec.text.is_multiple_of(3) {
        let inserted = headers.insert("Key ", format!(" {}{} ", spec.text, hostile(spec.text / 3)));
        inserted.unwrap_or_else(|error| panic!("the generated header is wrong: {error}"));
    }
    NewTask {
        id,
        kind: kind(KINDS[usize::from(spec.kind) % 3]),
        queue: queue(spec.queue),
        priority: Priority::ALL[usize::from(spec.priority) % 4],
        payload: text(spec.text),
        headers,
        run_at: at(now, spec.due),
        unique: spec.key.map(key),
        parent: None,
        settings: settings(spec.settings, now),
        wait_secret: 0,
        leased_by: None,
    }
}

fn key((name, lasting, duplicate): (u8, bool, u8)) -> Unique {
    let scope = if lasting {
        KeyScope::UntilPurged
    } else {
        KeyScope::Active
    };
    let on_duplicate = match duplicate % 6 {
        0..=2 => OnDuplicate::Keep,
        3 => OnDuplicate::Replace {
            payload: true,
            run_at: false,
        },
        4 => OnDuplicate::Replace {
            payload: false,
            run_at: true,
        },
        _ => OnDuplicate::Replace {
            payload: true,
            run_at: true,
        },
    };
    Unique {
        scope,
        on_duplicate,
        ..unique(&key_text(name))
    }
}

/// A unique key: mostly one of three, sometimes a hostile one.
pub(super) fn key_text(name: u8) -> String {
    match name % 16 {
        15 => format!("{}\u{e9}", hostile(name / 16)),
        14 => "KEY 0".to_owned(),
        13 => "key 0 ".to_owned(),
        _ => format!("key {}", name % 3),
    }
}

fn settings(pick: u8, now: Timestamp) -> Settings {
    let default = Settings::default();
    let short = Some(Duration::from_secs(1));
    let usual = if pick < 230 { pick % 9 } else { 9 + pick % 2 };
    match usual {
        0 => default,
        9 => Settings {
            deadline_after: Some(Duration::MAX),
            rescue_delay: Duration::MAX,
            expires_at: Some(Timestamp::MAX),
            retention: Retention {
                succeeded: Some(Duration::MAX),
                failed: None,
                cancelled: Some(Duration::from_millis(1)),
            },
            ..default
        },
        10 => Settings {
            rescue_delay: Duration::ZERO,
            expires_at: Some(Timestamp::MIN),
            give_up_at: Some(Timestamp::MAX),
            crash_budget: Some(0),
            ..default
        },
        1 => Settings {
            max_attempts: Some(1),
            on_failed_children: FailedChildren::Fail,
            ..default
        },
        2 => Settings {
            max_attempts: Some(2),
            on_failed_children: FailedChildren::Fail,
            crash_budget: Some(2),
            ..default
        },
        3 => Settings {
            expires_at: Some(now.saturating_add(Duration::from_secs(5))),
            ..default
        },
        4 => Settings {
            deadline_after: Some(Duration::from_secs(4)),
            crash_budget: None,
            ..default
        },
        5 => Settings {
            on_wait_deadline: OnWaitDeadline::Fail,
            on_failed_children: FailedChildren::Fail,
            ..default
        },
        6 => Settings {
            on_failed_children: FailedChildren::Hold,
            ..default
        },
        7 => {
            let retention = Retention {
                succeeded: Some(Duration::ZERO),
                failed: short,
                cancelled: short,
            };
            Settings { retention, ..default }
        }
        _ => Settings {
            give_up_at: Some(now.saturating_add(Duration::from_secs(9))),
            max_attempts: None,
            ..default
        },
    }
}

/// What one of the events that apply makes of a task.
pub(super) fn pick_action(task: &Task, what: &EditSpec, now: Timestamp, random: u64) -> Option<Action> {
    let all = What::ALL.iter();
    let mut actions: Vec<Action> = all
        .filter_map(|happens| action(task, *happens, what, now, random))
        .collect();
    let pick = usize::from(what.event).checked_rem(actions.len())?;
    Some(actions.swap_remove(pick))
}

/// Whether an edit is meant for tasks of this state.
pub(super) const fn is_among(state: State, among: u8) -> bool {
    match among % 8 {
        0..=3 => matches!(state, State::Running),
        4 | 5 => matches!(state, State::Waiting | State::Joining),
        6 => matches!(state, State::Pending),
        _ => state.is_final(),
    }
}

/// What the event makes of a task; none if it does not apply.
fn action(task: &Task, happens: What, what: &EditSpec, now: Timestamp, random: u64) -> Option<Action> {
    let at = at(now, what.at);
    let failed = || failure(task, &format!("error {}{}", what.at, hostile(what.at)), now);
    let error = ErrorText::new(format!("declined {}", hostile(what.pick)));
    let complete = |outcome| Event::Complete { outcome };
    let event = match happens {
        What::Succeed => Event::Succeed {
            output: None,
            via_fallback: false,
        },
        What::SucceedWithOutput => Event::Succeed {
            output: Some(text(what.at)),
            via_fallback: true,
        },
        What::Retry => Event::Retry {
            at,
            failure: failed(),
        },
        What::RetryInPlace => Event::RetryInPlace { failure: failed() },
        What::Fail => Event::Fail { failure: failed() },
        What::PutBack => Event::PutBack,
        What::Snooze => Event::Snooze { at },
        What::Continue => Event::Continue {
            at,
            checkpoint: text(what.at),
        },
        What::Checkpoint => Event::Checkpoint {
            checkpoint: text(what.at),
        },
        What::Wait => Event::Wait { deadline: at },
        What::Split => Event::Split { checkpoint: None },
        What::Resume => complete(CompletionOutcome::Resume(text(what.at))),
        What::CompleteWell => complete(CompletionOutcome::Succeed(Some(text(what.at)))),
        What::CompleteBadly => complete(CompletionOutcome::Fail(error)),
        What::CompleteRetry => complete(CompletionOutcome::Retry { at, error }),
        What::EarlyResume => return early(task, what, CompletionOutcome::Resume(text(what.at))),
        What::EarlyRetry => return early(task, what, CompletionOutcome::Retry { at, error }),
        What::Cancel => Event::Cancel,
        What::Release => Event::Release,
        What::Rerun => Event::Rerun {
            at,
            from_start: false,
        },
        What::RerunFromStart => Event::Rerun { at, from_start: true },
        What::Reopen => Event::Reopen {
            restart: what.at.is_multiple_of(2).then(|| Restart {
                step: 1,
                checkpoint: (!what.at.is_multiple_of(4)).then(|| text(what.at)),
            }),
        },
        What::Reschedule => Event::Reschedule { at },
        What::Edit => Event::Edit(AdminEdit {
            payload: Some(text(what.at)),
            headers: None,
        }),
        What::Delete => Event::Delete,
        What::Expire => Event::Expire,
        What::LeaseLost => Event::LeaseLost {
            process_dead: what.at.is_multiple_of(2),
        },
    };
    transition(task, event, now, random).ok()
}

fn early(task: &Task, what: &EditSpec, outcome: CompletionOutcome) -> Option<Action> {
    let open = matches!(task.state, State::Pending | State::Running);
    // Now and then for a step to come.
    let step = task.step + u32::from(what.at % 8 == 7);
    open.then_some(Action::StoreCompletion(Completion { step, outcome }))
}

/// Whether the engine sends children with this change: a split, or a chunk of one with a checkpoint. A further attempt under the
/// same lease is neither.
pub(super) fn takes_children(action: &Action) -> bool {
    match action {
        Action::Set(change) => {
            let goes_on = change.to.state == State::Running && change.to.failure.is_none();
            change.from == State::Running && (goes_on || change.to.state == State::Joining)
        }
        _ => false,
    }
}
