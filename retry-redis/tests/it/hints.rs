//! Hints between handles of one namespace.

use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::Trial;
use retry_core::name::Queue;
use retry_core::store::{QueueSetting, TaskStore, Wakeups};
use retry_core::task::NewTask;
use test_servers::Shared;

use crate::namespace::Namespace;
use crate::support::{NOW, on_each, on_redis, send, server, store, task};

pub(crate) fn trials(servers: &[Arc<Shared>], clusters: &[Arc<Shared>]) -> Vec<Trial> {
    let shared = [
        on_each(servers, "hints::a_hint_reaches_the_other_handle", other_handle),
        on_each(servers, "hints::a_paused_queue_that_is_resumed_wakes", resumed),
        on_each(clusters, "hints::a_cluster_passes_hints_on", cluster),
    ];
    let alone = [on_redis("hints::hints_come_again_after_an_outage", outage)];
    shared.into_iter().flatten().chain(alone).collect()
}

/// Inserts until a hint comes: the subscription may still be on its way.
async fn hinted(store: &retry_redis::RedisStore, hints: &Wakeups, queue: &Queue) {
    let inserting = async {
        loop {
            let new = NewTask {
                queue: queue.clone(),
                ..task()
            };
            store.insert(&[new], NOW).await.expect("an insert");
        }
    };
    tokio::select! {
        () = hints.next() => {}
        () = inserting => {}
    }
}

async fn other_handle(place: Namespace) {
    let (watching, writing) = (store(&place).await, store(&place).await);
    let (mail, other) = (Queue::new("mail").unwrap(), Queue::new("other").unwrap());
    let hints = watching.watch(std::slice::from_ref(&mail));
    let others = watching.watch(std::slice::from_ref(&other));
    hinted(&writing, &hints, &mail).await;
    let mut idle = Box::pin(others.next());
    assert!(
        futures_util::FutureExt::now_or_never(idle.as_mut()).is_none(),
        "a hint for another queue wakes nobody"
    );
    let later = NewTask {
        queue: other,
        run_at: NOW.saturating_add(Duration::from_mins(1)),
        ..task()
    };
    writing.insert(&[later], NOW).await.expect("an insert");
    hinted(&writing, &hints, &mail).await;
    assert!(
        futures_util::FutureExt::now_or_never(idle.as_mut()).is_none(),
        "a task that is not due soon wakes nobody"
    );
}

async fn outage() {
    let server = server(&[]);
    let (watching, writing) = (store(&server).await, store(&server).await);
    let queue = Queue::default();
    let hints = watching.watch(std::slice::from_ref(&queue));
    hinted(&writing, &hints, &queue).await;
    send(&server, &["CLIENT", "KILL", "TYPE", "pubsub"]);
    // Whoever watches is woken when the connection is there again, without any insert.
    hints.next().await;
    hinted(&writing, &hints, &queue).await;
}

async fn resumed(place: Namespace) {
    let store = store(&place).await;
    let queue = Queue::default();
    let hints = store.watch(std::slice::from_ref(&queue));
    hinted(&store, &hints, &queue).await;
    store
        .set_queue(&queue, QueueSetting::Pause)
        .await
        .expect("paused");
    store
        .set_queue(&queue, QueueSetting::Resume)
        .await
        .expect("resumed");
    hints.next().await;
}

/// Namespaces on different nodes; the listener sits on any one.
async fn cluster(first: Namespace) {
    let others = [(); 3].map(|()| Namespace::fresh(first.url()));
    for place in [first].iter().chain(&others) {
        let (watching, writing) = (store(place).await, store(place).await);
        let queue = Queue::default();
        let hints = watching.watch(std::slice::from_ref(&queue));
        hinted(&writing, &hints, &queue).await;
    }
}
