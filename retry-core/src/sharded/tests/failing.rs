//! One part that is dead or slow, and the other that goes on.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{LIMIT, Two};
use crate::client::{Client, Error};
use crate::draft::Draft;
use crate::engine::tests::faulty::{Fault, FaultyStore, Op};
use crate::engine::tests::harness::{SECOND, WithKind as _, World, job, script};
use crate::executor::{Final, Outcome};
use crate::limits::{PART_CALL_LIMIT, PART_FAILURES, PART_FIRST_PAUSE, PART_TIME_LIMIT};
use crate::name::Queue;
use crate::sharded::{PartState, ShardedStore};
use crate::store::{
    Certainty, CountScope, Inserted, Page, QueueSetting, StoreErrorKind, TaskFilter, TaskStore as _,
};
use crate::why::Reason;

const DOWN: Fault = Fault::Rejected(StoreErrorKind::Unavailable);

fn is_rejected(answer: Result<crate::client::Enqueued, Error>) -> bool {
    matches!(answer, Err(Error::Store(error)) if error.certainty() == Certainty::Rejected
        && error.kind() == StoreErrorKind::Unavailable)
}

impl Two {
    /// Both clocks are read, so that the parts are asked for nothing but what is told here.
    async fn warm(&self) {
        for part in ["east", "west"] {
            self.client.enqueue(self.job(part)).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_dead_part_is_left_alone_and_the_other_goes_on() {
    let two = Two::new();
    two.warm().await;
    two.ways[0].all(Some(DOWN));
    let before = two.ways[0].all_calls();
    for _ in 0..20 {
        assert!(is_rejected(two.client.enqueue(two.job("east")).await));
        assert!(two.client.enqueue(two.job("west")).await.unwrap().is_new());
    }
    assert_eq!(two.ways[0].all_calls() - before, PART_FAILURES as usize);
    let health = two.store.health();
    let retry_in = PART_FIRST_PAUSE;
    assert_eq!(
        (health[0].name.as_str(), health[0].state),
        ("east", PartState::Open { retry_in })
    );
    assert!(health[0].last_failure.is_some());
    assert_eq!(
        (health[1].name.as_str(), health[1].state),
        ("west", PartState::Closed)
    );
    // Back again: one call finds out, and nothing is left of the outage.
    two.ways[0].heal();
    assert!(is_rejected(two.client.enqueue(two.job("east")).await));
    two.east.clock.advance(PART_FIRST_PAUSE);
    assert_eq!(two.store.health()[0].state, PartState::HalfOpen);
    assert!(two.client.enqueue(two.job("east")).await.unwrap().is_new());
    assert_eq!(two.store.health()[0].state, PartState::Closed);
    assert_eq!(two.counts().await, [2, 21]);
}

#[tokio::test]
async fn a_part_that_answers_no_is_not_dead() {
    let two = Two::new();
    two.warm().await;
    for kind in [
        StoreErrorKind::Busy,
        StoreErrorKind::Full,
        StoreErrorKind::Invalid,
    ] {
        two.ways[0].plan(Op::Insert, &Fault::Rejected(kind), 5);
        for _ in 0..5 {
            assert!(two.client.enqueue(two.job("east")).await.is_err());
        }
        assert_eq!(two.store.health()[0].state, PartState::Closed);
    }
}

#[tokio::test]
async fn a_call_over_several_parts_says_what_was_not_tried() {
    let two = Two::new();
    two.warm().await;
    two.ways[0].all(Some(DOWN));
    let tasks = || [two.job("east"), two.job("west"), two.job("east")];
    let answers = two.client.enqueue_many(tasks()).await.unwrap();
    let untried: Vec<bool> = answers
        .iter()
        .map(|answer| answer.inserted == Inserted::NotTried)
        .collect();
    assert_eq!(untried, [true, false, true]);
    assert_eq!(two.counts().await, [1, 2]);
    two.ways[1].all(Some(DOWN));
    let nobody = two.client.enqueue_many(tasks()).await.unwrap_err();
    assert!(matches!(nobody, Error::Store(error) if error.certainty() == Certainty::Rejected));
}

#[tokio::test]
async fn a_slow_part_holds_up_nobody_else_and_its_calls_end() {
    let two = Two::new();
    two.warm().await;
    let gate = CancellationToken::new();
    two.ways[0].all(Some(Fault::HoldCall(gate.clone())));
    let slow = two.client.clone();
    let task = two.job("east");
    let waiting = tokio::spawn(async move { slow.enqueue(task).await });
    crate::engine::tests::harness::quiet().await;
    let began = two.east.elapsed();
    for _ in 0..50 {
        assert!(two.client.enqueue(two.job("west")).await.unwrap().is_new());
    }
    assert_eq!(two.east.elapsed(), began, "no time passed");
    let answer = two.east.finish("the slow enqueue", waiting).await.unwrap();
    assert!(
        matches!(&answer, Err(Error::Store(error)) if error.certainty() == Certainty::Unknown),
        "{answer:?}"
    );
    // Three calls to the limit; from then on it is not called.
    let took = two.east.elapsed() - began;
    assert!(took >= LIMIT * 3 && took < LIMIT * 3 + SECOND * 2, "{took:?}");
    gate.cancel();
    two.ways[0].heal();
}

fn untried(answers: &[crate::client::Enqueued]) -> Vec<bool> {
    let is_untried = |answer: &crate::client::Enqueued| answer.inserted == Inserted::NotTried;
    answers.iter().map(is_untried).collect()
}

impl Two {
    /// Enqueues many tasks, and tells how long that took.
    async fn many(&self, tasks: Vec<Draft>) -> (Result<Vec<crate::client::Enqueued>, Error>, Duration) {
        let began = self.east.elapsed();
        let call = self.client.enqueue_many(tasks);
        let answer = self.east.finish("the call", call).await;
        (answer, self.east.elapsed() - began)
    }
}

#[tokio::test]
async fn a_part_that_falls_silent_holds_up_many_once() {
    let two = Two::new();
    two.warm().await;
    two.ways[0].all(Some(Fault::HoldCall(CancellationToken::new())));
    let both = || vec![two.job("east"), two.job("west"), two.job("east")];
    let (answer, took) = two.many(both()).await;
    assert!(
        matches!(&answer, Err(Error::Store(error)) if error.certainty() == Certainty::Unknown),
        "{answer:?}"
    );
    assert!(took < LIMIT * 3 + SECOND * 2, "{took:?}");
    let (answer, took) = two.many(both()).await;
    assert_eq!(
        (untried(&answer.unwrap()), took),
        (vec![true, false, true], Duration::ZERO)
    );
    // It is tried now and then, by a call that nobody waits for long, and whose outcome is known.
    let mut waited = Duration::ZERO;
    for _ in 0..60 {
        two.east.pass(SECOND).await;
        let (answer, took) = two.many(both()).await;
        assert_eq!(untried(&answer.unwrap()), [true, false, true]);
        assert!(took <= PART_TIME_LIMIT, "{took:?}");
        waited += took;
    }
    assert!(waited <= PART_TIME_LIMIT * 8, "{waited:?}");
}

#[tokio::test]
async fn a_part_that_does_not_tell_its_time_is_given_none_of_many() {
    let two = Two::new();
    two.warm().await;
    two.east.clock.advance(SECOND * 60);
    two.ways[0].all(Some(Fault::HoldCall(CancellationToken::new())));
    let tasks: Vec<Draft> = (0..20).map(|n| two.job(["east", "west"][n % 2])).collect();
    let (answer, took) = two.many(tasks).await;
    assert_eq!(untried(&answer.unwrap()), [true, false].repeat(10));
    assert_eq!((took, two.ways[0].calls(Op::Insert)), (PART_TIME_LIMIT, 1));
    let (answer, _) = two.many(vec![two.job("east")]).await;
    assert!(matches!(answer, Err(Error::Store(error)) if error.certainty() == Certainty::Rejected));
    for _ in 0..20 {
        let (answer, took) = two.many((0..10).map(|_| job("a")).collect()).await;
        assert_eq!(untried(&answer.unwrap()), [false; 10], "they may go anywhere");
        assert!(took <= PART_TIME_LIMIT, "{took:?}");
        two.east.clock.advance(Duration::from_millis(1));
    }
    assert_eq!(two.counts().await, [1, 211]);
}

#[tokio::test]
async fn a_call_that_takes_long_is_not_the_one_that_tries_a_part() {
    let two = Two::new();
    two.warm().await;
    two.ways[0].all(Some(DOWN));
    for _ in 0..PART_FAILURES {
        assert!(is_rejected(two.client.enqueue(two.job("east")).await));
    }
    two.ways[0].heal();
    let gate = CancellationToken::new();
    two.ways[0].always(Op::Count, Some(Fault::HoldCall(gate.clone())));
    two.east.clock.advance(PART_FIRST_PAUSE);
    let store = Arc::clone(&two.store);
    let scope = CountScope {
        queue: None,
        exact: true,
    };
    let counting = tokio::spawn(async move { store.count(&scope).await });
    crate::engine::tests::harness::quiet().await;
    assert_eq!(two.ways[0].calls(Op::Count), 1, "it counts");
    assert!(two.client.enqueue(two.job("east")).await.unwrap().is_new());
    gate.cancel();
    let counts = two.east.finish("the count", counting).await.unwrap().unwrap();
    assert!(counts.complete);
    // Nor does a part that only tells its time answer again.
    two.ways[0].always(Op::Insert, Some(DOWN));
    for pause in [0, 1, 2, 4] {
        two.east.clock.advance(PART_FIRST_PAUSE * pause);
        let tries = if pause == 0 { PART_FAILURES } else { 1 };
        for _ in 0..tries {
            assert!(is_rejected(two.client.enqueue(two.job("east")).await));
        }
        let retry_in = PART_FIRST_PAUSE * (pause * 2).max(1);
        assert_eq!(two.store.health()[0].state, PartState::Open { retry_in });
    }
}

#[tokio::test]
async fn what_may_have_been_written_is_sent_again_and_stored_once() {
    let two = Two::new();
    two.warm().await;
    two.ways[0].plan(Op::Insert, &Fault::Answerless, 2);
    let tasks = [two.job("east"), two.job("west")];
    let answers = two
        .east
        .finish("the enqueue", two.client.enqueue_many(tasks))
        .await
        .unwrap();
    assert!(answers.iter().all(crate::client::Enqueued::is_new), "{answers:?}");
    assert_eq!(two.counts().await, [2, 2]);
}

#[tokio::test]
async fn one_store_call_of_unknown_outcome_is_unknown_as_a_whole_and_repeating_it_converges() {
    let two = Two::new();
    let now = two.east.now();
    let mut ids = crate::id::TaskIds::new();
    let tasks: Vec<_> = ["east", "west"]
        .map(|part| {
            let draft = two.job(part);
            let id = ids.next(now, draft.shard().unwrap(), 1);
            draft.build(id, now, 0, None).unwrap()
        })
        .into();
    two.ways[0].plan(Op::Insert, &Fault::Answerless, 1);
    let unknown = two.store.insert(&tasks, now).await.unwrap_err();
    assert_eq!(unknown.certainty(), Certainty::Unknown);
    let again = two.store.insert(&tasks, now).await.unwrap();
    assert_eq!(again, [Inserted::Repeated; 2]);
    assert_eq!(two.counts().await, [1, 1]);
}

#[tokio::test]
async fn a_task_without_a_key_goes_to_the_part_that_answers() {
    let two = Two::new();
    two.warm().await;
    two.ways[1].all(Some(DOWN));
    for _ in 0..50 {
        two.east.clock.advance(Duration::from_millis(1));
        assert!(two.client.enqueue(job("a")).await.unwrap().is_new());
    }
    assert_eq!(two.counts().await, [51, 1]);
}

#[tokio::test]
async fn a_part_that_never_told_its_time_stops_nobody_else() {
    let two = Two::new();
    two.ways[0].all(Some(DOWN));
    assert!(two.client.enqueue(two.job("west")).await.unwrap().is_new());
    assert!(is_rejected(two.client.enqueue(two.job("east")).await));
    let answers = two
        .client
        .enqueue_many([two.job("east"), two.job("west")])
        .await
        .unwrap();
    assert_eq!(answers[0].inserted, Inserted::NotTried);
    assert!(answers[1].is_new());
}

#[tokio::test]
async fn children_are_rerun_whatever_other_parts_do() {
    let two = Two::new();
    let parent = script(|ctx| async move {
        Ok(match ctx.step() {
            0 => Outcome::split([job("b"), job("b"), job("b")]),
            _ => Outcome::output(&ctx.children())?,
        })
    });
    let child = script(|ctx| async move {
        match ctx.reruns() {
            0 => Err(Final::new("bad").into()),
            _ => Ok(Outcome::Done),
        }
    });
    let worker = two.east.worker().kind("a", parent).kind("b", child);
    let worker = worker.build().unwrap().start();
    let id = two.client.enqueue(two.job("east")).await.unwrap().id;
    two.east.until_final(id).await;
    for (fault, rerun) in [(DOWN, 3), (Fault::HoldCall(CancellationToken::new()), 0)] {
        two.ways[1].all(Some(fault));
        let began = two.east.elapsed();
        let filter = TaskFilter {
            parent: Some(id),
            ..TaskFilter::default()
        };
        let children = two.client.list(&filter, &Page::first(10)).await.unwrap();
        assert_eq!((children.tasks.len(), children.missing_parts), (3, vec![]));
        let done = two.client.rerun_failed_children(id).await.unwrap();
        assert_eq!((done.rerun, done.missing_parts), (rerun, vec![]));
        assert_eq!(two.east.elapsed(), began, "nobody was waited for");
        two.east.until_final(id).await;
    }
    let output = two.east.until_final(id).await.output.unwrap();
    assert_eq!(output.as_json(), r#"{"total":3,"open":0,"failed":0}"#);
    two.east.shut_down(worker).await;
}

#[tokio::test]
async fn a_driver_that_panics_takes_no_other_part_down() {
    let two = Two::new();
    two.warm().await;
    two.ways[0].plan(Op::Insert, &Fault::Panic, 1);
    let answers = two
        .east
        .finish(
            "the enqueue",
            two.client.enqueue_many([two.job("east"), two.job("west")]),
        )
        .await
        .unwrap();
    assert!(answers.iter().all(crate::client::Enqueued::is_new), "{answers:?}");
}

#[tokio::test]
async fn a_pause_is_done_when_every_part_has_it() {
    let two = Two::new();
    let queue = Queue::default();
    two.ways[1].plan(Op::SetQueue, &DOWN, 1);
    let half = two
        .store
        .set_queue(&queue, QueueSetting::Pause)
        .await
        .unwrap_err();
    assert_eq!(half.certainty(), Certainty::Unknown, "one part has done it");
    assert!(two.store.queues().await.unwrap()[0].paused);
    two.store.set_queue(&queue, QueueSetting::Pause).await.unwrap();
    for world in [&two.east, &two.west] {
        assert!(world.memory.queues().await.unwrap()[0].paused);
    }
}

#[tokio::test]
async fn the_part_that_does_not_answer_is_itself_the_reason() {
    let two = Two::new();
    let ids = [
        two.client.enqueue(two.job("east")).await.unwrap().id,
        two.client.enqueue(two.job("west")).await.unwrap().id,
    ];
    two.ways[0].all(Some(DOWN));
    let why = two.client.why(ids[0]).await.unwrap();
    assert!(
        matches!(why.reason, Reason::NoAnswer { part: Some(0), .. }),
        "{why:?}"
    );
    let why = two.client.why(ids[1]).await.unwrap();
    assert!(matches!(why.reason, Reason::NoWorker { .. }), "{why:?}");
    // One that hangs is given up.
    two.ways[0].all(Some(Fault::HoldCall(CancellationToken::new())));
    let why = two.east.finish("why", two.client.why(ids[0])).await.unwrap();
    assert!(
        matches!(why.reason, Reason::NoAnswer { part: Some(0), .. }),
        "{why:?}"
    );
}

#[tokio::test]
async fn why_waits_for_many_silent_parts_at_once() {
    let world = World::new();
    let ways: Vec<FaultyStore> = (0..8).map(|_| world.store()).collect();
    let mut builder = ShardedStore::builder().clock(Arc::new(world.clock.clone()));
    for (n, way) in ways.iter().enumerate() {
        builder = builder.part(format!("p{n}"), way.clone());
    }
    let store = builder.build().unwrap();
    let client = Client::builder(store)
        .clock(Arc::new(world.clock.clone()))
        .build();
    let id = client.enqueue(job("a")).await.unwrap().id;
    for way in &ways {
        way.all(Some(Fault::HoldCall(CancellationToken::new())));
    }
    let began = world.elapsed();
    let why = world.finish("why", client.why(id)).await.unwrap();
    assert!(matches!(why.reason, Reason::NoAnswer { .. }), "{why:?}");
    assert_eq!(world.elapsed() - began, PART_CALL_LIMIT * 2);
}

#[tokio::test]
async fn a_part_that_never_answered_holds_up_nobody_else() {
    let two = Two::new();
    two.ways[0].all(Some(DOWN));
    for _ in 0..20 {
        two.east.clock.advance(Duration::from_millis(1));
        assert!(two.client.enqueue(job("a")).await.unwrap().is_new());
    }
    two.ways[0].all(Some(Fault::HoldCall(CancellationToken::new())));
    two.east.clock.advance(SECOND * 60);
    let began = two.east.elapsed();
    for _ in 0..20 {
        two.east.clock.advance(Duration::from_millis(1));
        assert!(two.client.enqueue(two.job("west")).await.unwrap().is_new());
    }
    assert_eq!(two.east.elapsed() - began, Duration::from_millis(20));
    assert_eq!(two.counts().await, [0, 40]);
}
