//! Due alarms, and how a round of reports is paged.

use std::time::Duration;

use retry_core::id::TaskId;
use retry_core::machine::Event;
use retry_core::store::{Cause, ExpiredRequest};
use retry_core::task::{NewTask, Settings};

use super::expired::{LOOK, MARK, reported};
use crate::fixture::{Fixture, LEASE};
use crate::verdict::{Failure, Verdict, equal, holds};

/// L13: due alarms are reported by time, not before, in every state that has one.
pub async fn due_alarms_are_reported(f: &mut Fixture) -> Verdict {
    let expires = Settings {
        expires_at: Some(f.after(3)),
        ..Settings::default()
    };
    let pending = NewTask {
        settings: expires,
        run_at: f.after(999),
        ..f.task()
    };
    f.insert_new(&pending).await?;
    let deadline = Settings {
        deadline_after: Some(Duration::from_secs(2)),
        ..Settings::default()
    };
    let new = NewTask {
        settings: deadline,
        ..f.task()
    };
    let running = f.running(&new).await?;
    let other = f.running_task().await?;
    let deadline = f.after(1);
    let waiting = f.settled(&other, Event::Wait { deadline }).await?;
    f.advance(Duration::from_millis(999));
    equal(
        "L13",
        "alarms one millisecond early",
        reported(&f.expired(&LOOK).await?),
        vec![],
    )?;
    f.advance(Duration::from_millis(1));
    equal(
        "L13",
        "the first alarm",
        reported(&f.expired(&LOOK).await?),
        vec![(waiting.id, Cause::Alarm)],
    )?;
    f.advance(Duration::from_secs(5));
    let wanted = [waiting.id, running.id, pending.id]
        .map(|id| (id, Cause::Alarm))
        .to_vec();
    equal("L13", "three alarms", reported(&f.expired(&LOOK).await?), wanted)
}

/// L9: a running task past its deadline whose session is lost is reported once, as lost.
pub async fn a_lost_task_is_not_reported_twice(f: &mut Fixture) -> Verdict {
    let settings = Settings {
        deadline_after: Some(Duration::from_secs(2)),
        ..Settings::default()
    };
    let new = NewTask { settings, ..f.task() };
    let task = f.running(&new).await?;
    f.advance(Duration::from_secs(60));
    let wanted = vec![(task.id, Cause::SessionLost)];
    equal(
        "L9",
        "a lost task past its deadline",
        reported(&f.expired(&MARK).await?),
        wanted,
    )
}

/// Two sessions with three tasks each and three pending tasks that expire; what a round reports once all are over.
async fn nine_to_report(f: &mut Fixture) -> Verdict<Vec<(TaskId, Cause)>> {
    let mut lost = Vec::new();
    for _ in 0..2 {
        let session = f.open().await?;
        let tasks = f.tasks(3);
        f.insert(&tasks).await?;
        let claimed = f.claim(&f.request(session, 3)).await?;
        lost.extend(
            claimed
                .tasks
                .into_iter()
                .map(|claimed| (session, claimed.task.id)),
        );
    }
    let mut alarms = Vec::new();
    for seconds in [4, 2, 3] {
        let settings = Settings {
            expires_at: Some(f.after(seconds)),
            ..Settings::default()
        };
        let new = NewTask {
            settings,
            run_at: f.after(999),
            ..f.task()
        };
        f.insert_new(&new).await?;
        alarms.push((f.after(seconds), new.id));
    }
    f.advance(Duration::from_secs(60));
    lost.sort_unstable();
    alarms.sort_unstable();
    let lost = lost.into_iter().map(|(_, id)| (id, Cause::SessionLost));
    Ok(lost
        .chain(alarms.into_iter().map(|(_, id)| (id, Cause::Alarm)))
        .collect())
}

/// L13: a round in small pages reports each task once: lost ones by session and id, then alarms by time and id.
pub async fn a_round_in_pages_is_complete(f: &mut Fixture) -> Verdict {
    let wanted = nine_to_report(f).await?;
    equal(
        "L9",
        "one big page",
        reported(&f.expired(&MARK).await?),
        wanted.clone(),
    )?;
    let (mut given, mut after) = (Vec::new(), None);
    for _ in 0..20 {
        let page = f
            .expired(&ExpiredRequest {
                after,
                limit: 2,
                ..LOOK
            })
            .await?;
        holds(
            "L13",
            "a page of two",
            page.items.len() <= 2,
            page.items.len(),
            "at most 2",
        )?;
        given.extend(reported(&page));
        after = page.next;
        if after.is_none() {
            return equal("L13", "a round in pages of two", given, wanted);
        }
    }
    let endless = Failure::new(
        "L13",
        "a round in pages of two",
        "no end after 20 pages",
        "`next` is none at its end",
    );
    Err(endless)
}

/// L9, L13: marking counts against the limit, and a round that the limit cut says where it goes on.
pub async fn a_limit_loses_no_task(f: &mut Fixture) -> Verdict {
    let mut wanted = Vec::new();
    for _ in 0..3 {
        wanted.push(f.running_task().await?.id);
    }
    f.advance(LEASE + Duration::from_millis(1));
    let mut given = Vec::new();
    let mut after = None;
    // A rescuer goes round; three sessions and three tasks fit into two rounds of calls of two.
    for _ in 0..12 {
        let page = f
            .expired(&ExpiredRequest {
                after,
                limit: 2,
                ..MARK
            })
            .await?;
        given.extend(page.items.iter().map(|(task, _)| task.id));
        after = page.next;
    }
    given.sort_unstable();
    given.dedup();
    wanted.sort_unstable();
    equal("L9", "the lost tasks of twelve calls of two", given, wanted)
}

/// L9, L13: a call whose limit was used up by marking does not claim that the round is complete.
pub async fn a_round_cut_by_marking_has_a_next(f: &mut Fixture) -> Verdict {
    f.running_task().await?;
    f.advance(LEASE + Duration::from_millis(1));
    let page = f.expired(&ExpiredRequest { limit: 1, ..MARK }).await?;
    let right = !page.items.is_empty() || page.next.is_some();
    holds(
        "L9",
        "a call of limit 1 with a session to mark and its task to report",
        right,
        page,
        "the task, or a `next`: the round is not complete",
    )
}
