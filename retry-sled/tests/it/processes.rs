//! One process at a time, and what it leaves behind.

use std::path::Path;

use retry_core::store::{
    Cause, ExpiredRequest, Renewed, StoreError, StoreErrorKind, TaskStore as _, TaskStoreExt as _,
};
use retry_sled::OpenError;

use crate::child::{say, start, wait};
use crate::support::{FAR, NOW, builder, fresh, place, request, session, task_id, tasks};

const LOOK: ExpiredRequest = ExpiredRequest {
    mark: false,
    after: None,
    limit: 10,
};

/// The child: takes two tasks and keeps them.
pub(crate) async fn hold(dir: &Path) {
    let store = builder(dir).build().unwrap();
    store.insert(&tasks(1..4), NOW).await.unwrap();
    let info = session(7);
    store.open_session(&info, FAR, NOW).await.unwrap();
    let claimed = store.claim(request(&info, 2), NOW).await.unwrap();
    say(claimed.tasks.len());
    wait();
}

fn refused(dir: &Path) -> OpenError {
    builder(dir).build().unwrap_err()
}

#[tokio::test]
async fn a_second_process_is_told_so_and_the_first_ones_death_is_noticed_at_once() {
    let (_dir, path) = place();
    let mut child = start("hold", &path);
    assert_eq!(child.says().unwrap(), "2");
    let error = refused(&path);
    assert!(
        matches!(&error, OpenError::InUse(dir) if *dir == path),
        "{error:?}"
    );
    for word in ["another process", "one process at a time", "SQLite"] {
        assert!(error.to_string().contains(word), "{error}");
    }
    assert_eq!(StoreError::from(error).kind(), StoreErrorKind::Unavailable);

    child.kill();
    drop(child);
    let store = builder(&path).build().unwrap();
    // Its lease runs for years; nobody has to wait for that.
    let expired = store.expired(&LOOK, NOW).await.unwrap();
    let found: Vec<_> = expired
        .items
        .iter()
        .map(|(task, cause)| (task.id, *cause))
        .collect();
    let dead = Cause::SessionDead;
    assert_eq!(found, [(task_id(1), dead), (task_id(2), dead)]);
    assert_eq!(store.renew(session(7).id, FAR, NOW).await.unwrap(), Renewed::Lost);
}

#[tokio::test]
async fn a_second_store_in_the_same_process_is_refused_and_a_clone_is_not() {
    let (_dir, store) = fresh();
    assert!(matches!(refused(store.path()), OpenError::InUse(_)));
    let clone = store.clone();
    let path = store.path().to_owned();
    drop(store);
    clone.insert(&tasks(1..2), NOW).await.unwrap();
    assert!(matches!(refused(&path), OpenError::InUse(_)));
    drop(clone);
    for _ in 0..20 {
        drop(builder(&path).build().unwrap());
    }
}

#[tokio::test]
async fn a_program_that_opens_its_store_again_may_go_on_with_its_session() {
    let (_dir, path) = place();
    let store = builder(&path).build().unwrap();
    let info = session(1);
    store.open_session(&info, FAR, NOW).await.unwrap();
    store.insert(&tasks(1..2), NOW).await.unwrap();
    store.claim(request(&info, 1), NOW).await.unwrap();
    drop(store);
    let store = builder(&path).build().unwrap();
    let renewed = store.renew(info.id, FAR, NOW).await.unwrap();
    assert!(matches!(renewed, Renewed::Live { held: 1, .. }), "{renewed:?}");
    assert!(store.expired(&LOOK, NOW).await.unwrap().items.is_empty());
}
