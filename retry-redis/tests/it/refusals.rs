//! Settings of the server that would lose tasks are refused early, with a reason.

use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::Trial;
use retry_core::store::{Certainty, Durability, StoreError, StoreErrorKind, TaskStore};
use retry_redis::{OpenError, RedisBuilder, Refused};
use test_servers::Shared;

use crate::namespace::Namespace;
use crate::support::{builder, on_each, on_redis, send, server};

pub(crate) fn trials(servers: &[Arc<Shared>]) -> Vec<Trial> {
    let shared = [on_each(servers, "refusals::schema", schema)];
    let alone = [
        on_redis("refusals::durability_is_read_from_the_server", durability),
        on_redis("refusals::eviction", eviction),
        on_redis("refusals::replica", replica),
        on_redis("refusals::forbidden_config", forbidden_config),
        on_redis("refusals::nobody_there", nobody_there),
        on_redis("refusals::a_server_is_judged_when_it_has_loaded", loading),
    ];
    shared.into_iter().flatten().chain(alone).collect()
}

async fn refused(builder: RedisBuilder) -> Refused {
    match builder.connect().await {
        Err(OpenError::Refused(refused)) => refused,
        other => panic!("it should have been refused: {other:?}"),
    }
}

async fn durability() {
    let server = server(&[]);
    let store = builder(&server).connect().await.expect("always");
    assert_eq!(store.durability(), Durability::Synced);

    send(&server, &["CONFIG", "SET", "appendfsync", "everysec"]);
    let store = builder(&server).connect().await.expect("everysec");
    assert_eq!(store.durability(), Durability::Periodic(Duration::from_secs(1)));

    send(&server, &["CONFIG", "SET", "appendfsync", "always"]);
    send(&server, &["CONFIG", "SET", "no-appendfsync-on-rewrite", "yes"]);
    let store = builder(&server).connect().await.expect("not while it rewrites");
    assert_eq!(store.durability(), Durability::Periodic(Duration::from_mins(1)));
    send(&server, &["CONFIG", "SET", "no-appendfsync-on-rewrite", "no"]);

    send(&server, &["CONFIG", "SET", "appendfsync", "no"]);
    assert_eq!(refused(builder(&server)).await, Refused::NoPersistence);

    send(&server, &["CONFIG", "SET", "appendonly", "no"]);
    let error = refused(builder(&server)).await;
    assert_eq!(error, Refused::NoPersistence);
    assert!(error.to_string().contains("appendfsync always"), "{error}");

    let allowed = builder(&server).allow_no_persistence(true).connect().await;
    assert_eq!(allowed.expect("allowed").durability(), Durability::None);
}

async fn eviction() {
    let server = server(&[("maxmemory-policy", "volatile-lru")]);
    let error = refused(builder(&server)).await;
    assert_eq!(error, Refused::Eviction("volatile-lru".to_owned()));
    assert!(error.to_string().contains("noeviction"), "{error}");
}

/// While it reads its file, a server says that it writes none.
async fn loading() {
    // Slowly: it lets callers speak after every thousandth key.
    let server = Arc::new(server(&[("key-load-delay", "100")]));
    let client = redis::Client::open(server.url()).expect("its URL");
    let mut keys = redis::pipe();
    for n in 0..10_000 {
        keys.set(format!("other:{n}"), n).ignore();
    }
    let mut connection = client.get_connection().expect("a connection");
    keys.query::<()>(&mut connection).expect("they are written");
    server.kill();
    let restarting = std::thread::spawn({
        let server = Arc::clone(&server);
        move || server.restart()
    });
    let mut told = 0;
    while !restarting.is_finished() {
        if let Err(error) = builder(&*server).connect().await {
            let error = StoreError::from(error);
            let sort = (error.certainty(), error.kind());
            assert_eq!(
                sort,
                (Certainty::Rejected, StoreErrorKind::Unavailable),
                "{error}"
            );
            told += usize::from(error.to_string().contains("loading"));
        }
    }
    restarting.join().expect("no panic").expect("it comes back");
    assert!(told > 0, "nobody met it while it was loading");
    let store = builder(&*server).connect().await.expect("it has loaded");
    assert_eq!(store.durability(), Durability::Synced);
}

async fn replica() {
    let (primary, server) = (server(&[]), server(&[]));
    let port = primary.ports()[0].to_string();
    send(&server, &["REPLICAOF", "127.0.0.1", &port]);
    assert_eq!(refused(builder(&server)).await, Refused::Replica);
}

async fn forbidden_config() {
    let server = server(&[]);
    send(&server, &["ACL", "SETUSER", "default", "-config"]);
    let error = refused(builder(&server)).await;
    assert_eq!(error, Refused::UnknownPersistence);
    assert!(error.to_string().contains("assume_durability"), "{error}");
    let assumed = Durability::Periodic(Duration::from_secs(2));
    let store = builder(&server).assume_durability(assumed).connect().await;
    assert_eq!(store.expect("you vouch for it").durability(), assumed);
}

fn schema_error(result: Result<impl std::fmt::Debug, OpenError>) -> StoreError {
    let error = StoreError::from(result.expect_err("refused"));
    assert_eq!(
        (error.kind(), error.certainty()),
        (StoreErrorKind::Schema, Certainty::Rejected),
        "{error}"
    );
    error
}

async fn schema(place: Namespace) {
    let error = schema_error(builder(&place).migrate(false).connect().await);
    assert!(error.to_string().contains("migrate"), "{error}");

    send(&place, &["SET", &place.key("v"), "2"]);
    let error = schema_error(builder(&place).connect().await);
    assert!(error.to_string().contains("newer"), "{error}");

    send(&place, &["DEL", &place.key("v")]);
    send(&place, &["HSET", &place.key("h"), "a", "b"]);
    let error = schema_error(builder(&place).connect().await);
    assert!(error.to_string().contains("another namespace"), "{error}");

    send(&place, &["DEL", &place.key("h")]);
    send(&place, &["SET", &place.key("q"), "x"]);
    schema_error(builder(&place).connect().await);

    send(&place, &["DEL", &place.key("q")]);
    let store = builder(&place).connect().await.expect("an empty namespace");
    store.migrate().await.expect("again");
    let again = builder(&place).migrate(false).connect().await;
    again.expect("it is migrated now");
}

async fn nobody_there() {
    let server = server(&[]);
    let builder = builder(&server);
    server.kill();
    let error = StoreError::from(builder.connect().await.expect_err("nobody is there"));
    assert_eq!(
        (error.kind(), error.certainty()),
        (StoreErrorKind::Unavailable, Certainty::Rejected)
    );
    assert!(error.to_string().contains("127.0.0.1"), "{error}");
}
