//! Hints, and two handles to the same data.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::{Either, select};
use retry_core::store::{Inserted, TaskStore, TaskStoreExt as _};
use retry_core::task::{NewTask, State, Task};

use super::race::at_once;
use crate::fixture::{Fixture, queue, unique};
use crate::verdict::{Verdict, equal, holds};

/// L11: a hint may be lost, but it never comes before its task is visible.
pub async fn a_hint_comes_after_its_task(f: &mut Fixture) -> Verdict {
    for round in 0..50 {
        // A queue of its own: a hint of the task before may still be on its way.
        let own = queue(&format!("round-{round}"));
        let new = NewTask {
            queue: own.clone(),
            ..f.task()
        };
        let (store, now, sent) = (f.store(), f.now(), new.clone());
        let hints = f.store().watch(&[own]);
        let inserting = tokio::spawn(async move { store.insert_one(sent, now).await });
        let hint = Box::pin(hints.next());
        let early = match select(hint, inserting).await {
            Either::Left(((), inserting)) => {
                let seen = f.get(new.id).await?.is_some();
                holds("L11", "a get after the hint", seen, seen, "the task is there")?;
                inserting.await
            }
            Either::Right((inserted, hint)) => {
                // Whether or not it has come by now, nobody may wait for it for ever.
                let _ = hint.now_or_never();
                inserted
            }
        };
        let inserted = early.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        f.answered("insert beside a watch".to_owned(), inserted)?;
    }
    Ok(())
}

/// L11: one handle sees what the other has written.
pub async fn the_other_handle_sees_writes(f: &mut Fixture) -> Verdict {
    let peer = f.peer().await;
    let new = f.keyed(unique("k"));
    let task = f.insert_new(&new).await?;
    let found = f.answered("get, by the other handle".to_owned(), peer.get(new.id).await)?;
    equal(
        "L11",
        "what the other handle reads",
        found.map(|detail| detail.task),
        Some(task),
    )?;
    let again = NewTask {
        id: f.keyed(unique("k")).id,
        ..new.clone()
    };
    let answer = f.answered(
        "insert, by the other handle".to_owned(),
        peer.insert_one(again, f.now()).await,
    )?;
    let wanted = Inserted::Duplicate {
        holder: new.id,
        state: State::Pending,
    };
    equal("L2", "a duplicate by the other handle", answer, wanted)?;
    let session = f.open().await?;
    let claim = f.request(session, 5);
    let claimed = f.answered(
        "claim, by the other handle".to_owned(),
        peer.claim(claim, f.now()).await,
    )?;
    let given: Vec<Task> = claimed.tasks.into_iter().map(|claimed| claimed.task).collect();
    equal(
        "L11",
        "a claim by the other handle",
        given,
        vec![f.task_now(new.id).await?],
    )
}

/// L10: handles that migrate at once all succeed, and lose nothing.
pub async fn two_handles_migrate_at_once(f: &mut Fixture) -> Verdict {
    let new = f.task();
    f.insert_new(&new).await?;
    let peer = f.peer().await;
    let migrate = |store: Arc<dyn TaskStore>| async move { store.migrate().await };
    let jobs: Vec<_> = (0..8)
        .map(|caller| {
            let store = if caller % 2 == 0 {
                f.store()
            } else {
                Arc::clone(&peer)
            };
            move || migrate(Arc::clone(&store))
        })
        .collect();
    at_once("eight migrations", jobs).await?;
    equal("L10", "the task after them", f.task_now(new.id).await?.id, new.id)
}
