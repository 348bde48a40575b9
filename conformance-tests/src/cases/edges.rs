//! The edges of what can be kept, and clocks that do not run as they should.

use std::time::Duration;

use retry_core::limits::MAX_ERROR_BYTES;
use retry_core::machine::Event;
use retry_core::store::{ClaimRequest, ExpiredRequest, Renewed};
use retry_core::task::{NewTask, State, Task};
use retry_core::time::Timestamp;

use super::claim::ids;
use crate::fixture::{Fixture, LEASE, failure};
use crate::verdict::{Verdict, equal};

/// L12: times are kept to ±2⁵³ ms, and order as numbers do.
pub async fn times_are_kept(f: &mut Fixture) -> Verdict {
    let edges = [
        Timestamp::MIN,
        Timestamp::from_millis(-1),
        Timestamp::EPOCH,
        Timestamp::from_millis(1),
        Timestamp::from_millis(i64::from(u32::MAX)),
        Timestamp::from_millis(1_000 * i64::from(i32::MAX) + 1),
        Timestamp::from_millis(253_402_300_800_000),
        Timestamp::from_millis(Timestamp::MAX.as_millis() - 1),
        Timestamp::MAX,
    ];
    let mut tasks = Vec::new();
    for run_at in edges {
        tasks.push(NewTask { run_at, ..f.task() });
    }
    tasks.reverse();
    f.insert(&tasks).await?;
    for new in &tasks {
        let stored = f.task_now(new.id).await?;
        equal(
            "L12",
            "a task due at an edge",
            stored,
            Task::pending(new, f.now()),
        )?;
    }
    tasks.reverse();
    let session = f.open().await?;
    let store = f.store();
    let wanted: Vec<_> = tasks.iter().map(|task| task.id).collect();
    for (now, due) in [
        (Timestamp::MIN, 0..1),
        (Timestamp::EPOCH, 1..3),
        (Timestamp::MAX, 3..9),
    ] {
        let claim = [f.request(session, 100)];
        let answer = f.answered(format!("claim at {now}"), store.exchange(&[], &claim, now).await)?;
        let given: Vec<_> = answer.claimed.iter().flat_map(ids).collect();
        equal("L12", &format!("a claim at {now}"), given, wanted[due].to_vec())?;
    }
    Ok(())
}

/// L12: the longest error text is kept whole.
pub async fn the_longest_error_is_kept(f: &mut Fixture) -> Verdict {
    let task = f.running_task().await?;
    let text = "é".repeat(MAX_ERROR_BYTES / 2);
    let failure = failure(&task, &text, f.now());
    f.settled(&task, Event::Fail { failure }).await?;
    let detail = f.detail(task.id).await?;
    let given = detail.last_error.map(|error| error.as_str().len());
    equal("L12", "the bytes of the last error", given, Some(text.len()))?;
    let kept: Vec<usize> = detail
        .failures
        .iter()
        .map(|failed| failed.error.as_str().len())
        .collect();
    equal("L12", "the bytes of the history's error", kept, vec![text.len()])
}

/// L4, L9: a caller whose clock steps back gets nothing early, loses nothing and ends no lease.
pub async fn a_clock_that_steps_back_breaks_nothing(f: &mut Fixture) -> Verdict {
    let early = f.now();
    f.advance(Duration::from_hours(1));
    let (task, waits) = (f.running_task().await?, f.task());
    f.insert_new(&waits).await?;
    let session = task
        .session
        .unwrap_or_else(|| unreachable!("a claimed task has a session"));
    let store = f.store();
    let mark = ExpiredRequest {
        mark: true,
        after: None,
        limit: 10,
    };
    let expired = f.answered(
        "expired, an hour back".to_owned(),
        store.expired(&mark, early).await,
    )?;
    equal("L9", "what is reported an hour back", expired.items.len(), 0)?;
    let claim = [f.request(session, 5)];
    let answer = f.answered(
        "claim, an hour back".to_owned(),
        store.exchange(&[], &claim, early).await,
    )?;
    let given: Vec<_> = answer.claimed.iter().flat_map(ids).collect();
    equal("L4", "a claim an hour back", given, vec![])?;
    let edit = f.decide(&task, Fixture::success());
    let applied = store.exchange(std::slice::from_ref(&edit), &[], early).await;
    f.answered("settle, an hour back".to_owned(), applied)?;
    let ended = f.task_now(task.id).await?;
    equal(
        "L6",
        "a task settled an hour back",
        (ended.state, ended.version),
        (State::Succeeded, task.version + 1),
    )?;
    let until = early.saturating_add(LEASE);
    let renewed = f.answered(
        "renew, an hour back".to_owned(),
        store.renew(session, until, early).await,
    )?;
    let live = Renewed::Live {
        cancel: vec![],
        held: 0,
    };
    equal("L9", "a renewal an hour back", renewed, live)?;
    let expired = f.expired(&mark).await?;
    equal(
        "L9",
        "what is reported after it: a lease is never shortened",
        expired.items.len(),
        0,
    )?;
    let claimed = f.claim(&ClaimRequest::clone(&claim[0])).await?;
    equal("L4", "a claim on time", ids(&claimed), vec![waits.id])
}
