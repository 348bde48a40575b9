//! Wake-ups: at once in the process that inserts, soon in others.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{Either, select};
use retry_core::clock::{Clock as _, SystemClock};
use retry_core::name::Queue;
use retry_core::store::{TaskStore as _, TaskStoreExt as _, Wakeups};
use retry_core::task::NewTask;
use test_servers::Shared;

use crate::support::{NOW, PATIENCE, fresh, task};

async fn is_woken(wakeups: &Wakeups) -> bool {
    let clock = SystemClock::new();
    let late = clock.sleep_until(clock.monotonic() + PATIENCE);
    matches!(select(Box::pin(wakeups.next()), late).await, Either::Left(_))
}

pub(crate) async fn inserts_of_this_process_wake_at_once(server: Arc<Shared>) {
    let (place, _) = fresh(&server).await;
    let store = place.builder().poll_interval(None).connect().await.unwrap();
    let wakeups = store.watch(&[Queue::default()]);
    let other = store.watch(&[Queue::new("other").unwrap()]);
    store.insert_one(task(1), NOW).await.unwrap();
    assert!(
        wakeups.next().now_or_never().is_some(),
        "the hint is there when the insert returns"
    );
    assert!(other.next().now_or_never().is_none(), "another queue");
    let late = NewTask {
        run_at: retry_core::time::Timestamp::from_millis(NOW.as_millis() + 60_000),
        ..task(2)
    };
    store.insert_one(late, NOW).await.unwrap();
    assert!(wakeups.next().now_or_never().is_none(), "not due for long");
}

pub(crate) async fn inserts_of_another_process_wake_within_the_interval(server: Arc<Shared>) {
    let (place, store) = fresh(&server).await;
    let store = {
        drop(store);
        place
            .builder()
            .poll_interval(Some(Duration::from_millis(5)))
            .connect()
            .await
            .unwrap()
    };
    let other = place.store().await;
    let wakeups = store.watch(&[Queue::default()]);
    // The first look only learns where things stand; so insert until one is noticed.
    for n in 1..=200 {
        other.insert_one(task(n), NOW).await.unwrap();
        if wakeups.next().now_or_never().is_some() {
            return;
        }
    }
    other.insert_one(task(1_000), NOW).await.unwrap();
    assert!(is_woken(&wakeups).await);
}
