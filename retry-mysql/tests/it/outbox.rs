//! What is special to an outbox in MySQL and MariaDB: connections, tables that are none of its own, rights, locks, lost answers.

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
use retry_mysql::{ConfigError, MySqlOutbox, MySqlOutboxBuilder, OpenError};
use sqlx::Connection as _;
use sqlx::mysql::{MySqlConnection, MySqlPoolOptions};
use test_servers::{Fault, Proxy, Reach as _, Shared};

use crate::support::{Place, number, run, task_id};

/// As the documentation has it: rows that were set aside come again.
const AGAIN: &str = "UPDATE retry_outbox SET seq = -seq, set_aside = NULL WHERE seq < 0";

/// Beyond it lie the rows whose number was taken.
const FAR: i64 = 1 << 62;

const ALL: Room = Room {
    rows: 1_000,
    bytes: 1_000_000,
};

async fn fresh(server: &Arc<Shared>) -> (Place, MySqlOutbox) {
    let place = Place::new(server).await;
    let outbox = builder(&place).connect().await.unwrap();
    (place, outbox)
}

fn builder(place: &Place) -> MySqlOutboxBuilder {
    MySqlOutbox::builder("orders", &place.url())
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

async fn ids(outbox: &MySqlOutbox) -> Vec<TaskId> {
    let rows = outbox.next(&[], ALL).await.unwrap();
    rows.iter().map(|row| row.row.id).collect()
}

async fn refusal(builder: MySqlOutboxBuilder) -> StoreError {
    match builder.connect().await {
        Err(OpenError::Store(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// Writes rows without their bodies being tasks.
async fn fill(conn: &mut MySqlConnection, rows: u64) {
    let row = |n: u64| format!("(x'{:032x}', 'k', {n}, REPEAT('x', 100))", n);
    let values: Vec<String> = (1..=rows).map(row).collect();
    run(
        conn,
        &format!(
            "INSERT INTO retry_outbox (id, kind, created_at, body) VALUES {}",
            values.join(",")
        ),
    )
    .await;
}

pub(crate) async fn every_form_of_a_connection_writes(server: Arc<Shared>) {
    let (place, outbox) = fresh(&server).await;
    let client = client();
    let pool = MySqlPoolOptions::new()
        .max_connections(1)
        .connect(&place.url())
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
    // A transaction that the driver knows nothing of, at work in another database, under another character set.
    let mut pooled = pool.acquire().await.unwrap();
    run(
        &mut pooled,
        "START TRANSACTION; SET NAMES latin1; USE information_schema",
    )
    .await;
    let third = client
        .enqueue(draft())
        .outbox(&outbox, &mut pooled)
        .await
        .unwrap();
    let odd = Draft::raw("work", Payload::from_json("\"é 🎉\"").unwrap());
    let fourth = client.enqueue(odd).outbox(&outbox, &mut *pooled).await.unwrap();
    assert_eq!(ids(&outbox).await, [first, second], "not yet");
    run(&mut pooled, "COMMIT").await;
    assert_eq!(ids(&outbox).await, [first, second, third, fourth]);
    let last = outbox.next(&[], ALL).await.unwrap().pop().unwrap();
    assert!(last.body.ends_with("\n\"é 🎉\"".as_bytes()), "{last:?}");
}

pub(crate) async fn a_connection_without_a_transaction_is_refused(server: Arc<Shared>) {
    let (place, outbox) = fresh(&server).await;
    let mut conn = place.connect().await;
    let refused = client().enqueue(draft()).outbox(&outbox, &mut conn).await;
    let error = refused.unwrap_err().to_string();
    assert!(error.contains("begin one"), "{error}");
    assert_eq!(ids(&outbox).await, [], "nothing behind the proof was done");
    conn.ping().await.unwrap();
}

pub(crate) async fn a_failed_write_leaves_the_transaction_usable(server: Arc<Shared>) {
    let (place, outbox) = fresh(&server).await;
    let mut conn = place.connect().await;
    run(
        &mut conn,
        "CREATE TABLE orders (id INT PRIMARY KEY) ENGINE = InnoDB",
    )
    .await;
    run(&mut conn, "RENAME TABLE retry_outbox TO gone").await;
    let mut tx = conn.begin().await.unwrap();
    run(
        &mut tx,
        "INSERT INTO orders VALUES (1); SELECT LAST_INSERT_ID(77)",
    )
    .await;
    let error = client()
        .enqueue(draft())
        .outbox(&outbox, &mut tx)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("does not see the tables"), "{error}");
    let last = "SELECT CAST(LAST_INSERT_ID() AS SIGNED)";
    assert_eq!(number(&mut tx, last).await, 77, "this stays, too");
    run(&mut tx, "INSERT INTO orders VALUES (2)").await;
    tx.commit().await.unwrap();
    assert_eq!(number(&mut conn, "SELECT COUNT(*) FROM orders").await, 2);
}

/// What the user inserts next often refers to what the user inserted last.
pub(crate) async fn the_last_id_stays_the_users(server: Arc<Shared>) {
    let (place, outbox) = fresh(&server).await;
    let mut conn = place.connect().await;
    run(
        &mut conn,
        "CREATE TABLE orders (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, head BIGINT UNSIGNED) ENGINE = InnoDB \
         AUTO_INCREMENT = 71",
    )
    .await;
    let last = "SELECT CAST(LAST_INSERT_ID() AS SIGNED)";
    let mut tx = conn.begin().await.unwrap();
    client().enqueue(draft()).outbox(&outbox, &mut tx).await.unwrap();
    assert_eq!(number(&mut tx, last).await, 0, "nothing was inserted yet");
    let order = sqlx::raw_sql("INSERT INTO orders (head) VALUES (NULL)");
    assert_eq!(order.execute(&mut *tx).await.unwrap().last_insert_id(), 71);
    for _ in 0..3 {
        client().enqueue(draft()).outbox(&outbox, &mut tx).await.unwrap();
        assert_eq!(number(&mut tx, last).await, 71);
    }
    let line = "INSERT INTO orders (head) VALUES (LAST_INSERT_ID())";
    let line = sqlx::raw_sql(line).execute(&mut *tx).await.unwrap();
    assert_eq!(line.last_insert_id(), 72, "the protocol's own answer");
    // What does not number a row says so, in the protocol as well.
    client().enqueue(draft()).outbox(&outbox, &mut tx).await.unwrap();
    let update = sqlx::raw_sql("UPDATE orders SET head = 71 WHERE id = 72");
    assert_eq!(update.execute(&mut *tx).await.unwrap().last_insert_id(), 0);
    assert_eq!(number(&mut tx, "SELECT SUM(head) DIV 1 FROM orders").await, 71);
    tx.rollback().await.unwrap();
}

/// Written by hand: no write takes it, and whoever reads it must not read it whole.
pub(crate) async fn an_oversized_row_is_cut(server: Arc<Shared>) {
    let (place, outbox) = fresh(&server).await;
    let mut conn = place.connect().await;
    run(
        &mut conn,
        &format!(
            "INSERT INTO retry_outbox (id, kind, created_at, body) VALUES \
             (x'{:032x}', 'k', 1, REPEAT('x', {MAX_OUTBOX_BODY_BYTES})), \
             (x'{:032x}', 'k', 1, REPEAT('é', 4000000)), (x'{:032x}', 'k', 1, 'x')",
            1, 2, 3
        ),
    )
    .await;
    let found = outbox.next(&[], ALL).await.unwrap();
    assert_eq!((found.len(), found[0].body.len()), (1, MAX_OUTBOX_BODY_BYTES));
    let found = outbox.next(&names(&found), ALL).await.unwrap();
    let cut = found[0].body.len();
    assert!(
        (MAX_OUTBOX_BODY_BYTES + 1..8_000_000).contains(&cut) && found.len() == 1,
        "{cut} bytes: still too many to be a task"
    );
    assert_eq!(outbox.next(&names(&found), ALL).await.unwrap().len(), 1);
}

pub(crate) async fn other_tables_are_refused(server: Arc<Shared>) {
    for (wrong, named) in [
        ("DROP TABLE {t}", "does not exist"),
        ("DROP TABLE {t}; CREATE VIEW {t} AS SELECT 1 AS seq", "view"),
        ("DROP TABLE {t}; CREATE TABLE {t} (id INT)", "no column `seq`"),
        (
            "ALTER TABLE {t} MODIFY id BINARY(15) NOT NULL",
            "`id` is binary(15)",
        ),
        ("ALTER TABLE {t} MODIFY seq BIGINT NOT NULL", "AUTO_INCREMENT"),
        (
            "ALTER TABLE {t} MODIFY body MEDIUMTEXT CHARACTER SET latin1 NOT NULL",
            "`body` is mediumtext latin1",
        ),
        (
            "ALTER TABLE {t} MODIFY set_aside TEXT CHARACTER SET utf8mb3",
            "`set_aside` is text utf8mb3",
        ),
        ("ALTER TABLE {t} ENGINE = MyISAM", "MyISAM"),
        ("ALTER TABLE {t} DROP COLUMN bytes", "no column `bytes`"),
        ("ALTER TABLE {t} ADD tenant INT NOT NULL", "`tenant`"),
    ] {
        let (place, outbox) = fresh(&server).await;
        drop(outbox);
        let mut conn = place.connect().await;
        run(&mut conn, &wrong.replace("{t}", "retry_outbox")).await;
        let error = refusal(builder(&place).migrate(false)).await;
        assert_eq!(
            (error.certainty(), error.kind()),
            (Certainty::Rejected, StoreErrorKind::Schema),
            "{wrong}: {error}"
        );
        assert!(error.to_string().contains(named), "{wrong}: {error}");
    }
    // What the user adds is the user's, if no row needs it.
    let (place, outbox) = fresh(&server).await;
    let mut conn = place.connect().await;
    run(
        &mut conn,
        "ALTER TABLE retry_outbox ADD tenant INT, ADD host VARCHAR(9) NOT NULL DEFAULT 'here'",
    )
    .await;
    builder(&place).connect().await.unwrap();
    let mut tx = conn.begin().await.unwrap();
    client().enqueue(draft()).outbox(&outbox, &mut tx).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(ids(&outbox).await.len(), 1);
}

pub(crate) async fn its_own_statement_makes_the_table(server: Arc<Shared>) {
    let place = Place::new(&server).await;
    let builder = builder(&place).table("moved");
    let error = refusal(builder.clone().migrate(false)).await;
    assert!(error.to_string().contains("`ddl`"), "{error}");
    let mut conn = place.connect().await;
    run(&mut conn, &builder.ddl().unwrap()).await;
    builder.migrate(false).connect().await.unwrap();
    // Many at once make it as well.
    let builder = self::builder(&place);
    let opened = join_all((0..6).map(|_| builder.clone().connect())).await;
    assert!(opened.iter().all(Result::is_ok), "{opened:?}");
    for name in ["", "A", "a`b", "1a", &"a".repeat(49)] {
        let builder = self::builder(&place).table(name);
        assert_eq!(builder.ddl(), Err(ConfigError::Table(name.to_owned())));
    }
    let refused = MySqlOutbox::builder("a b", &place.url()).connect().await;
    assert!(matches!(refused, Err(OpenError::Config(ConfigError::Outbox(_)))));
    assert!(!format!("{:?}", self::builder(&place)).contains("retry:retry"));
}

pub(crate) async fn the_documented_rights_are_enough(server: Arc<Shared>) {
    let (place, _) = fresh(&server).await;
    let documented = include_str!("../../README.md");
    let sql = documented.split("```sql\n").find(|sql| sql.contains("shop_web"));
    let sql = sql
        .and_then(|sql| sql.split("```").next())
        .expect("the README shows them");
    assert!(sql.contains("shop_relay") && sql.contains("shop_web"), "{sql}");
    let urls = [
        place.user(&format!("{}_web", place.name)).await,
        place.user(&format!("{}_relay", place.name)).await,
    ];
    let grants = sql
        .replace("shop.", &format!("{}.", place.name))
        .replace("shop_", &format!("{}_", place.name));
    run(&mut place.connect().await, &grants).await;
    let open = async |url: &str| {
        let builder = MySqlOutbox::builder("orders", url);
        builder
            .connect()
            .await
            .expect("a table that is there needs no more rights")
    };
    let (web, relay) = (open(&urls[0]).await, open(&urls[1]).await);
    let mut conn = MySqlConnection::connect(&urls[0]).await.unwrap();
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
    assert!(web.next(&[], ALL).await.is_err());
}

pub(crate) async fn lost_and_cut_answers_converge(server: Arc<Shared>) {
    let (place, outbox) = fresh(&server).await;
    let mut conn = place.connect().await;
    fill(&mut conn, 10).await;
    let proxy = Proxy::before(server.socket()).unwrap();
    let far = MySqlOutbox::builder("orders", &place.url_at(proxy.port()));
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
    assert_eq!((left.len(), left[0].row.id), (6, task_id(5)));
    proxy.cut();
    assert_eq!(
        far.next(&[], ALL).await.unwrap().len(),
        6,
        "another connection is opened"
    );
}

/// In a small table the server would rather scan: then a removal would wait for every row of an open transaction.
pub(crate) async fn a_removal_locks_its_rows_alone(server: Arc<Shared>) {
    let (place, outbox) = fresh(&server).await;
    let mut conn = place.connect().await;
    fill(&mut conn, 3).await;
    let found = names(&outbox.next(&[], ALL).await.unwrap());
    // Locked as by somebody who works on the rows by hand.
    let mut other = place.connect().await;
    run(
        &mut other,
        "BEGIN; SELECT * FROM retry_outbox WHERE seq IN (2, 3) FOR UPDATE; SELECT SLEEP(0)",
    )
    .await;
    let left = outbox.next(&found[..1], ALL).await.unwrap();
    assert_eq!(names(&left), found[1..], "neither the removal nor the look wait");
    run(&mut other, "COMMIT").await;
    // The numbers are given again after a restore; what has them already is not overwritten.
    for round in 10..13u64 {
        run(
            &mut conn,
            &format!(
                "DELETE FROM retry_outbox WHERE seq > 0; \
                 INSERT INTO retry_outbox (seq, id, kind, created_at, body) VALUES (1, x'{round:032x}', 'k', 1, '')"
            ),
        )
        .await;
        let found = names(&outbox.next(&[], ALL).await.unwrap());
        outbox.set_aside(found[0], &ErrorText::new("no")).await.unwrap();
    }
    let aside = number(
        &mut conn,
        "SELECT MIN(seq) FROM retry_outbox WHERE set_aside = 'no'",
    );
    // Out of the way of every number that the table gives: putting them back meets none.
    assert_eq!(aside.await, -FAR - 2);
    assert!(include_str!("../../README.md").contains(AGAIN));
    run(&mut conn, AGAIN).await;
    fill(&mut conn, 2).await;
    let found = names(&outbox.next(&[], ALL).await.unwrap());
    assert!(
        found.len() == 5 && found.is_sorted() && found[0].seq == 1,
        "{found:?}"
    );
}

/// The plans as the server has them, with many rows and before its statistics know of them.
pub(crate) async fn a_full_table_is_read_from_its_head(server: Arc<Shared>) {
    let (place, outbox) = fresh(&server).await;
    let mut conn = place.connect().await;
    fill(&mut conn, 5_000).await;
    run(
        &mut conn,
        "INSERT INTO retry_outbox (id, kind, created_at, body) SELECT id, kind, created_at, body FROM retry_outbox",
    )
    .await;
    let reads = "SELECT SUM(variable_value) DIV 1 FROM information_schema.session_status \
                 WHERE variable_name IN ('Handler_read_next', 'Handler_read_rnd_next')";
    let next = include_str!("../../sql/outbox_next.sql");
    let next: Vec<&str> = next.lines().filter(|line| !line.starts_with("--")).collect();
    let next = next
        .join(" ")
        .replace("{table}", "retry_outbox")
        .replacen('?', "10", 1)
        .replacen('?', "500", 1);
    if number(&mut conn, "SELECT VERSION() LIKE '%MariaDB%'").await == 1 {
        let before = number(&mut conn, reads).await;
        run(&mut conn, &next).await;
        let read = number(&mut conn, reads).await - before;
        // The counters themselves are read from a table of some thousand lines, once.
        let base = number(&mut conn, reads).await;
        let base = number(&mut conn, reads).await - base;
        assert!(
            read - base < 100,
            "{read} rows were read for ten, {base} of them for the count"
        );
    }
    assert_eq!(outbox.waiting(1_000).await.unwrap().rows, Count::AtLeast(1_000));
    let found = names(&outbox.next(&[], ALL).await.unwrap());
    assert_eq!(found.len(), 1_000);
    outbox.next(&found, ALL).await.unwrap();
    assert_eq!(
        number(&mut conn, "SELECT COUNT(*) FROM retry_outbox").await,
        9_000
    );
}
