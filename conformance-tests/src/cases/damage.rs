//! Stored rows that cannot be read: reported, put aside, never in the way of others.

use std::time::Duration;

use retry_core::store::{Cause, ExpiredRequest, Page, StoreErrorKind, TaskFilter};
use retry_core::task::State;

use super::claim::ids;
use crate::fixture::{Fixture, LEASE};
use crate::verdict::{Verdict, equal, holds};

/// L14: a damaged row at the head of a lane does not keep its neighbours from being claimed.
pub async fn a_damaged_row_blocks_no_claim(f: &mut Fixture) -> Verdict {
    let tasks = f.tasks(3);
    f.insert(&tasks).await?;
    f.damage(tasks[0].id).await;
    let session = f.open().await?;
    let mut given = Vec::new();
    for _ in 0..4 {
        given.extend(ids(&f.claim(&f.request(session, 1)).await?));
    }
    equal(
        "L14",
        "four claims of one beside a damaged row",
        given,
        vec![tasks[1].id, tasks[2].id],
    )
}

/// L14: a claim reports a damaged row once and puts it aside as failed.
pub async fn a_damaged_row_is_put_aside(f: &mut Fixture) -> Verdict {
    let tasks = f.tasks(2);
    f.insert(&tasks).await?;
    f.damage(tasks[0].id).await;
    let session = f.open().await?;
    let mut reported = Vec::new();
    for _ in 0..3 {
        let claimed = f.claim(&f.request(session, 9)).await?;
        reported.extend(claimed.bad.into_iter().map(|bad| bad.id));
    }
    equal("L14", "what three claims reported", reported, vec![tasks[0].id])?;
    let failed = f
        .count(&retry_core::store::CountScope::default())
        .await?
        .of(State::Failed);
    equal("L14", "how many rows were put aside as failed", failed, 1)
}

/// L14: a listing shows the neighbours of a damaged row and reports it or shows what can be read.
pub async fn a_damaged_row_does_not_end_a_listing(f: &mut Fixture) -> Verdict {
    let tasks = f.tasks(3);
    f.insert(&tasks).await?;
    f.damage(tasks[1].id).await;
    let page = Page::first(10);
    let listed = f.store().list(&TaskFilter::default(), &page).await;
    let listed = f.answered("list".to_owned(), listed)?;
    let shown: Vec<_> = listed.tasks.iter().map(|row| row.task.id).collect();
    for id in [tasks[0].id, tasks[2].id] {
        holds(
            "L14",
            "the listing beside a damaged row",
            shown.contains(&id),
            &shown,
            "both neighbours",
        )?;
    }
    let reported = listed.bad.iter().any(|bad| bad.id == tasks[1].id) || shown.contains(&tasks[1].id);
    holds(
        "L14",
        "the damaged row in the listing",
        reported,
        &listed.bad,
        "reported in `bad`",
    )
}

/// L14: reading a damaged row is a typed error, or gives what can be read; it is never absent.
pub async fn a_damaged_row_is_not_absent(f: &mut Fixture) -> Verdict {
    let new = f.task();
    f.insert_new(&new).await?;
    f.damage(new.id).await;
    let read = f.store().get(new.id).await;
    let right = match &read {
        Ok(found) => found.is_some(),
        Err(error) => error.kind() == StoreErrorKind::Corrupt,
    };
    holds(
        "L14",
        "a get of a damaged row",
        right,
        read,
        "Corrupt, or the task",
    )
}

/// L14: a damaged running row does not hide the other tasks of a lost session.
pub async fn a_damaged_row_hides_no_lost_task(f: &mut Fixture) -> Verdict {
    let tasks = f.tasks(3);
    f.insert(&tasks).await?;
    let session = f.open().await?;
    f.claim(&f.request(session, 3)).await?;
    f.damage(tasks[0].id).await;
    f.advance(LEASE + Duration::from_millis(1));
    let request = ExpiredRequest {
        mark: true,
        after: None,
        limit: 10,
    };
    let expired = f.expired(&request).await?;
    let given: Vec<_> = expired
        .items
        .iter()
        .map(|(task, cause)| (task.id, *cause))
        .collect();
    for id in [tasks[1].id, tasks[2].id] {
        let there = given.contains(&(id, Cause::SessionLost));
        holds(
            "L14",
            "the lost tasks beside a damaged row",
            there,
            &given,
            "both neighbours",
        )?;
    }
    let counts = f.count(&retry_core::store::CountScope::default()).await?;
    holds(
        "L14",
        "the counts beside a damaged row",
        counts.of(State::Running) >= 2,
        &counts.counts,
        "both neighbours",
    )
}

/// L14: a claim that meets a damaged row gives its neighbours, and they run.
pub async fn a_damaged_row_takes_none_along(f: &mut Fixture) -> Verdict {
    let tasks = f.tasks(5);
    f.insert(&tasks).await?;
    f.damage(tasks[2].id).await;
    let session = f.open().await?;
    let mut given = Vec::new();
    for _ in 0..3 {
        given.extend(ids(&f.claim(&f.request(session, 9)).await?));
    }
    let wanted: Vec<_> = [0, 1, 3, 4].map(|index: usize| tasks[index].id).to_vec();
    equal("L14", "the neighbours of a damaged row", given, wanted)?;
    let running = f
        .count(&retry_core::store::CountScope::default())
        .await?
        .of(State::Running);
    equal("L14", "how many of them run", running, 4)
}
