//! Where tasks go and are found, and which parts there may be.

use std::sync::Arc;

use super::{LIMIT, Two};
use crate::client::{Client, Error};
use crate::clock::{Clock as _, ManualClock};
use crate::draft::InvalidTask;
use crate::engine::Worker;
use crate::engine::tests::harness::{SECOND, WithKind as _, World, job, script};
use crate::executor::Outcome;
use crate::id::{Nonce, Shard, TaskIds};
use crate::limits::MAX_PARTS;
use crate::machine::{Event, transition};
use crate::seams::SeededRandom;
use crate::sharded::{InvalidParts, ShardedStore};
use crate::store::{
    ClaimRequest, ExpiredRequest, Inserted, MemoryStore, Page, StoreErrorKind, TaskFilter, TaskStore,
    TaskStoreExt as _,
};
use crate::task::{Edit, State};

#[tokio::test]
async fn tasks_of_one_key_are_on_one_part() {
    let two = Two::new();
    for part in ["east", "west"] {
        for n in 0..20 {
            let key = two.key(part, n);
            for _ in 0..2 {
                let id = two.client.enqueue(job("a").shard_key(&key)).await.unwrap().id;
                assert_eq!(two.store.part_name(id.shard()), part);
                assert_eq!(id.shard(), Shard::of_key(&key));
            }
        }
    }
    assert_eq!(two.counts().await, [40, 40]);
}

#[tokio::test]
async fn a_unique_key_is_unique_over_all_parts_and_goes_with_its_kind() {
    let two = Two::new();
    for n in 0..50 {
        let key = format!("order-{n}");
        let first = two.client.enqueue(job("a").unique(&key)).await.unwrap();
        assert!(first.is_new());
        let again = two.client.enqueue(job("a").unique(&key)).await.unwrap();
        assert_eq!((again.id, again.is_new()), (first.id, false));
        assert!(two.client.enqueue(job("b").unique(&key)).await.unwrap().is_new());
        // Within the part of another shard key it is another one, if that is another part.
        let elsewhere = match two.store.part_name(first.id.shard()) {
            "east" => two.job("west"),
            _ => two.job("east"),
        };
        assert!(two.client.enqueue(elsewhere.unique(&key)).await.unwrap().is_new());
        let ids = two.client.enqueue(job("c").unique("one")).await.unwrap().id;
        assert_eq!(ids.shard(), Shard::of_key("c\0one"));
    }
}

#[tokio::test]
async fn tasks_without_a_key_are_spread_and_those_of_one_call_stay_together() {
    let two = Two::new();
    for _ in 0..200 {
        two.east.clock.advance(std::time::Duration::from_millis(1));
        let ids = two
            .client
            .enqueue_many([job("a"), job("a"), job("a")])
            .await
            .unwrap();
        assert!(ids.is_sorted_by_key(|enqueued| enqueued.id));
        assert_eq!(ids[0].id.shard(), ids[2].id.shard());
    }
    let [east, west] = two.counts().await;
    assert_eq!(east + west, 600);
    assert!(east.min(west) > 200, "{east} and {west}");
}

#[tokio::test]
async fn what_a_task_brings_stays_with_it() {
    let two = Two::new();
    let brings = script(|ctx| async move {
        if ctx.step() == 0 {
            // Keys of its own move no child.
            let child = |n: usize| {
                job("leaf")
                    .shard_key(format!("key-{n}"))
                    .unique(format!("key-{n}"))
            };
            return Ok(Outcome::Split((0..20).map(child).collect()));
        }
        for n in 0..20 {
            ctx.enqueue_on_success(job("leaf").shard_key(format!("key-{n}")));
        }
        Ok(Outcome::Done)
    });
    let done = script(|_| async { Ok(Outcome::Done) });
    let worker = Worker::builder(Arc::clone(&two.store))
        .clock(Arc::new(two.east.clock.clone()))
        .random(Arc::new(SeededRandom::new(3)))
        .kind("parent", brings)
        .kind("leaf", done)
        .build()
        .unwrap();
    let handle = worker.start();
    for part in ["east", "west"] {
        let parent = job("parent").shard_key(two.key(part, 0));
        two.client.enqueue(parent).await.unwrap();
    }
    let succeeded = TaskFilter {
        states: vec![State::Succeeded],
        ..TaskFilter::default()
    };
    for (world, part) in [(&two.east, "east"), (&two.west, "west")] {
        let all = async || world.list(succeeded.clone()).await.len() == 41;
        two.east.until("all tasks end", all).await;
        for task in world.list(TaskFilter::default()).await {
            assert_eq!(two.store.part_name(task.id.shard()), part);
            assert!(two.client.get(task.id).await.unwrap().is_some());
        }
    }
    two.east.shut_down(handle).await;
    assert_eq!(two.store.sessions().await.unwrap(), []);
}

#[tokio::test]
async fn a_task_of_another_part_is_refused_in_an_edit_before_anything_is_written() {
    let two = Two::new();
    let parent = two.client.enqueue(two.job("east")).await.unwrap().id;
    let task = two.store.get(parent).await.unwrap().unwrap().task;
    let now = two.east.now();
    let id = TaskIds::new().next(now, Shard::of_key(&two.key("west", 0)), 7);
    let edit = Edit {
        id: parent,
        version: task.version,
        nonce: Nonce::from_random(9),
        action: transition(&task, Event::Cancel, now, 0).unwrap(),
        insert: vec![two.job("west").build(id, now, 0, None).unwrap()],
    };
    let refused = two.store.apply(edit, now).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Invalid);
    assert_eq!(two.east.state(parent).await, State::Pending);
    assert_eq!(two.counts().await, [1, 0]);
}

#[tokio::test]
async fn what_belongs_to_the_parts_is_refused() {
    let two = Two::new();
    let (now, session) = (two.east.now(), crate::id::SessionId::from_random(1, 2));
    let claim = ClaimRequest::new(session, crate::name::Queue::default(), [], 1);
    let refusals = [
        two.store.claim(claim, now).await.map(drop),
        two.store.renew(session, now, now).await.map(drop),
        two.store.close_session(session).await,
        two.store.expired(&ExpiredRequest::default(), now).await.map(drop),
    ];
    for refused in refusals {
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Invalid);
        assert!(error.to_string().contains("parts()"), "{error}");
    }
}

#[tokio::test]
async fn each_part_goes_by_its_own_clock() {
    let east = World::new();
    let ahead = ManualClock::new();
    ahead.advance(SECOND * 3_600);
    let west = MemoryStore::with_clock(Arc::new(ahead.clone()));
    let store = ShardedStore::builder()
        .part("east", east.memory.clone())
        .part("west", west.clone())
        .clock(Arc::new(east.clock.clone()))
        .build()
        .unwrap();
    let client = Client::builder(store).clock(Arc::new(east.clock.clone())).build();
    for n in 0..20 {
        let task = job("a").shard_key(format!("k{n}")).delay(SECOND);
        let id = client.enqueue(task).await.unwrap().id;
        let clock = match client.store().part_name(id.shard()) {
            "east" => &east.clock,
            _ => &ahead,
        };
        let task = client.get(id).await.unwrap().unwrap().task;
        assert_eq!(task.run_at, clock.now().saturating_add(SECOND));
        assert_eq!(task.created_at, clock.now());
        let moved = client
            .reschedule(id, task.run_at.saturating_add(SECOND))
            .await
            .unwrap();
        assert_eq!(moved.task.updated_at, clock.now());
    }
}

#[tokio::test]
async fn a_task_of_another_list_of_parts_is_found_when_asked_for() {
    let two = Two::new();
    let mut ids = Vec::new();
    for n in 0..20 {
        let task = job("a").shard_key(format!("k{n}"));
        ids.push(two.client.enqueue(task).await.unwrap().id);
    }
    // Names are part of the data: these two have changed places.
    let Two { east, west, .. } = two;
    let lost = Two::over(west, east, |builder| builder);
    for id in &ids {
        assert!(lost.client.get(*id).await.unwrap().is_none());
    }
    let Two { east, west, .. } = lost;
    let found = Two::over(east, west, super::super::Builder::search_all_parts);
    for id in &ids {
        assert!(found.client.get(*id).await.unwrap().is_some());
        found.client.cancel(*id).await.unwrap();
        let detail = found.client.get(*id).await.unwrap().unwrap();
        assert_eq!(detail.task.state, State::Cancelled);
    }
    found.ways[0].all(Some(crate::engine::tests::faulty::Fault::Rejected(
        StoreErrorKind::Unavailable,
    )));
    let gone = TaskIds::new().next(found.east.now(), ids[0].shard(), 1);
    let west = found.store.part_name(gone.shard()) == "west";
    assert!(
        west || found.client.get(gone).await.is_err(),
        "the silent part may have it"
    );
}

#[tokio::test]
async fn pages_of_all_parts_have_every_task_once_newest_first() {
    let two = Two::new();
    for n in 0..100 {
        two.east.clock.advance(std::time::Duration::from_millis(n % 3));
        two.client
            .enqueue(job("a").shard_key(format!("k{n}")))
            .await
            .unwrap();
    }
    for limit in [1, 3, 7, 100, 1_000] {
        let (mut seen, mut page) = (Vec::new(), Page::first(limit));
        loop {
            let listed = two.store.list(&TaskFilter::default(), &page).await.unwrap();
            assert!(listed.tasks.len() <= limit && listed.missing_parts.is_empty());
            seen.extend(listed.tasks.iter().map(|row| row.task.id));
            let Some(next) = listed.next else { break };
            page.after = Some(next);
        }
        assert_eq!(seen.len(), 100);
        assert!(seen.is_sorted_by(|newer, older| newer > older));
    }
}

#[test]
fn parts_that_cannot_be_are_refused() {
    let memory = || MemoryStore::new();
    let build = |builder: super::super::Builder| builder.build().unwrap_err();
    let none = ShardedStore::builder;
    assert_eq!(build(none()), InvalidParts::None);
    let many = |n: usize| (0..n).fold(none(), |all, part| all.part(format!("p{part}"), memory()));
    assert!(many(MAX_PARTS).build().is_ok());
    assert_eq!(build(many(MAX_PARTS + 1)), InvalidParts::TooMany(MAX_PARTS + 1));
    let twice = none().part("a", memory()).part("a", memory());
    assert_eq!(build(twice), InvalidParts::SameName("a".to_owned()));
    let named = build(none().part("a b", memory()));
    assert!(
        matches!(&named, InvalidParts::Name { given, .. } if given == "a b"),
        "{named:?}"
    );
    let one: Arc<MemoryStore> = Arc::new(memory());
    let same = build(none().part("a", Arc::clone(&one)).part("b", one));
    assert!(matches!(same, InvalidParts::SameStore { .. }), "{same:?}");
    let nested = build(none().part("a", none().part("b", memory()).build().unwrap()));
    assert_eq!(nested, InvalidParts::Nested("a".to_owned()));
    let nowhere = build(none().part("a", memory()).place_by(|_| 1));
    assert_eq!(
        nowhere,
        InvalidParts::NoSuchPart {
            shard: Shard::new(0),
            part: 1
        }
    );
    let hasty = build(none().part("a", memory()).call_limit(LIMIT - LIMIT));
    assert_eq!(hasty, InvalidParts::ZeroLimit);
}

#[tokio::test]
async fn a_rule_of_ones_own_places_tasks() {
    let rule = |shard: Shard| usize::from(shard.number() >= 2_048);
    let two = Two::over(World::new(), World::new(), |builder| builder.place_by(rule));
    for n in 0..40 {
        let id = two
            .client
            .enqueue(job("a").shard_key(format!("k{n}")))
            .await
            .unwrap()
            .id;
        let name = if id.shard().number() < 2_048 {
            "east"
        } else {
            "west"
        };
        assert_eq!(two.store.part_name(id.shard()), name);
    }
    let [east, west] = two.counts().await;
    assert!(east > 5 && west > 5, "{east} and {west}");
}

#[tokio::test]
async fn an_insert_over_several_parts_answers_in_input_order() {
    let two = Two::new();
    let now = two.east.now();
    let mut ids = TaskIds::new();
    let mut task = |n: usize| {
        let draft = job("a").unique(format!("k{}", n % 10));
        let id = ids.next(now, draft.shard().unwrap(), n as u64);
        draft.build(id, now, 0, None).unwrap()
    };
    let tasks: Vec<_> = (0..20).map(&mut task).collect();
    let answers = two.store.insert(&tasks, now).await.unwrap();
    for (n, answer) in answers.iter().enumerate() {
        match answer {
            Inserted::New { .. } => assert!(n < 10),
            Inserted::Duplicate { holder, .. } => assert_eq!(*holder, tasks[n - 10].id),
            other => panic!("{n}: {other:?}"),
        }
    }
    let [east, west] = two.counts().await;
    assert!(east > 0 && west > 0 && east + west == 10);
}

#[tokio::test]
async fn a_client_of_a_part_keeps_to_its_slots() {
    let two = Two::new();
    assert!(two.store.slots("north").is_none());
    let bound = Client::builder(two.east.memory.clone())
        .clock(Arc::new(two.east.clock.clone()))
        .slots(two.store.slots("east").unwrap())
        .build();
    let mut tx = two.east.memory.begin();
    let mut ids = Vec::new();
    for n in 0..50 {
        two.east.clock.advance(std::time::Duration::from_millis(1));
        ids.push(bound.enqueue(job("a")).await.unwrap().id);
        ids.push(bound.enqueue(job("a")).in_tx(&mut tx).unwrap().id);
        let key = format!("k{n}");
        let keyed = bound.enqueue(job("a").shard_key(&key)).await;
        match two.store.part_for_key(&key) {
            "east" => ids.push(keyed.unwrap().id),
            _ => assert!(
                matches!(&keyed, Err(Error::Invalid(InvalidTask::OtherPart(part))) if part == "east"),
                "{keyed:?}"
            ),
        }
    }
    tx.commit().unwrap();
    for id in &ids {
        assert!(two.client.get(*id).await.unwrap().is_some());
    }
    assert_eq!(two.counts().await, [ids.len(), 0]);
}
