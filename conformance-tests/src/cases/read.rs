//! Reads: own writes, exact filters, paging without gaps.

use retry_core::id::TaskId;
use retry_core::machine::Event;
use retry_core::store::{Count, CountScope, ExpiredRequest, Page, QueueSetting, TaskFilter};
use retry_core::task::{NewTask, State};

use crate::fixture::{Fixture, json, queue};
use crate::verdict::{Verdict, equal, holds};

pub(super) async fn rows(f: &Fixture, filter: TaskFilter, page: usize) -> Verdict<Vec<TaskId>> {
    let rows = f.list(&filter, page).await?;
    Ok(rows.iter().map(|row| row.task.id).collect())
}

pub(super) fn newest_first(tasks: &[NewTask]) -> Vec<TaskId> {
    let mut ids: Vec<TaskId> = tasks.iter().map(|task| task.id).collect();
    ids.sort_unstable();
    ids.reverse();
    ids
}

/// L11: an unknown id is none.
pub async fn an_unknown_task_is_none(f: &mut Fixture) -> Verdict {
    let unknown = f.task().id;
    equal("L11", "an unknown id", f.get(unknown).await?, None)
}

/// L11: tasks are listed newest id first, each once, whatever the page.
pub async fn pages_have_every_row_once(f: &mut Fixture) -> Verdict {
    let mut tasks = f.tasks(23);
    tasks.rotate_left(9);
    f.insert(&tasks).await?;
    for page in [1, 2, 7, 23, 1_000] {
        let given = rows(f, TaskFilter::default(), page).await?;
        equal(
            "L11",
            &format!("23 rows in pages of {page}"),
            given,
            newest_first(&tasks),
        )?;
    }
    Ok(())
}

/// L11: rows that are inserted, ended or deleted between two pages do not move the others.
pub async fn paging_is_steady_under_writes(f: &mut Fixture) -> Verdict {
    let tasks = f.tasks(9);
    f.insert(&tasks).await?;
    let filter = TaskFilter::default();
    let mut page = Page::first(2);
    let mut given = Vec::new();
    for round in 0..20 {
        let listed = f.answered("list".to_owned(), f.store().list(&filter, &page).await)?;
        given.extend(listed.tasks.iter().map(|row| row.task.id));
        let Some(next) = listed.next else { break };
        page.after = Some(next);
        if round < 3 {
            let newer = f.tasks(2);
            f.insert(&newer).await?;
            let seen = f.task_now(given[round]).await?;
            let ended = f.settled(&seen, Event::Cancel).await?;
            f.settle(&ended, Event::Delete).await?;
        }
    }
    equal(
        "L11",
        "the rows of a walk beside writes",
        given,
        newest_first(&tasks),
    )
}

/// L11, L12: a row of a list is the stored record; outputs come only when asked for.
pub async fn rows_are_the_stored_records(f: &mut Fixture) -> Verdict {
    let task = f.running_task().await?;
    let output = json("{ \"n\": 1 }");
    let event = Event::Succeed {
        output: Some(output.clone()),
        via_fallback: true,
    };
    let ended = f.settled(&task, event).await?;
    for (with_output, wanted) in [(false, None), (true, Some(output))] {
        let listed = f
            .list(
                &TaskFilter {
                    with_output,
                    ..TaskFilter::default()
                },
                9,
            )
            .await?;
        let given = listed
            .into_iter()
            .map(|row| (row.task, row.output, row.via_fallback))
            .collect();
        equal(
            "L11",
            "the row of an ended task",
            given,
            vec![(ended.clone(), wanted, true)],
        )?;
    }
    Ok(())
}

/// L11: counts by queue and state equal a recount.
pub async fn counts_are_right(f: &mut Fixture) -> Verdict {
    for (name, n) in [("default", 5), ("other", 3)] {
        let tasks: Vec<NewTask> = f
            .tasks(n)
            .into_iter()
            .map(|task| NewTask {
                queue: queue(name),
                ..task
            })
            .collect();
        f.insert(&tasks).await?;
    }
    let session = f.open().await?;
    f.claim(&f.request(session, 2)).await?;
    let only = CountScope {
        queue: Some(queue("other")),
        exact: true,
    };
    let scope = CountScope {
        exact: true,
        ..CountScope::default()
    };
    let row = |name: &str, state, n| ((queue(name), state), Count::Exact(n));
    let all = [
        row("default", State::Pending, 3),
        row("default", State::Running, 2),
        row("other", State::Pending, 3),
    ];
    equal("L11", "the counts", f.count(&scope).await?.counts, all.into())?;
    let other = [row("other", State::Pending, 3)];
    equal(
        "L11",
        "the counts of one queue",
        f.count(&only).await?.counts,
        other.into(),
    )?;
    let inexact = f.count(&CountScope::default()).await?;
    equal(
        "L11",
        "inexact counts of few tasks",
        inexact.of(State::Pending),
        6,
    )
}

/// L13: an inexact count may stop at 10,000 records and says so; an exact one does not; a listing goes on by its `next`.
pub async fn a_big_store_is_counted_and_listed(f: &mut Fixture) -> Verdict {
    let needle = NewTask {
        payload: json("\"needle\""),
        ..f.task()
    };
    f.insert_new(&needle).await?;
    for _ in 0..11 {
        let tasks = f.tasks(1_000);
        f.insert(&tasks).await?;
    }
    let exact = f
        .count(&CountScope {
            exact: true,
            ..CountScope::default()
        })
        .await?;
    let at = (queue("default"), State::Pending);
    equal(
        "L11",
        "an exact count",
        exact.counts.get(&at).copied(),
        Some(Count::Exact(11_001)),
    )?;
    let inexact = f.count(&CountScope::default()).await?;
    let given = inexact.counts.get(&at).copied();
    let right = match given {
        Some(Count::Exact(n)) => n == 11_001,
        Some(Count::AtLeast(n)) => (1..=11_001).contains(&n),
        None => false,
    };
    holds(
        "L13",
        "an inexact count of 11,001 tasks",
        right,
        given,
        "Exact(11001), or AtLeast of no more",
    )?;
    let filter = TaskFilter {
        payload_contains: Some("needle".to_owned()),
        ..TaskFilter::default()
    };
    equal(
        "L11",
        "the oldest of 11,001 tasks, found by its text",
        rows(f, filter, 10).await?,
        vec![needle.id],
    )
}

/// L11, L15: whatever is read, nothing changes.
pub async fn reading_changes_nothing(f: &mut Fixture) -> Verdict {
    let task = f.running_task().await?;
    let waits = f.task();
    f.insert_new(&waits).await?;
    f.set_queue(&queue("default"), QueueSetting::Pause).await?;
    let before = (f.sessions().await?, f.queues().await?);
    for _ in 0..2 {
        f.list(&TaskFilter::default(), 1).await?;
        f.count(&CountScope::default()).await?;
        f.queues().await?;
        f.get(task.id).await?;
    }
    let expired = ExpiredRequest {
        mark: false,
        after: None,
        limit: 9,
    };
    f.expired(&expired).await?;
    equal(
        "L11",
        "the running task",
        f.task_now(task.id).await?,
        task.clone(),
    )?;
    equal(
        "L11",
        "the pending task",
        f.task_now(waits.id).await?.state,
        State::Pending,
    )?;
    let after = (f.sessions().await?, f.queues().await?);
    equal("L15", "the sessions and the queues", after, before)?;
    let session = f.open().await?;
    let claimed = f.claim(&f.request(session, 9)).await?;
    equal(
        "L15",
        "a claim of the queue, which is paused",
        claimed.tasks.len(),
        0,
    )
}

/// L11: outputs are listed when they are asked for, and only then.
pub async fn outputs_come_when_asked_for(f: &mut Fixture) -> Verdict {
    let task = f.running_task().await?;
    let output = Some(json("[1.0]"));
    let event = Event::Succeed {
        output: output.clone(),
        via_fallback: false,
    };
    f.settled(&task, event).await?;
    for (with_output, wanted) in [(true, output), (false, None)] {
        let filter = TaskFilter {
            with_output,
            ..TaskFilter::default()
        };
        let rows = f.list(&filter, 9).await?;
        let given = rows.into_iter().next().and_then(|row| row.output);
        equal(
            "L11",
            &format!("the output of a row, with_output: {with_output}"),
            given,
            wanted,
        )?;
    }
    Ok(())
}

/// L11: tasks of every state are counted.
pub async fn every_state_is_counted(f: &mut Fixture) -> Verdict {
    let (plain, parent) = (f.task(), f.task());
    f.joining(&parent, 1).await?;
    let succeeded = f.task();
    f.succeeded(&succeeded).await?;
    let failed = f.task();
    f.failed(&failed).await?;
    let deadline = f.after(60);
    let waits = f.running_task().await?;
    f.settled(&waits, Event::Wait { deadline }).await?;
    f.running_task().await?;
    f.insert_new(&plain).await?;
    let cancelled = f.task_now(plain.id).await?;
    f.settled(&cancelled, Event::Cancel).await?;
    for exact in [false, true] {
        let scope = CountScope { queue: None, exact };
        let counts = f.count(&scope).await?;
        let given = State::ALL.map(|state| (state, counts.of(state)));
        // The child of the split is the pending one.
        let wanted = State::ALL.map(|state| (state, 1));
        equal("L11", "one task in every state", given, wanted)?;
        equal("L11", "whether all were counted", counts.complete, true)?;
    }
    Ok(())
}

/// L11: a page goes on behind a row that was deleted since.
pub async fn paging_is_steady_when_its_cursor_goes(f: &mut Fixture) -> Verdict {
    let mut ended = Vec::new();
    for _ in 0..4 {
        let new = f.task();
        ended.push(f.failed(&new).await?);
    }
    ended.reverse();
    let mut page = Page::first(2);
    let first = f.store().list(&TaskFilter::default(), &page).await;
    let first = f.answered("list the first page".to_owned(), first)?;
    page.after = first.next;
    f.settle(&ended[1], Event::Delete).await?;
    let second = f.store().list(&TaskFilter::default(), &page).await;
    let second = f.answered("list the second page".to_owned(), second)?;
    let given: Vec<TaskId> = second.tasks.iter().map(|row| row.task.id).collect();
    equal(
        "L11",
        "the page behind a deleted row",
        given,
        vec![ended[2].id, ended[3].id],
    )
}
