//! Enqueueing: groups, bounds, answers in order, calls sent again.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use super::client;
use crate::client::{Client, Enqueued, Error};
use crate::draft::Draft;
use crate::engine::tests::faulty::{Fault, FaultyStore, Op};
use crate::engine::tests::harness::{SECOND, World, job, quiet};
use crate::payload::Payload;
use crate::store::{Certainty, CountScope, Inserted, StoreErrorKind};
use crate::task::{KeyScope, OnDuplicate, State};

/// Enqueues a task whose insert is under way, and the rest meanwhile; the next inserts go wrong like `next`.
async fn behind_another(
    client: &Client<FaultyStore>,
    store: &FaultyStore,
    next: &[Fault],
    drafts: impl IntoIterator<Item = Draft>,
) -> Vec<Result<Enqueued, Error>> {
    behind(client, store, job("first"), next, drafts).await
}

async fn behind(
    client: &Client<FaultyStore>,
    store: &FaultyStore,
    first: Draft,
    next: &[Fault],
    drafts: impl IntoIterator<Item = Draft>,
) -> Vec<Result<Enqueued, Error>> {
    let gate = CancellationToken::new();
    store.plan(Op::Insert, &Fault::HoldAnswer(gate.clone()), 1);
    next.iter().for_each(|fault| store.plan(Op::Insert, fault, 1));
    let mut first = client.enqueue(first).into_future();
    assert!((&mut first).now_or_never().is_none());
    quiet().await;
    let rest = join_all(
        drafts
            .into_iter()
            .map(|draft| client.enqueue(draft).into_future()),
    );
    let release = async {
        quiet().await;
        gate.cancel();
    };
    let (rest, (), first) = tokio::join!(rest, release, first);
    assert!(first.unwrap().is_new());
    rest
}

#[tokio::test]
async fn tasks_that_come_during_a_call_share_the_next_one() {
    let world = World::new();
    let (client, store) = client(&world);
    let drafts = (0..300).map(|n| job("a").header("n", n.to_string()));
    let all = behind_another(&client, &store, &[], drafts).await;
    assert_eq!(store.take_batches(), [1, 256, 44]);
    for (n, enqueued) in all.into_iter().enumerate() {
        let detail = world.detail(enqueued.unwrap().id).await;
        assert_eq!(detail.headers.get("n"), Some(n.to_string().as_str()));
    }
}

#[tokio::test]
async fn groups_are_bounded_by_bytes_and_a_large_task_goes_alone() {
    let world = World::new();
    let (client, store) = client(&world);
    let task = |bytes: usize| Draft::raw("a", Payload::encode(&"x".repeat(bytes)).unwrap());
    let sizes = [400_000, 400_000, 400_000, 1_048_000, 1, 1];
    let drafts = sizes.map(|bytes| task(bytes).header("h", "x".repeat(1_000)));
    let all = behind_another(&client, &store, &[], drafts).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(store.take_batches(), [1, 2, 1, 1, 2]);
}

#[tokio::test]
async fn a_group_that_the_store_cannot_take_now_fails_together() {
    let world = World::new();
    let (client, store) = client(&world);
    let busy = [Fault::Rejected(StoreErrorKind::Busy)];
    let all = behind_another(&client, &store, &busy, (0..3).map(|_| job("a"))).await;
    assert_eq!(
        store.take_batches(),
        [1, 3],
        "each alone would wait as long as all"
    );
    assert!(all.iter().all(Result::is_err));
}

#[tokio::test]
async fn a_refused_group_is_sent_again_one_by_one() {
    let world = World::new();
    let (client, store) = client(&world);
    let invalid = [
        Fault::Rejected(StoreErrorKind::Invalid),
        Fault::Rejected(StoreErrorKind::Invalid),
    ];
    let all = behind_another(&client, &store, &invalid, (0..3).map(|_| job("a"))).await;
    assert_eq!(store.take_batches(), [1, 3, 1, 1, 1]);
    let failed: Vec<bool> = all.iter().map(Result::is_err).collect();
    assert_eq!(failed, [true, false, false]);
}

/// One task may be at fault among those under a key, as among all others.
#[tokio::test]
async fn what_waited_for_a_key_and_is_refused_is_sent_again_one_by_one() {
    let world = World::new();
    let (client, store) = client(&world);
    let faults = [
        Fault::Rejected(StoreErrorKind::Busy),
        Fault::Rejected(StoreErrorKind::Invalid),
    ];
    let [first, drafts @ ..] = ["zero", "one", "one", "two"].map(|key| job("a").unique(key));
    let all = behind(&client, &store, first, &faults, drafts).await;
    let new: Vec<bool> = all.iter().map(|one| one.as_ref().unwrap().is_new()).collect();
    assert_eq!(new, [true, false, true]);
    let mut batches = store.take_batches();
    batches[2..].sort_unstable();
    assert_eq!(batches, [1, 3, 1, 1, 1, 2]);
}

#[tokio::test]
async fn a_key_in_an_open_transaction_holds_up_its_own_callers_alone() {
    let world = World::new();
    let (client, store) = client(&world);
    let wait = SECOND * 10;
    store.hold_keys(&world.clock, wait, &["held"]);
    let enqueue = |key: Option<&str>| {
        let draft = match key {
            Some(key) => job("a").unique(key),
            None => job("a"),
        };
        client.enqueue(draft).into_future()
    };
    let mut first = enqueue(Some("held"));
    assert!((&mut first).now_or_never().is_none());
    let many = (0..40).map(|_| enqueue(Some("held")));
    let keyed = [enqueue(Some("one"))].into_iter().chain(many);
    let mut keyed = Box::pin(join_all(keyed.chain([enqueue(Some("two"))])));
    assert!((&mut keyed).now_or_never().is_none());
    // Tasks without a key do not wait.
    for _ in 0..3 {
        assert!(enqueue(None).await.unwrap().is_new());
    }
    assert_eq!(world.elapsed(), std::time::Duration::ZERO);
    assert!(world.finish("the first", first).await.is_err());
    let keyed = world.finish("the group", keyed).await;
    let failed: Vec<bool> = keyed.iter().map(Result::is_err).collect();
    let expected: Vec<bool> = (0..42).map(|n| n > 0 && n < 41).collect();
    assert_eq!(failed, expected);
    assert_eq!(world.elapsed(), wait * 2, "with their group, and by themselves");
}

#[tokio::test]
async fn an_unknown_insert_is_sent_again_and_stands_once() {
    for fault in [Fault::Lost, Fault::Answerless] {
        let world = World::new();
        let (client, store) = client(&world);
        store.plan(Op::Insert, &fault, 3);
        let enqueued = world.finish(
            "it is enqueued",
            client.enqueue(job("a").unique("u")).into_future(),
        );
        let enqueued = enqueued.await.unwrap();
        assert!(enqueued.is_new());
        assert_eq!(world.state(enqueued.id).await, State::Pending);
        let counts = client.count(&CountScope::default()).await.unwrap();
        assert_eq!(counts.of(State::Pending), 1);
        store.plan(Op::Insert, &fault, 4);
        let lost = world
            .finish("it is given up", client.enqueue(job("a")).into_future())
            .await;
        assert!(matches!(lost, Err(Error::Store(error)) if error.certainty() == Certainty::Unknown));
    }
}

#[tokio::test]
async fn a_caller_that_goes_away_takes_nobody_along() {
    let world = World::new();
    let (client, store) = client(&world);
    let gate = CancellationToken::new();
    store.plan(Op::Insert, &Fault::HoldAnswer(gate.clone()), 1);
    let mut first = client.enqueue(job("a")).into_future();
    let mut second = client.enqueue(job("a")).into_future();
    let third = client.enqueue(job("a")).into_future();
    assert!((&mut first).now_or_never().is_none());
    assert!((&mut second).now_or_never().is_none());
    drop((first, second));
    gate.cancel();
    assert!(world.finish("the third", third).await.unwrap().is_new());
    assert_eq!(
        client
            .count(&CountScope::default())
            .await
            .unwrap()
            .of(State::Pending),
        3
    );
}

/// A future that is held and not polled, in a `select!` say, is a caller that finds no time.
#[tokio::test]
async fn a_caller_that_is_not_polled_holds_nobody_up() {
    let world = World::new();
    let (client, store) = client(&world);
    let gate = CancellationToken::new();
    store.plan(Op::Insert, &Fault::HoldAnswer(gate.clone()), 1);
    let mut first = client.enqueue(job("a")).into_future();
    assert!((&mut first).now_or_never().is_none());
    gate.cancel();
    for _ in 0..3 {
        let next = world
            .finish("the next one", client.enqueue(job("a")).into_future())
            .await;
        assert!(next.unwrap().is_new());
    }
    assert!(first.await.unwrap().is_new());
}

#[tokio::test]
async fn callers_that_were_just_answered_join_the_next_group() {
    let world = World::new();
    let (client, store) = client(&world);
    let gates = [CancellationToken::new(), CancellationToken::new()];
    for gate in &gates {
        store.plan(Op::Insert, &Fault::HoldAnswer(gate.clone()), 1);
    }
    let producers = (0..4).map(|_| {
        let client = client.clone();
        tokio::spawn(async move {
            for _ in 0..2 {
                client.enqueue(job("a")).await.unwrap();
            }
        })
    });
    let producers = join_all(producers);
    for gate in &gates {
        quiet().await;
        gate.cancel();
    }
    for ended in world.finish("all are answered", producers).await {
        ended.unwrap();
    }
    assert_eq!(
        store.take_batches(),
        [1, 3, 4],
        "not one that waited, and then three"
    );
}

/// The future that sends for all is gone: the driver panicked, or the runtime that ran it stopped.
#[tokio::test]
async fn a_group_that_dies_fails_its_callers_and_not_the_next() {
    let world = World::new();
    let (client, store) = client(&world);
    store.plan(Op::Insert, &Fault::Panic, 1);
    let all = join_all((0..3).map(|_| client.enqueue(job("a")).into_future()));
    let all = world.finish("all are answered", all).await;
    assert!(all.iter().any(Result::is_err));
    let next = world
        .finish("the next one", client.enqueue(job("a")).into_future())
        .await;
    assert!(next.unwrap().is_new());
}

#[test]
fn a_client_outlives_the_runtime_that_sent_for_it() {
    let world = World::new();
    let (client, store) = client(&world);
    let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    store.plan(Op::Insert, &Fault::HoldAnswer(CancellationToken::new()), 1);
    let first = runtime();
    first.block_on(async {
        let mut waits = client.enqueue(job("a")).into_future();
        assert!((&mut waits).now_or_never().is_none());
        quiet().await;
        drop(waits);
    });
    drop(first);
    let enqueued = runtime().block_on(world.finish("it is enqueued", client.enqueue(job("a")).into_future()));
    assert!(enqueued.unwrap().is_new());
}

#[tokio::test]
async fn many_are_split_by_count_and_bytes_and_answered_in_order() {
    let world = World::new();
    let (client, store) = client(&world);
    let drafts = (0..2_500).map(|n| job("a").header("n", n.to_string()));
    let enqueued = client.enqueue_many(drafts).await.unwrap();
    assert_eq!(store.take_batches(), [1_000, 1_000, 500]);
    for (n, enqueued) in enqueued.iter().enumerate().step_by(499) {
        let detail = world.detail(enqueued.id).await;
        assert_eq!(detail.headers.get("n"), Some(n.to_string().as_str()));
    }
    let large = Payload::encode(&"x".repeat(1_000_000)).unwrap();
    client
        .enqueue_many((0..20).map(|_| Draft::raw("a", large.clone())))
        .await
        .unwrap();
    assert_eq!(store.take_batches(), [8, 8, 4]);
    assert_eq!(client.enqueue_many(Vec::<Draft>::new()).await.unwrap(), []);
    assert_eq!(store.take_batches(), [0; 0]);
}

/// Text that was read back from a store is not measured again; the store refuses it, and nothing is passed over.
#[tokio::test]
async fn a_task_beyond_every_bound_is_refused_and_not_passed_over() {
    let world = World::new();
    let (client, _) = client(&world);
    let huge = Payload::from_stored("1".repeat(crate::limits::MAX_CALL_BYTES + 1));
    let drafts = [job("a"), Draft::raw("a", huge), job("a")];
    let refused = client.enqueue_many(drafts).await;
    assert!(
        matches!(&refused, Err(Error::Store(error)) if error.kind() == StoreErrorKind::Invalid),
        "{refused:?}"
    );
}

#[tokio::test]
async fn duplicates_name_their_holder() {
    let world = World::new();
    let (client, _) = client(&world);
    let replace = OnDuplicate::Replace {
        payload: true,
        run_at: true,
    };
    let drafts = [
        job("a").unique("u"),
        job("a").unique("u"),
        job("b").unique("u"),
        job("a")
            .header("new", "yes")
            .delay(SECOND)
            .unique_with("u", KeyScope::Active, replace),
    ];
    let answers = client.enqueue_many(drafts).await.unwrap();
    let [first, second, other, third] = answers.as_slice() else {
        panic!("{answers:?}")
    };
    assert!(first.is_new() && other.is_new());
    assert!(!second.is_new() && !third.is_new());
    assert_eq!((second.id, third.id), (first.id, first.id));
    assert_eq!(third.inserted, Inserted::Replaced { holder: first.id });
    let detail = world.detail(first.id).await;
    assert_eq!(detail.headers.get("new"), Some("yes"));
    assert_eq!(detail.task.run_at, world.now().saturating_add(SECOND));
}

#[tokio::test]
async fn what_is_invalid_is_told_before_any_write() {
    let world = World::new();
    let (client, store) = client(&world);
    for draft in [
        job("no spaces"),
        job("a").queue(""),
        job("a").unique("x".repeat(256)),
        job("a").header("k", "\0"),
        job("a").header("k", "x".repeat(20_000)),
        job("a").deadline_after(std::time::Duration::ZERO),
        job("a").crash_budget(0),
    ] {
        let refused = client.enqueue(draft.clone()).await;
        assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
        let refused = client.enqueue_many([job("a"), draft]).await;
        assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
    }
    assert_eq!(store.calls(Op::Insert), 0);
}

#[tokio::test]
async fn a_store_that_cannot_tell_the_time_is_an_error_once_only() {
    let world = World::new();
    let (client, store) = client(&world);
    store.plan(Op::Time, &Fault::Lost, 1);
    assert!(matches!(client.enqueue(job("a")).await, Err(Error::Store(_))));
    assert!(client.enqueue(job("a")).await.is_ok());
    world.clock.advance(SECOND * 60);
    store.plan(Op::Time, &Fault::Lost, 1);
    let id = client.enqueue(job("a")).await.unwrap().id;
    assert_eq!(world.detail(id).await.task.created_at, world.now());
}

#[tokio::test]
async fn a_slow_reading_of_the_clock_does_not_move_it() {
    let world = World::new();
    let (client, store) = client(&world);
    client.enqueue(job("a")).await.unwrap();
    world.clock.advance(SECOND * 60);
    let gate = CancellationToken::new();
    store.plan(Op::Time, &Fault::HoldCall(gate.clone()), 1);
    let mut slow = client.enqueue(job("a")).into_future();
    assert!((&mut slow).now_or_never().is_none());
    world.clock.advance(SECOND * 60);
    gate.cancel();
    let id = slow.await.unwrap().id;
    assert_eq!(world.detail(id).await.task.created_at, world.now());
}

#[tokio::test]
async fn an_erased_client_is_the_same_client() {
    let world = World::new();
    let (typed, _) = client(&world);
    let erased: Client = typed.clone().erase();
    let id = erased.enqueue(job("a")).await.unwrap().id;
    assert!(typed.get(id).await.unwrap().is_some());
    let other = Client::of(Arc::new(world.memory.clone()));
    assert!(other.get(id).await.unwrap().is_some());
}

#[tokio::test]
async fn a_refusal_after_an_unknown_outcome_does_not_make_it_known() {
    let world = World::new();
    let (client, store) = client(&world);
    store.plan(Op::Insert, &Fault::Answerless, 1);
    store.plan(Op::Insert, &Fault::Rejected(StoreErrorKind::Full), 9);
    let answer = world
        .finish("enqueue", client.enqueue(job("a")).into_future())
        .await;
    assert!(
        matches!(&answer, Err(Error::Store(error)) if error.certainty() == Certainty::Unknown),
        "{answer:?}"
    );
    store.heal();
    assert_eq!(
        world.list(crate::store::TaskFilter::default()).await.len(),
        1,
        "it was written all the same"
    );
}

#[tokio::test]
async fn a_part_that_did_nothing_the_second_time_may_have_written_the_first() {
    let world = World::new();
    let (client, store) = client(&world);
    store.plan(Op::Insert, &Fault::Answerless, 1);
    store.leave_last_untried(9);
    let answer = world
        .finish("enqueue", client.enqueue_many([job("a"), job("b")]))
        .await;
    assert!(
        matches!(&answer, Err(Error::Store(error)) if error.certainty() == Certainty::Unknown),
        "{answer:?}"
    );
}

#[tokio::test]
async fn what_was_certainly_not_tried_is_told_at_once() {
    let world = World::new();
    let (client, store) = client(&world);
    store.leave_last_untried(1);
    let answers = client.enqueue_many([job("a"), job("b")]).await.unwrap();
    assert!(answers[0].is_new());
    assert_eq!(answers[1].inserted, Inserted::NotTried);
    assert_eq!(store.calls(Op::Insert), 1);
}

/// It may have replaced a task that has ended since: sent again it would be stored once more.
#[tokio::test]
async fn a_task_that_was_answered_for_is_not_sent_again_beside_one_that_was_not() {
    let world = World::new();
    let (client, store) = client(&world);
    store.plan(Op::Insert, &Fault::Lost, 1);
    store.leave_last_untried(1);
    let answers = world
        .finish("enqueue", client.enqueue_many([job("a"), job("b"), job("c")]))
        .await
        .unwrap();
    assert!(answers.iter().all(Enqueued::is_new), "{answers:?}");
    assert_eq!(store.take_batches(), [3, 3, 1]);
}
