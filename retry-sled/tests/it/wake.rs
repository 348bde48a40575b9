//! Wake-ups, groups, and reads beside writes.

use std::time::Duration;

use retry_core::name::Queue;
use retry_core::payload::Payload;
use retry_core::store::{CountScope, Page, QueueSetting, TaskFilter, TaskStore as _, TaskStoreExt as _};
use retry_core::task::{NewTask, State};

use crate::support::{NOW, assert_sound, fresh, poll_once, task, task_id, tasks};

/// Whether a hint is there now.
fn is_hinted(wakeups: &retry_core::store::Wakeups) -> bool {
    poll_once(wakeups.next()).is_some()
}

#[tokio::test]
async fn a_due_task_wakes_its_queue_and_no_other() {
    let (_dir, store) = fresh();
    let other = Queue::new("other").unwrap();
    let (here, there) = (
        store.watch(&[Queue::default()]),
        store.watch(std::slice::from_ref(&other)),
    );
    let later = NewTask {
        run_at: NOW.saturating_add(Duration::from_hours(1)),
        ..task(1)
    };
    store.insert_one(later, NOW).await.unwrap();
    assert!(!is_hinted(&here), "nothing is due");
    store.insert_one(task(2), NOW).await.unwrap();
    assert!(is_hinted(&here));
    assert!(!is_hinted(&there));
    store.insert_one(task(2), NOW).await.unwrap();
    assert!(!is_hinted(&here), "repeated, so nothing new");
    store.set_queue(&other, QueueSetting::Resume).await.unwrap();
    assert!(is_hinted(&there));
}

/// Writes that come while one is written share the next commit; a dropped one is not written, and the next read of its
/// caller knows.
#[tokio::test(flavor = "multi_thread")]
async fn writes_share_commits_and_a_dropped_one_is_decided_before_the_next_read() {
    let (_dir, store) = fresh();
    let before = store.commits();
    let inserts = (0..400).map(|n| {
        let store = store.clone();
        tokio::spawn(async move { store.insert_one(task(n), NOW).await.unwrap() })
    });
    for insert in inserts.collect::<Vec<_>>() {
        insert.await.unwrap();
    }
    let commits = store.commits() - before;
    assert!(commits < 300, "{commits} commits of 400 writes");
    for n in 400..420 {
        poll_once(store.insert_one(task(n), NOW));
        let first = store.get(task_id(n)).await.unwrap().is_some();
        let second = store.get(task_id(n)).await.unwrap().is_some();
        assert_eq!(first, second, "task {n} came after a read that did not find it");
    }
    assert_sound(&store).await;
}

/// A listing lets writes in between its parts and shows each row that did not change once.
#[tokio::test(flavor = "multi_thread")]
async fn a_listing_beside_writes_shows_all_that_did_not_change() {
    let (_dir, store) = fresh();
    store.insert(&tasks(0..900), NOW).await.unwrap();
    let writer = store.clone();
    let writes = tokio::spawn(async move {
        for n in 1_000..1_100 {
            writer.insert_one(task(n), NOW).await.unwrap();
        }
    });
    let (mut seen, mut after) = (Vec::new(), Some(task_id(900)));
    loop {
        let page = Page { after, limit: 700 };
        let listed = store.list(&TaskFilter::default(), &page).await.unwrap();
        seen.extend(listed.tasks.iter().map(|row| row.task.id));
        after = listed.next;
        if after.is_none() {
            break;
        }
    }
    writes.await.unwrap();
    assert_eq!(seen, (0..900).rev().map(task_id).collect::<Vec<_>>());
    let counts = store.count(&CountScope::default()).await.unwrap();
    assert_eq!(counts.of(State::Pending), 1_000);
}

/// sled never syncs the files in which it puts large values; the store keeps its values below their size.
#[tokio::test]
async fn large_payloads_make_no_files_beside_the_log() {
    let (_dir, store) = fresh();
    let large: Vec<NewTask> = (0..24)
        .map(|n| NewTask {
            payload: Payload::encode(&format!("{n}{}", "x".repeat(300_000))).unwrap(),
            ..task(n)
        })
        .collect();
    for part in large.chunks(8) {
        store.insert(part, NOW).await.unwrap();
    }
    for new in &large {
        let detail = store.get(new.id).await.unwrap().unwrap();
        assert!(detail.payload == new.payload, "the payload came back whole");
    }
    // Many long keys beside each other fill the pages of the tree that hold keys only.
    let long = "k".repeat(255);
    for first in (0..3_000).step_by(500) {
        let keyed: Vec<NewTask> = (first..first + 500)
            .map(|n| NewTask {
                unique: Some(retry_core::task::Unique {
                    key: retry_core::name::UniqueKey::new(format!("{n:04}{}", &long[4..])).unwrap(),
                    scope: retry_core::task::KeyScope::Active,
                    on_duplicate: retry_core::task::OnDuplicate::Keep,
                }),
                kind: retry_core::name::Kind::new("n".repeat(128)).unwrap(),
                ..task(100_000 + n)
            })
            .collect();
        store.insert(&keyed, NOW).await.unwrap();
    }
    assert_sound(&store).await;
    let beside = std::fs::read_dir(store.path().join("blobs")).unwrap().count();
    assert_eq!(beside, 0, "files beside the log");
}
