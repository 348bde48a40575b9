//! Rows that nothing can take do not hold up the others.

use std::sync::atomic::{AtomicBool, Ordering};

use super::harness::{Office, passing};
use crate::draft::Draft;
use crate::engine::tests::faulty::FaultyStore;
use crate::engine::tests::harness::SECOND;
use crate::name::Kind;
use crate::outbox::{NewRow, WriteOutbox as _};
use crate::payload::Payload;
use crate::task::Edit;

pub(super) fn raw(office: &Office, body: &[u8]) {
    let mut tx = office.outbox.begin();
    let row = NewRow {
        id: office.write(&mut office.outbox.begin(), passing()),
        kind: Kind::new("job").unwrap(),
        created_at: office.world.now(),
        body: body.to_vec(),
    };
    office
        .outbox
        .write(&mut tx, Ok(vec![row]), |answer| answer)
        .unwrap();
    tx.commit();
}

#[tokio::test]
async fn a_damaged_row_is_set_aside_with_the_reason() {
    let office = Office::new();
    let worker = office.worker();
    let mut tasks = office.commit_all(2);
    raw(&office, b"{\"v\":1,\"kind\":\xff");
    raw(&office, b"");
    tasks.extend(office.commit_all(3));
    let relay = office.relay();
    office.assert_once(&tasks, "around the damage").await;
    assert_eq!(office.sent(), tasks, "in order");
    assert_eq!(
        (relay.handle.counts().set_aside, relay.handle.counts().handed_over),
        (2, 5)
    );
    let aside = office.outbox.aside();
    assert_eq!(aside.len(), 2);
    assert!(aside[0].1.as_str().contains("damaged"));
    relay.kill().await;
    office.world.shut_down(worker).await;
}

fn has_bad(edit: &Edit) -> bool {
    edit.insert.iter().any(|task| task.kind.as_str() == "bad")
}

fn refusing(office: &Office, refuses: impl Fn(&Edit) -> bool + Send + 'static) -> FaultyStore {
    let store = office.store();
    store.refuse(refuses);
    store
}

#[tokio::test]
async fn what_the_store_refuses_is_found_and_set_aside() {
    let office = Office::new();
    let worker = office.worker();
    let bad = || Draft::raw("bad", Payload::null());
    let mut tasks = office.commit_all(9);
    let first = office.commit(bad());
    tasks.extend(office.commit_all(4));
    let second = office.commit(bad());
    tasks.extend(office.commit_all(1));
    let store = refusing(&office, has_bad);
    let relay = Office::start(office.builder(&store, &office.table()).batch(16));
    office.assert_once(&tasks, "around the refused").await;
    let aside: Vec<_> = office.outbox.aside().iter().map(|(row, _)| row.row.id).collect();
    assert_eq!(aside, [first, second]);
    assert_eq!(relay.handle.counts().set_aside, 2);
    relay.kill().await;
    office.world.shut_down(worker).await;
}

/// As a store does whose rights or rules are wrong for a moment, or on one of its connections.
#[tokio::test]
async fn what_the_store_refuses_only_once_is_not_set_aside() {
    for tasks in [1, 4] {
        let office = Office::new();
        let worker = office.worker();
        let tasks = office.commit_all(tasks);
        let last = tasks.last().copied();
        let alone = AtomicBool::new(false);
        let store = refusing(&office, move |edit| {
            let has = edit.insert.iter().any(|task| Some(task.id) == last);
            has && !(edit.insert.len() == 1 && alone.swap(true, Ordering::Relaxed))
        });
        let relay = Office::start(office.builder(&store, &office.table()));
        office.assert_once(&tasks, "refused once").await;
        assert!(office.outbox.aside().is_empty());
        relay.kill().await;
        office.world.shut_down(worker).await;
    }
}

#[tokio::test]
async fn a_store_that_refuses_everything_gets_nothing_set_aside() {
    let office = Office::new();
    let tasks = office.commit_all(3);
    let store = refusing(&office, |edit| {
        matches!(&edit.action, crate::task::Action::Set(change)
            if change.to.state == crate::task::State::Running)
    });
    let relay = Office::start(office.builder(&store, &office.table()));
    office.world.pass(SECOND * 30).await;
    assert!(office.outbox.aside().is_empty());
    assert_eq!(office.waiting().await, 3);
    store.refuse(|_| false);
    let worker = office.worker();
    office.assert_once(&tasks, "it takes them after all").await;
    relay.kill().await;
    office.world.shut_down(worker).await;
}

#[tokio::test]
async fn a_row_of_a_newer_program_waits_with_those_behind_it() {
    let office = Office::new();
    let worker = office.worker();
    let tasks = office.commit_all(2);
    raw(&office, b"{\"v\":2}\n{}\nnull");
    office.commit_all(2);
    let relay = office.relay();
    let handed = async || relay.handle.counts().handed_over == 2;
    office
        .world
        .until("those before it are handed over", handed)
        .await;
    office.world.pass(SECOND * 30).await;
    assert_eq!(office.waiting().await, 3);
    assert!(office.outbox.aside().is_empty());
    assert_eq!(office.sent(), tasks);
    relay.kill().await;
    office.world.shut_down(worker).await;
}
