//! Claims: exclusive, never early, within their limits.

use std::time::Duration;

use retry_core::id::{SessionId, TaskId};
use retry_core::machine::{self, Event};
use retry_core::store::{ClaimRequest, Claimed};
use retry_core::task::{Edit, NewTask, Settings, State, Task};

use crate::fixture::{Fixture, json, kind, queue};
use crate::verdict::{Verdict, equal, holds};

pub(super) fn ids(claimed: &Claimed) -> Vec<TaskId> {
    claimed.tasks.iter().map(|claimed| claimed.task.id).collect()
}

/// L7, L11: a claim writes exactly the machine's claim, and it is there when the call returns.
pub async fn a_claim_is_written_before_it_returns(f: &mut Fixture) -> Verdict {
    let settings = Settings {
        deadline_after: Some(Duration::from_secs(7)),
        expires_at: Some(f.after(100)),
        ..Settings::default()
    };
    let new = NewTask { settings, ..f.task() };
    f.insert_new(&new).await?;
    let inserted = Task::pending(&new, f.now());
    f.advance(Duration::from_millis(1_234));
    let session = f.open().await?;
    let claimed = f.claim(&f.request(session, 1)).await?;
    let wanted = machine::claim(&inserted, session, f.now());
    let given = claimed.tasks.into_iter().next().map(|claimed| claimed.task);
    equal("L7", "the claimed record", given.as_ref(), Some(&wanted))?;
    equal("L7", "the stored record", f.task_now(new.id).await?, wanted)
}

/// L12: a claim brings the payload, headers and checkpoint along.
pub async fn a_claim_carries_what_the_handler_needs(f: &mut Fixture) -> Verdict {
    let mut new = f.task();
    let inserted = new.headers.insert("trace", "a b");
    inserted.unwrap_or_else(|error| panic!("the case's header is wrong: {error}"));
    let task = f.running(&new).await?;
    let checkpoint = json("{ \"at\":  3 }");
    let at = f.now();
    f.settled(
        &task,
        Event::Continue {
            at,
            checkpoint: checkpoint.clone(),
        },
    )
    .await?;
    let session = f.open().await?;
    let claimed = f.claim(&f.request(session, 1)).await?;
    let Some(claimed) = claimed.tasks.into_iter().next() else {
        return holds("L4", "a claim of a due task", false, "no task", "the task");
    };
    equal(
        "L12",
        "its payload",
        claimed.payload.as_json(),
        new.payload.as_json(),
    )?;
    equal("L12", "its headers", claimed.headers.get("trace"), Some("a b"))?;
    equal("L12", "its checkpoint", claimed.checkpoint, Some(checkpoint))?;
    equal("L7", "its attempt, after a continue", claimed.task.attempt, 1)
}

/// L3: a task is given once, not to the same session again and not to another.
pub async fn a_task_is_given_once(f: &mut Fixture) -> Verdict {
    let tasks = f.tasks(3);
    f.insert(&tasks).await?;
    let (first, second) = (f.open().await?, f.open().await?);
    let claimed = f.claim(&f.request(first, 10)).await?;
    equal("L3", "the first claim", ids(&claimed).len(), 3)?;
    for session in [first, second] {
        let again = f.claim(&f.request(session, 10)).await?;
        equal("L3", "a later claim", ids(&again), vec![])?;
        let named = ClaimRequest {
            ids: Some(tasks.iter().map(|task| task.id).collect()),
            ..f.request(session, 10)
        };
        equal("L3", "a later claim by id", ids(&f.claim(&named).await?), vec![])?;
    }
    Ok(())
}

/// L3: the claims of one call share no task.
pub async fn claims_of_one_call_share_nothing(f: &mut Fixture) -> Verdict {
    let tasks = f.tasks(5);
    f.insert(&tasks).await?;
    let (first, second) = (f.open().await?, f.open().await?);
    let claims = [f.request(first, 2), f.request(second, 2), f.request(first, 2)];
    let answer = f.exchange(&[], &claims).await?;
    let given: Vec<TaskId> = answer.claimed.iter().flat_map(ids).collect();
    let wanted: Vec<TaskId> = tasks.iter().map(|task| task.id).collect();
    equal(
        "L3",
        "the tasks of three claims in one call, in order",
        given,
        wanted,
    )?;
    let sessions: Vec<Option<SessionId>> = answer
        .claimed
        .iter()
        .flat_map(|claimed| claimed.tasks.iter().map(|task| task.task.session))
        .collect();
    let wanted = [first, first, second, second, first].map(Some).to_vec();
    equal("L3", "who got them", sessions, wanted)
}

/// L4: nothing is claimed a millisecond early, and it is claimed on time.
pub async fn nothing_is_claimed_early(f: &mut Fixture) -> Verdict {
    let new = NewTask {
        run_at: f.now().saturating_add(Duration::from_millis(1_500)),
        ..f.task()
    };
    f.insert_new(&new).await?;
    let session = f.open().await?;
    f.advance(Duration::from_millis(1_499));
    let early = f.claim(&f.request(session, 1)).await?;
    equal("L4", "a claim one millisecond early", ids(&early), vec![])?;
    let named = ClaimRequest {
        ids: Some(vec![new.id]),
        ..f.request(session, 1)
    };
    let early = f.claim(&named).await?;
    equal("L4", "a claim by id one millisecond early", ids(&early), vec![])?;
    f.advance(Duration::from_millis(1));
    let claimed = f.claim(&f.request(session, 1)).await?;
    equal("L4", "a claim on time", ids(&claimed), vec![new.id])
}

/// L4: a task that is retried, snoozed or rescheduled is not claimed before its new time.
pub async fn a_moved_task_is_not_claimed_early(f: &mut Fixture) -> Verdict {
    let task = f.running_task().await?;
    let at = f.after(10);
    let snoozed = f.settled(&task, Event::Snooze { at }).await?;
    let session = f.open().await?;
    let early = f.claim(&f.request(session, 1)).await?;
    equal("L4", "a claim of a snoozed task", ids(&early), vec![])?;
    let at = f.after(5);
    f.settled(&snoozed, Event::Reschedule { at }).await?;
    f.advance(Duration::from_millis(4_999));
    let early = f.claim(&f.request(session, 1)).await?;
    equal("L4", "a claim before the new time", ids(&early), vec![])?;
    f.advance(Duration::from_millis(1));
    let claimed = f.claim(&f.request(session, 1)).await?;
    equal("L4", "a claim at the new time", ids(&claimed), vec![task.id])
}

/// L3: a claim gives at most its limit, of each kind at most that kind's limit, and only what was asked for.
pub async fn limits_hold(f: &mut Fixture) -> Verdict {
    let mut tasks = Vec::new();
    for name in ["a", "b", "c"] {
        for _ in 0..4 {
            tasks.push(NewTask {
                kind: kind(name),
                ..f.task()
            });
        }
    }
    let elsewhere = NewTask {
        kind: kind("a"),
        queue: queue("other"),
        ..f.task()
    };
    f.insert(&tasks).await?;
    f.insert_new(&elsewhere).await?;
    let session = f.open().await?;
    for (limit, a, b, wanted) in [(0, 4, 4, 0), (3, 0, 9, 3), (5, 2, 9, 3), (9, 9, 0, 2)] {
        let request = ClaimRequest {
            kinds: vec![(kind("a"), a), (kind("b"), b)],
            ..f.request(session, limit)
        };
        let claimed = f.claim(&request).await?;
        let what = format!("a claim of {limit}, at most {a} of kind a and {b} of kind b");
        equal("L3", &what, claimed.tasks.len(), wanted)?;
    }
    equal(
        "L3",
        "the task of another queue",
        f.task_now(elsewhere.id).await?.state,
        State::Pending,
    )
}

/// L5: at most `max_suspects` of the tasks whose last lease was lost are given.
pub async fn suspects_are_limited(f: &mut Fixture) -> Verdict {
    let settings = Settings {
        crash_budget: None,
        ..Settings::default()
    };
    for _ in 0..3 {
        let new = NewTask {
            settings: settings.clone(),
            ..f.task()
        };
        let task = f.running(&new).await?;
        f.settled(&task, Event::LeaseLost { process_dead: true }).await?;
    }
    let plain = f.task();
    f.insert_new(&plain).await?;
    let session = f.open().await?;
    for (max_suspects, wanted) in [(0, 1), (1, 1), (9, 2)] {
        let request = ClaimRequest {
            max_suspects,
            ..f.request(session, 10)
        };
        let claimed = f.claim(&request).await?;
        let what = format!("a claim with at most {max_suspects} suspects");
        equal("L5", &what, claimed.tasks.len(), wanted)?;
    }
    Ok(())
}

/// L4: `not_before` and `not_after` bound the due times that are given.
pub async fn the_window_holds(f: &mut Fixture) -> Verdict {
    let start = f.now();
    let mut tasks = Vec::new();
    for seconds in 0..5 {
        tasks.push(NewTask {
            run_at: f.after(seconds),
            ..f.task()
        });
    }
    f.insert(&tasks).await?;
    f.advance(Duration::from_secs(10));
    let session = f.open().await?;
    let second = |n: u64| Some(start.saturating_add(Duration::from_secs(n)));
    for (not_before, not_after, wanted) in [
        (second(1), second(2), 1..3),
        (None, second(0), 0..1),
        (second(4), None, 4..5),
        (None, second(99), 3..4),
    ] {
        let request = ClaimRequest {
            not_before,
            not_after,
            ..f.request(session, 10)
        };
        let claimed = f.claim(&request).await?;
        let wanted: Vec<TaskId> = tasks[wanted].iter().map(|task| task.id).collect();
        let what = format!("a claim from {not_before:?} to {not_after:?}");
        equal("L4", &what, ids(&claimed), wanted)?;
    }
    Ok(())
}

/// L3, L4: a claim by ids gives those of them that are due, of the queue and of the kinds; an id twice is one.
pub async fn a_claim_by_ids_gives_no_others(f: &mut Fixture) -> Verdict {
    let (good, not_named) = (f.task(), f.task());
    let late = NewTask {
        run_at: f.after(1),
        ..f.task()
    };
    let other_kind = NewTask {
        kind: kind("other"),
        ..f.task()
    };
    let other_queue = NewTask {
        queue: queue("other"),
        ..f.task()
    };
    let unknown = f.task();
    let named = [&good, &good, &late, &other_kind, &other_queue, &unknown].map(|task| task.id);
    f.insert(&[good.clone(), not_named, late, other_kind, other_queue])
        .await?;
    let session = f.open().await?;
    let request = ClaimRequest {
        ids: Some(named.to_vec()),
        ..f.request(session, 10)
    };
    let claimed = f.claim(&request).await?;
    equal("L3", "a claim by ids", ids(&claimed), vec![good.id])?;
    let none = ClaimRequest {
        ids: Some(vec![]),
        ..f.request(session, 10)
    };
    equal("L3", "a claim of no ids", ids(&f.claim(&none).await?), vec![])
}

/// L9: a session that is unknown or closed gets nothing and is told so.
pub async fn a_lost_session_claims_nothing(f: &mut Fixture) -> Verdict {
    let new = f.task();
    f.insert_new(&new).await?;
    let closed = f.open().await?;
    f.close(closed).await?;
    for session in [SessionId::from_random(5, 5), closed] {
        let claimed = f.claim(&f.request(session, 10)).await?;
        let given = (ids(&claimed), claimed.session_lost);
        equal(
            "L9",
            "a claim of a closed or unknown session",
            given,
            (vec![], true),
        )?;
    }
    let live = f.open().await?;
    let claimed = f.claim(&f.request(live, 10)).await?;
    let given = (ids(&claimed), claimed.session_lost);
    equal("L9", "a live session's claim", given, (vec![new.id], false))
}

/// L7: the attempt counts at every claim and is never lost by a retry.
pub async fn every_claim_counts_an_attempt(f: &mut Fixture) -> Verdict {
    let new = f.task();
    let mut task = f.running(&new).await?;
    for attempt in 1..=4 {
        equal("L7", "the attempt of a claim", task.attempt, attempt)?;
        let at = f.now();
        let failure = crate::fixture::failure(&task, "no", at);
        let pending = f.settled(&task, Event::Retry { at, failure }).await?;
        equal("L7", "the attempt after a retry", pending.attempt, attempt)?;
        let session = f.open().await?;
        task = f.claim_task(session, &new).await?;
    }
    Ok(())
}

/// L3, L6: claims of a call see the edits of the same call.
pub async fn claims_see_the_edits_of_their_call(f: &mut Fixture) -> Verdict {
    let task = f.running_task().await?;
    let follow_up = NewTask {
        kind: kind("next"),
        ..f.brought_by(task.id)
    };
    let at = f.now();
    let edit = Edit {
        insert: vec![follow_up.clone()],
        ..f.decide(&task, Event::Snooze { at })
    };
    let session = f.open().await?;
    let request = ClaimRequest::new(session, queue("default"), [kind("work"), kind("next")], 10);
    let answer = f.exchange(&[edit], &[request]).await?;
    let mut given: Vec<TaskId> = answer.claimed.iter().flat_map(ids).collect();
    given.sort_unstable();
    equal(
        "L3",
        "a claim in the call that snoozed a task and inserted another",
        given,
        vec![task.id, follow_up.id],
    )
}

/// L9: each claim of a call is answered for its own session.
pub async fn each_claim_has_its_own_session(f: &mut Fixture) -> Verdict {
    let new = f.task();
    f.insert_new(&new).await?;
    let live = f.open().await?;
    let unknown = SessionId::from_random(5, 5);
    let claims = [f.request(unknown, 5), f.request(live, 5), f.request(unknown, 5)];
    let answer = f.exchange(&[], &claims).await?;
    let given: Vec<(usize, bool)> = answer
        .claimed
        .iter()
        .map(|claimed| (claimed.tasks.len(), claimed.session_lost))
        .collect();
    let wanted = vec![(0, true), (1, false), (0, true)];
    equal(
        "L9",
        "claims of an unknown, a live and an unknown session",
        given,
        wanted,
    )
}
