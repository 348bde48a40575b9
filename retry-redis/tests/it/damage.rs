//! Damage is found before anything is written, and reported beside its neighbours.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::Trial;
use retry_core::id::TaskId;
use retry_core::store::{Certainty, ExpiredRequest, Page, StoreErrorKind, TaskStore};
use retry_core::task::State;
use test_servers::Shared;

use crate::namespace::Namespace;
use crate::support::{NOW, claim, keyed, on_each, send, session, snapshot, store, success, task, tasks};

pub(crate) fn trials(servers: &[Arc<Shared>]) -> Vec<Trial> {
    let shared = [
        on_each(
            servers,
            "damage::a_key_of_another_type_stops_a_call_before_it_writes",
            foreign_keys,
        ),
        on_each(servers, "damage::a_foreign_record_is_put_aside", foreign_record),
        on_each(servers, "damage::a_missing_body_is_put_aside", missing_body),
        on_each(servers, "damage::a_damaged_running_row_is_reported", running),
        on_each(servers, "damage::entries_left_behind_are_dropped", left_behind),
    ];
    shared.into_iter().flatten().collect()
}

/// For each key in turn: another type stands in it, every call is made, and a call that fails has changed nothing.
async fn foreign_keys(place: Namespace) {
    let keys = store(&place).await.keys().to_vec();
    for key in keys {
        let store = store(&place).await;
        let session = session(&store).await;
        store.insert(&tasks(3), NOW).await.expect("an insert");
        store.insert(&[keyed("k")], NOW).await.expect("an insert");
        let running = claim(&store, session, 2).await;

        send(&place, &["DEL", &key]);
        send(&place, &["LPUSH", &key, "foreign"]);
        let edits = [success(&running[0].task), success(&running[1].task)];
        let until = NOW.saturating_add(Duration::from_mins(5));
        let expired = ExpiredRequest {
            mark: true,
            after: None,
            limit: 10,
        };
        let insert = [task(), keyed("other")];
        for call in 0..5 {
            let before = snapshot(&place);
            let error = match call {
                0 => store.insert(&insert, NOW).await.err(),
                1 => store.exchange(&edits, &[], NOW).await.err(),
                2 => store.renew(session, until, NOW).await.err(),
                3 => store
                    .exchange(&[], &[crate::support::request(session, 2)], NOW)
                    .await
                    .err(),
                _ => store
                    .expired(&expired, NOW.saturating_add(Duration::from_hours(1)))
                    .await
                    .err(),
            };
            if let Some(error) = error {
                let right = matches!(error.kind(), StoreErrorKind::Corrupt | StoreErrorKind::Schema);
                assert!(right, "{key}, call {call}: {error:?}");
                assert_eq!(
                    error.certainty(),
                    Certainty::Rejected,
                    "{key}, call {call}: {error}"
                );
                assert!(before == snapshot(&place), "{key}: call {call} wrote half");
            }
        }
        place.clear();
    }
}

fn overwrite(place: &Namespace, key: &str, id: TaskId, value: &[u8]) {
    let client = redis::Client::open(place.url()).expect("its URL");
    let mut connection = client.get_connection().expect("a connection");
    let mut cmd = redis::cmd("HSET");
    cmd.arg(key).arg(&id.to_bytes()).arg(value);
    cmd.query::<i64>(&mut connection).expect("it is written");
}

async fn foreign_record(place: Namespace) {
    let store = store(&place).await;
    let new = tasks(3);
    store.insert(&new, NOW).await.expect("an insert");
    overwrite(&place, &place.key("h"), new[0].id, b"\x09 not a record");
    let session = session(&store).await;
    let exchanged = store
        .exchange(&[], &[crate::support::request(session, 3)], NOW)
        .await;
    let claimed = exchanged.expect("a claim").claimed.remove(0);
    assert_eq!(claimed.tasks.len(), 2, "its neighbours are claimed");
    let bad: Vec<_> = claimed.bad.iter().map(|bad| (bad.id, bad.version)).collect();
    assert_eq!(bad, [(new[0].id, 0)]);
    assert_eq!(claimed.next_due, None, "it is out of the way");
    let error = store.get(new[0].id).await.expect_err("it cannot be read");
    assert_eq!(error.kind(), StoreErrorKind::Corrupt);
    let listed = store
        .list(&Default::default(), &Page::first(10))
        .await
        .expect("a list");
    assert_eq!((listed.tasks.len(), listed.bad.len()), (2, 1));
}

async fn missing_body(place: Namespace) {
    let store = store(&place).await;
    let new = tasks(2);
    store.insert(&new, NOW).await.expect("an insert");
    overwrite(&place, &place.key("b"), new[0].id, b"\x01\xff");
    let session = session(&store).await;
    let exchanged = store
        .exchange(&[], &[crate::support::request(session, 3)], NOW)
        .await;
    let claimed = exchanged.expect("a claim").claimed.remove(0);
    assert_eq!(claimed.tasks.len(), 1);
    assert_eq!(claimed.bad[0].id, new[0].id);
    let counts = store.count(&Default::default()).await.expect("a count");
    assert_eq!(
        (counts.of(State::Failed), counts.of(State::Running)),
        (1, 1),
        "it is a failed one now"
    );
    let failed = retry_core::store::TaskFilter {
        states: vec![State::Failed],
        ..Default::default()
    };
    let listed = store.list(&failed, &Page::first(10)).await.expect("a list");
    assert_eq!(listed.tasks[0].task.version, claimed.bad[0].version);
}

async fn running(place: Namespace) {
    let store = store(&place).await;
    store.insert(&tasks(3), NOW).await.expect("an insert");
    let session = session(&store).await;
    let claimed = claim(&store, session, 3).await;
    overwrite(&place, &place.key("h"), claimed[1].task.id, b"");
    // Another whose record a script can read, and this program cannot.
    place.cut_record(claimed[2].task.id);
    let later = NOW.saturating_add(Duration::from_hours(1));
    let request = ExpiredRequest {
        mark: true,
        after: None,
        limit: 10,
    };
    let expired = store.expired(&request, later).await.expect("expired");
    let bad: BTreeSet<_> = expired.bad.iter().map(|bad| bad.id).collect();
    assert_eq!(expired.items.len(), 1);
    assert_eq!(bad, BTreeSet::from([claimed[1].task.id, claimed[2].task.id]));

    let again = store.expired(&request, later).await.expect("expired");
    assert_eq!((again.items.len(), again.bad.len()), (1, 0), "reported once");
    let counts = store.count(&Default::default()).await.expect("a count");
    assert_eq!(counts.of(State::Failed), 1, "an operator sees it");
}

/// Index entries without a row do not stop a claim or a round.
async fn left_behind(place: Namespace) {
    let store = store(&place).await;
    let new = tasks(3);
    store.insert(&new, NOW).await.expect("an insert");
    let client = redis::Client::open(place.url()).expect("its URL");
    let mut connection = client.get_connection().expect("a connection");
    let mut delete = redis::cmd("HDEL");
    delete.arg(place.key("h")).arg(&new[0].id.to_bytes());
    delete.query::<i64>(&mut connection).expect("deleted");
    let session = session(&store).await;
    assert_eq!(claim(&store, session, 3).await.len(), 2);
    let infos = store.queues().await.expect("queues");
    assert!(infos.is_empty(), "{infos:?}");
}
