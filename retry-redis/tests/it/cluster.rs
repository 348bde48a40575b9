//! A cluster whose slots move while the store works.

use std::sync::Arc;
use std::time::Duration;

use conformance_tests::crowd::Crowd;
use futures_util::future::join_all;
use libtest_mimic::Trial;
use redis::{Client, Cmd, Connection, Value};
use retry_core::clock::{Clock as _, SystemClock};
use retry_core::store::{Certainty, StoreError, StoreErrorKind, TaskStore};
use retry_core::task::State;
use retry_redis::RedisStore;
use test_servers::{Kind, Server, own, own_with};

use crate::killed::plan;
use crate::support::{NOW, crowd, tasks, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("cluster::a_moved_slot_is_followed", Kind::RedisCluster, moved),
        trial(
            "cluster::a_single_connection_is_told_of_the_cluster",
            Kind::RedisCluster,
            told,
        ),
        trial(
            "cluster::a_cluster_that_comes_back_is_used_again",
            Kind::RedisCluster,
            back,
        ),
        trial(
            "cluster::one_without_connections_left_says_so",
            Kind::RedisCluster,
            none_left,
        ),
        trial(
            "cluster::a_node_that_dies_stops_its_own_namespaces_only",
            Kind::RedisCluster,
            one_dies,
        ),
    ]
}

/// A node with the connection to it.
struct Node {
    port: u16,
    id: String,
    connection: Connection,
}

fn nodes(cluster: &Server) -> Vec<Node> {
    let node = |port: &u16| {
        let client = Client::open(format!("redis://127.0.0.1:{port}")).expect("its URL");
        let mut connection = client.get_connection().expect("the node");
        let id = redis::cmd("CLUSTER")
            .arg("MYID")
            .query(&mut connection)
            .expect("its id");
        Node {
            port: *port,
            id,
            connection,
        }
    };
    cluster.ports().iter().map(node).collect()
}

fn ask(node: &mut Node, words: &[&str]) -> Value {
    let mut cmd = Cmd::new();
    for word in words {
        cmd.arg(word);
    }
    cmd.query(&mut node.connection).expect("the node answers")
}

/// Where a key is, and its slot.
fn home(nodes: &mut [Node], key: &str) -> (usize, String) {
    let Value::Int(slot) = ask(&mut nodes[0], &["CLUSTER", "KEYSLOT", key]) else {
        panic!("a slot");
    };
    let holds = |node: &mut Node| redis::cmd("EXISTS").arg(key).query::<i64>(&mut node.connection) == Ok(1);
    let at = nodes.iter_mut().position(holds).expect("one node holds it");
    (at, slot.to_string())
}

/// Moves the namespace's slot to the next node, as a resharding does; calls made half-way are refused, and nothing is lost.
async fn moved() {
    let cluster = own(Kind::RedisCluster);
    let store = RedisStore::builder(cluster.url())
        .namespace("it")
        .connect()
        .await
        .expect("a store");
    store.insert(&tasks(20), NOW).await.expect("an insert");
    let mut nodes = nodes(&cluster);
    let (from, slot) = home(&mut nodes, "{it}:v");
    let to = (from + 1) % nodes.len();
    let (from_id, to_id, to_port) = (
        nodes[from].id.clone(),
        nodes[to].id.clone(),
        nodes[to].port.to_string(),
    );
    ask(
        &mut nodes[to],
        &["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from_id],
    );
    ask(
        &mut nodes[from],
        &["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to_id],
    );
    ask(
        &mut nodes[from],
        &["MIGRATE", "127.0.0.1", &to_port, "{it}:h", "0", "5000"],
    );

    let error = store
        .insert(&tasks(1), NOW)
        .await
        .expect_err("half of the keys are gone");
    assert_eq!(
        (error.certainty(), error.kind()),
        (Certainty::Rejected, StoreErrorKind::Unavailable),
        "{error}"
    );
    for key in store.keys() {
        ask(
            &mut nodes[from],
            &["MIGRATE", "127.0.0.1", &to_port, key, "0", "5000"],
        );
    }
    for node in &mut nodes {
        ask(node, &["CLUSTER", "SETSLOT", &slot, "NODE", &to_id]);
    }
    let inserted = loop {
        // The first call is told that the slot has moved; then the store asks where to.
        match store.insert(&tasks(1), NOW).await {
            Ok(inserted) => break inserted.len(),
            Err(error) => assert_eq!(error.certainty(), Certainty::Rejected, "{error}"),
        }
    };
    let counts = store.count(&Default::default()).await.expect("a count");
    assert_eq!((inserted, counts.of(State::Pending)), (1, 21), "all are there");
    crate::audit::audit(&cluster.url(), "it");
}

async fn told() {
    let cluster = own(Kind::RedisCluster);
    let mut refused = 0;
    for name in ["a", "b", "c", "d", "e"] {
        let url = format!("redis://127.0.0.1:{}", cluster.ports()[0]);
        if let Err(error) = RedisStore::builder(url).namespace(name).connect().await {
            assert!(error.to_string().contains("cluster"), "{error}");
            refused += 1;
        }
    }
    assert!(refused > 0, "one node does not hold all of them");
}

async fn back() {
    let cluster = own(Kind::RedisCluster);
    let store = RedisStore::builder(cluster.url())
        .namespace("it")
        .connect()
        .await
        .expect("a store");
    store.insert(&tasks(5), NOW).await.expect("an insert");
    cluster.kill();
    for _ in 0..3 {
        store.insert(&tasks(1), NOW).await.expect_err("nobody is there");
    }
    cluster.restart().expect("it comes back");
    // The nodes agree on being a cluster again after a while.
    while store.insert(&tasks(1), NOW).await.is_err() {}
    let counts = store.count(&Default::default()).await.expect("a count");
    assert!(counts.of(State::Pending) >= 6, "what was acknowledged is there");
}

/// Others have taken every connection of every node.
async fn none_left() {
    let cluster = own(Kind::RedisCluster);
    let (mut nodes, mut crowds) = (nodes(&cluster), Vec::new());
    for node in &mut nodes {
        let fewer = ["SET", "maxclients", "30"];
        let () = redis::cmd("CONFIG")
            .arg(&fewer)
            .query(&mut node.connection)
            .expect("it takes fewer");
        crowds.push(crowd(&format!("redis://127.0.0.1:{}", node.port)));
    }
    let error = open(&cluster, "it").await.expect_err("no node takes anybody");
    let sort = (error.certainty(), error.kind());
    assert_eq!(sort, (Certainty::Rejected, StoreErrorKind::Busy), "{error}");
    assert!(error.to_string().contains("`maxclients`"), "{error}");
    drop((nodes, crowds));
    while let Err(error) = open(&cluster, "it").await {
        assert_eq!(error.kind(), StoreErrorKind::Busy, "{error}");
    }
}

/// How long a call to a node that is dead may take, which is its timeout at most, and how many answers show that a crowd goes on.
const BOUND: Duration = Duration::from_secs(10);
const ANSWERS: u64 = 100;

/// A namespace on each node, in the order of the nodes, with a store.
async fn one_on_each(cluster: &Server) -> Vec<Arc<dyn TaskStore>> {
    let mut nodes = nodes(cluster);
    let mut found: Vec<Option<Arc<dyn TaskStore>>> = nodes.iter().map(|_| None).collect();
    for name in (0..).map(|n| format!("n{n}")) {
        if found.iter().all(Option::is_some) {
            break;
        }
        let store = open(cluster, &name).await.expect("a store");
        let (at, _) = home(&mut nodes, &format!("{{{name}}}:v"));
        found[at].get_or_insert_with(|| Arc::new(store));
    }
    found.into_iter().flatten().collect()
}

async fn open(cluster: &Server, name: &str) -> Result<RedisStore, StoreError> {
    let builder = RedisStore::builder(cluster.url()).namespace(name);
    builder.connect().await.map_err(StoreError::from)
}

async fn one_dies() {
    // Without the first the others refuse everything while a slot is nobody's; with the second they notice soon.
    let settings = [
        ("cluster-require-full-coverage", "no"),
        ("cluster-node-timeout", "1000"),
    ];
    let cluster = own_with(Kind::RedisCluster, &settings);
    let stores = one_on_each(&cluster).await;
    let crowds: Vec<_> = stores
        .iter()
        .map(|store| Crowd::on(&plan(6, None), store))
        .collect();
    join_all(crowds.iter().map(|crowd| crowd.answered(ANSWERS))).await;
    cluster.kill_process(0);
    let clock = SystemClock::new();
    let start = clock.monotonic();
    let error = stores[0].time().await.expect_err("nobody is there");
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
    assert!(clock.monotonic().saturating_since(start) < BOUND, "{error}");
    // Also when the others have agreed that it is gone.
    for _ in 0..3 {
        join_all(crowds[1..].iter().map(|crowd| crowd.answered(ANSWERS))).await;
        let error = stores[0]
            .insert(&tasks(1), NOW)
            .await
            .expect_err("nobody is there");
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
    }
    cluster.revive().expect("it comes back");
    join_all(crowds.iter().map(|crowd| crowd.answered(ANSWERS))).await;
    for (crowd, store) in crowds.into_iter().zip(&stores) {
        let account = crowd.leave().await.unwrap_or_else(|failure| panic!("{failure}"));
        assert!(account.slowest < BOUND, "{account}");
        let audited = account.audit(&**store, NOW).await;
        audited.unwrap_or_else(|failure| panic!("{failure}\n{account}"));
    }
}
