//! What the ends of children cost their parent.

use retry_core::id::TaskId;
use retry_core::machine::Event;
use retry_core::store::{TaskStore as _, TaskStoreExt as _};
use retry_core::task::{Children, Edit, NewTask};

use crate::support::{FAR, NOW, beside, count, decided, fresh, request, session, success, task};

#[tokio::test]
async fn a_parent_is_written_once_for_all_ends_of_a_call() {
    let (_dir, store) = fresh();
    let info = session(1);
    store.open_session(&info, FAR, NOW).await.unwrap();
    store.insert_one(task(1), NOW).await.unwrap();
    let parent = store.claim(request(&info, 1), NOW).await.unwrap().tasks;
    let parent = &parent[0].task;
    let child = |n| NewTask {
        id: TaskId::child(parent.id, 0, 0, n),
        parent: Some(parent.id),
        ..task(0)
    };
    let split = Edit {
        insert: (0..1_000).map(child).collect(),
        ..decided(parent, Event::Split { checkpoint: None }, 1)
    };
    store.apply(split, NOW).await.unwrap();
    let children = store.claim(request(&info, 1_000), NOW).await.unwrap().tasks;
    assert_eq!(children.len(), 1_000);
    let conn = beside(&store);
    conn.execute_batch(
        "CREATE TABLE written (n INTEGER);
         CREATE TRIGGER written_parent AFTER UPDATE ON retry_task WHEN new.parent IS NULL
         BEGIN INSERT INTO written VALUES (1); END;",
    )
    .unwrap();
    let edits: Vec<Edit> = children.iter().map(success).collect();
    store.exchange(&edits[1..], &[], NOW).await.unwrap();
    assert_eq!(count(&conn, "written"), 1, "for 999 ends");
    store.exchange(&edits[..1], &[], NOW).await.unwrap();
    assert!(count(&conn, "written") <= 3, "the counters and the join");
    let stored = store.get(parent.id).await.unwrap().unwrap().task;
    let (total, open, failed) = (1_000, 0, 0);
    assert_eq!(stored.children, Children { total, open, failed });
}
