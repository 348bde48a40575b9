//! What is refused before anything is done: options, servers, schemas; each with its reason, none with a secret.

use std::sync::Arc;
use std::time::Duration;

use retry_core::payload::Payload;
use retry_core::store::{Certainty, Durability, Inserted, StoreErrorKind, TaskStore as _, TaskStoreExt as _};
use retry_mysql::{ConfigError, MySqlBuilder, MySqlStore, OpenError, Tls};
use sqlx::mysql::MySqlConnection;
use test_servers::{Address, Server, Shared, logged};

use crate::support::{NOW, Place, fresh, run, task};

async fn config_error(builder: MySqlBuilder) -> ConfigError {
    match builder.connect().await {
        Err(OpenError::Config(error)) => error,
        other => panic!("{other:?}"),
    }
}

async fn refusal(builder: MySqlBuilder) -> (StoreErrorKind, String) {
    match builder.connect().await {
        Err(OpenError::Store(error)) => (error.kind(), error.to_string()),
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn wrong_options_are_refused_before_connecting() {
    // Nobody listens there: a refusal that came from the server would be another error.
    let builder = || MySqlStore::builder("mysql://u:p@127.0.0.1:1/shop");
    for url in ["", "postgres://u@h/d", "127.0.0.1/shop"] {
        assert_eq!(
            config_error(MySqlStore::builder(url)).await,
            ConfigError::Url,
            "{url}"
        );
    }
    for (url, name) in [
        ("mysql://h", ""),
        ("mysql://h/a%60b", "a`b"),
        ("mysql://h/1a", "1a"),
    ] {
        assert_eq!(
            config_error(MySqlStore::builder(url)).await,
            ConfigError::Database(name.to_owned())
        );
    }
    for prefix in ["", "a; DROP TABLE x", "Retry_", "1a", "`", &"a".repeat(33)] {
        assert_eq!(
            config_error(builder().prefix(prefix)).await,
            ConfigError::Prefix(prefix.to_owned())
        );
    }
    for (given, error) in [
        (builder().connections(0), "0 connections; choose 1 to 256"),
        (builder().connections(257), "257 connections; choose 1 to 256"),
        (builder().readers(65), "65 readers; choose 1 to 64"),
        (
            builder().lock_timeout(Duration::from_millis(999)),
            "lock_timeout of 999ms; choose 1s or more",
        ),
        (
            builder().call_timeout(Duration::ZERO),
            "call_timeout of 0ns; choose 1ms or more",
        ),
        (
            builder().poll_interval(Some(Duration::ZERO)),
            "poll_interval of 0ns; choose 1ms or more",
        ),
    ] {
        assert_eq!(config_error(given).await.to_string(), error);
    }
    for mode in ["DISABLED", "PREFERRED", "REQUIRED", "VERIFY_CA"] {
        let url = format!("mysql://u:p@db.example.org/shop?ssl-mode={mode}");
        assert_eq!(
            config_error(MySqlStore::builder(&url)).await,
            ConfigError::Unprotected,
            "{mode}"
        );
    }
}

pub(crate) async fn secrets_are_never_shown(server: Arc<Shared>) {
    const SECRET: &str = "s3cr3t-p4ssw0rd";
    let (place, store) = fresh(&server).await;
    let address = Address::of(&place.url());
    let name = address.name().to_owned();
    let url = address.user(&name, SECRET).to_string();
    let mut shown = vec![format!("{:?}", MySqlStore::builder(&url)), format!("{store:?}")];
    for url in [
        url.as_str(),
        &Address::of(&url)
            .option(&format!("password={SECRET}"))
            .to_string(),
        &format!("mysql://a:{SECRET}@[bad/x"),
    ] {
        for builder in [
            MySqlStore::builder(url),
            MySqlStore::builder(url).tls(Tls::Verify),
        ] {
            let error = builder.connect().await.unwrap_err();
            let mut cause: Option<&dyn std::error::Error> = Some(&error);
            while let Some(error) = cause {
                shown.extend([error.to_string(), format!("{error:?}")]);
                cause = error.source();
            }
        }
    }
    assert!(shown.len() > 10);
    let short = format!("{store:?}");
    assert!(short.contains(&place.name) && short.len() < 200, "{short}");
    for text in shown {
        assert!(!text.contains(SECRET), "{text}");
        assert!(!text.contains("retry:retry"), "{text}");
    }
}

/// Whatever the server refuses before the commit is certainly not stored, also where the statement commits by itself.
pub(crate) async fn what_a_table_refuses_is_certain(server: Arc<Shared>) {
    let (place, store) = fresh(&server).await;
    let mut conn = place.connect().await;
    let mut large = task(2);
    large.payload = Payload::encode(&"x".repeat(10_000)).unwrap();
    for (table, column, refused) in [
        ("retry_task", "attempt", task(1)),
        ("retry_body", "OCTET_LENGTH(payload)", large),
    ] {
        let sql = format!("ALTER TABLE {table} ADD CONSTRAINT of_the_users CHECK ({column} < 0)");
        run(&mut conn, &sql).await;
        let error = store.insert_one(refused, NOW).await.unwrap_err();
        assert_eq!(error.certainty(), Certainty::Rejected, "{table}: {error}");
        run(
            &mut conn,
            &format!("ALTER TABLE {table} DROP CONSTRAINT of_the_users"),
        )
        .await;
    }
    for n in [1, 2] {
        let inserted = store.insert_one(task(n), NOW).await.unwrap();
        assert_eq!(inserted, Inserted::New { leased: false });
    }
}

/// A right password, a wrong one, and a server that is not there, with every log on.
pub(crate) async fn logs_tell_no_secret(server: Arc<Server>) {
    const WRONG: &str = "s3cr3t-p4ssw0rd";
    const SECRET: &str = "s3cr3t-p4yl04d";
    const RIGHT: &str = "retry-p4ssw0rd";
    let (place, _) = fresh(&server).await;
    let mut conn = place.connect().await;
    run(
        &mut conn,
        &format!("CREATE USER asked IDENTIFIED BY '{RIGHT}'; GRANT ALL ON *.* TO asked"),
    )
    .await;
    let url = |password| {
        format!(
            "mysql://asked:{password}@127.0.0.1:{}/{}",
            server.ports()[0],
            place.name
        )
    };
    let ((), logs) = logged(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        tracing::trace!("every level");
        runtime.unwrap().block_on(async {
            let store = MySqlStore::builder(&url(RIGHT)).connect().await.unwrap();
            let mut told = task(1);
            told.payload = Payload::encode(SECRET).unwrap();
            store.insert_one(told, NOW).await.unwrap();
            let (kind, text) = refusal(MySqlStore::builder(&url(WRONG))).await;
            assert_eq!(kind, StoreErrorKind::Other);
            assert!(text.contains("denies access"), "{text}");
            server.kill();
            store.queues().await.unwrap_err();
            refusal(MySqlStore::builder(&url(WRONG))).await;
        });
    });
    assert!(logs.contains("every level"), "{logs}");
    let hex: String = SECRET.bytes().map(|byte| format!("{byte:02x}")).collect();
    assert!(!logs.to_lowercase().contains(&hex), "{logs}");
    for secret in [RIGHT, WRONG, SECRET] {
        assert!(!logs.contains(secret), "{logs}");
    }
}

pub(crate) async fn a_schema_that_is_missing_newer_or_foreign_is_refused(server: Arc<Shared>) {
    let place = Place::new(&server).await;
    let (kind, text) = refusal(place.builder().migrate(false)).await;
    assert_eq!(kind, StoreErrorKind::Schema);
    assert!(text.contains("no tables of the store"), "{text}");
    let store = place.store().await;
    store.insert_one(task(1), NOW).await.unwrap();
    let mut conn = place.connect().await;
    run(&mut conn, "UPDATE retry_schema SET version = 2").await;
    for migrate in [true, false] {
        let (kind, text) = refusal(place.builder().migrate(migrate)).await;
        assert_eq!(kind, StoreErrorKind::Schema);
        assert!(text.contains("newer release"), "{text}");
    }
    run(&mut conn, "UPDATE retry_schema SET version = 1").await;
    run(&mut conn, "ALTER TABLE retry_paused ENGINE = MyISAM").await;
    let (kind, text) = refusal(place.builder()).await;
    assert_eq!(kind, StoreErrorKind::Schema);
    assert!(text.contains("retry_paused is kept by MyISAM"), "{text}");
    run(&mut conn, "ALTER TABLE retry_paused ENGINE = InnoDB").await;
    // What a migration left half-done, the next one finishes.
    run(&mut conn, "DROP TABLE retry_schema; DROP TABLE retry_note").await;
    let store = place.store().await;
    assert_eq!(store.insert_one(task(1), NOW).await.unwrap(), Inserted::Repeated);
}

pub(crate) async fn prefixes_do_not_meet(server: Arc<Shared>) {
    let place = Place::new(&server).await;
    let one = place.builder().prefix("one_").connect().await.unwrap();
    let two = place.builder().prefix("two_").connect().await.unwrap();
    one.insert_one(task(1), NOW).await.unwrap();
    assert!(two.get(task(1).id).await.unwrap().is_none());
    assert_eq!(
        two.insert_one(task(1), NOW).await.unwrap(),
        Inserted::New { leased: false }
    );
}

async fn set(conn: &mut MySqlConnection, variable: &str, value: &str) {
    run(conn, &format!("SET GLOBAL {variable} = {value}")).await;
}

pub(crate) async fn a_server_that_cannot_keep_the_promises_is_refused(server: Arc<Server>) {
    let (place, store) = fresh(&server).await;
    assert_eq!(store.durability(), Durability::Synced);
    let mut conn = place.connect().await;
    for (variable, value, sound, kind) in [
        (
            "innodb_flush_log_at_trx_commit",
            "2",
            "1",
            StoreErrorKind::Invalid,
        ),
        (
            "max_allowed_packet",
            "4194304",
            "67108864",
            StoreErrorKind::Invalid,
        ),
        ("read_only", "1", "0", StoreErrorKind::ReadOnly),
    ] {
        set(&mut conn, variable, value).await;
        let (given, text) = refusal(place.builder()).await;
        assert_eq!(given, kind, "{text}");
        assert!(text.contains(variable), "{text}");
        if variable == "innodb_flush_log_at_trx_commit" {
            let relaxed = place.builder().relaxed_durability(true).connect().await.unwrap();
            assert_eq!(relaxed.durability(), Durability::Periodic(Duration::from_secs(1)));
        }
        set(&mut conn, variable, sound).await;
    }
    place.store().await;
}

pub(crate) async fn a_server_that_cannot_repair_torn_pages_is_refused(server: Arc<Server>) {
    let place = Place::new(&server).await;
    let (kind, text) = refusal(place.builder()).await;
    assert_eq!(kind, StoreErrorKind::Invalid, "{text}");
    assert!(text.contains("innodb_doublewrite is OFF"), "{text}");
    let accepted = place.builder().relaxed_durability(true).connect().await.unwrap();
    assert_eq!(accepted.durability(), Durability::None);
}
