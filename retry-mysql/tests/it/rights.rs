//! A user with no more rights than the documentation asks for: enough for everything but migrations.

use std::sync::Arc;

use retry_core::machine::Event;
use retry_core::name::Queue;
use retry_core::payload::Payload;
use retry_core::store::{
    Applied, Certainty, CountScope, ExpiredRequest, Page, QueueSetting, StoreErrorKind, TaskFilter,
    TaskStore as _, TaskStoreExt as _,
};
use retry_core::task::{ErrorText, FailedAttempt};
use retry_core::time::Timestamp;
use retry_mysql::{MySqlStore, OpenError};
use test_servers::Shared;

use crate::support::{FAR, NOW, Place, claimed, decided, fresh, run, session, success, tasks};

/// Makes a user with the rights that the README shows, and gives a URL for it.
pub(crate) async fn worker_of(place: &Place) -> String {
    let documented = include_str!("../../README.md");
    let sql = documented
        .split("```sql\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next());
    let sql = sql.expect("the README shows them");
    assert!(
        sql.contains("GRANT") && sql.contains("shop.") && sql.contains("shop_worker"),
        "{sql}"
    );
    let user = format!("{}_worker", place.name);
    let url = place.user(&user).await;
    let grants = sql
        .replace("shop_worker", &user)
        .replace("shop.", &format!("{}.", place.name));
    run(&mut place.connect().await, &grants).await;
    url
}

pub(crate) async fn the_documented_rights_are_enough(server: Arc<Shared>) {
    let (place, _) = fresh(&server).await;
    let url = worker_of(&place).await;
    for migrate in [false, true] {
        let builder = MySqlStore::builder(&url).migrate(migrate);
        let store = builder
            .connect()
            .await
            .expect("tables that are there need no migration");
        everything(&store, if migrate { 100 } else { 0 }).await;
    }
}

/// Every call of the contract.
async fn everything(store: &MySqlStore, from: u64) {
    let mut all = tasks(from..from + 3);
    for large in &mut all {
        large.payload = Payload::encode(&"x".repeat(2_000)).unwrap();
    }
    store.insert(&all, NOW).await.unwrap();
    let holder = session(store, from + 1).await;
    let running = claimed(store, holder, 3).await;
    let failure = FailedAttempt {
        attempt: 1,
        worker: None,
        started_at: NOW,
        ended_at: NOW,
        error: ErrorText::new("no"),
    };
    let failed = decided(&running[0], Event::Fail { failure }, 1);
    let mut followed = success(&running[1], 2);
    followed.insert = tasks(from + 50..from + 52);
    for edit in [failed, followed] {
        assert!(matches!(
            store.apply(edit, NOW).await.unwrap(),
            Applied::Done { .. }
        ));
    }
    let other = session(store, from + 7).await;
    store.renew(other, FAR, NOW).await.unwrap();
    claimed(store, other, 1).await;
    store.close_session(other).await.unwrap();
    let round = ExpiredRequest {
        mark: true,
        limit: 10,
        ..ExpiredRequest::default()
    };
    let late = Timestamp::from_millis(FAR.as_millis() + 1);
    assert!(!store.expired(&round, late).await.unwrap().items.is_empty());
    assert!(store.get(running[0].task.id).await.unwrap().is_some());
    store
        .list(&TaskFilter::default(), &Page::first(10))
        .await
        .unwrap();
    for exact in [false, true] {
        store.count(&CountScope { queue: None, exact }).await.unwrap();
    }
    for setting in [QueueSetting::Pause, QueueSetting::Resume] {
        store.set_queue(&Queue::default(), setting).await.unwrap();
    }
    assert!(!store.queues().await.unwrap().is_empty());
    assert!(!store.sessions().await.unwrap().is_empty());
    assert!(store.purge(late, 10).await.unwrap() > 0);
    store.time().await.unwrap();
    store.migrate().await.expect("there is nothing to do");
}

pub(crate) async fn migrations_need_more(server: Arc<Shared>) {
    let place = Place::new(&server).await;
    let mut conn = place.connect().await;
    let user = format!("{}_worker", place.name);
    let url = place.user(&user).await;
    run(
        &mut conn,
        &format!(
            "GRANT SELECT, INSERT, UPDATE, DELETE ON {}.* TO '{user}'@'%'",
            place.name
        ),
    )
    .await;
    match MySqlStore::builder(&url).connect().await {
        Err(OpenError::Store(error)) => {
            assert_eq!(
                (error.certainty(), error.kind()),
                (Certainty::Rejected, StoreErrorKind::Other),
                "{error}"
            );
            assert!(
                error.to_string().contains("grants on the store's tables"),
                "{error}"
            );
        }
        other => panic!("{other:?}"),
    }
}
