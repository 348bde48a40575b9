//! ACL users, and passwords that show nowhere.

use std::sync::Arc;

use libtest_mimic::Trial;
use retry_core::store::{Certainty, StoreError, TaskStore};
use retry_redis::RedisStore;
use test_servers::{Address, Shared, ignore, logged, unique};

use crate::namespace::Namespace;
use crate::support::{NOW, Place, claim, on_each, on_redis, server, session, success, task, try_send};

/// The rights that the documentation asks for.
const RIGHTS: &[&str] = &[
    "~{it}:*",
    "&{it}:*",
    "-@all",
    "+eval",
    "+evalsha",
    "+info",
    "+config|get",
    "+time",
    "+type",
    "+get",
    "+set",
    "+hget",
    "+hmget",
    "+hgetall",
    "+hset",
    "+hdel",
    "+hincrby",
    "+hstrlen",
    "+zadd",
    "+zrem",
    "+zremrangebylex",
    "+zrange",
    "+zrangebylex",
    "+zrevrangebylex",
    "+zrangebyscore",
    "+zlexcount",
    "+zcount",
    "+zscore",
    "+zrank",
    "+publish",
    "+subscribe",
    "+unsubscribe",
    "+ping",
];

pub(crate) fn trials(servers: &[Arc<Shared>]) -> Vec<Trial> {
    let shared = [
        on_each(servers, "users::least_rights_are_enough", least_rights),
        on_each(servers, "users::a_user_without_rights_writes_nothing", no_rights),
    ];
    let alone = [
        on_redis("users::passwords_show_nowhere", secrets),
        on_redis("users::logs_tell_no_password", logs),
    ];
    shared.into_iter().flatten().chain(alone).collect()
}

/// A user of a place, gone with it.
struct User<'p, P: Place> {
    place: &'p P,
    name: String,
}

impl<'p, P: Place> User<'p, P> {
    /// Rights are told for the namespace `it`. A server where nobody may make users has the test ignored.
    fn new(place: &'p P, rights: &[&str]) -> Self {
        let name = unique("worker");
        let rights = rights
            .iter()
            .map(|right| right.replace("{it}", &format!("{{{}}}", place.name())));
        let words = ["ACL", "SETUSER", &name, "on", ">hunter2"].map(str::to_owned);
        let words: Vec<String> = words.into_iter().chain(rights).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match try_send(place, &words) {
            Err(error) if error.code() == Some("NOPERM") => ignore("needs a server that grants ACL SETUSER"),
            made => made.expect("the command is answered"),
        };
        Self { place, name }
    }

    fn url(&self, password: &str) -> String {
        Address::of(&self.place.url())
            .user(&self.name, password)
            .to_string()
    }
}

impl<P: Place> Drop for User<'_, P> {
    fn drop(&mut self) {
        // The server may be gone by now.
        let _ = try_send(self.place, &["ACL", "DELUSER", &self.name]);
    }
}

async fn least_rights(place: Namespace) {
    let user = User::new(&place, RIGHTS);
    let store = RedisStore::builder(user.url("hunter2"))
        .namespace(place.name())
        .connect()
        .await
        .expect("rights");
    let new = task();
    store
        .insert(std::slice::from_ref(&new), NOW)
        .await
        .expect("an insert");
    let session = session(&store).await;
    let claimed = claim(&store, session, 1).await;
    store
        .exchange(&[success(&claimed[0].task)], &[], NOW)
        .await
        .expect("a settle");
    store.renew(session, NOW, NOW).await.expect("a renewal");
    store.get(new.id).await.expect("a get");
    store
        .list(&Default::default(), &retry_core::store::Page::first(5))
        .await
        .expect("a list");
    store.count(&Default::default()).await.expect("a count");
    store.queues().await.expect("queues");
    store
        .expired(
            &retry_core::store::ExpiredRequest {
                mark: true,
                after: None,
                limit: 5,
            },
            NOW,
        )
        .await
        .expect("expired");
    store
        .purge(retry_core::time::Timestamp::MAX, 5)
        .await
        .expect("a purge");
    store.time().await.expect("the time");
    store.close_session(session).await.expect("a close");
}

async fn no_rights(place: Namespace) {
    let user = User::new(&place, &["~{it}:*", "+@all", "-evalsha", "-eval"]);
    let error = RedisStore::builder(user.url("hunter2"))
        .namespace(place.name())
        .connect()
        .await
        .expect_err("no scripts");
    let error = StoreError::from(error);
    assert_eq!(error.certainty(), Certainty::Rejected, "{error}");
    assert!(error.to_string().contains("right"), "{error}");
}

/// A right password, a wrong one, and a server that is not there, with every log on.
async fn logs() {
    let server = server(&[]);
    let user = User::new(&server, RIGHTS);
    let (right, wrong) = (user.url("hunter2"), user.url("swordfish"));
    let connect = async |url: &str| RedisStore::builder(url).namespace("it").connect().await;
    let ((), logs) = logged(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        tracing::trace!("every level");
        runtime.expect("a runtime").block_on(async {
            let store = connect(&right).await.expect("the right password");
            store.insert(&[task()], NOW).await.expect("an insert");
            connect(&wrong).await.expect_err("a wrong password");
            server.kill();
            store.time().await.expect_err("nobody is there");
            connect(&right).await.expect_err("nobody is there");
        });
    });
    assert!(logs.contains("every level"), "{logs}");
    for secret in ["swordfish", "hunter2"] {
        assert!(!logs.contains(secret), "{logs}");
    }
}

async fn secrets() {
    let server = server(&[]);
    let user = User::new(&server, RIGHTS);
    let builder = RedisStore::builder(user.url("swordfish")).namespace("it");
    let mut shown = format!("{builder:?}");
    let error = builder.connect().await.expect_err("a wrong password");
    shown += &format!("{error} {error:?}");
    let error = StoreError::from(error);
    let mut cause: Option<&dyn std::error::Error> = Some(&error);
    while let Some(error) = cause {
        shown += &format!("{error} {error:?}");
        cause = error.source();
    }
    let store = RedisStore::builder(user.url("hunter2"))
        .namespace("it")
        .connect()
        .await
        .expect("right");
    shown += &format!("{store:?}");
    server.kill();
    let error = store.time().await.expect_err("nobody is there");
    shown += &format!("{error} {error:?}");
    for secret in ["swordfish", "hunter2"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
