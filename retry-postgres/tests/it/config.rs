//! Servers and options that are refused, and what errors tell.

use std::error::Error as _;
use std::sync::Arc;

use retry_core::store::{Begin as _, Certainty, StoreError, StoreErrorKind, TaskStore as _};
use retry_postgres::{OpenError, PostgresStore};
use test_servers::{Address, Kind, logged, own, own_with, unique};

use crate::support::{Env, block_on, execute, needs};
use crate::{Alone, Test};

pub(crate) const TESTS: &[(&str, Test)] = &[
    ("config::unsafe_settings_are_refused", unsafe_settings_are_refused),
    ("config::another_encoding_is_refused", another_encoding_is_refused),
    ("config::schemas_are_checked", schemas_are_checked),
    ("config::secrets_stay_secret", secrets_stay_secret),
    ("config::the_connections_are_bounded", the_connections_are_bounded),
    (
        "config::a_pool_of_the_users_that_is_in_use_is_busy",
        a_pool_of_the_users_that_is_in_use_is_busy,
    ),
    (
        "config::a_role_without_a_connection_left_is_busy",
        a_role_without_a_connection_left_is_busy,
    ),
];

pub(crate) const ALONE: &[(&str, Alone)] = &[
    (
        "config::a_server_without_fsync_is_refused",
        a_server_without_fsync_is_refused,
    ),
    (
        "config::a_server_that_cannot_repair_torn_pages_is_refused",
        a_server_that_cannot_repair_torn_pages_is_refused,
    ),
    ("config::a_standby_is_refused", a_standby_is_refused),
    ("config::logs_tell_no_password", logs_tell_no_password),
    (
        "config::a_server_without_a_connection_left_is_busy",
        a_server_without_a_connection_left_is_busy,
    ),
];

async fn refusal(url: &str) -> StoreError {
    match PostgresStore::connect(url).await {
        Err(OpenError::Store(error)) => error,
        Err(OpenError::Config(error)) => panic!("the URL was refused: {error}"),
        Ok(_) => panic!("{url} was accepted"),
        Err(error) => panic!("{error}"),
    }
}

fn assert_refused(error: &StoreError, kind: StoreErrorKind, word: &str) {
    assert_eq!(
        (error.certainty(), error.kind()),
        (Certainty::Rejected, kind),
        "{error}"
    );
    assert!(error.to_string().contains(word), "{error}");
}

fn unsafe_settings_are_refused(env: Arc<Env>) {
    block_on(async move {
        let with = |setting: &str| {
            let option = format!("options=-c%20{setting}");
            Address::of(&env.url).option(&option).to_string()
        };
        let error = refusal(&with("synchronous_commit%3Doff")).await;
        assert_refused(&error, StoreErrorKind::Other, "synchronous_commit");
        // Also when it becomes so, and only new connections see it: then the request is not to blame.
        let (store, schema) = env.fresh().await;
        let role = format!("{schema}_hasty");
        let mut conn = env.beside().await;
        let url = env.role(&role, "SUPERUSER").await;
        drop(store);
        let store = PostgresStore::builder(&url)
            .schema(&schema)
            .connect()
            .await
            .unwrap();
        execute(
            &mut conn,
            format!(
                "ALTER ROLE {role} SET synchronous_commit = off; \
                 SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE usename = '{role}'"
            ),
        )
        .await;
        let refused = async || store.queues().await.unwrap_err();
        let mut error = refused().await;
        while error.kind() == StoreErrorKind::Unavailable {
            error = refused().await;
        }
        assert_refused(&error, StoreErrorKind::Other, "synchronous_commit");
        let error = refusal(&with("default_transaction_read_only%3Don")).await;
        assert_refused(&error, StoreErrorKind::ReadOnly, "primary");
    });
}

fn a_server_without_fsync_is_refused() {
    let server = own_with(Kind::Postgres, &[("fsync", "off")]);
    block_on(async {
        let error = refusal(&server.url()).await;
        assert_refused(&error, StoreErrorKind::Other, "fsync");
    });
}

/// Unless somebody vouches for the file system. The setting may change while the server runs.
fn a_server_that_cannot_repair_torn_pages_is_refused() {
    let server = own_with(Kind::Postgres, &[("full_page_writes", "off")]);
    block_on(async {
        let error = refusal(&server.url()).await;
        assert_refused(&error, StoreErrorKind::Other, "full_page_writes");
        let vouched = PostgresStore::builder(&server.url()).atomic_page_writes(true);
        vouched.connect().await.unwrap();
        let outbox = retry_postgres::PostgresOutbox::builder("orders", &server.url());
        assert!(outbox.clone().connect().await.is_err());
        outbox.atomic_page_writes(true).connect().await.unwrap();
    });
}

/// Also a store that is open already says what happened to its server, and goes on when it is a primary again.
fn a_standby_is_refused() {
    let server = own(Kind::Postgres);
    block_on(async {
        let store = PostgresStore::connect(&server.url()).await.unwrap();
        // A server that was stopped with care can be started as a standby of nobody.
        let mut conn = <sqlx::PgConnection as sqlx::Connection>::connect(&server.url())
            .await
            .unwrap();
        execute(&mut conn, "CHECKPOINT").await;
        server.kill();
        let signal = server.folder().join("data/standby.signal");
        std::fs::write(&signal, "").unwrap();
        std::fs::set_permissions(&signal, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
        server.restart().unwrap();
        let error = refusal(&server.url()).await;
        assert_refused(&error, StoreErrorKind::ReadOnly, "standby");
        let error = loop {
            // The first call meets the connection that is gone.
            let error = store.time().await.unwrap_err();
            if error.kind() != StoreErrorKind::Unavailable {
                break error;
            }
        };
        assert_refused(&error, StoreErrorKind::ReadOnly, "standby");
        server.kill();
        std::fs::remove_file(&signal).unwrap();
        server.restart().unwrap();
        store.time().await.expect("the store goes on by itself");
    });
}

fn another_encoding_is_refused(env: Arc<Env>) {
    block_on(async move {
        let mut conn = env.beside().await;
        let old = unique("it");
        let create = format!("CREATE DATABASE {old} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
        needs(&mut conn, &create).await;
        env.undo(format!("DROP DATABASE {old} WITH (FORCE)"));
        let error = refusal(&Address::of(&env.url).database(&old).to_string()).await;
        assert_refused(&error, StoreErrorKind::Other, "LATIN1");
    });
}

fn schemas_are_checked(env: Arc<Env>) {
    block_on(async move {
        let (builder, schema) = env.builder();
        let connect = |migrate: bool| builder.clone().migrate(migrate).connect();
        let Err(OpenError::Store(error)) = connect(false).await else {
            panic!("a schema that is missing was accepted");
        };
        assert_refused(&error, StoreErrorKind::Schema, "migrations");
        let store = connect(true).await.unwrap();
        assert!(connect(false).await.is_ok());
        let mut conn = env.beside().await;
        execute(&mut conn, format!("UPDATE {schema}.version SET version = 2")).await;
        let Err(OpenError::Store(error)) = connect(true).await else {
            panic!("a newer schema was accepted");
        };
        assert_refused(&error, StoreErrorKind::Schema, "newer");
        assert_eq!(store.migrate().await.unwrap_err().kind(), StoreErrorKind::Schema);
        execute(&mut conn, format!("DROP SCHEMA {schema} CASCADE")).await;
        let error = store.queues().await.unwrap_err();
        assert_refused(&error, StoreErrorKind::Schema, "tables are missing");
    });
}

fn secrets_stay_secret(env: Arc<Env>) {
    block_on(async move {
        let address = Address::of(&env.url);
        let name = address.name().to_owned();
        let open = address.user(&name, "hunter2").to_string();
        let (_, schema) = env.builder();
        let builder = PostgresStore::builder(&open).schema(&schema);
        // Whether the server looks at the password depends on its rules.
        let opened = builder.clone().connect().await;
        let mut shown = format!("{builder:?} {opened:?}");
        // Nobody listens there.
        for url in [
            "postgres://retry:hunter2@127.0.0.1:1/postgres",
            "postgres://127.0.0.1:1/postgres?user=retry&password=hunter2",
        ] {
            let error = refusal(url).await;
            assert_eq!(error.kind(), StoreErrorKind::Unavailable);
            let mut source = error.source();
            while let Some(cause) = source {
                shown.push_str(&format!("{cause} {cause:?}"));
                source = cause.source();
            }
            shown.push_str(&format!("{error} {error:?}"));
        }
        assert!(!shown.contains("hunter2"), "{shown}");
    });
}

/// A right password, a wrong one, and a server that is not there, with every log on.
fn logs_tell_no_password() {
    let server = own(Kind::Postgres);
    let url = |password: &str| server.url().replace("retry@", &format!("asked:{password}@"));
    block_on(async {
        let mut conn = <sqlx::PgConnection as sqlx::Connection>::connect(&server.url())
            .await
            .unwrap();
        execute(&mut conn, "CREATE ROLE asked LOGIN SUPERUSER PASSWORD 'hunter2'").await;
        let rules = "host all asked 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n";
        std::fs::write(server.folder().join("data/pg_hba.conf"), rules).unwrap();
        execute(&mut conn, "SELECT pg_reload_conf()").await;
        // The server reads its rules a moment later.
        while PostgresStore::connect(&url("swordfish")).await.is_ok() {}
    });
    let (shown, logs) = logged(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        tracing::trace!("every level");
        runtime.unwrap().block_on(async {
            let store = PostgresStore::connect(&url("hunter2")).await.unwrap();
            store
                .insert(&crate::support::tasks(0..1), crate::support::NOW)
                .await
                .unwrap();
            let wrong = refusal(&url("swordfish")).await;
            assert_refused(&wrong, StoreErrorKind::Other, "password");
            server.kill();
            let gone = store.queues().await.unwrap_err();
            let missing = refusal(&url("swordfish")).await;
            let mut shown = format!("{store:?}");
            for error in [&wrong, &gone, &missing] {
                let mut cause: Option<&dyn std::error::Error> = Some(error);
                while let Some(error) = cause {
                    shown += &format!("{error} {error:?}");
                    cause = error.source();
                }
            }
            shown
        })
    });
    assert!(logs.contains("every level"), "{logs}");
    for secret in ["hunter2", "swordfish"] {
        assert!(!shown.contains(secret), "{shown}");
        assert!(!logs.contains(secret), "{logs}");
    }
}

/// Calls beyond the bound wait and get their turn; the heartbeat does not wait.
fn the_connections_are_bounded(env: Arc<Env>) {
    block_on(async move {
        let (builder, schema) = env.builder();
        let store = builder.max_connections(2).connect().await.unwrap();
        let mut blocker = env.beside().await;
        execute(&mut blocker, format!("BEGIN; LOCK TABLE {schema}.paused")).await;
        let calls: Vec<_> = (0..20)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move { store.queues().await })
            })
            .collect();
        let session = crate::support::session(1);
        let renewed = store
            .renew(session.id, crate::support::FAR, crate::support::NOW)
            .await;
        assert!(renewed.is_ok(), "a heartbeat passes by");
        let mut conn = env.beside().await;
        let waits = crate::support::waits(&schema);
        crate::support::until(&mut conn, waits.clone(), |calls| calls == 2).await;
        assert_eq!(
            crate::support::number(&mut conn, waits).await,
            2,
            "the others wait here"
        );
        execute(&mut blocker, "COMMIT").await;
        for call in calls {
            call.await.unwrap().unwrap();
        }
    });
}

/// The server's own limit for a role.
fn a_role_without_a_connection_left_is_busy(env: Arc<Env>) {
    block_on(async move {
        let url = env.role(&unique("few"), "CONNECTION LIMIT 0").await;
        let error = refusal(&url).await;
        assert_refused(&error, StoreErrorKind::Busy, "CONNECTION LIMIT");
        assert!(error.is_retryable());
    });
}

/// The server's own limit of all connections.
fn a_server_without_a_connection_left_is_busy() {
    let server = own_with(Kind::Postgres, &[("max_connections", "12")]);
    block_on(async {
        let mut crowd = Vec::new();
        while let Ok(conn) = <sqlx::PgConnection as sqlx::Connection>::connect(&server.url()).await {
            crowd.push(conn);
        }
        let error = refusal(&server.url()).await;
        assert_refused(&error, StoreErrorKind::Busy, "max_connections");
        drop(crowd);
        // The server notices a moment later that they are gone.
        while let Err(error) = PostgresStore::connect(&server.url()).await {
            assert_refused(&StoreError::from(error), StoreErrorKind::Busy, "max_connections");
        }
    });
}

fn a_pool_of_the_users_that_is_in_use_is_busy(env: Arc<Env>) {
    block_on(async move {
        let (store, _) = env.fresh().await;
        let pool = sqlx::postgres::PgPoolOptions::new().max_connections(1);
        let pool = pool.acquire_timeout(std::time::Duration::from_millis(50));
        let pool = pool.connect_lazy(&env.url).unwrap();
        let mut conn = pool.acquire().await;
        while conn.is_err() {
            // A busy machine may be slower than that.
            conn = pool.acquire().await;
        }
        let error = store.begin(&pool).await.unwrap_err();
        assert_refused(&error, StoreErrorKind::Busy, "your pool");
    });
}
