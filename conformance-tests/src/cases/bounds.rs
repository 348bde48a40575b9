//! Bounds: the last value that passes, the first that is refused before anything is written.

use retry_core::limits::{MAX_BATCH, MAX_CLAIM_KINDS, MAX_PAGE};
use retry_core::machine::Event;
use retry_core::store::{Certainty, ClaimRequest, ExpiredRequest, Page, Result, StoreErrorKind, TaskFilter};
use retry_core::task::{Action, Edit, NewTask, State};

use crate::fixture::{Fixture, json, kind};
use crate::verdict::{Verdict, equal};

fn refused<T>(what: &str, result: Result<T>) -> Verdict {
    let given = result.err().map(|error| (error.certainty(), error.kind()));
    equal(
        "L13",
        what,
        given,
        Some((Certainty::Rejected, StoreErrorKind::Invalid)),
    )
}

async fn nothing_was_written(f: &Fixture, rows: usize) -> Verdict {
    let listed = f.list(&TaskFilter::default(), 1_000).await?;
    equal("L13", "the stored rows after refused calls", listed.len(), rows)
}

/// L1, L13: an insert over a bound writes none of its tasks.
pub async fn an_insert_over_a_bound_writes_nothing(f: &mut Fixture) -> Verdict {
    let store = f.store();
    let many = f.tasks(MAX_BATCH + 1);
    refused("an insert of 1,001 tasks", store.insert(&many, f.now()).await)?;
    let big = json(&format!("\"{}\"", "x".repeat(1_000_000)));
    let heavy: Vec<NewTask> = f
        .tasks(9)
        .into_iter()
        .map(|task| NewTask {
            payload: big.clone(),
            ..task
        })
        .collect();
    refused(
        "an insert of more than 8 MiB",
        store.insert(&heavy, f.now()).await,
    )?;
    let (parent, plain) = (f.task(), f.task());
    let child = NewTask {
        parent: Some(parent.id),
        ..f.task()
    };
    refused(
        "an insert of a child",
        store.insert(&[plain, child], f.now()).await,
    )?;
    nothing_was_written(f, 0).await?;
    f.insert(&heavy[..8]).await?;
    nothing_was_written(f, 8).await
}

/// L8, L13: an exchange over a bound applies none of its edits.
pub async fn an_exchange_over_a_bound_writes_nothing(f: &mut Fixture) -> Verdict {
    let store = f.store();
    let running = f.running_task().await?;
    let good = f.decide(&running, Fixture::success());
    let session = f.open().await?;
    let foreign = NewTask {
        parent: Some(f.task().id),
        ..f.task()
    };
    let leased = NewTask {
        leased_by: Some(session),
        ..f.task()
    };
    let checkpoint = Event::Checkpoint {
        checkpoint: json("1"),
    };
    let mut without_session = f.decide(&running, checkpoint);
    if let Action::Set(change) = &mut without_session.action {
        change.to.session = None;
    }
    let mut cancel = f.decide(&running, Event::Cancel);
    cancel.insert = f.tasks(1);
    let delete = Edit {
        action: Action::Delete { from: State::Waiting },
        ..good.clone()
    };
    for (what, bad) in [
        (
            "an insert with a foreign parent",
            Edit {
                insert: vec![foreign],
                ..good.clone()
            },
        ),
        (
            "a born-leased insert in an edit",
            Edit {
                insert: vec![leased],
                ..good.clone()
            },
        ),
        ("a running task without a session", without_session),
        ("a cancel request with an insert", cancel),
        ("a delete of a waiting task", delete),
    ] {
        refused(what, store.exchange(&[good.clone(), bad], &[], f.now()).await)?;
    }
    let too_many = vec![good.clone(); MAX_BATCH + 1];
    refused("1,001 edits", store.exchange(&too_many, &[], f.now()).await)?;
    let crowded = Edit {
        insert: f.tasks(MAX_BATCH + 1),
        ..good.clone()
    };
    refused(
        "1,001 inserts by edits",
        store.exchange(&[crowded], &[], f.now()).await,
    )?;
    nothing_was_written(f, 1).await?;
    equal(
        "L8",
        "the task after refused calls",
        f.task_now(running.id).await?,
        running,
    )
}

/// L3, L13: a claim over a bound claims nothing.
pub async fn a_claim_over_a_bound_takes_nothing(f: &mut Fixture) -> Verdict {
    let store = f.store();
    let new = f.task();
    f.insert_new(&new).await?;
    let session = f.open().await?;
    let fits = f.request(session, MAX_BATCH);
    let kinds = |n: usize| (0..n).map(|n| (kind(&format!("k{n}")), 1)).collect::<Vec<_>>();
    let many_kinds = ClaimRequest {
        kinds: kinds(MAX_CLAIM_KINDS + 1),
        ..f.request(session, 1)
    };
    let many_ids = ClaimRequest {
        ids: Some(vec![new.id; MAX_BATCH + 1]),
        ..f.request(session, 1)
    };
    for (what, claims) in [
        (
            "claims of 1,001 tasks in all",
            vec![fits.clone(), f.request(session, 1)],
        ),
        ("a claim of 65 kinds", vec![many_kinds]),
        ("a claim of 1,001 ids", vec![many_ids]),
    ] {
        refused(what, store.exchange(&[], &claims, f.now()).await)?;
    }
    equal(
        "L3",
        "the task after refused claims",
        f.task_now(new.id).await?.state,
        State::Pending,
    )?;
    let mut kinds = kinds(MAX_CLAIM_KINDS - 1);
    kinds.push((kind("work"), MAX_BATCH));
    let claimed = f.claim(&ClaimRequest { kinds, ..fits }).await?;
    equal("L3", "a claim at every bound", claimed.tasks.len(), 1)
}

/// L13: pages and rounds have bounds.
pub async fn pages_have_bounds(f: &mut Fixture) -> Verdict {
    let store = f.store();
    let filter = TaskFilter::default();
    refused(
        "a page of 1,001 rows",
        store.list(&filter, &Page::first(MAX_PAGE + 1)).await,
    )?;
    let page = Page::first(MAX_PAGE);
    f.answered(
        "list a page of 1,000".to_owned(),
        store.list(&filter, &page).await,
    )?;
    let request = |limit| ExpiredRequest {
        mark: true,
        after: None,
        limit,
    };
    refused(
        "1,001 expired items",
        store.expired(&request(MAX_BATCH + 1), f.now()).await,
    )?;
    f.expired(&request(MAX_BATCH)).await?;
    let none = f.expired(&request(0)).await?;
    equal("L13", "no expired items asked for", none.items.len(), 0)
}

/// L10: the schema can be migrated again, and time does not run backwards.
pub async fn migrating_again_is_ok(f: &mut Fixture) -> Verdict {
    let new = f.task();
    f.insert_new(&new).await?;
    let store = f.store();
    f.answered("migrate".to_owned(), store.migrate().await)?;
    equal("L10", "the tasks after it", f.task_now(new.id).await?.id, new.id)?;
    let first = f.answered("time".to_owned(), store.time().await)?;
    let second = f.answered("time".to_owned(), store.time().await)?;
    equal("L10", "whether time went on", second >= first, true)
}
