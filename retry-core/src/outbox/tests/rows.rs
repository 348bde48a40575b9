//! Rows that are committed come over in their order; others never do.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::harness::{Office, passing};
use crate::client::Error;
use crate::draft::Draft;
use crate::engine::tests::faulty;
use crate::engine::tests::harness::{SECOND, job, quiet};
use crate::limits::MAX_OUTBOX_BATCH_BYTES;
use crate::outbox::{OutboxTable as _, Room};
use crate::payload::Payload;
use crate::store::{Count, StoreErrorKind, TaskStore as _};
use crate::task::State;

#[tokio::test]
async fn committed_rows_come_over_in_order_and_rolled_back_ones_never() {
    let office = Office::new();
    let relay = office.relay();
    let worker = office.worker();
    let first = office.commit_all(4);
    let mut tx = office.outbox.begin();
    let second = [office.write(&mut tx, passing()), office.write(&mut tx, passing())];
    let mut never = office.outbox.begin();
    let gone = office.write(&mut never, passing());
    drop(never);
    let third = office.commit(passing());
    office.until_ran(5).await;
    tx.commit();
    // What is committed last comes last, though its number is lower.
    let all = [first, vec![third], second.into()].concat();
    office.assert_once(&all, "each once").await;
    assert_eq!(office.sent(), all);
    assert!(!office.sent().contains(&gone));
    assert_eq!(relay.handle.counts().handed_over, 7);
    office.world.shut_down(worker).await;
    office
        .world
        .finish("the relay stops", relay.handle.shutdown())
        .await;
}

#[tokio::test]
async fn the_task_is_what_was_enqueued() {
    let office = Office::new();
    let relay = office.relay();
    let draft = job("a")
        .queue("slow")
        .header("trace", "t")
        .delay(SECOND * 60)
        .unique("k");
    let due = office.world.now().saturating_add(SECOND * 60);
    let id = office.commit(draft.clone());
    // It waits in the outbox for a while; its times do not move.
    office.world.pass(SECOND * 20).await;
    let again = office.commit(draft);
    office.world.pass(SECOND).await;
    let stored = office.world.detail(id).await;
    assert_eq!((stored.task.state, stored.task.run_at), (State::Pending, due));
    assert_eq!(
        (stored.task.queue.as_str(), stored.headers.get("trace")),
        ("slow", Some("t"))
    );
    assert!(
        office.world.memory.get(again).await.unwrap().is_none(),
        "its key is held: the holder stands for it"
    );
    assert_eq!(office.waiting().await, 0);
    assert_eq!(relay.handle.counts().handed_over, 2);
    relay.kill().await;
}

#[tokio::test]
async fn what_is_wrong_is_told_before_anything_is_written() {
    let office = Office::new();
    let room = Room { rows: 9, bytes: 1 };
    let mut tx = office.outbox.begin();
    let mut refused = |draft: Draft| office.world.client.enqueue(draft).outbox(&office.outbox, &mut tx);
    assert!(matches!(
        refused(Draft::raw("a b", Payload::null())),
        Err(Error::Invalid(_))
    ));
    let large = Payload::from_stored("x".repeat(3 * 1024 * 1024));
    let error = refused(Draft::raw("a", large)).unwrap_err();
    assert!(matches!(error, Error::Store(error) if error.kind() == StoreErrorKind::Invalid));
    tx.commit();
    assert!(office.outbox.next(&[], room).await.unwrap().is_empty());
}

#[tokio::test]
async fn lag_is_the_age_of_the_oldest_row() {
    let office = Office::new();
    let relay = office.lazy_relay();
    office.world.pass(SECOND).await;
    let lag = async || office.world.finish("the lag", relay.handle.lag()).await.unwrap();
    assert_eq!(
        (lag().await.rows, lag().await.age),
        (Count::Exact(0), Duration::ZERO)
    );
    office.commit_all(2);
    office.world.pass(SECOND * 30).await;
    office.commit_all(1);
    assert_eq!(
        (lag().await.rows, lag().await.age),
        (Count::Exact(3), SECOND * 30)
    );
    relay.kill().await;
}

#[tokio::test]
async fn lag_is_told_while_the_store_does_not_answer() {
    let office = Office::new();
    let store = office.store();
    store.all(Some(faulty::Fault::Lost));
    office.commit_all(2);
    let relay = Office::start(office.builder(&store, &office.table()));
    office.world.pass(SECOND * 30).await;
    let lag = office.world.finish("the lag", relay.handle.lag()).await.unwrap();
    assert_eq!((lag.rows, lag.age), (Count::Exact(2), SECOND * 30));
    relay.kill().await;
}

/// As those of a table whose removed rows cannot be cleaned up.
#[tokio::test]
async fn slow_looks_leave_the_database_half_of_the_time() {
    let office = Office::new();
    let mut table = office.table();
    table.slow = SECOND * 3;
    let relay = Office::start(office.builder(&office.store(), &table));
    for _ in 0..60 {
        office.world.pass(SECOND).await;
        relay.handle.waker().wake();
    }
    assert!((8..=11).contains(&table.calls()), "{}", table.calls());
    relay.kill().await;
}

#[tokio::test]
async fn a_commit_in_the_same_process_need_not_wait_for_the_next_round() {
    let office = Office::new();
    let relay = office.lazy_relay();
    office.world.pass(SECOND).await;
    office.commit_all(1);
    quiet().await;
    assert!(office.sent().is_empty());
    relay.handle.waker().wake();
    quiet().await;
    assert_eq!(office.sent().len(), 1);
    relay.kill().await;
}

#[tokio::test]
async fn a_hand_over_stays_within_half_a_calls_bytes() {
    let office = Office::new();
    let large = Payload::encode(&"x".repeat(1_000_000)).unwrap();
    let tasks: Vec<_> = (0..9)
        .map(|_| office.commit(Draft::raw("large", large.clone())))
        .collect();
    let (store, sizes) = (office.world.store(), Arc::new(Mutex::new(Vec::new())));
    let seen = Arc::clone(&sizes);
    store.refuse(move |edit| {
        if !edit.insert.is_empty() {
            seen.lock().unwrap().push((edit.insert.len(), edit.bytes()));
        }
        false
    });
    let relay = Office::start(office.builder(&store, &office.table()));
    office.world.pass(SECOND * 2).await;
    for id in tasks {
        assert!(office.world.memory.get(id).await.unwrap().is_some());
    }
    let sizes = sizes.lock().unwrap().clone();
    assert_eq!(
        sizes.iter().map(|(tasks, _)| *tasks).collect::<Vec<_>>(),
        [4, 4, 1]
    );
    assert!(sizes.iter().all(|(_, bytes)| *bytes <= MAX_OUTBOX_BATCH_BYTES));
    relay.kill().await;
}
