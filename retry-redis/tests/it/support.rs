//! Servers, stores and tasks for the tests.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use libtest_mimic::Trial;
use redis::{Client, Cmd, Value};
use retry_core::headers::Headers;
use retry_core::id::{Nonce, SessionId, Shard, TaskId, TaskIds};
use retry_core::machine::{Event, transition};
use retry_core::name::{Kind, Queue, UniqueKey, WorkerName};
use retry_core::payload::Payload;
use retry_core::priority::Priority;
use retry_core::store::{Applied, ClaimRequest, SessionInfo, TaskStore};
use retry_core::task::{ClaimedTask, Edit, KeyScope, NewTask, OnDuplicate, Settings, Task, Unique};
use retry_core::time::Timestamp;
use retry_redis::{RedisBuilder, RedisStore};
use test_servers::{Reach, Server, Shared, needs, own_with};

use crate::namespace::Namespace;

/// The time of every call unless a test says otherwise.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// A test on servers that others use as well, on each in a namespace of its own.
pub(crate) fn on_each<F>(servers: &[Arc<Shared>], name: &str, test: fn(Namespace) -> F) -> Vec<Trial>
where
    F: Future<Output = ()> + 'static,
{
    let on = |server: &Arc<Shared>| {
        let server = Arc::clone(server);
        test_servers::trial(server.named(name), move || {
            block_on(test(Namespace::fresh(&server.url())));
        })
    };
    servers.iter().map(on).collect()
}

/// A test that starts servers of its own, of a kind.
pub(crate) fn trial<F>(name: &str, kind: test_servers::Kind, test: fn() -> F) -> Trial
where
    F: Future<Output = ()> + 'static,
{
    test_servers::trial(name, move || {
        needs(kind);
        block_on(test());
    })
}

/// A test on a single server of its own.
pub(crate) fn on_redis<F>(name: &str, test: fn() -> F) -> Trial
where
    F: Future<Output = ()> + 'static,
{
    trial(name, test_servers::Kind::Redis, test)
}

fn block_on(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(test);
}

/// A server of the test's own.
pub(crate) fn server(settings: &[(&str, &str)]) -> Server {
    own_with(test_servers::Kind::Redis, settings)
}

/// Where a store's keys are.
pub(crate) trait Place: Reach {
    fn name(&self) -> &str;
}

impl Place for Server {
    fn name(&self) -> &str {
        "it"
    }
}

impl Place for Namespace {
    fn name(&self) -> &str {
        Self::name(self)
    }
}

impl Reach for Namespace {
    fn url(&self) -> String {
        Self::url(self).to_owned()
    }

    fn is_given(&self) -> bool {
        true
    }
}

pub(crate) fn builder(place: &impl Place) -> RedisBuilder {
    RedisStore::builder(place.url()).namespace(place.name())
}

pub(crate) async fn store(place: &impl Place) -> RedisStore {
    builder(place)
        .connect()
        .await
        .expect("the server takes the store")
}

/// Every index of a place is what its records say.
pub(crate) fn audit(place: &impl Place) {
    crate::audit::audit(&place.url(), place.name());
}

/// Sends a command on a connection of its own.
pub(crate) fn send(place: &impl Place, words: &[&str]) -> Value {
    try_send(place, words).expect("the command is answered")
}

pub(crate) fn try_send(place: &impl Place, words: &[&str]) -> redis::RedisResult<Value> {
    let client = Client::open(place.url()).expect("its URL");
    let mut cmd = Cmd::new();
    for word in words {
        cmd.arg(word);
    }
    cmd.query(&mut client.get_connection()?)
}

/// As many connections as a server takes. Each has been answered once: one that was refused may look like an open one for a while.
pub(crate) fn crowd(url: &str) -> Vec<redis::Connection> {
    let client = Client::open(url).expect("its URL");
    let answered = || {
        let mut other = client.get_connection().ok()?;
        redis::cmd("PING").query::<()>(&mut other).ok()?;
        Some(other)
    };
    std::iter::from_fn(answered).collect()
}

/// Every key of a place with what it holds.
pub(crate) fn snapshot(place: &impl Place) -> Vec<(String, Vec<Vec<u8>>)> {
    let client = Client::open(place.url()).expect("its URL");
    let mut connection = client.get_connection().expect("a connection");
    let mut keys = keys(place);
    keys.sort();
    let mut content = |key: String| {
        let kind: String = redis::cmd("TYPE")
            .arg(&key)
            .query(&mut connection)
            .expect("a type");
        let words: &[&str] = match kind.as_str() {
            "hash" => &["HGETALL"],
            "zset" => &["ZRANGE", "0", "-1", "WITHSCORES"],
            "list" => &["LRANGE", "0", "-1"],
            _ => &["GETRANGE", "0", "-1"],
        };
        let mut cmd = redis::cmd(words[0]);
        cmd.arg(&key).arg(&words[1..]);
        // Neither the order of a hash nor that of its pairs says anything.
        let mut values: Vec<Vec<u8>> = cmd.query(&mut connection).expect("its content");
        values.sort();
        (key, values)
    };
    keys.into_iter().map(&mut content).collect()
}

/// The names of a place's keys.
pub(crate) fn keys(place: &impl Place) -> Vec<String> {
    let client = Client::open(place.url()).expect("its URL");
    let mut connection = client.get_connection().expect("a connection");
    let mut asked = redis::cmd("KEYS");
    asked.arg(format!("{{{}}}:*", place.name()));
    asked.query(&mut connection).expect("keys")
}

static IDS: Mutex<TaskIds> = Mutex::new(TaskIds::new());

pub(crate) fn id() -> TaskId {
    IDS.lock()
        .expect("no panic inside")
        .next(NOW, Shard::default(), 7)
}

pub(crate) fn kind() -> Kind {
    Kind::new("work").expect("a name")
}

pub(crate) fn task() -> NewTask {
    NewTask {
        id: id(),
        kind: kind(),
        queue: Queue::default(),
        priority: Priority::Normal,
        payload: Payload::from_json(" {\"a\": 1} ").expect("JSON"),
        headers: Headers::new(),
        run_at: NOW,
        unique: None,
        parent: None,
        settings: Settings::default(),
        wait_secret: u64::MAX,
        leased_by: None,
    }
}

pub(crate) fn tasks(n: usize) -> Vec<NewTask> {
    (0..n).map(|_| task()).collect()
}

pub(crate) fn keyed(key: &str) -> NewTask {
    NewTask {
        unique: Some(Unique {
            key: UniqueKey::new(key).expect("a key"),
            scope: KeyScope::Active,
            on_duplicate: OnDuplicate::Keep,
        }),
        ..task()
    }
}

/// Opens a session for a minute.
pub(crate) async fn session(store: &RedisStore) -> SessionId {
    let id = SessionId::from_random(u64::from_be_bytes([1; 8]), id().to_bytes()[15].into());
    let info = SessionInfo {
        id,
        name: WorkerName::new("w").expect("a name"),
        host: "h".to_owned(),
        queues: vec![Queue::default()],
        kinds: vec![kind()],
    };
    let until = NOW.saturating_add(Duration::from_mins(1));
    store.open_session(&info, until, NOW).await.expect("it opens");
    id
}

pub(crate) fn request(session: SessionId, limit: usize) -> ClaimRequest {
    ClaimRequest::new(session, Queue::default(), [kind()], limit)
}

pub(crate) async fn claim(store: &RedisStore, session: SessionId, limit: usize) -> Vec<ClaimedTask> {
    let exchanged = store.exchange(&[], &[request(session, limit)], NOW).await;
    let claimed = exchanged.expect("a claim").claimed;
    claimed.into_iter().flat_map(|claimed| claimed.tasks).collect()
}

/// The edit that the machine makes of an event.
pub(crate) fn edit(task: &Task, event: Event, nonce: u64) -> Edit {
    Edit {
        id: task.id,
        version: task.version,
        nonce: Nonce::from_random(nonce),
        action: transition(task, event, NOW, 0).expect("it applies"),
        insert: Vec::new(),
    }
}

pub(crate) fn success(task: &Task) -> Edit {
    let event = Event::Succeed {
        output: None,
        via_fallback: false,
    };
    edit(task, event, task.version + 1_000)
}

pub(crate) async fn apply(store: &RedisStore, edits: &[Edit]) -> Vec<Applied> {
    store
        .exchange(edits, &[], NOW)
        .await
        .expect("an exchange")
        .applied
}
