//! ACL users, and passwords that show nowhere.

use libtest_mimic::Trial;
use retry_core::store::{Certainty, StoreError, TaskStore};
use retry_redis::RedisStore;
use test_servers::{Server, logged};

use crate::support::{NOW, claim, on_redis, send, server, session, success, task};

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

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        on_redis("users::least_rights_are_enough", least_rights),
        on_redis("users::a_user_without_rights_writes_nothing", no_rights),
        on_redis("users::passwords_show_nowhere", secrets),
        on_redis("users::logs_tell_no_password", logs),
    ]
}

fn with_user(server: &Server, rights: &[&str]) -> String {
    let mut words = vec!["ACL", "SETUSER", "worker", "on", ">hunter2"];
    words.extend(rights);
    send(server, &words);
    server.url().replace("redis://", "redis://worker:hunter2@")
}

async fn least_rights() {
    let server = server(&[]);
    let url = with_user(&server, RIGHTS);
    let store = RedisStore::builder(&url)
        .namespace("it")
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

async fn no_rights() {
    let server = server(&[]);
    let url = with_user(&server, &["~{it}:*", "+@all", "-evalsha", "-eval"]);
    let error = RedisStore::builder(&url)
        .namespace("it")
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
    let right = with_user(&server, RIGHTS);
    let wrong = right.replace("hunter2", "swordfish");
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
    with_user(&server, RIGHTS);
    let wrong = server.url().replace("redis://", "redis://worker:swordfish@");
    let builder = RedisStore::builder(&wrong).namespace("it");
    let mut shown = format!("{builder:?}");
    let error = builder.connect().await.expect_err("a wrong password");
    shown += &format!("{error} {error:?}");
    let error = StoreError::from(error);
    let mut cause: Option<&dyn std::error::Error> = Some(&error);
    while let Some(error) = cause {
        shown += &format!("{error} {error:?}");
        cause = error.source();
    }
    let right = server.url().replace("redis://", "redis://worker:hunter2@");
    let store = RedisStore::builder(&right)
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
