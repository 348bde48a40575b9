//! What is special to an outbox in SQLite: the file, tables that are none of its own, who waits for whom, what an idle relay writes.

use std::path::Path;

use retry_core::client::Client;
use retry_core::draft::Draft;
use retry_core::id::TaskId;
use retry_core::limits::MAX_OUTBOX_BODY_BYTES;
use retry_core::outbox::{OutboxTable as _, Room, RowId};
use retry_core::payload::Payload;
use retry_core::store::{Certainty, MemoryStore, StoreError, StoreErrorKind};
use retry_core::task::ErrorText;
use retry_sqlite::{ConfigError, OpenError, SqliteOutbox, SqliteOutboxBuilder, SqliteStore};
use rusqlite::{Connection, TransactionBehavior, params};
use tempfile::TempDir;

use crate::support::{count, place, task_id};

const ALL: Room = Room {
    rows: 1_000,
    bytes: 1_000_000,
};

fn fresh() -> (TempDir, SqliteOutbox, Connection) {
    let (dir, path) = place();
    let outbox = SqliteOutbox::open("orders", &path).unwrap();
    let conn = Connection::open(&path).unwrap();
    (dir, outbox, conn)
}

fn draft() -> Draft {
    Draft::raw("work", Payload::null())
}

/// A client of a store that cannot join the transaction.
fn client() -> Client<MemoryStore> {
    Client::new(MemoryStore::new())
}

async fn names(outbox: &SqliteOutbox) -> Vec<RowId> {
    let rows = outbox.next(&[], ALL).await.unwrap();
    rows.iter().map(|row| row.row).collect()
}

async fn ids(outbox: &SqliteOutbox) -> Vec<TaskId> {
    names(outbox).await.iter().map(|row| row.id).collect()
}

fn refusal(builder: SqliteOutboxBuilder) -> StoreError {
    match builder.build() {
        Err(OpenError::Store(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn every_form_of_a_connection_writes() {
    let (_dir, outbox, mut conn) = fresh();
    let client = client();
    let mut tx = conn.transaction().unwrap();
    let first = client.enqueue(draft()).outbox(&outbox, &tx).unwrap();
    let mut savepoint = tx.savepoint().unwrap();
    client.enqueue(draft()).outbox(&outbox, &savepoint).unwrap();
    savepoint.rollback().unwrap();
    let second = client.enqueue(draft()).outbox(&outbox, &savepoint).unwrap();
    savepoint.commit().unwrap();
    assert_eq!(ids(&outbox).await, [], "not yet");
    tx.commit().unwrap();
    // As with `in_tx`: outside of a transaction SQLite commits at once.
    let third = client.enqueue(draft()).outbox(&outbox, &conn).unwrap();
    assert!(conn.is_autocommit());
    assert_eq!(ids(&outbox).await, [first, second, third]);
}

/// The store's own transactions take an outbox along that is in its file.
#[tokio::test]
async fn a_transaction_of_the_store_writes() {
    let (_dir, outbox, _conn) = fresh();
    let store = SqliteStore::open(outbox.path()).unwrap();
    let (client, writing) = (client(), outbox.clone());
    let written: Result<TaskId, StoreError> = store
        .transaction(move |tx| {
            let written = client.enqueue(draft()).outbox(&writing, tx);
            written.map_err(|error| StoreError::invalid(error.to_string()))
        })
        .await;
    assert_eq!(ids(&outbox).await, [written.unwrap()]);
}

#[tokio::test]
async fn another_file_is_refused() {
    let (_dir, outbox, _conn) = fresh();
    let (_other, other) = place();
    for conn in [
        Connection::open(other).unwrap(),
        Connection::open_in_memory().unwrap(),
    ] {
        let error = client().enqueue(draft()).outbox(&outbox, &conn).unwrap_err();
        assert!(
            error.to_string().contains("open it on the file named first"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_failed_write_leaves_the_transaction_usable() {
    let (_dir, outbox, mut conn) = fresh();
    conn.execute_batch(
        "CREATE TABLE orders (n INTEGER); \
         CREATE TRIGGER no AFTER INSERT ON retry_outbox WHEN new.seq > 1 BEGIN SELECT RAISE(ABORT, 'no'); END",
    )
    .unwrap();
    let tx = conn.transaction().unwrap();
    tx.execute("INSERT INTO orders VALUES (1)", []).unwrap();
    let first = client().enqueue(draft()).outbox(&outbox, &tx).unwrap();
    let error = client().enqueue(draft()).outbox(&outbox, &tx).unwrap_err();
    assert!(error.to_string().contains("constraint or trigger"), "{error}");
    tx.execute("INSERT INTO orders VALUES (2)", []).unwrap();
    tx.commit().unwrap();
    assert_eq!(count(&conn, "orders"), 2);
    assert_eq!(ids(&outbox).await, [first]);
}

#[test]
fn other_tables_are_refused() {
    for (wrong, named) in [
        ("DROP TABLE {t}", "does not exist"),
        ("DROP TABLE {t}; CREATE TABLE {t} (id INTEGER)", "no column `seq`"),
        (
            "DROP TABLE {t}; CREATE TABLE {t} (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT)",
            "`id` is TEXT",
        ),
        (
            "DROP TABLE {t}; CREATE TABLE {t} (seq INTEGER PRIMARY KEY, id BLOB, kind TEXT, created_at INTEGER, \
             body TEXT, set_aside TEXT)",
            "AUTOINCREMENT",
        ),
        ("ALTER TABLE {t} RENAME COLUMN body TO text", "no column `body`"),
        (
            "DROP TABLE {t}; CREATE TABLE {t} (seq INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB, kind TEXT, \
             created_at INTEGER, body TEXT, set_aside TEXT, tenant INTEGER NOT NULL)",
            "`tenant`",
        ),
    ] {
        let (_dir, outbox, conn) = fresh();
        conn.execute_batch(&wrong.replace("{t}", "retry_outbox")).unwrap();
        let builder = SqliteOutbox::builder("orders", outbox.path()).migrate(false);
        let error = refusal(builder);
        assert_eq!(
            (error.certainty(), error.kind()),
            (Certainty::Rejected, StoreErrorKind::Schema),
            "{wrong}: {error}"
        );
        assert!(error.to_string().contains(named), "{wrong}: {error}");
    }
    // What the user adds is the user's, if no row needs it.
    let (_dir, outbox, conn) = fresh();
    let own = "ALTER TABLE retry_outbox ADD tenant INTEGER; \
               ALTER TABLE retry_outbox ADD host TEXT NOT NULL DEFAULT 'here'";
    conn.execute_batch(own).unwrap();
    SqliteOutbox::open("orders", outbox.path()).unwrap();
    client().enqueue(draft()).outbox(&outbox, &conn).unwrap();
}

#[test]
fn wrong_options_are_refused_and_its_own_statement_makes_the_table() {
    let (_dir, path) = place();
    let builder = |name: &str| SqliteOutbox::builder(name, &path);
    let refused = |builder: SqliteOutboxBuilder| match builder.build() {
        Err(OpenError::Config(error)) => error,
        other => panic!("{other:?}"),
    };
    for table in ["", "a b", "sqlite_x", "x\"; DROP TABLE y"] {
        let wanted = ConfigError::Table(table.to_owned());
        assert_eq!(builder("a").table(table).ddl(), Err(wanted.clone()));
        assert_eq!(refused(builder("a").table(table)), wanted);
    }
    assert!(matches!(refused(builder("a b")), ConfigError::Outbox(_)));
    assert_eq!(
        refused(SqliteOutbox::builder("a", ":memory:")),
        ConfigError::InMemory
    );
    assert!(!path.exists(), "nothing was touched");
    let builder = builder("a").table("moved").migrate(false);
    assert!(refusal(builder.clone()).to_string().contains("no such file"));
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch("CREATE TABLE orders (n)").unwrap();
    assert!(refusal(builder.clone()).to_string().contains("`ddl`"));
    conn.execute_batch(&builder.ddl().unwrap()).unwrap();
    builder.build().unwrap();
}

#[test]
fn many_programs_make_the_table_at_once() {
    for _ in 0..10 {
        let (_dir, path) = place();
        std::thread::scope(|scope| {
            let open = || SqliteOutbox::open("orders", &path);
            let opened: Vec<_> = (0..6).map(|_| scope.spawn(open)).collect();
            for opened in opened {
                opened.join().unwrap().unwrap();
            }
        });
    }
}

fn bytes(path: &Path) -> Vec<Vec<u8>> {
    let log = path.with_extension("db-wal");
    [path, &log]
        .map(|file| std::fs::read(file).unwrap_or_default())
        .into()
}

#[tokio::test]
async fn an_idle_relay_writes_nothing_and_a_reader_waits_for_nobody() {
    let (_dir, outbox, mut conn) = fresh();
    let mode = conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0));
    assert_eq!(mode.unwrap(), "wal");
    client().enqueue(draft()).outbox(&outbox, &conn).unwrap();
    let before = bytes(outbox.path());
    let found = names(&outbox).await;
    for _ in 0..50 {
        assert_eq!(names(&outbox).await, found);
        outbox.waiting(10).await.unwrap();
    }
    assert!(bytes(outbox.path()) == before, "nothing was written");
    // Somebody else writes, for as long as he likes.
    let tx = conn
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .unwrap();
    client().enqueue(draft()).outbox(&outbox, &tx).unwrap();
    assert_eq!(names(&outbox).await, found);
    tx.commit().unwrap();
    assert_eq!(names(&outbox).await.len(), 2);
}

#[tokio::test]
async fn numbers_are_never_given_twice() {
    let (_dir, outbox, conn) = fresh();
    client().enqueue(draft()).outbox(&outbox, &conn).unwrap();
    let first = names(&outbox).await;
    assert!(outbox.next(&first, ALL).await.unwrap().is_empty());
    client().enqueue(draft()).outbox(&outbox, &conn).unwrap();
    let second = names(&outbox).await;
    assert!(second[0].seq > first[0].seq, "{second:?} behind {first:?}");
    // Unless somebody turns the counter back: then what was set aside under a number keeps it.
    outbox.set_aside(second[0], &ErrorText::new("no")).await.unwrap();
    for round in 1..3u64 {
        let write = format!(
            "INSERT INTO retry_outbox (seq, id, kind, created_at, body) VALUES (2, x'{:032x}', 'k', 1, '')",
            round
        );
        conn.execute_batch(&write).unwrap();
        let again = RowId {
            seq: 2,
            id: task_id(round),
        };
        assert_eq!(names(&outbox).await, [again]);
        outbox.set_aside(again, &ErrorText::new("no")).await.unwrap();
    }
    let aside = "SELECT group_concat(seq ORDER BY seq) FROM retry_outbox WHERE set_aside = 'no'";
    let aside: String = conn.query_row(aside, [], |row| row.get(0)).unwrap();
    // Out of the way of every number that the table gives: putting them back meets none.
    let far = 1i64 << 62;
    assert_eq!(aside, format!("{},{},-2", -far - 2, -far - 1));
    // As the documentation has it: they come again.
    let again = "UPDATE retry_outbox SET seq = -seq, set_aside = NULL WHERE seq < 0";
    assert!(include_str!("../../README.md").contains(again));
    conn.execute(again, []).unwrap();
    client().enqueue(draft()).outbox(&outbox, &conn).unwrap();
    let found = names(&outbox).await;
    assert!(found.len() == 4 && found.is_sorted(), "{found:?}");
}

/// Written by hand: no write takes it, and whoever reads it must not read it whole.
#[tokio::test]
async fn an_oversized_row_is_cut() {
    let (_dir, outbox, conn) = fresh();
    for (n, body) in [
        (1, "x".repeat(MAX_OUTBOX_BODY_BYTES)),
        (2, "é".repeat(30_000_000)),
        (3, "\0x".to_owned()),
    ] {
        conn.execute(
            "INSERT INTO retry_outbox (id, kind, created_at, body) VALUES (?1, 'k', 1, ?2)",
            params![task_id(n).to_bytes(), body],
        )
        .unwrap();
    }
    let mut handed = Vec::new();
    for bytes in [MAX_OUTBOX_BODY_BYTES, 2 * (MAX_OUTBOX_BODY_BYTES + 1), 2] {
        let found = outbox.next(&handed, ALL).await.unwrap();
        assert_eq!((found.len(), found[0].body.len()), (1, bytes));
        handed = vec![found[0].row];
    }
}

#[tokio::test]
async fn a_damaged_row_is_told() {
    let (_dir, outbox, conn) = fresh();
    client().enqueue(draft()).outbox(&outbox, &conn).unwrap();
    conn.execute_batch("PRAGMA ignore_check_constraints = ON; UPDATE retry_outbox SET id = x'00'")
        .unwrap();
    let error = outbox.next(&[], ALL).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Corrupt);
    assert!(error.to_string().contains("16 bytes"), "{error}");
}
