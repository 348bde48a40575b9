//! The auditor is no friend: forged histories are found out.

use retry_core::draft::{Draft, TaskOptions, TaskPayload as _};
use retry_core::id::{Shard, TaskIds};
use retry_core::task::{ClaimedTask, ErrorText, FailedAttempt, State, Task, TaskDetail};
use retry_core::time::Timestamp;

use super::{Found, Kept, judge};
use crate::event::How;
use crate::history::{Claim, Edited, End, History, Intent, Ran, Trace};
use crate::kinds::Quick;

const NOW: Timestamp = Timestamp::from_millis(1_000);

/// A quick task that was claimed and run once, as number 7.
fn good() -> (History, Vec<Kept>) {
    let new = Draft::of(&Quick { n: 7 })
        .options(TaskOptions::new())
        .build(TaskIds::new().next(NOW, Shard::default(), 1), NOW, 1, None)
        .unwrap();
    let mut task = Task::pending(&new, NOW);
    (task.state, task.version, task.attempt) = (State::Succeeded, 2, 1);
    let id = task.id.to_string();
    let detail = TaskDetail::new(ClaimedTask {
        task,
        payload: new.payload,
        headers: new.headers,
        checkpoint: None,
        completion: None,
    });
    let mut history = History::default();
    let intent = Intent {
        kind: Quick::KIND.to_owned(),
        key: None,
        answer: Some((id.clone(), true)),
        ..Intent::default()
    };
    history.intents.insert(7, intent);
    history.leases.insert("s-1".to_owned(), vec![(1_000, 3_000)]);
    history.tasks.insert(id.clone(), trace());
    let common = detail.payload.decode().unwrap();
    (history, vec![Kept { id, common, detail }])
}

fn trace() -> Trace {
    Trace {
        claims: vec![claim(1, "w-1", "s-1", 1_010)],
        runs: vec![ran(1, "w-1", 1_011, 1_020)],
        edits: vec![edited(1, "w-1", 11)],
        ..Trace::default()
    }
}

fn claim(version: u64, process: &str, session: &str, at: i64) -> Claim {
    Claim {
        at,
        version,
        attempt: 1,
        session: session.to_owned(),
        process: process.to_owned(),
    }
}

fn ran(version: u64, process: &str, at: i64, until: i64) -> Ran {
    Ran {
        at,
        version,
        attempt: 1,
        step: 0,
        found: None,
        process: process.to_owned(),
        end: Some(End {
            at: until,
            version,
            how: How::Good,
        }),
        overtaken: false,
    }
}

fn edited(version: u64, process: &str, nonce: u64) -> Edited {
    Edited {
        version,
        nonce,
        raises: true,
        done: true,
        stale: false,
        process: process.to_owned(),
    }
}

/// What is found after a forgery.
fn forged(forge: impl FnOnce(&mut History, &mut Vec<Kept>)) -> String {
    let (mut history, mut kept) = good();
    forge(&mut history, &mut kept);
    let mut found = Found::default();
    judge(&history, &kept, &[], &mut found);
    found.violations.join("\n")
}

fn only(history: &mut History) -> &mut Trace {
    history.tasks.values_mut().next().unwrap()
}

fn entry(worker: bool, text: &str) -> FailedAttempt {
    FailedAttempt {
        attempt: 1,
        worker: worker.then(|| retry_core::name::WorkerName::new("w").unwrap()),
        started_at: Timestamp::from_millis(1_005),
        ended_at: Timestamp::from_millis(1_500),
        error: ErrorText::new(text),
    }
}

#[test]
fn an_honest_history_is_clean() {
    assert_eq!(forged(|_, _| ()), "");
}

#[test]
fn a_lost_and_an_invented_task_are_seen() {
    assert!(forged(|_, kept| kept.clear()).contains("LOST: 7 (quick)"));
    assert!(forged(|history, _| history.intents.clear()).contains("nobody asked"));
    let open = forged(|_, kept| kept[0].detail.task.state = State::Waiting);
    assert!(open.contains("is waiting at the end"), "{open}");
}

#[test]
fn two_runs_of_a_version_and_two_writers_are_seen() {
    let double = forged(|history, _| only(history).runs.push(ran(1, "w-2", 1_030, 1_040)));
    assert!(double.contains("DOUBLE"), "{double}");
    let writers = forged(|history, _| only(history).edits.push(edited(1, "w-2", 12)));
    assert!(writers.contains("written over by"), "{writers}");
    let claimed = forged(|history, _| only(history).claims.push(claim(1, "w-2", "s-2", 1_012)));
    assert!(claimed.contains("written over by"), "{claimed}");
    let gone = forged(|history, _| only(history).edits.push(edited(2, "w-1", 13)));
    assert!(gone.contains("LOST: task"), "{gone}");
}

#[test]
fn an_overlap_counts_by_the_lease() {
    let overlap = |until: i64| {
        forged(|history, kept| {
            history.leases.insert("s-1".to_owned(), vec![(1_000, until)]);
            let trace = only(history);
            trace.runs[0].end = Some(End {
                at: 9_000,
                version: 1,
                how: How::Dropped,
            });
            trace.claims.push(claim(3, "w-2", "s-2", 4_000));
            trace.runs.push(ran(3, "w-2", 4_001, 4_010));
            trace.edits.push(edited(3, "w-2", 14));
            kept[0].detail.task.version = 4;
        })
    };
    assert_eq!(overlap(3_999), "");
    assert!(overlap(4_000).contains("OVERLAP"));
}

#[test]
fn attempts_and_crashes_must_be_explained() {
    let skipped = forged(|_, kept| kept[0].detail.task.attempt = 3);
    assert!(skipped.contains("ATTEMPTS"), "{skipped}");
    let crash = |killed: Option<i64>| {
        forged(|history, kept| {
            history.killed.extend(killed.map(|at| ("w-1".to_owned(), at)));
            kept[0].detail.failures = vec![entry(false, "its worker's process died")];
        })
    };
    assert!(crash(None).contains("CRASH"));
    assert!(crash(Some(1_700)).contains("CRASH"));
    assert!(!crash(Some(1_400)).contains("CRASH"));
    let early = forged(|_, kept| {
        kept[0].detail.failures = vec![entry(false, "its worker's lease was lost")];
    });
    assert!(early.contains("EARLY"), "{early}");
    let error = forged(|_, kept| kept[0].detail.failures = vec![entry(true, "no")]);
    assert!(error.contains("errors of handlers"), "{error}");
}

#[test]
fn a_success_needs_a_run_that_did_it() {
    let never = forged(|history, _| history.tasks.clear());
    assert!(never.contains("never ran"), "{never}");
    let other = forged(|_, kept| kept[0].detail.task.version = 5);
    assert!(other.contains("no run in the log did that"), "{other}");
}
