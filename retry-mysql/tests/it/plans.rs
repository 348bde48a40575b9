//! The plans of all statements as the store sends them: read from the server's own log, with the arguments they had.

use std::collections::BTreeMap;
use std::sync::Arc;

use retry_core::id::{SessionId, TaskId};
use retry_core::machine::Event;
use retry_core::name::{Queue, UniqueKey};
use retry_core::payload::Payload;
use retry_core::priority::Priority;
use retry_core::store::{
    CountScope, ExpiredRequest, Lane, Mark, Page, QueueSetting, TaskFilter, TaskStore as _, TaskStoreExt as _,
};
use retry_core::task::{Edit, KeyScope, NewTask, OnDuplicate, State, Unique};
use retry_core::time::Timestamp;
use retry_mysql::MySqlStore;
use sqlx::mysql::{MySqlConnection, MySqlRow};
use sqlx::{AssertSqlSafe, Row as _};
use test_servers::Server;

use crate::support::{
    FAR, NOW, claimed, decided, fresh, kind, number, request, run, session, success, task, task_id, tasks,
};

/// Tables that hold a handful of rows, which nobody needs an index for.
const SMALL: &[&str] = &["s", "p", "retry_session", "retry_paused", "retry_schema"];

/// Rows of a large table. A million would take this server half a minute to write, with its indexes; what it knows of a table it
/// takes from a sample of pages at any size.
const ROWS: u64 = 100_000;

/// Every call, each with one and with many.
async fn exercise(store: &MySqlStore, first: u64) {
    insert(store, first).await;
    let holder = session(store, first).await;
    let parent = exchange(store, first, holder).await;
    read(store, first, holder, parent).await;
    store.close_session(holder).await.unwrap();
    let lost = session(store, first + 1).await;
    // As many as one list of ids names.
    claimed(store, lost, 500).await;
    let late = Timestamp::from_millis(FAR.as_millis() + 1);
    let request = ExpiredRequest {
        mark: true,
        after: None,
        limit: 10,
    };
    store.expired(&request, late).await.unwrap();
    store.purge(late, 50).await.unwrap();
}

async fn insert(store: &MySqlStore, first: u64) {
    let mut all = tasks(first..first + 600);
    for large in all.iter_mut().step_by(7) {
        large.payload = Payload::encode(&"x".repeat(2_000)).unwrap();
    }
    store.insert(&all, NOW).await.unwrap();
    let keyed = |n: u64| NewTask {
        unique: Some(Unique {
            key: UniqueKey::new(format!("key {n}")).unwrap(),
            scope: KeyScope::Active,
            on_duplicate: OnDuplicate::Keep,
        }),
        ..task(first + 1_000 + n)
    };
    let many: Vec<NewTask> = (0..20).map(keyed).collect();
    store.insert(&many, NOW).await.unwrap();
    let again = NewTask {
        id: task_id(first + 5_000),
        ..keyed(0)
    };
    store.insert_one(again.clone(), NOW).await.unwrap();
    for length in [2_000, 3_000] {
        let mut other = again.clone();
        other.payload = Payload::encode(&"x".repeat(length)).unwrap();
        if let Some(unique) = &mut other.unique {
            unique.on_duplicate = OnDuplicate::Replace {
                payload: true,
                run_at: false,
            };
        }
        store.insert_one(other, NOW).await.unwrap();
    }
}

/// Claims and settles of every shape; gives a parent.
async fn exchange(store: &MySqlStore, first: u64, holder: SessionId) -> TaskId {
    let one = claimed(store, holder, 1).await;
    let mut window = request(holder, 50);
    window.after = vec![Mark {
        lane: Lane {
            kind: kind("work"),
            priority: Priority::Normal,
            suspect: false,
        },
        run_at: NOW,
        id: task_id(first + 20),
    }];
    let many = store.claim(window, NOW).await.unwrap().tasks;
    let mut ids = request(holder, 5);
    ids.ids = Some((first + 100..first + 110).map(task_id).collect());
    store.claim(ids, NOW).await.unwrap();
    store.apply(success(&one[0], 1), NOW).await.unwrap();
    let parent = many[0].task.id;
    let child = |n: u64| NewTask {
        parent: Some(parent),
        ..task(first + 2_000 + n)
    };
    let mut split = decided(&many[0], Event::Split { checkpoint: None }, 2);
    split.insert = (0..9).map(child).collect();
    let settles = many[1..30]
        .iter()
        .zip(10..)
        .map(|(claimed, nonce)| success(claimed, nonce));
    let edits: Vec<Edit> = std::iter::once(split).chain(settles).collect();
    store.exchange(&edits, &[request(holder, 20)], NOW).await.unwrap();
    store.renew(holder, FAR, NOW).await.unwrap();
    parent
}

async fn read(store: &MySqlStore, first: u64, holder: SessionId, parent: TaskId) {
    let other = Queue::new("other").unwrap();
    store.set_queue(&other, QueueSetting::Pause).await.unwrap();
    store.queues().await.unwrap();
    store.sessions().await.unwrap();
    store.get(task_id(first)).await.unwrap();
    let any = TaskFilter::default;
    let filters = [
        any(),
        TaskFilter {
            parent: Some(parent),
            ..any()
        },
        TaskFilter {
            session: Some(holder),
            ..any()
        },
        TaskFilter {
            states: vec![State::Joining, State::Failed],
            ..any()
        },
    ];
    let page = Page {
        after: Some(task_id(first + 900)),
        limit: 100,
    };
    for filter in filters {
        store.list(&filter, &page).await.unwrap();
    }
    store.count(&CountScope::default()).await.unwrap();
    let scope = CountScope {
        queue: Some(Queue::default()),
        exact: false,
    };
    store.count(&scope).await.unwrap();
}

pub(crate) async fn no_statement_scans_or_sorts(server: Arc<Server>) {
    let (place, store) = fresh(&server).await;
    for round in 0..4 {
        exercise(&store, 10_000 * (round + 1)).await;
    }
    let mut conn = place.connect().await;
    run(&mut conn, "SET GLOBAL general_log = 0").await;
    // MySQL logs binary arguments as they are: as Latin 1 each byte is a character.
    let sql = "SELECT CONVERT(CONVERT(argument USING latin1) USING utf8mb4) FROM mysql.general_log \
               WHERE command_type = 'Execute'";
    let rows = sqlx::query(sql).fetch_all(&mut conn).await.unwrap();
    // The last of each statement: by then the tables have grown.
    let mut statements: BTreeMap<String, String> = BTreeMap::new();
    for row in &rows {
        let text: String = row.try_get(0).unwrap();
        let is_ours = text.contains(&format!("`{}`.", place.name));
        let explained = ["SELECT", "UPDATE", "DELETE"]
            .iter()
            .any(|verb| text.starts_with(verb));
        if is_ours && explained {
            statements.insert(shape(&text), text);
        }
    }
    for part in [
        "SET bytes =",
        "DELETE t FROM",
        "DELETE FROM",
        ".retry_body b",
        ") e LEFT JOIN",
        "AND t.queue = ",
        "t.total > 0",
        "WHERE t.id = ",
        "FOR UPDATE SKIP LOCKED",
    ] {
        let is_there = statements.values().any(|text| text.contains(part));
        assert!(is_there, "no statement has `{part}`");
    }
    assert!(
        statements.len() >= 30,
        "{} statements were logged",
        statements.len()
    );
    for text in statements.values() {
        let plan = explained(&mut conn, text).await;
        check(text, &plan);
    }
    fill(&mut conn).await;
    for text in statements.values() {
        let plan = explained(&mut conn, text).await;
        check(text, &plan);
    }
    // Of a small table a scan is the cheapest way to any row, but a locking one locks all rows.
    for table in ["task", "body", "note", "failure", "session"] {
        run(&mut conn, &format!("TRUNCATE TABLE retry_{table}")).await;
        run(&mut conn, &format!("ANALYZE TABLE retry_{table}")).await;
    }
    session(&store, 1).await;
    store.insert(&tasks(1..4), NOW).await.unwrap();
    let is_locking = |text: &&String| !text.starts_with("SELECT") || text.contains(" FOR UPDATE");
    for text in statements.values().filter(is_locking) {
        let plan = explained(&mut conn, text).await;
        check(text, &plan);
    }
}

/// Tasks in every state, with all that tasks may have, behind those that are there.
async fn fill(conn: &mut MySqlConnection) {
    let digits = "(SELECT 0 AS n UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5 \
                  UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9)";
    let numbers = format!(
        "(SELECT a.n + 10 * b.n + 100 * c.n + 1000 * d.n + 10000 * e.n AS n \
            FROM {digits} a, {digits} b, {digits} c, {digits} d, {digits} e) numbers WHERE n < {ROWS}"
    );
    let fill = format!(
        "INSERT INTO retry_task (id, queue, kind, level, state, run_at, attempt, crashes, step, version, last_nonce, session, \
                cancel_requested, alarm_at, purge_at, created_at, updated_at, unique_key, holds_key, parent, total, open, \
                failed, failures, noted, early, wait_secret, bytes, payload) \
         SELECT UNHEX(LPAD(HEX(n + 1000000), 32, '0')), 'default', 'work', 4, n % 7, n, 1, 0, 0, 1, n, \
                IF(n % 7 = 1, UNHEX(LPAD(HEX(n % 50), 32, '0')), REPEAT(CHAR(0), 16)), n % 5 = 0, IF(n % 10 = 0, n, NULL), \
                IF(n % 7 >= 4, n, NULL), n, n, IF(n % 5 = 0, CONCAT('a key ', n), NULL), n % 5 = 0, \
                IF(n % 3 = 0, UNHEX(LPAD(HEX(n % 100), 32, '0')), NULL), 0, 0, 0, 0, n % 4 = 0, 0, 1, 4, \
                IF(n % 2 = 0, NULL, 'null') FROM {numbers}; \
         INSERT INTO retry_body (id, payload) \
         SELECT UNHEX(LPAD(HEX(n + 1000000), 32, '0')), 'null' FROM {numbers} AND n % 2 = 0; \
         INSERT INTO retry_note (id, changed, reruns, via_fallback, last_error) \
         SELECT UNHEX(LPAD(HEX(n + 1000000), 32, '0')), 0, 0, 0, 'no' FROM {numbers} AND n % 4 = 0; \
         INSERT INTO retry_failure SELECT UNHEX(LPAD(HEX(n + 1000000), 32, '0')), 1, '' FROM {numbers} AND n % 4 = 0"
    );
    run(conn, &fill).await;
    for table in ["task", "body", "note", "failure"] {
        run(conn, &format!("ANALYZE TABLE retry_{table}")).await;
    }
    assert!(number(conn, "SELECT COUNT(*) FROM retry_task").await > i64::try_from(ROWS).unwrap());
}

/// A statement without its arguments.
fn shape(text: &str) -> String {
    let outside = text.split('\'').step_by(2);
    outside
        .flat_map(str::chars)
        .filter(|c| !c.is_ascii_digit())
        .collect()
}

async fn explained(conn: &mut MySqlConnection, text: &str) -> Vec<MySqlRow> {
    let plan = sqlx::query(AssertSqlSafe(format!("EXPLAIN {text}")))
        .fetch_all(conn)
        .await;
    plan.unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn check(text: &str, plan: &[MySqlRow]) {
    let shown: String = text.chars().take(400).collect();
    for row in plan {
        let column = |name: &str| -> String {
            row.try_get_unchecked::<Option<String>, _>(name)
                .ok()
                .flatten()
                .unwrap_or_default()
        };
        let (table, access, extra) = (column("table"), column("type"), column("Extra"));
        let is_list = ["e", "j"].contains(&table.as_str()) || table.starts_with('<') || table.is_empty();
        if is_list || SMALL.contains(&table.as_str()) {
            continue;
        }
        let line = format!("{table} {access} {} | {extra}\n{shown}", column("key"));
        assert!(access != "ALL", "a scan: {line}");
        assert!(!extra.contains("Using filesort"), "a sort: {line}");
        let is_group = shown.contains("GROUP BY c.queue");
        assert!(
            is_group || !extra.contains("Using temporary"),
            "a temporary table: {line}"
        );
    }
}
