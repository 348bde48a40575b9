//! What the ends of children cost their parent.

use std::sync::Arc;

use retry_core::id::TaskId;
use retry_core::machine::Event;
use retry_core::store::{TaskStore as _, TaskStoreExt as _};
use retry_core::task::{Children, Edit, NewTask};
use test_servers::Shared;

use crate::place::needs;
use crate::support::{NOW, claimed, decided, fresh, number, run, session, success, task};

pub(crate) async fn a_parent_is_written_once_for_all_ends_of_a_call(server: Arc<Shared>) {
    let (place, store) = fresh(&server).await;
    let mut conn = place.connect().await;
    let holder = session(&store, 1).await;
    store.insert_one(task(1), NOW).await.unwrap();
    let parent = claimed(&store, holder, 1).await;
    let id = parent[0].task.id;
    let child = |n| NewTask {
        id: TaskId::child(id, 0, 0, n),
        parent: Some(id),
        ..task(0)
    };
    let split = Edit {
        insert: (0..1_000).map(child).collect(),
        ..decided(&parent[0], Event::Split { checkpoint: None }, 1)
    };
    store.apply(split, NOW).await.unwrap();
    let children = claimed(&store, holder, 1_000).await;
    assert_eq!(children.len(), 1_000);
    run(&mut conn, "CREATE TABLE written (n INT)").await;
    needs(
        &mut conn,
        "CREATE TRIGGER written_parent AFTER UPDATE ON retry_task FOR EACH ROW \
         INSERT INTO written SELECT 1 FROM DUAL WHERE new.parent IS NULL",
    )
    .await;
    let edits: Vec<Edit> = children
        .iter()
        .zip(10..)
        .map(|(child, nonce)| success(child, nonce))
        .collect();
    let written = "SELECT COUNT(*) FROM written";
    store.exchange(&edits[1..], &[], NOW).await.unwrap();
    assert_eq!(number(&mut conn, written).await, 1, "for 999 ends");
    store.exchange(&edits[..1], &[], NOW).await.unwrap();
    assert_eq!(number(&mut conn, written).await, 2, "with the join");
    let stored = store.get(id).await.unwrap().unwrap().task;
    let (total, open, failed) = (1_000, 0, 0);
    assert_eq!(stored.children, Children { total, open, failed });
}
