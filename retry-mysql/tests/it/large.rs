//! Large tasks and whole calls, up to the bounds of the contract.

use std::sync::Arc;

use retry_core::limits::{MAX_CALL_BYTES, MAX_PAYLOAD_BYTES};
use retry_core::payload::Payload;
use retry_core::store::{
    Enlist as _, Inserted, Page, Result, StoreErrorKind, TaskFilter, TaskStore as _, TaskStoreExt as _,
};
use retry_core::task::NewTask;
use sqlx::Connection as _;
use test_servers::Shared;

use crate::support::{NOW, claimed, fresh, request, session, task, task_id};

/// The largest payload there is.
fn large(n: u64) -> NewTask {
    let text = format!(
        "\"{}\"",
        char::from(b'a' + (n % 26) as u8)
            .to_string()
            .repeat(MAX_PAYLOAD_BYTES - 2)
    );
    NewTask {
        payload: Payload::from_json(text).unwrap(),
        ..task(n)
    }
}

pub(crate) async fn a_claim_gives_no_more_bytes_than_a_call_may_carry(server: Arc<Shared>) {
    let (_place, store) = fresh(&server).await;
    for first in [0, 7, 14] {
        let batch: Vec<NewTask> = (first..first + 7).map(large).collect();
        store.insert(&batch, NOW).await.unwrap();
    }
    let too_much: Vec<NewTask> = (100..109).map(large).collect();
    assert_eq!(
        store.insert(&too_much, NOW).await.unwrap_err().kind(),
        StoreErrorKind::Invalid
    );
    let holder = session(&store, 1).await;
    let first = store.claim(request(holder, 100), NOW).await.unwrap();
    let bytes: usize = first.tasks.iter().map(|claimed| claimed.payload.len()).sum();
    assert!(
        bytes > MAX_CALL_BYTES / 2 && bytes <= MAX_CALL_BYTES + MAX_PAYLOAD_BYTES,
        "{bytes}"
    );
    assert_eq!(first.next_due, Some(NOW), "there is more");
    let mut ids: Vec<_> = first.tasks.iter().map(|claimed| claimed.task.id).collect();
    while ids.len() < 21 {
        let more = claimed(&store, holder, 100).await;
        assert!(!more.is_empty());
        ids.extend(more.iter().map(|claimed| claimed.task.id));
    }
    assert_eq!(ids, (0..21).map(task_id).collect::<Vec<_>>());
    let filter = TaskFilter {
        payload_contains: Some("ccc".to_owned()),
        ..TaskFilter::default()
    };
    let listed = store.list(&filter, &Page::first(10)).await.unwrap();
    assert_eq!(listed.tasks.len(), 1);
}

pub(crate) async fn a_transaction_of_the_users_takes_a_whole_call(server: Arc<Shared>) {
    let (place, store) = fresh(&server).await;
    let mut conn = place.connect().await;
    let mut tx = conn.begin().await.unwrap();
    let mut batch: Vec<NewTask> = (0..7).map(large).collect();
    batch.extend((100..800).map(task));
    let inserted: Result<Vec<Inserted>> = store
        .enlist(&mut tx, Ok(batch.clone()), NOW, |answer| answer)
        .await;
    assert_eq!(inserted.unwrap(), vec![Inserted::New { leased: false }; 707]);
    tx.commit().await.unwrap();
    for n in [0, 6, 100, 799] {
        let detail = store.get(task_id(n)).await.unwrap().unwrap();
        let sent = batch.iter().find(|new| new.id == task_id(n)).unwrap();
        assert!(detail.payload == sent.payload, "task {n}");
    }
}
