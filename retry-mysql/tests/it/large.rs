//! Large tasks and whole calls, up to the bounds of the contract.

use std::sync::Arc;

use retry_core::headers::Headers;
use retry_core::id::Nonce;
use retry_core::limits::{MAX_CALL_BYTES, MAX_PAYLOAD_BYTES};
use retry_core::name::UniqueKey;
use retry_core::payload::Payload;
use retry_core::store::{
    Applied, Enlist as _, Inserted, Page, Result, StoreErrorKind, TaskFilter, TaskStore as _,
    TaskStoreExt as _,
};
use retry_core::task::{Action, Edit, KeyScope, NewTask, OnDuplicate, State, Unique};
use sqlx::Connection as _;
use test_servers::Shared;

use crate::support::{NOW, claimed, fresh, number, request, session, success, task, task_id};

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

/// A payload of so many bytes, and a header, in place of those of the task that has the key.
fn of_length(n: u64, length: usize) -> NewTask {
    let mut headers = Headers::new();
    headers.insert("length", length.to_string()).unwrap();
    NewTask {
        payload: Payload::from_json(format!("\"{}\"", "x".repeat(length - 2))).unwrap(),
        headers,
        unique: Some(Unique {
            key: UniqueKey::new("the one").unwrap(),
            scope: KeyScope::Active,
            on_duplicate: OnDuplicate::Replace {
                payload: true,
                run_at: false,
            },
        }),
        ..task(n)
    }
}

/// In the row of its task, or apart from it: whatever was there before.
pub(crate) async fn a_payload_moves_to_where_it_fits(server: Arc<Shared>) {
    let (place, store) = fresh(&server).await;
    let mut conn = place.connect().await;
    store.insert_one(of_length(1, 1_025), NOW).await.unwrap();
    for (length, apart, n) in [
        (10, 0, 2),
        // With the headers as many bytes as there is room for, and one more.
        (1_007, 0, 3),
        (1_008, 1, 4),
        (100_000, 1, 5),
        (20, 0, 6),
        (5_000, 1, 7),
    ] {
        let new = of_length(n, length);
        let replaced = Inserted::Replaced { holder: task_id(1) };
        assert_eq!(store.insert_one(new.clone(), NOW).await.unwrap(), replaced);
        let detail = store.get(task_id(1)).await.unwrap().unwrap();
        assert!(detail.payload == new.payload, "{length} bytes");
        assert_eq!(detail.headers, new.headers);
        assert_eq!(
            number(&mut conn, "SELECT COUNT(*) FROM retry_body").await,
            apart,
            "{length} bytes"
        );
        let bytes = length + format!("{{\"length\":\"{length}\"}}").len();
        let stored = number(&mut conn, "SELECT CAST(bytes AS SIGNED) FROM retry_task").await;
        assert_eq!(usize::try_from(stored), Ok(bytes));
        let filter = TaskFilter {
            payload_contains: Some("xxxxxxxx".to_owned()),
            ..TaskFilter::default()
        };
        let listed = store.list(&filter, &Page::first(10)).await.unwrap();
        assert_eq!((listed.tasks.len(), listed.bad.len()), (1, 0), "{length} bytes");
    }
    let holder = session(&store, 1).await;
    let given = claimed(&store, holder, 10).await;
    assert_eq!(given.len(), 1);
    assert_eq!(given[0].payload.len(), 5_000);
    // One of the two alone: the other stays.
    for (version, part) in (given[0].task.version..).zip([20, 5_000, 20]) {
        let mut edit = success(&given[0], version);
        let new = of_length(8, part);
        if let Action::Set(change) = &mut edit.action {
            let cold = change.to.cold.get_or_insert_default();
            cold.payload = Some(new.payload.clone());
            if version > given[0].task.version {
                change.from = State::Succeeded;
            }
        }
        edit.version = version;
        assert_eq!(store.apply(edit, NOW).await.unwrap(), Applied::DONE);
        let detail = store.get(task_id(1)).await.unwrap().unwrap();
        assert!(detail.payload == new.payload, "{part} bytes");
        assert_eq!(detail.headers.get("length"), Some("5000"));
        let apart = number(&mut conn, "SELECT COUNT(*) FROM retry_body").await;
        assert_eq!(apart, i64::from(part > 1_024));
    }
    let edit = Edit {
        id: task_id(1),
        version: given[0].task.version + 3,
        nonce: Nonce::from_random(1),
        action: Action::Delete {
            from: State::Succeeded,
        },
        insert: Vec::new(),
    };
    assert_eq!(store.apply(edit, NOW).await.unwrap(), Applied::DONE);
    for table in ["retry_task", "retry_body"] {
        let rows = number(&mut conn, &format!("SELECT COUNT(*) FROM {table}")).await;
        assert_eq!(rows, 0, "{table}");
    }
}
