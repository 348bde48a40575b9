//! The order in which due tasks are given, and what a claim says about what is left.

use std::time::Duration;

use retry_core::machine::Event;
use retry_core::priority::Priority;
use retry_core::store::{ClaimRequest, Claimed};
use retry_core::task::{NewTask, Settings};
use retry_core::time::Timestamp;

use super::claim::ids;
use crate::fixture::{Fixture, kind, queue};
use crate::verdict::{Verdict, equal, holds};

/// The payload says what place a task ought to have.
fn placed(new: NewTask, place: usize) -> NewTask {
    NewTask {
        payload: crate::fixture::json(&place.to_string()),
        ..new
    }
}

fn places(claimed: &Claimed) -> Vec<String> {
    let payloads = claimed.tasks.iter().map(|claimed| &claimed.payload);
    payloads.map(|payload| payload.as_json().to_owned()).collect()
}

fn wanted(places: std::ops::Range<usize>) -> Vec<String> {
    places.map(|place| place.to_string()).collect()
}

/// L5: urgent before high before normal before low, whatever their due times.
pub async fn levels_come_first(f: &mut Fixture) -> Verdict {
    let start = f.now();
    for (place, seconds, priority) in [
        (3, 0, Priority::Low),
        (2, 1, Priority::Normal),
        (1, 2, Priority::High),
        (0, 3, Priority::Urgent),
    ] {
        let run_at = start.saturating_add(Duration::from_secs(seconds));
        let new = NewTask {
            priority,
            run_at,
            ..f.task()
        };
        f.insert_new(&placed(new, place)).await?;
    }
    f.advance(Duration::from_secs(9));
    let session = f.open().await?;
    let claimed = f.claim(&f.request(session, 9)).await?;
    equal("L5", "tasks of four levels", places(&claimed), wanted(0..4))
}

/// L5: inside a lane by due time, then by id.
pub async fn a_lane_is_ordered_by_time_then_id(f: &mut Fixture) -> Verdict {
    let start = f.now();
    let mut tasks = Vec::new();
    // Ids ascend; three tasks share a due time.
    for (seconds, place) in [(5, 1), (1, 0), (5, 2), (9, 4), (5, 3)] {
        let run_at = start.saturating_add(Duration::from_secs(seconds));
        tasks.push(placed(NewTask { run_at, ..f.task() }, place));
    }
    tasks.rotate_left(2);
    f.insert(&tasks).await?;
    f.advance(Duration::from_secs(20));
    let session = f.open().await?;
    let claimed = f.claim(&f.request(session, 9)).await?;
    equal("L5", "one lane", places(&claimed), wanted(0..5))
}

/// L5: within a level lanes come in the order of their first due task, each drained before the next.
pub async fn lanes_are_drained_in_the_order_of_their_heads(f: &mut Fixture) -> Verdict {
    let start = f.now();
    let rows = [
        ("b", 1, 0),
        ("a", 2, 3),
        ("b", 8, 1),
        ("c", 3, 5),
        ("a", 4, 4),
        ("b", 9, 2),
    ];
    for (name, seconds, place) in rows {
        let run_at = start.saturating_add(Duration::from_secs(seconds));
        let new = NewTask {
            kind: kind(name),
            run_at,
            ..f.task()
        };
        f.insert_new(&placed(new, place)).await?;
    }
    f.advance(Duration::from_secs(10));
    let session = f.open().await?;
    let kinds = ["c", "a", "b"].map(kind);
    let request = ClaimRequest::new(session, queue("default"), kinds, 9);
    let claimed = f.claim(&request).await?;
    equal("L5", "three lanes of one level", places(&claimed), wanted(0..6))
}

/// L5: suspects are a lane of their own, ordered by its head like any other.
pub async fn suspects_are_a_lane_of_their_own(f: &mut Fixture) -> Verdict {
    let settings = Settings {
        crash_budget: None,
        ..Settings::default()
    };
    let first = placed(NewTask { settings, ..f.task() }, 1);
    let task = f.running(&first).await?;
    let late = placed(
        NewTask {
            run_at: f.after(5),
            ..f.task()
        },
        2,
    );
    f.insert_new(&late).await?;
    f.advance(Duration::from_secs(2));
    f.settled(&task, Event::LeaseLost { process_dead: true }).await?;
    let early = placed(
        NewTask {
            run_at: f.now().saturating_sub(Duration::from_secs(1)),
            ..f.task()
        },
        0,
    );
    f.insert_new(&early).await?;
    f.advance(Duration::from_secs(9));
    let session = f.open().await?;
    let claimed = f.claim(&f.request(session, 9)).await?;
    // The plain lane's head is due first, so it is drained before the suspect, which was due in between.
    let wanted = ["0", "2", "1"].map(str::to_owned).to_vec();
    equal("L5", "a plain lane around a suspect", places(&claimed), wanted)
}

/// L5, L13: tasks of kinds that were not asked for, and tasks of the future, hide nothing.
pub async fn nothing_hides_a_due_task(f: &mut Fixture) -> Verdict {
    let future = f.after(3_600);
    let mut crowd = Vec::new();
    for index in 0..600 {
        let new = f.task();
        crowd.push(if index % 2 == 0 {
            NewTask {
                run_at: future,
                priority: Priority::Urgent,
                ..new
            }
        } else {
            NewTask {
                kind: kind("unknown"),
                priority: Priority::Urgent,
                run_at: Timestamp::MIN,
                ..new
            }
        });
    }
    f.insert(&crowd).await?;
    let low = NewTask {
        priority: Priority::Low,
        ..f.task()
    };
    f.insert_new(&low).await?;
    let session = f.open().await?;
    let claimed = f.claim(&f.request(session, 5)).await?;
    equal("L5", "a claim beside a crowd", ids(&claimed), vec![low.id])
}

/// L13, L5: more due tasks than one statement or script could name are claimed as few are.
pub async fn a_long_backlog_is_claimed(f: &mut Fixture) -> Verdict {
    let mut due = Vec::new();
    for _ in 0..9 {
        let tasks = f.tasks(1_000);
        f.insert(&tasks).await?;
        due.extend(tasks.into_iter().map(|task| task.id));
    }
    let session = f.open().await?;
    for (from, limit) in [(0, 1), (1, 1_000)] {
        let claimed = f.claim(&f.request(session, limit)).await?;
        let what = format!("{limit} of 9,000 due tasks");
        equal("L13", &what, ids(&claimed), due[from..from + limit].to_vec())?;
        equal("L5", "when more is due", claimed.next_due, Some(f.now()))?;
    }
    Ok(())
}

/// L5: claims of one task each give all of them in the same order as one big claim.
pub async fn small_claims_keep_the_order(f: &mut Fixture) -> Verdict {
    let mut tasks = Vec::new();
    for place in 0..12_usize {
        let priority = Priority::ALL[place / 3];
        let run_at = f.now().saturating_sub(Duration::from_secs(20 - place as u64 % 3));
        tasks.push(placed(
            NewTask {
                priority,
                run_at,
                ..f.task()
            },
            place,
        ));
    }
    tasks.reverse();
    f.insert(&tasks).await?;
    let session = f.open().await?;
    let mut given = Vec::new();
    for _ in 0..12 {
        given.extend(places(&f.claim(&f.request(session, 1)).await?));
    }
    equal("L5", "twelve claims of one task", given, wanted(0..12))
}

/// L5: `next_due` is now when due rows may be left, else the first due time of the asked lanes, else none.
pub async fn next_due_tells_when_to_come_again(f: &mut Fixture) -> Verdict {
    let session = f.open().await?;
    let empty = f.claim(&f.request(session, 5)).await?;
    equal("L5", "`next_due` of an empty queue", empty.next_due, None)?;
    let later = f.after(60);
    let tasks = [
        f.task(),
        f.task(),
        NewTask {
            run_at: later,
            priority: Priority::Low,
            ..f.task()
        },
        NewTask {
            run_at: f.after(5),
            kind: kind("other"),
            ..f.task()
        },
        NewTask {
            run_at: f.after(6),
            queue: queue("other"),
            ..f.task()
        },
    ];
    f.insert(&tasks).await?;
    let full = f.claim(&f.request(session, 1)).await?;
    equal(
        "L5",
        "`next_due` with a due task left",
        full.next_due,
        Some(f.now()),
    )?;
    let rest = f.claim(&f.request(session, 5)).await?;
    equal(
        "L5",
        "`next_due` with a task of the future left",
        rest.next_due,
        Some(later),
    )
}

/// L5: a full claim may tell marks; a claim that starts behind them gives what is left.
pub async fn marks_start_where_the_claim_ended(f: &mut Fixture) -> Verdict {
    let tasks = f.tasks(6);
    f.insert(&tasks).await?;
    let session = f.open().await?;
    let first = f.claim(&f.request(session, 4)).await?;
    let last = first
        .tasks
        .last()
        .map(|claimed| (claimed.task.run_at, claimed.task.id));
    for mark in &first.marks {
        let at = Some((mark.run_at, mark.id));
        holds(
            "L5",
            "a mark of a full claim",
            at == last,
            mark,
            "the last task claimed in the lane",
        )?;
    }
    let request = ClaimRequest {
        after: first.marks,
        ..f.request(session, 4)
    };
    let second = f.claim(&request).await?;
    let wanted: Vec<_> = tasks[4..].iter().map(|task| task.id).collect();
    equal("L5", "a claim behind the marks", ids(&second), wanted)?;
    equal(
        "L5",
        "the marks of a claim that was not full",
        second.marks,
        vec![],
    )
}

/// L5: a mark bounds its own lane and no other.
pub async fn marks_bind_their_own_lane(f: &mut Fixture) -> Verdict {
    let late = NewTask {
        run_at: f.after(5),
        ..f.task()
    };
    let low = NewTask {
        priority: Priority::Low,
        ..f.task()
    };
    f.insert(&[late.clone(), low.clone()]).await?;
    f.advance(Duration::from_secs(9));
    let session = f.open().await?;
    let first = f.claim(&f.request(session, 1)).await?;
    equal("L5", "the first claim", ids(&first), vec![late.id])?;
    let request = ClaimRequest {
        after: first.marks,
        ..f.request(session, 5)
    };
    let second = f.claim(&request).await?;
    equal(
        "L5",
        "a claim behind the marks of another lane",
        ids(&second),
        vec![low.id],
    )
}
