//! What the store keeps even when a caller's change would have it otherwise, and under concurrency.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use retry_core::limits::RESEND_WINDOW;
use retry_core::machine::Event;
use retry_core::store::{Applied, CountScope, Inserted, TaskStore as _, TaskStoreExt as _};
use retry_core::task::{Action, Edit, State};

use crate::support::{
    FAR, NOW, beside, builder, busy, count, decided, fresh, poll_once, request, session, success, task,
    task_id, tasks,
};

/// L1: a row is kept while its insert may be sent again, whatever time its end names.
#[tokio::test]
async fn a_purge_keeps_the_resend_window_by_itself() {
    let (_dir, store) = fresh();
    store.insert_one(task(1), NOW).await.unwrap();
    let pending = store.get(task_id(1)).await.unwrap().unwrap().task;
    let mut edit = decided(&pending, Event::Cancel, 1);
    let Action::Set(change) = &mut edit.action else {
        panic!("a cancel is a change");
    };
    change.to.purge_at = Some(NOW.saturating_add(Duration::from_millis(1)));
    store.apply(edit, NOW).await.unwrap();
    let early = NOW.saturating_add(RESEND_WINDOW - Duration::from_millis(1));
    assert_eq!(store.purge(early, 10).await.unwrap(), 0);
    assert_eq!(
        store.insert_one(task(1), early).await.unwrap(),
        Inserted::Repeated
    );
    let over = NOW.saturating_add(RESEND_WINDOW);
    assert_eq!(store.purge(over, 10).await.unwrap(), 1);
}

/// A read is of one moment: no task is counted twice or not at all while it changes its state.
#[tokio::test(flavor = "multi_thread")]
async fn a_count_is_of_one_moment() {
    const TASKS: u64 = 400;
    let (_dir, store) = fresh();
    store.open_session(&session(1), FAR, NOW).await.unwrap();
    store.insert(&tasks(0..TASKS), NOW).await.unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let (mover, is_done) = (store.clone(), Arc::clone(&done));
    let moving = tokio::spawn(async move {
        let mut edits: Vec<Edit> = Vec::new();
        loop {
            let exchanged = mover.exchange(&edits, &[request(&session(1), 2)], NOW).await;
            let claimed = exchanged.unwrap().claimed.remove(0).tasks;
            if claimed.is_empty() {
                break;
            }
            edits = claimed.iter().map(success).collect();
        }
        is_done.store(true, Ordering::Release);
    });
    let scope = CountScope {
        queue: None,
        exact: false,
    };
    while !done.load(Ordering::Acquire) {
        let counts = store.count(&scope).await.unwrap();
        let sum: u64 = State::ALL.into_iter().map(|state| counts.of(state)).sum();
        assert_eq!(sum, TASKS);
    }
    moving.await.unwrap();
}

/// Dropping the last handle means that the file is nobody's: what was sent is written or not, for good.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_handle_waits_for_what_was_sent() {
    let (_dir, store) = fresh();
    let path = store.path().to_owned();
    let new = tasks(1..40);
    for _ in 0..20 {
        let (release, work) = busy(&store);
        let _ = poll_once(store.insert(&new, NOW));
        drop(release);
        work.await.unwrap();
    }
    drop(store);
    let mut names: Vec<_> = std::fs::read_dir(path.parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["tasks.db", "tasks.db-locks"]);
}

/// L6: also the quick way of a success that is deleted at once checks whose number it is.
#[tokio::test]
async fn a_number_that_was_given_again_deletes_no_other_task() {
    let (_dir, store) = fresh();
    let other = builder(store.path()).build().unwrap();
    store.open_session(&session(1), FAR, NOW).await.unwrap();
    store.insert(&tasks(1..2), NOW).await.unwrap();
    let first = store.claim(request(&session(1), 1), NOW).await.unwrap();
    let delete = Edit {
        action: Action::Delete { from: State::Running },
        ..success(&first.tasks[0])
    };
    assert_eq!(other.apply(delete.clone(), NOW).await.unwrap(), Applied::DONE);
    other.insert(&tasks(2..3), NOW).await.unwrap();
    other.open_session(&session(2), FAR, NOW).await.unwrap();
    other.claim(request(&session(2), 1), NOW).await.unwrap();
    assert_eq!(store.apply(delete, NOW).await.unwrap(), Applied::Missing);
    assert!(store.get(task_id(2)).await.unwrap().is_some());
}

/// Nothing of a success that is deleted at once stays: the next task with its number would find it.
#[tokio::test]
async fn a_success_that_is_deleted_at_once_leaves_nothing() {
    let (_dir, store) = fresh();
    store.open_session(&session(1), FAR, NOW).await.unwrap();
    store.insert(&tasks(1..3), NOW).await.unwrap();
    let claimed = store.claim(request(&session(1), 2), NOW).await.unwrap();
    let delete = |task| Edit {
        action: Action::Delete { from: State::Running },
        ..success(task)
    };
    let edits: Vec<_> = claimed.tasks.iter().map(delete).collect();
    let exchanged = store.exchange(&edits, &[], NOW).await.unwrap();
    assert_eq!(exchanged.applied, [Applied::DONE, Applied::DONE]);
    let conn = beside(&store);
    assert_eq!((count(&conn, "retry_task"), count(&conn, "retry_body")), (0, 0));
    store.insert(&tasks(3..5), NOW).await.unwrap();
}
