//! What is special to an outbox in PostgreSQL: connections, tables that are none of its own, rights, plans, answers that get lost.

use std::sync::Arc;

use futures_util::future::join_all;
use retry_core::client::Client;
use retry_core::draft::Draft;
use retry_core::id::TaskId;
use retry_core::limits::MAX_OUTBOX_BODY_BYTES;
use retry_core::outbox::{OutboxRow, OutboxTable as _, Room, RowId};
use retry_core::payload::Payload;
use retry_core::store::{Certainty, Count, MemoryStore, StoreError, StoreErrorKind};
use retry_core::task::ErrorText;
use retry_postgres::{ConfigError, OpenError, PostgresOutbox, PostgresOutboxBuilder};
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection as _, PgConnection};
use test_servers::{Address, Fault, Proxy, Reach as _};

use crate::Test;
use crate::support::{Env, block_on, execute, number, rows, task_id};

pub(crate) const TESTS: &[(&str, Test)] = &[
    (
        "outbox::every_form_of_a_connection_writes",
        every_form_of_a_connection_writes,
    ),
    (
        "outbox::a_connection_without_a_transaction_is_refused",
        a_connection_without_a_transaction_is_refused,
    ),
    ("outbox::other_tables_are_refused", other_tables_are_refused),
    (
        "outbox::its_own_statement_makes_the_table",
        its_own_statement_makes_the_table,
    ),
    ("outbox::wrong_options_are_refused", wrong_options_are_refused),
    (
        "outbox::the_documented_rights_are_enough",
        the_documented_rights_are_enough,
    ),
    (
        "outbox::a_lost_reply_is_unknown_and_converges",
        a_lost_reply_is_unknown_and_converges,
    ),
    ("outbox::numbers_may_come_again", numbers_may_come_again),
    ("outbox::an_oversized_row_is_cut", an_oversized_row_is_cut),
    (
        "outbox::a_full_table_is_read_from_its_head",
        a_full_table_is_read_from_its_head,
    ),
];

/// As the documentation has it: rows that were set aside come again.
const AGAIN: &str = "UPDATE retry_outbox SET seq = -seq, set_aside = NULL WHERE seq < 0";

/// Beyond it lie the rows whose number was taken.
const FAR: i64 = 1 << 62;

const ALL: Room = Room {
    rows: 1_000,
    bytes: 1_000_000,
};

/// The options of an outbox in a schema of its own, and the schema.
fn builder(env: &Env) -> (PostgresOutboxBuilder, String) {
    let (_, schema) = env.builder();
    (
        PostgresOutbox::builder("orders", &env.url).schema(&schema),
        schema,
    )
}

async fn fresh(env: &Env) -> (PostgresOutbox, String) {
    let (builder, schema) = builder(env);
    (builder.connect().await.unwrap(), schema)
}

fn draft() -> Draft {
    Draft::raw("work", Payload::null())
}

/// A client of a store that cannot join the transaction.
fn client() -> Client<MemoryStore> {
    Client::new(MemoryStore::new())
}

fn names(rows: &[OutboxRow]) -> Vec<RowId> {
    rows.iter().map(|row| row.row).collect()
}

async fn ids(outbox: &PostgresOutbox) -> Vec<TaskId> {
    let rows = outbox.next(&[], ALL).await.unwrap();
    rows.iter().map(|row| row.row.id).collect()
}

async fn refusal(builder: PostgresOutboxBuilder) -> StoreError {
    match builder.connect().await {
        Err(OpenError::Store(error)) => error,
        other => panic!("{other:?}"),
    }
}

fn every_form_of_a_connection_writes(env: Arc<Env>) {
    block_on(async move {
        let (outbox, _) = fresh(&env).await;
        let client = client();
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .connect(&env.url)
            .await
            .unwrap();
        // Another thread runs it: the reply is `Send`.
        let (enqueuing, writing, shared) = (client.clone(), outbox.clone(), pool.clone());
        let written = tokio::spawn(async move {
            let mut tx = shared.begin().await.unwrap();
            let first = enqueuing
                .enqueue(draft())
                .outbox(&writing, &mut tx)
                .await
                .unwrap();
            let mut savepoint = tx.begin().await.unwrap();
            let gone = enqueuing.enqueue(draft()).outbox(&writing, &mut savepoint).await;
            savepoint.rollback().await.unwrap();
            let mut savepoint = tx.begin().await.unwrap();
            let second = enqueuing.enqueue(draft()).outbox(&writing, &mut savepoint).await;
            savepoint.commit().await.unwrap();
            tx.commit().await.unwrap();
            gone.unwrap();
            [first, second.unwrap()]
        });
        let [first, second] = written.await.unwrap();
        // A transaction that the driver knows nothing of.
        let mut pooled = pool.acquire().await.unwrap();
        execute(&mut pooled, "BEGIN").await;
        let third = client
            .enqueue(draft())
            .outbox(&outbox, &mut pooled)
            .await
            .unwrap();
        let fourth = client
            .enqueue(draft())
            .outbox(&outbox, &mut *pooled)
            .await
            .unwrap();
        assert_eq!(ids(&outbox).await, [first, second], "not yet");
        execute(&mut pooled, "COMMIT").await;
        assert_eq!(ids(&outbox).await, [first, second, third, fourth]);
    });
}

fn a_connection_without_a_transaction_is_refused(env: Arc<Env>) {
    block_on(async move {
        let (outbox, schema) = fresh(&env).await;
        let mut conn = env.beside().await;
        let refused = client().enqueue(draft()).outbox(&outbox, &mut conn).await;
        let error = refused.unwrap_err().to_string();
        assert!(
            error.contains("begin one") && error.contains("retry_outbox"),
            "{error}"
        );
        assert_eq!(ids(&outbox).await, []);
        // The connection is as it was; one that does not see the table says so, and one whose transaction failed.
        execute(
            &mut conn,
            format!("BEGIN; ALTER TABLE {schema}.retry_outbox RENAME TO gone"),
        )
        .await;
        let error = client()
            .enqueue(draft())
            .outbox(&outbox, &mut conn)
            .await
            .unwrap_err();
        assert!(error.to_string().contains("does not see the tables"), "{error}");
        let error = client()
            .enqueue(draft())
            .outbox(&outbox, &mut conn)
            .await
            .unwrap_err();
        assert!(error.to_string().contains("roll it back"), "{error}");
        execute(&mut conn, "ROLLBACK").await;
    });
}

fn other_tables_are_refused(env: Arc<Env>) {
    block_on(async move {
        let mut conn = env.beside().await;
        for (wrong, named) in [
            ("DROP TABLE {t}", "does not exist"),
            (
                "DROP TABLE {t}; CREATE VIEW {t} AS SELECT 1 AS seq",
                "does not exist",
            ),
            ("DROP TABLE {t}; CREATE TABLE {t} (id int)", "no column `seq`"),
            (
                "ALTER TABLE {t} ALTER body TYPE bytea USING body::bytea",
                "`body` is bytea",
            ),
            ("ALTER TABLE {t} DROP CONSTRAINT retry_outbox_pkey", "primary key"),
            ("ALTER TABLE {t} ALTER seq DROP IDENTITY", "primary key"),
            ("ALTER TABLE {t} ALTER seq SET CACHE 2", "CACHE 1"),
            ("ALTER TABLE {t} ALTER seq SET CYCLE", "CACHE 1"),
            (
                "ALTER TABLE {t} ALTER seq SET INCREMENT -1 SET MINVALUE -9 RESTART",
                "CACHE 1",
            ),
            ("ALTER TABLE {t} SET UNLOGGED", "unlogged"),
            ("ALTER TABLE {t} ADD tenant int NOT NULL", "`tenant`"),
        ] {
            let (outbox, schema) = fresh(&env).await;
            drop(outbox);
            let table = format!("{schema}.retry_outbox");
            execute(&mut conn, wrong.replace("{t}", &table)).await;
            let builder = PostgresOutbox::builder("orders", &env.url).schema(&schema);
            let error = refusal(builder.migrate(false)).await;
            assert_eq!(
                (error.certainty(), error.kind()),
                (Certainty::Rejected, StoreErrorKind::Schema),
                "{wrong}: {error}"
            );
            assert!(error.to_string().contains(named), "{wrong}: {error}");
        }
        // What the user adds is the user's, if no row needs it.
        let (outbox, schema) = fresh(&env).await;
        execute(
            &mut conn,
            format!(
                "ALTER TABLE {schema}.retry_outbox ADD tenant int, ADD host text NOT NULL DEFAULT 'here'"
            ),
        )
        .await;
        let builder = PostgresOutbox::builder("orders", &env.url).schema(&schema);
        builder.connect().await.unwrap();
        let mut tx = conn.begin().await.unwrap();
        client().enqueue(draft()).outbox(&outbox, &mut tx).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(ids(&outbox).await.len(), 1);
    });
}

fn its_own_statement_makes_the_table(env: Arc<Env>) {
    block_on(async move {
        let (builder, schema) = builder(&env);
        let builder = builder.table("moved");
        let error = refusal(builder.clone().migrate(false)).await;
        assert!(error.to_string().contains("`ddl`"), "{error}");
        let mut conn = env.beside().await;
        execute(
            &mut conn,
            format!("CREATE SCHEMA {schema}; {}", builder.ddl().unwrap()),
        )
        .await;
        builder.migrate(false).connect().await.unwrap();
        // Many at once make it as well.
        let (builder, _) = self::builder(&env);
        let opened = join_all((0..6).map(|_| builder.clone().connect())).await;
        assert!(opened.iter().all(Result::is_ok), "{opened:?}");
    });
}

fn wrong_options_are_refused(_env: Arc<Env>) {
    block_on(async move {
        let builder = |name: &str| PostgresOutbox::builder(name, "postgres://u:hunter2@127.0.0.1:1/shop");
        assert!(!format!("{:?}", builder("a")).contains("hunter2"));
        for (builder, wanted) in [
            (builder("a").table("x\"; DROP"), ConfigError::Table),
            (builder("a").table(""), ConfigError::Table),
            (builder("a").schema("pg_x"), ConfigError::Schema),
        ] {
            assert_eq!(builder.ddl(), Err(wanted.clone()));
            match builder.connect().await {
                Err(OpenError::Config(error)) => assert_eq!(error, wanted),
                other => panic!("{other:?}"),
            }
        }
        for name in ["", "a b", &"a".repeat(49)] {
            let refused = builder(name).connect().await;
            assert!(
                matches!(refused, Err(OpenError::Config(ConfigError::Outbox(_)))),
                "{name}"
            );
        }
        let error = refusal(builder("a")).await;
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        let told = format!("{error} {error:?}");
        assert!(
            told.contains("retry_outbox") && !told.contains("hunter2"),
            "{told}"
        );
    });
}

/// The statements of the README, for a table and two roles.
fn grants(table: &str, role: &str) -> String {
    let documented = include_str!("../../README.md");
    let sql = documented.split("```sql\n").find(|sql| sql.contains("shop_web"));
    let sql = sql
        .and_then(|sql| sql.split("```").next())
        .expect("the README shows them");
    assert!(sql.contains("shop_relay") && sql.contains("shop_web"), "{sql}");
    sql.replace("public.retry_outbox", table).replace("shop_", role)
}

fn the_documented_rights_are_enough(env: Arc<Env>) {
    block_on(async move {
        let (_, schema) = fresh(&env).await;
        let mut conn = env.beside().await;
        let prefix = format!("{schema}_");
        let urls = [
            env.role(&format!("{prefix}web"), "").await,
            env.role(&format!("{prefix}relay"), "").await,
        ];
        let usage = format!("GRANT USAGE ON SCHEMA {schema} TO {prefix}web, {prefix}relay");
        execute(&mut conn, usage).await;
        execute(&mut conn, grants(&format!("{schema}.retry_outbox"), &prefix)).await;
        let open = async |url: &str| {
            let builder = PostgresOutbox::builder("orders", url).schema(&schema);
            builder
                .connect()
                .await
                .expect("a table that is there needs no more rights")
        };
        let (web, relay) = (open(&urls[0]).await, open(&urls[1]).await);
        let mut conn = PgConnection::connect(&urls[0]).await.unwrap();
        let mut tx = conn.begin().await.unwrap();
        for _ in 0..3 {
            client().enqueue(draft()).outbox(&web, &mut tx).await.unwrap();
        }
        tx.commit().await.unwrap();
        let found = names(&relay.next(&[], ALL).await.unwrap());
        relay.set_aside(found[1], &ErrorText::new("no")).await.unwrap();
        let left = relay.next(&found[..1], ALL).await.unwrap();
        assert_eq!(names(&left), found[2..]);
        assert_eq!(relay.waiting(9).await.unwrap().rows, Count::Exact(1));
        // The web server may not even look.
        let error = web.next(&[], ALL).await.unwrap_err();
        assert!(error.to_string().contains("grant it the rights"), "{error}");
    });
}

fn a_lost_reply_is_unknown_and_converges(env: Arc<Env>) {
    block_on(async move {
        let (outbox, schema) = fresh(&env).await;
        let mut conn = env.beside().await;
        fill(&mut conn, &schema, 10).await;
        let proxy = Proxy::before(env.socket()).unwrap();
        let url = Address::of(&env.url).at(proxy.port()).to_string();
        let far = PostgresOutbox::builder("orders", &url).schema(&schema);
        let far = far.connect().await.unwrap();
        let handed = names(&outbox.next(&[], Room { rows: 4, ..ALL }).await.unwrap());
        proxy.set(Fault::LoseReplies);
        let error = far.next(&handed, ALL).await.unwrap_err();
        assert_eq!(error.certainty(), Certainty::Unknown, "{error}");
        let error = far.next(&[], ALL).await.unwrap_err();
        assert_eq!(
            error.certainty(),
            Certainty::Rejected,
            "a look writes nothing: {error}"
        );
        proxy.set(Fault::None);
        let left = far.next(&handed, ALL).await.unwrap();
        assert_eq!(left.len(), 6);
        assert_eq!(left[0].row.seq, handed[3].seq + 1);
    });
}

/// After a restore, or on a server that follows another one by logical replication, a sequence may begin anew.
fn numbers_may_come_again(env: Arc<Env>) {
    block_on(async move {
        let (outbox, schema) = fresh(&env).await;
        let mut conn = env.beside().await;
        for round in 0..3u64 {
            let write = format!(
                "ALTER TABLE {schema}.retry_outbox ALTER seq RESTART; \
                 INSERT INTO {schema}.retry_outbox (id, kind, created_at, body) VALUES ('{}', 'k', 1, '')",
                task_id(round)
            );
            execute(&mut conn, write).await;
            let found = names(&outbox.next(&[], ALL).await.unwrap());
            assert_eq!(
                found,
                [RowId {
                    seq: 1,
                    id: task_id(round)
                }]
            );
            outbox.set_aside(found[0], &ErrorText::new("no")).await.unwrap();
        }
        let aside = rows(
            &mut conn,
            format!("SELECT seq FROM {schema}.retry_outbox WHERE set_aside = 'no' ORDER BY seq"),
        )
        .await;
        let aside: Vec<i64> = aside.iter().map(|row| sqlx::Row::get(row, 0)).collect();
        // Out of the way of every number that the sequence gives: putting them back meets none.
        assert_eq!(aside, [-FAR - 2, -FAR - 1, -1]);
        assert!(include_str!("../../README.md").contains(AGAIN));
        let again = AGAIN.replace("retry_outbox", &format!("{schema}.retry_outbox"));
        execute(&mut conn, again).await;
        fill(&mut conn, &schema, 2).await;
        let found = names(&outbox.next(&[], ALL).await.unwrap());
        let numbers: Vec<i64> = found.iter().map(|row| row.seq).collect();
        assert_eq!(numbers, [1, 2, 3, FAR + 1, FAR + 2]);
    });
}

/// Written by hand: no write takes it, and whoever reads it must not read it whole.
fn an_oversized_row_is_cut(env: Arc<Env>) {
    block_on(async move {
        let (outbox, schema) = fresh(&env).await;
        let mut conn = env.beside().await;
        for (n, body) in [
            (1, format!("repeat('x', {MAX_OUTBOX_BODY_BYTES})")),
            (2, "repeat('é', 30000000)".to_owned()),
            (3, "'x'".to_owned()),
        ] {
            let id = task_id(n);
            execute(
                &mut conn,
                format!(
                    "INSERT INTO {schema}.retry_outbox (id, kind, created_at, body) VALUES ('{id}', 'k', 1, {body})"
                ),
            )
            .await;
        }
        let found = outbox.next(&[], ALL).await.unwrap();
        assert_eq!((found.len(), found[0].body.len()), (1, MAX_OUTBOX_BODY_BYTES));
        let found = outbox.next(&names(&found), ALL).await.unwrap();
        let cut = found[0].body.len();
        assert_eq!((found.len(), cut), (1, 2 * (MAX_OUTBOX_BODY_BYTES + 1)));
        assert_eq!(outbox.next(&names(&found), ALL).await.unwrap().len(), 1);
    });
}

/// Writes rows without their bodies being tasks.
async fn fill(conn: &mut PgConnection, schema: &str, rows: u64) {
    execute(
        conn,
        format!(
            "INSERT INTO {schema}.retry_outbox (id, kind, created_at, body) \
             SELECT lpad(to_hex(n), 32, '0')::uuid, 'k', n, repeat('x', 100) FROM generate_series(1, {rows}) n"
        ),
    )
    .await;
}

/// The work of a call is that of its rows: neither what waits behind them is read, nor bodies that do not fit.
fn a_full_table_is_read_from_its_head(env: Arc<Env>) {
    block_on(async move {
        let (outbox, schema) = fresh(&env).await;
        let mut conn = env.beside().await;
        fill(&mut conn, &schema, 100_000).await;
        for (setting, value) in retry_postgres::plans::settings() {
            execute(&mut conn, format!("SET {setting} = '{value}'")).await;
        }
        let next = retry_postgres::plans::outbox_next(&schema, "retry_outbox");
        let handed = names(&outbox.next(&[], ALL).await.unwrap());
        let numbers: Vec<String> = handed.iter().map(|row| row.seq.to_string()).collect();
        let ids: Vec<String> = handed.iter().map(|row| row.id.to_string()).collect();
        for (numbers, ids) in [(numbers.join(","), ids.join(",")), (String::new(), String::new())] {
            execute(&mut conn, "DEALLOCATE ALL").await;
            execute(&mut conn, format!("PREPARE next AS {next}")).await;
            let explain =
                format!("EXPLAIN (ANALYZE, BUFFERS) EXECUTE next ('{{{numbers}}}', '{{{ids}}}', 1000, 5000)");
            execute(&mut conn, "BEGIN").await;
            let plan = rows(&mut conn, explain).await;
            execute(&mut conn, "ROLLBACK").await;
            let plan: Vec<String> = plan.iter().map(|row| sqlx::Row::get(row, 0)).collect();
            let plan = plan.join("\n");
            assert!(!plan.contains("Seq Scan") && !plan.contains("Bitmap"), "{plan}");
            assert!(
                plan.contains("Index Scan") && plan.contains("hashed SubPlan"),
                "{plan}"
            );
        }
        assert_eq!(
            number(&mut conn, format!("SELECT count(*) FROM {schema}.retry_outbox")).await,
            100_000
        );
        assert_eq!(outbox.waiting(1_000).await.unwrap().rows, Count::AtLeast(1_000));
    });
}
