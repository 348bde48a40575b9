//! Members that have not the form of their index, as a cut or foreign write leaves them: they block nobody, and nobody is
//! taken for another.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use libtest_mimic::Trial;
use redis::Client;
use retry_core::id::{SessionId, TaskId};
use retry_core::machine::Event;
use retry_core::name::{Kind, Queue, WorkerName};
use retry_core::priority::Priority;
use retry_core::store::{
    Cause, ClaimRequest, CountScope, Counts, Expired, ExpiredRequest, Page, QueueInfo, Renewed, SessionInfo,
    TaskFilter, TaskStore,
};
use retry_core::task::{NewTask, Settings, State};
use retry_core::time::Timestamp;
use retry_redis::RedisStore;
use test_servers::Server;

use crate::limits::failure;
use crate::support::{
    NOW, apply, claim, edit, kind, on_redis, request, server, session, store, success, task,
};

const HOUR: Duration = Duration::from_hours(1);

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        on_redis("foreign::members_of_another_form_block_nothing", members),
        on_redis(
            "foreign::more_of_them_than_a_call_puts_aside_are_passed_by_and_by",
            many,
        ),
        on_redis("foreign::a_cut_session_is_lost", cut_session),
    ]
}

/// The sorted sets by the end of their key. Not the one of paused queues: each beginning of a name is a name.
const SETS: [&str; 10] = ["q", "a", "p", "r", "rc", "l", "c", "i", "sl", "sx"];

/// The lane of urgent tasks.
const URGENT: &[u8] = b"default\0work\0\0";

fn connection(server: &Server) -> redis::Connection {
    let client = Client::open(server.url()).expect("its URL");
    client.get_connection().expect("a connection")
}

fn stored(server: &Server, set: &str) -> Vec<(Vec<u8>, String)> {
    let mut ask = redis::cmd("ZRANGE");
    ask.arg(format!("{{it}}:{set}")).arg(0).arg(-1).arg("WITHSCORES");
    ask.query(&mut connection(server)).expect("its members")
}

fn add(server: &Server, set: &str, members: &[(Vec<u8>, String)]) {
    let mut add = redis::cmd("ZADD");
    add.arg(format!("{{it}}:{set}"));
    for (member, score) in members {
        add.arg(score).arg(member);
    }
    let _: i64 = add.query(&mut connection(server)).expect("they are added");
}

/// Every beginning of a member, and longer ones.
fn misshapen(member: &[u8]) -> Vec<Vec<u8>> {
    let longer = [&[0][..], &[255], &[0; 16], &[255; 24]].map(|more| [member, more].concat());
    let cut = (0..member.len()).map(|length| member[..length].to_vec());
    cut.chain(longer).collect()
}

/// Puts a misshapen copy of every member of every index beside it.
fn damage(server: &Server) {
    for set in SETS {
        let sound = stored(server, set);
        let taken: BTreeSet<_> = sound.iter().map(|(member, _)| member.clone()).collect();
        let copies = sound.iter().flat_map(|(member, score)| {
            // A session that is not there, and is over.
            let score = if set == "sl" { "0" } else { score.as_str() };
            misshapen(member)
                .into_iter()
                .map(move |copy| (copy, score.to_owned()))
        });
        let copies: Vec<_> = copies.filter(|(copy, _)| !taken.contains(copy)).collect();
        assert!(!copies.is_empty(), "{set} has no members");
        add(server, set, &copies);
    }
}

struct World {
    live: SessionId,
    parent: TaskId,
    cancelled: TaskId,
    /// Due, in the order of a claim, and when the next is.
    due: Vec<TaskId>,
    next_due: Timestamp,
    expired: BTreeMap<TaskId, Cause>,
}

fn after(span: Duration) -> Timestamp {
    NOW.saturating_add(span)
}

async fn open(store: &RedisStore, n: u64) -> SessionId {
    let info = SessionInfo {
        id: SessionId::from_random(n, n),
        name: WorkerName::new("w").expect("a name"),
        host: "h".to_owned(),
        queues: vec![Queue::default()],
        kinds: vec![kind()],
    };
    let until = after(Duration::from_mins(1));
    store.open_session(&info, until, NOW).await.expect("it opens");
    info.id
}

/// Something in every index.
async fn world(store: &RedisStore) -> World {
    let (live, dead) = (open(store, 1).await, open(store, 2).await);
    store
        .insert(&[task(), task(), task(), task(), task()], NOW)
        .await
        .expect("an insert");
    let mine = claim(store, live, 4).await;
    let lost = claim(store, dead, 1).await;
    let failure = failure(&mine[1].task);
    let fail = edit(&mine[1].task, Event::Fail { failure }, 2);
    apply(store, &[success(&mine[0].task), fail]).await;
    let mut split = edit(&mine[2].task, Event::Split { checkpoint: None }, 3);
    let other = Kind::new("other").expect("a name");
    let child = || NewTask {
        parent: Some(mine[2].task.id),
        kind: other.clone(),
        ..task()
    };
    split.insert = vec![child(), child()];
    apply(store, &[split, edit(&mine[3].task, Event::Cancel, 4)]).await;
    store.close_session(dead).await.expect("it closes");

    let urgent = NewTask {
        priority: Priority::Urgent,
        ..task()
    };
    let later = NewTask {
        run_at: after(HOUR),
        ..task()
    };
    let expiring = NewTask {
        run_at: after(2 * HOUR),
        settings: Settings {
            expires_at: Some(after(Duration::from_millis(1))),
            ..Settings::default()
        },
        ..task()
    };
    let due = [task(), task(), task()];
    let ids = |tasks: &[NewTask]| tasks.iter().map(|task| task.id).collect::<Vec<_>>();
    let in_order = [vec![urgent.id], ids(&due)].concat();
    let expired = BTreeMap::from([(lost[0].task.id, Cause::SessionDead), (expiring.id, Cause::Alarm)]);
    store.insert(&due, NOW).await.expect("an insert");
    store
        .insert(&[urgent, later, expiring], NOW)
        .await
        .expect("an insert");
    World {
        live,
        parent: mine[2].task.id,
        cancelled: mine[3].task.id,
        due: in_order,
        next_due: after(HOUR),
        expired,
    }
}

/// What every reading call answers.
async fn read(store: &RedisStore, world: &World) -> (Vec<Vec<TaskId>>, Vec<QueueInfo>, Counts, usize) {
    let filters = [
        TaskFilter::default(),
        TaskFilter {
            states: vec![State::Failed, State::Joining],
            ..TaskFilter::default()
        },
        TaskFilter {
            session: Some(world.live),
            ..TaskFilter::default()
        },
        TaskFilter {
            parent: Some(world.parent),
            ..TaskFilter::default()
        },
    ];
    let mut lists = Vec::new();
    for filter in filters {
        let listed = store.list(&filter, &Page::first(100)).await.expect("a list");
        assert!(!listed.tasks.is_empty() && listed.bad.is_empty());
        lists.push(listed.tasks.iter().map(|summary| summary.task.id).collect());
    }
    let queues = store.queues().await.expect("queues");
    let counts = store.count(&CountScope::default()).await.expect("counts");
    (
        lists,
        queues,
        counts,
        store.sessions().await.expect("sessions").len(),
    )
}

async fn round(store: &RedisStore, now: Timestamp) -> BTreeMap<TaskId, Cause> {
    let mut request = ExpiredRequest {
        mark: true,
        after: None,
        limit: 3,
    };
    let mut all = BTreeMap::new();
    for _ in 0..1_000 {
        let Expired { items, bad, next, .. } = store.expired(&request, now).await.expect("expired");
        assert!(bad.is_empty(), "{bad:?}");
        all.extend(items.into_iter().map(|(task, cause)| (task.id, cause)));
        request.after = next;
        if next.is_none() {
            return all;
        }
    }
    panic!("the round has no end");
}

async fn members() {
    let server = server(&[]);
    let store = store(&server).await;
    let world = world(&store).await;
    let before = read(&store, &world).await;
    let mut ready = stored(&server, "q").into_iter().map(|(member, _)| member);
    let head = ready.find(|member| member.starts_with(URGENT));
    damage(&server);
    assert_eq!(read(&store, &world).await, before);
    let until = after(Duration::from_mins(2));
    match store.renew(world.live, until, NOW).await.expect("it is renewed") {
        Renewed::Live { cancel, .. } => assert_eq!(cancel, [world.cancelled]),
        other => panic!("{other:?}"),
    }
    assert_eq!(round(&store, after(Duration::from_secs(1))).await, world.expired);

    let exchanged = store.exchange(&[], &[request(world.live, 100)], NOW).await;
    let claimed = exchanged.expect("a claim").claimed.remove(0);
    let ids: Vec<_> = claimed.tasks.iter().map(|claimed| claimed.task.id).collect();
    assert_eq!((ids, claimed.bad.len()), (world.due, 0));
    assert_eq!(claimed.next_due, Some(world.next_due));
    // What stood in the way is out of it, and kept.
    let aside: BTreeSet<_> = stored(&server, "bad")
        .into_iter()
        .map(|(member, _)| member)
        .collect();
    let head = head.expect("an urgent task");
    let in_lane = misshapen(&head)
        .into_iter()
        .filter(|copy| copy.starts_with(URGENT));
    for copy in in_lane.filter(|copy| copy.len() > URGENT.len()) {
        assert!(aside.contains(&copy), "{}", copy.escape_ascii());
    }
    let again = store.exchange(&[], &[request(world.live, 100)], NOW).await;
    assert_eq!(again.expect("a claim").claimed[0].tasks, []);

    let removed = store.purge(after(Duration::from_hours(24 * 40)), 100).await;
    assert_eq!(
        removed.expect("a purge"),
        2,
        "what has succeeded and what has failed"
    );
}

/// They are put aside a thousand a call, and each call answers.
async fn many() {
    let server = server(&[]);
    let store = store(&server).await;
    let session = session(&store).await;
    let new = task();
    store
        .insert(std::slice::from_ref(&new), NOW)
        .await
        .expect("an insert");
    let lane = b"default\0work\0\x04".to_vec();
    assert!(stored(&server, "q")[0].0.starts_with(&lane));
    // Before the only entry: a due time begins with its sign.
    let foreign: Vec<_> = (0..3_000u16)
        .map(|n| ([&lane[..], &[0], &n.to_be_bytes()].concat(), "0".to_owned()))
        .collect();
    add(&server, "q", &foreign);
    for limit in [1, 100, 100, 100, 100] {
        let request = ClaimRequest {
            limit,
            ..request(session, limit)
        };
        let exchanged = store.exchange(&[], &[request], NOW).await;
        let claimed = exchanged.expect("a claim").claimed.remove(0);
        if let [claimed] = &claimed.tasks[..] {
            assert_eq!(claimed.task.id, new.id);
            assert!(stored(&server, "q").is_empty());
            assert_eq!(stored(&server, "bad").len(), 3_000);
            return;
        }
        assert_eq!(claimed.next_due, Some(NOW), "more is left to look at");
    }
    panic!("it was never claimed");
}

async fn cut_session() {
    let server = server(&[]);
    let store = store(&server).await;
    let session = session(&store).await;
    store.insert(&[task()], NOW).await.expect("an insert");
    let held = claim(&store, session, 1).await;
    let mut cut = redis::cmd("HSET");
    cut.arg("{it}:s").arg(&session.to_bytes()).arg(b"\0\0\0");
    let _: i64 = cut.query(&mut connection(&server)).expect("it is cut");
    let renewed = store.renew(session, after(HOUR), NOW).await;
    assert_eq!(renewed.expect("an answer"), Renewed::Lost);
    let lost = BTreeMap::from([(held[0].task.id, Cause::SessionLost)]);
    assert_eq!(round(&store, NOW).await, lost);
    let exchanged = store.exchange(&[], &[request(session, 1)], NOW).await;
    assert!(exchanged.expect("a claim").claimed[0].session_lost);
}
