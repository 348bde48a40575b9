//! Crashes of the server, lost answers, cut connections, a full memory.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use libtest_mimic::Trial;
use redis::Value;
use retry_core::id::TaskId;
use retry_core::store::{Applied, Certainty, Inserted, Renewed, StoreError, StoreErrorKind, TaskStore};
use retry_core::task::State;
use retry_redis::RedisStore;
use test_servers::{Address, Fault, Proxy, Shared};

use crate::namespace::Namespace;
use crate::support::{
    NOW, Place, apply, audit, builder, claim, crowd, on_each, on_redis, send, server, session, snapshot,
    store, success, task, tasks, try_send,
};

pub(crate) fn trials(servers: &[Arc<Shared>]) -> Vec<Trial> {
    let shared = [
        on_each(
            servers,
            "faults::a_lost_answer_is_unknown_and_done_once",
            lost_answers,
        ),
        on_each(servers, "faults::a_lost_request_converges", lost_requests),
        on_each(servers, "faults::answers_stay_with_their_calls", answers),
        on_each(servers, "faults::a_flushed_namespace_is_marked_anew", flushed),
    ];
    let alone = [
        on_redis("faults::acknowledged_inserts_survive_a_kill", kills),
        on_redis("faults::a_server_that_refuses_is_certain", refuses),
        on_redis("faults::forgotten_scripts_are_sent_again", forgotten_scripts),
        on_redis("faults::a_full_server_drains", full),
        on_redis("faults::a_replica_writes_nothing", replica),
        on_redis("faults::a_demoted_server_is_left", demoted),
        on_redis("faults::missing_replicas_write_nothing", missing_replicas),
        on_redis("faults::a_slow_server_is_unknown", slow),
        on_redis("faults::a_server_without_a_connection_left_is_busy", crowded),
        on_redis("faults::a_server_that_cannot_save_writes_nothing", cannot_save),
    ];
    shared.into_iter().flatten().chain(alone).collect()
}

fn kind_of(error: &StoreError) -> (Certainty, StoreErrorKind) {
    (error.certainty(), error.kind())
}

/// Inserts from four tasks while the server is killed, three times; whatever was answered must be there.
async fn kills() {
    let server = server(&[]);
    let store = store(&server).await;
    for _ in 0..3 {
        let stop = Arc::new(AtomicBool::new(false));
        let inserting = (0..4).map(|_| {
            let (store, stop) = (store.clone(), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                while !stop.load(Ordering::SeqCst) {
                    let new = task();
                    match store.insert(std::slice::from_ref(&new), NOW).await {
                        Ok(_) => acknowledged.push(new.id),
                        Err(_) => break,
                    }
                }
                acknowledged
            })
        });
        let inserting: Vec<_> = inserting.collect();
        // Some inserts have certainly been answered before the kill.
        while store
            .count(&Default::default())
            .await
            .expect("a count")
            .of(State::Pending)
            < 200
        {}
        server.kill();
        stop.store(true, Ordering::SeqCst);
        let mut acknowledged = Vec::new();
        for task in inserting {
            acknowledged.extend(task.await.expect("no panic"));
        }
        assert!(acknowledged.len() >= 100, "{}", acknowledged.len());
        server.restart().expect("it comes back");
        // The old connection may be found broken once; then there is a new one.
        let _ = store.time().await;
        for id in acknowledged {
            let found = store.get(id).await.expect("the store goes on");
            assert!(found.is_some(), "{id} was acknowledged and is lost");
        }
        audit(&server);
        send(&server, &["FLUSHALL"]);
    }
}

async fn behind(place: &impl Place, timeout: Duration) -> (Proxy, RedisStore) {
    let proxy = Proxy::before(place.socket()).expect("a proxy");
    let url = Address::of(&place.url()).at(proxy.port()).to_string();
    let builder = RedisStore::builder(url)
        .namespace(place.name())
        .response_timeout(timeout);
    let store = builder.connect().await.expect("through the proxy");
    (proxy, store)
}

async fn lost_answers(place: Namespace) {
    let (proxy, store) = behind(&place, Duration::from_secs(5)).await;
    // The server knows the script from here on: the first call finds out that it does not.
    store.insert(&tasks(1), NOW).await.expect("an insert");
    for _ in 0..20 {
        let new = task();
        proxy.set(Fault::LoseReplies);
        let error = store
            .insert(std::slice::from_ref(&new), NOW)
            .await
            .expect_err("no answer");
        assert_eq!(
            kind_of(&error),
            (Certainty::Unknown, StoreErrorKind::Unavailable),
            "{error}"
        );
        proxy.set(Fault::None);
        let again = store
            .insert(std::slice::from_ref(&new), NOW)
            .await
            .expect("repeated");
        assert_eq!(
            again,
            [Inserted::Repeated],
            "it had been done, and nobody sent it twice"
        );
    }
}

async fn lost_requests(place: Namespace) {
    let (proxy, store) = behind(&place, Duration::from_secs(5)).await;
    let new = task();
    proxy.set(Fault::LoseRequests);
    let error = store
        .insert(std::slice::from_ref(&new), NOW)
        .await
        .expect_err("lost");
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    proxy.set(Fault::None);
    assert_eq!(
        store.get(new.id).await.expect("a get"),
        None,
        "nobody sent it again"
    );
    let sent = store.insert(std::slice::from_ref(&new), NOW).await.expect("now");
    assert_eq!(sent, [Inserted::New { leased: false }]);
}

async fn refuses() {
    let server = server(&[]);
    let store = store(&server).await;
    server.kill();
    // The first call may find the old connection broken; then nobody listens.
    let _ = store.time().await;
    let errors = join_all((0..50).map(|_| store.insert_one_of())).await;
    for error in errors {
        assert_eq!(
            kind_of(&error.expect_err("nobody is there")),
            (Certainty::Rejected, StoreErrorKind::Unavailable)
        );
    }
    server.restart().expect("it comes back");
    store.insert_one_of().await.expect("the store goes on by itself");
}

/// One insert of a new task.
trait InsertOne {
    fn insert_one_of(&self) -> impl Future<Output = retry_core::store::Result<TaskId>>;
}

impl InsertOne for RedisStore {
    async fn insert_one_of(&self) -> retry_core::store::Result<TaskId> {
        let new = task();
        self.insert(std::slice::from_ref(&new), NOW).await.map(|_| new.id)
    }
}

/// Calls that share a connection, a third of them dropped half-way, get their own answers.
async fn answers(place: Namespace) {
    let store = store(&place).await;
    let new = tasks(200);
    store.insert(&new, NOW).await.expect("an insert");
    for round in 0..20 {
        let calls = new.iter().enumerate().map(|(at, new)| {
            let store = store.clone();
            async move {
                let mut call = Box::pin(store.get(new.id));
                if (at + round) % 3 == 0 {
                    // Sent, and then nobody waits for it.
                    let _ = call.as_mut().now_or_never();
                    return;
                }
                let found = call.await.expect("a get").expect("a task");
                assert_eq!(found.task.id, new.id, "the answer of another call");
            }
        });
        join_all(calls).await;
    }
}

async fn forgotten_scripts() {
    let server = server(&[]);
    let store = store(&server).await;
    let session = session(&store).await;
    for _ in 0..3 {
        send(&server, &["SCRIPT", "FLUSH"]);
        store.insert(&tasks(3), NOW).await.expect("an insert");
        send(&server, &["SCRIPT", "FLUSH"]);
        let claimed = claim(&store, session, 3).await;
        assert_eq!(claimed.len(), 3);
    }
}

async fn flushed(place: Namespace) {
    let (marking, other) = (store(&place).await, builder(&place).migrate(false));
    let other = other.connect().await.expect("migrated");
    place.clear();
    let error = other
        .insert(&tasks(1), NOW)
        .await
        .expect_err("the namespace is gone");
    assert_eq!(kind_of(&error), (Certainty::Rejected, StoreErrorKind::Schema));
    marking.insert(&tasks(1), NOW).await.expect("marked anew");
    other.insert(&tasks(1), NOW).await.expect("there again");
}

async fn full() {
    let server = server(&[]);
    let store = store(&server).await;
    let session = session(&store).await;
    store.insert(&tasks(100), NOW).await.expect("an insert");
    send(&server, &["CONFIG", "SET", "maxmemory", "1mb"]);

    let before = snapshot(&server);
    let error = store.insert(&tasks(100), NOW).await.expect_err("no room");
    assert_eq!(
        kind_of(&error),
        (Certainty::Rejected, StoreErrorKind::Full),
        "{error}"
    );
    assert!(before == snapshot(&server), "a refused insert changed something");

    let claimed = claim(&store, session, 100).await;
    assert_eq!(claimed.len(), 100, "a full server gives out what it has");
    let until = NOW.saturating_add(Duration::from_mins(2));
    let renewed = store.renew(session, until, NOW).await.expect("a renewal");
    assert_eq!(
        renewed,
        Renewed::Live {
            cancel: vec![],
            held: 100
        }
    );
    let edits: Vec<_> = claimed.iter().map(|claimed| success(&claimed.task)).collect();
    assert_eq!(apply(&store, &edits).await, vec![Applied::DONE; 100]);
    let later = NOW.saturating_add(Duration::from_hours(48));
    assert_eq!(store.purge(later, 100).await.expect("a purge"), 100);
    send(&server, &["CONFIG", "SET", "maxmemory", "0"]);
    store.insert(&tasks(1), NOW).await.expect("room again");
    audit(&server);
}

async fn replica() {
    let (primary, server) = (server(&[]), server(&[]));
    let store = store(&server).await;
    let port = primary.ports()[0].to_string();
    send(&server, &["REPLICAOF", "127.0.0.1", &port]);
    // While it is still loading the primary's data it says so.
    let error = loop {
        let error = store.insert(&tasks(1), NOW).await.expect_err("a replica");
        assert_eq!(error.certainty(), Certainty::Rejected, "{error}");
        if error.kind() != StoreErrorKind::Unavailable {
            break error;
        }
    };
    assert!(
        matches!(error.kind(), StoreErrorKind::ReadOnly | StoreErrorKind::Schema),
        "{error}"
    );
}

/// The server becomes a replica and stays up, and its name leads to the new primary.
async fn demoted() {
    let (former, primary) = (server(&[]), server(&[]));
    let (proxy, store) = behind(&former, Duration::from_secs(5)).await;
    let holder = session(&store).await;
    // The new primary has what the former had.
    let port = former.ports()[0].to_string();
    send(&primary, &["REPLICAOF", "127.0.0.1", &port]);
    let is_copied = || {
        let Value::BulkString(info) = send(&primary, &["INFO", "replication"]) else {
            return false;
        };
        String::from_utf8_lossy(&info).contains("master_link_status:up")
    };
    assert!(
        (0..1_000_000).any(|_| is_copied()),
        "it never got the former's data"
    );
    send(&primary, &["REPLICAOF", "NO", "ONE"]);
    let port = primary.ports()[0].to_string();
    send(&former, &["REPLICAOF", "127.0.0.1", &port]);
    proxy.lead_to(primary.ports()[0]);
    let error = store.insert(&tasks(1), NOW).await.expect_err("a replica");
    assert_eq!(error.certainty(), Certainty::Rejected, "{error}");
    // Both connections, that of the calls and that of the renewals, are set up anew.
    let new = task();
    let inserted = store.insert(std::slice::from_ref(&new), NOW).await;
    assert_eq!(inserted.expect("the primary"), [Inserted::New { leased: false }]);
    let until = NOW.saturating_add(Duration::from_mins(1));
    let renew = || store.renew(holder, until, NOW);
    let renewed = match renew().await {
        Err(_) => renew().await,
        renewed => renewed,
    };
    assert!(matches!(renewed, Ok(Renewed::Live { .. })), "{renewed:?}");
}

async fn missing_replicas() {
    let server = server(&[]);
    let store = store(&server).await;
    send(&server, &["CONFIG", "SET", "min-replicas-to-write", "1"]);
    let error = store.insert(&tasks(1), NOW).await.expect_err("no replica");
    assert_eq!(
        kind_of(&error),
        (Certainty::Rejected, StoreErrorKind::Unavailable),
        "{error}"
    );
    send(&server, &["CONFIG", "SET", "min-replicas-to-write", "0"]);
    let counts = store.count(&Default::default()).await.expect("a count");
    assert_eq!(counts.of(State::Pending), 0);
}

/// The server stops answering for longer than the timeout; what was sent is done when it goes on.
async fn slow() {
    let server = server(&[]);
    let builder = builder(&server).response_timeout(Duration::from_secs(1));
    let store = builder.connect().await.expect("a store");
    // For longer than anything here takes: it ends when that is asked for.
    try_send(&server, &["CLIENT", "PAUSE", "3600000", "WRITE"]).expect("it pauses");
    let new = task();
    let error = store
        .insert(std::slice::from_ref(&new), NOW)
        .await
        .expect_err("too late");
    assert_eq!(
        kind_of(&error),
        (Certainty::Unknown, StoreErrorKind::Unavailable),
        "{error}"
    );
    send(&server, &["CLIENT", "UNPAUSE"]);
    let answer = loop {
        // On a busy machine an attempt may be given up after the timeout once more.
        if let Ok(answer) = store.insert(std::slice::from_ref(&new), NOW).await {
            break answer;
        }
    };
    assert_eq!(answer.len(), 1);
    let all: HashSet<TaskId> = store
        .list(&Default::default(), &retry_core::store::Page::first(10))
        .await
        .expect("a list")
        .tasks
        .iter()
        .map(|row| row.task.id)
        .collect();
    assert_eq!(all, HashSet::from([new.id]), "however often it was sent");
}

/// Snapshots fail, and the server refuses writes until one has succeeded.
async fn cannot_save() {
    let server = server(&[]);
    let store = store(&server).await;
    send(&server, &["CONFIG", "SET", "save", "1 1000000"]);
    send(&server, &["CONFIG", "SET", "rdb-save-incremental-fsync", "no"]);
    // A folder in the place of the file cannot be renamed over.
    let Value::Array(answer) = send(&server, &["CONFIG", "GET", "dir"]) else {
        panic!("its folder");
    };
    let Some(Value::BulkString(folder)) = answer.get(1) else {
        panic!("its folder");
    };
    let folder = std::path::Path::new(std::str::from_utf8(folder).expect("a path"));
    std::fs::create_dir_all(folder.join("dump.rdb").join("inside")).expect("a folder");
    send(&server, &["BGSAVE"]);
    let failed = || {
        let Value::BulkString(info) = send(&server, &["INFO", "persistence"]) else {
            return false;
        };
        String::from_utf8_lossy(&info).contains("rdb_last_bgsave_status:err")
    };
    while !failed() {}
    let error = store.insert(&tasks(1), NOW).await.expect_err("it cannot save");
    assert_eq!(
        kind_of(&error),
        (Certainty::Rejected, StoreErrorKind::ReadOnly),
        "{error}"
    );
    send(&server, &["CONFIG", "SET", "save", ""]);
    store
        .insert(&tasks(1), NOW)
        .await
        .expect("it need not save any more");
}

/// A server at its limit says so before it is asked anything, and hangs up: whatever a connection begins with.
async fn crowded() {
    let server = server(&[("maxclients", "5")]);
    send(
        &server,
        &["ACL", "SETUSER", "asked", "on", ">hunter2", "~*", "&*", "+@all"],
    );
    let port = server.ports()[0];
    let urls = [
        format!("redis://127.0.0.1:{port}"),
        format!("redis://127.0.0.1:{port}/3"),
        format!("redis://asked:hunter2@127.0.0.1:{port}/3"),
    ];
    let crowd = crowd(&server.url());
    for url in urls.iter().cycle().take(30) {
        let opened = RedisStore::builder(url).namespace("it").connect().await;
        let error = StoreError::from(opened.expect_err("the server takes nobody"));
        let kind = (Certainty::Rejected, StoreErrorKind::Busy);
        assert_eq!(kind_of(&error), kind, "{url}: {error:?}");
        assert!(
            error.is_retryable() && error.to_string().contains("`maxclients`"),
            "{error}"
        );
    }
    drop(crowd);
    // The server notices a moment later that they are gone.
    while let Err(error) = builder(&server).connect().await {
        assert_eq!(StoreError::from(error).kind(), StoreErrorKind::Busy);
    }
}
