//! Reads of all parts, and of those that answer.

use super::Two;
use crate::engine::tests::faulty::{Fault, Op};
use crate::engine::tests::harness::job;
use crate::store::{Count, CountScope, Page, StoreErrorKind, TaskFilter, TaskStore as _};
use crate::task::State;

const DOWN: Fault = Fault::Rejected(StoreErrorKind::Unavailable);

async fn filled() -> Two {
    let two = Two::new();
    for n in 0..30 {
        let draft = job("a").shard_key(format!("k{n}"));
        two.client.enqueue(draft).await.unwrap();
    }
    two
}

#[tokio::test]
async fn a_listing_names_the_parts_it_lacks() {
    let two = filled().await;
    let [east, _] = two.counts().await;
    two.ways[1].all(Some(DOWN));
    let (filter, page) = (TaskFilter::default(), Page::first(100));
    let listed = two.store.list(&filter, &page).await.unwrap();
    assert_eq!((listed.tasks.len(), listed.missing_parts), (east, vec![1]));
    two.ways[0].all(Some(DOWN));
    assert!(two.store.list(&filter, &page).await.is_err());
}

#[tokio::test]
async fn counts_are_sums_and_at_least_where_a_part_is_missing() {
    let two = filled().await;
    for exact in [false, true] {
        let scope = CountScope { queue: None, exact };
        let counts = two.store.count(&scope).await.unwrap();
        assert!(counts.complete && counts.missing_parts.is_empty());
        let pending: Vec<Count> = counts.counts.values().copied().collect();
        assert_eq!(pending, [Count::Exact(30)]);
        assert_eq!(counts.of(State::Pending), 30);
    }
    two.ways[0].all(Some(DOWN));
    for _ in 0..3 {
        assert!(two.store.time_of(0).await.is_err());
    }
    let counts = two.store.count(&CountScope::default()).await.unwrap();
    assert_eq!(
        (counts.complete, counts.missing_parts.as_slice()),
        (false, &[0][..])
    );
    assert!(
        counts
            .counts
            .values()
            .all(|count| matches!(count, Count::AtLeast(_)))
    );
    let queues = two.store.queues().await.unwrap();
    assert_eq!(queues[0].missing_parts, [0]);
}

#[tokio::test]
async fn queues_show_the_first_due_task_of_all_parts() {
    let two = filled().await;
    let queues = two.store.queues().await.unwrap();
    let [queue] = queues.as_slice() else {
        panic!("{queues:?}")
    };
    let due = |world: &crate::engine::tests::harness::World| {
        let memory = world.memory.clone();
        async move { memory.queues().await.unwrap()[0].lanes[0].1 }
    };
    let first = due(&two.east).await.min(due(&two.west).await);
    assert_eq!(queue.lanes.len(), 1);
    assert_eq!(queue.lanes[0].1, first);
}

#[tokio::test]
async fn a_purge_goes_on_to_the_next_part_and_keeps_its_limit() {
    let two = filled().await;
    let now = two.east.now();
    let listed = two
        .store
        .list(&TaskFilter::default(), &Page::first(100))
        .await
        .unwrap();
    for row in listed.tasks {
        two.client.cancel(row.task.id).await.unwrap();
    }
    let later = now.saturating_add(std::time::Duration::from_secs(60 * 86_400));
    assert_eq!(two.store.purge(later, 7).await.unwrap(), 7);
    two.ways[0].plan(Op::Purge, &DOWN, 1);
    let west = two.store.purge(later, 1_000).await.unwrap();
    assert!(west > 0);
    let east = two.store.purge(later, 1_000).await.unwrap();
    assert_eq!(7 + west + east, 30);
    assert_eq!(two.counts().await, [0, 0]);
}

#[tokio::test]
async fn sessions_that_cannot_all_be_told_are_an_error() {
    let two = filled().await;
    assert_eq!(two.store.sessions().await.unwrap(), []);
    two.ways[1].plan(Op::Sessions, &DOWN, 1);
    assert!(two.store.sessions().await.is_err());
}

#[tokio::test]
async fn a_hint_of_any_part_wakes() {
    let two = Two::new();
    let wakeups = two.store.watch(&[crate::name::Queue::default()]);
    for part in ["west", "east", "west"] {
        two.client.enqueue(two.job(part)).await.unwrap();
        wakeups.next().await;
    }
}
