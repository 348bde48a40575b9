//! Every statement prepares, and those with a bound on their work use the index that keeps it, whatever the statistics say.

use rusqlite::types::Value;
use rusqlite::{Connection, StatementStatus};

use crate::connect::plan_once;
use crate::queries;
use crate::record::at;

fn migrated() -> Connection {
    let conn = Connection::open_in_memory().unwrap();
    plan_once(&conn).unwrap();
    conn.execute_batch(queries::CREATE).unwrap();
    conn
}

/// Tasks of all states and some sessions, queues, parents and keys, and statistics about them.
fn filled() -> Connection {
    let conn = migrated();
    conn.execute_batch(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
         INSERT INTO retry_task
         SELECT i, CAST(printf('%016d', i) AS BLOB), (i % 60) * 8 + 4, i % 7, i, 0, 0, 0, 0, 0,
                iif(i % 7 = 1, CAST(printf('%016d', i % 5) AS BLOB), NULL), 0, iif(i % 11 = 0, i, NULL),
                iif(i % 7 > 3, i, NULL), i, i, 'k u' || i, i % 2, iif(i % 13 = 0, CAST(printf('%016d', i / 100) AS BLOB), NULL),
                0, 0, 0, 0
           FROM n;
         INSERT INTO retry_lane SELECT DISTINCT lane >> 3, 'q' || (lane % 3), 'k' || lane FROM retry_task;
         INSERT INTO retry_body SELECT number, NULL, NULL, 0, NULL, 'null' FROM retry_task;
         INSERT INTO retry_session SELECT DISTINCT session, 0, 1, 0, 'w', 'h', '[]', '[]' FROM retry_task
          WHERE session IS NOT NULL;
         ANALYZE;",
    )
    .unwrap();
    conn
}

fn plan(conn: &Connection, sql: &str) -> String {
    let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let nothing = vec![Value::Null; statement.parameter_count()];
    let rows = statement.query_map(rusqlite::params_from_iter(nothing), |row| row.get::<_, String>(3));
    rows.unwrap().collect::<Result<Vec<_>, _>>().unwrap().join("\n")
}

const BOUNDED: &[(&str, &[&str])] = &[
    (
        queries::TASK_EXISTS,
        &["SEARCH retry_task USING COVERING INDEX retry_id (id=?)"],
    ),
    (
        queries::KEY_HOLDER,
        &["SEARCH t USING INDEX retry_key (unique_key=?)"],
    ),
    (queries::EDIT_READ, &["SEARCH t USING INDEX retry_id (id=?)"]),
    (
        queries::EDIT_WRITE,
        &["SEARCH retry_task USING INTEGER PRIMARY KEY (rowid=?)"],
    ),
    (
        queries::KEY_TAKEN,
        &[
            "SEARCH t USING INTEGER PRIMARY KEY (rowid=?)",
            "SEARCH h USING INDEX retry_key (unique_key=?)",
        ],
    ),
    (
        queries::CLAIM_HEAD,
        &["SEARCH retry_task USING COVERING INDEX retry_ready (lane>? AND lane<?)"],
    ),
    (
        queries::CLAIM_HEAD_AFTER,
        &["SEARCH retry_task USING COVERING INDEX retry_ready (lane=? AND (run_at,id)>(?,?))"],
    ),
    (
        queries::CLAIM_LANE,
        &[
            "SEARCH t USING INDEX retry_ready (lane=? AND (run_at,id)>(?,?))",
            "SEARCH b USING INTEGER PRIMARY KEY (rowid=?)",
            "SEARCH n USING INTEGER PRIMARY KEY (rowid=?)",
        ],
    ),
    (
        queries::CLAIM_RUN,
        &["SEARCH retry_task USING INDEX retry_ready (lane=? AND (run_at,id)>(?,?) AND (run_at,id)<(?,?))"],
    ),
    (
        queries::CLAIM_ID,
        &[
            "SEARCH t USING INDEX retry_id (id=?)",
            "SEARCH b USING INTEGER PRIMARY KEY (rowid=?)",
        ],
    ),
    (
        queries::CLAIM_WRITE,
        &["SEARCH retry_task USING INTEGER PRIMARY KEY (rowid=?)"],
    ),
    (
        queries::SESSION_HELD,
        &["SEARCH retry_task USING COVERING INDEX retry_held (session=?)"],
    ),
    (
        queries::SESSION_FLAGGED,
        &["SEARCH retry_task USING COVERING INDEX retry_held (session=?)"],
    ),
    (
        queries::HELD_SESSION,
        &["SEARCH retry_task USING COVERING INDEX retry_held (session>?)"],
    ),
    (
        queries::HELD_SESSION_AFTER,
        &["SEARCH retry_task USING COVERING INDEX retry_held (session>?)"],
    ),
    (
        queries::EXPIRED_HELD,
        &["SEARCH t USING INDEX retry_held (session=? AND id>?)"],
    ),
    (
        queries::EXPIRED_ALARM,
        &["SEARCH t USING INDEX retry_alarm ((alarm_at,id)>(?,?) AND alarm_at<?)"],
    ),
    (
        queries::PURGE_DUE,
        &["SEARCH retry_task USING INDEX retry_ended (state=? AND purge_at<?)"],
    ),
    (
        queries::LANE_NEXT,
        &["SEARCH t USING COVERING INDEX retry_ready (lane>?)"],
    ),
    (
        queries::LANE_FIND,
        &["SEARCH retry_lane USING COVERING INDEX sqlite_autoindex_retry_lane_1 (queue=? AND kind=?)"],
    ),
    (
        queries::SETTLE_WRITE,
        &["SEARCH retry_task USING INTEGER PRIMARY KEY (rowid=?)"],
    ),
    (
        queries::SETTLE_DELETE,
        &["SEARCH retry_task USING INTEGER PRIMARY KEY (rowid=?)"],
    ),
    (queries::LIST_NEWEST, &["SEARCH t USING INDEX retry_id (id<?)"]),
    (
        queries::LIST_PARENT,
        &["SEARCH t USING INDEX retry_child (parent=? AND id<?)"],
    ),
    (
        queries::LIST_SESSION,
        &["SEARCH t USING INDEX retry_held (session=? AND id<?)"],
    ),
    (
        queries::LIST_STATE,
        &["SEARCH t USING INDEX retry_listed (state=? AND id<?)"],
    ),
];

#[test]
fn bounded_statements_use_their_index_and_sort_nothing() {
    for (name, conn) in [("empty", migrated()), ("filled", filled())] {
        for (sql, searches) in BOUNDED {
            let plan = plan(&conn, sql);
            for search in *searches {
                assert!(
                    plan.contains(search),
                    "{name}: {search}\nnot in\n{plan}\nof\n{sql}"
                );
            }
            for costly in ["SCAN", "TEMP B-TREE", "AUTOMATIC"] {
                assert!(!plan.contains(costly), "{name}: {costly} in\n{plan}\nof\n{sql}");
            }
        }
    }
}

#[test]
fn no_statement_is_planned_anew_for_its_values() {
    for conn in [migrated(), filled()] {
        for (sql, _) in BOUNDED {
            let mut statement = conn.prepare(sql).unwrap();
            for value in 1..=3 {
                let values = vec![Value::Integer(value); statement.parameter_count()];
                let mut rows = statement.query(rusqlite::params_from_iter(values)).unwrap();
                // What it finds or writes, or that a value has no place in its column, does not matter.
                let _ = rows.next();
            }
            assert_eq!(statement.get_status(StatementStatus::RePrepare), 0, "{sql}");
        }
    }
}

#[test]
fn writes_build_no_table_on_the_side() {
    let conn = migrated();
    for sql in [
        queries::INSERT_TASK,
        queries::INSERT_BODY,
        queries::INSERT_BODIES,
        queries::EDIT_READ,
        queries::EDIT_WRITE,
        queries::SETTLE_WRITE,
        queries::SETTLE_DELETE,
        queries::CLAIM_LANE,
        queries::CLAIM_WRITE,
        queries::TASK_DELETE,
        queries::PARENT_WRITE,
    ] {
        let mut statement = conn.prepare(&format!("EXPLAIN {sql}")).unwrap();
        let nothing = vec![Value::Null; statement.parameter_count()];
        let codes = statement.query_map(rusqlite::params_from_iter(nothing), |row| row.get::<_, String>(1));
        let codes: Vec<String> = codes.unwrap().collect::<Result<_, _>>().unwrap();
        assert!(!codes.iter().any(|code| code == "OpenEphemeral"), "{sql}");
    }
}

#[test]
fn every_statement_prepares() {
    let conn = migrated();
    let of_outbox = |sql: &str| sql.replace("{table}", "retry_outbox");
    let outbox = of_outbox(include_str!("../sql/outbox_create.sql"));
    conn.execute_batch(&outbox).unwrap();
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/sql");
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.ends_with("create.sql") {
            continue;
        }
        let sql = std::fs::read_to_string(&path).unwrap();
        assert!(sql.starts_with("-- "), "{} begins with why", path.display());
        let prepared = conn.prepare(&of_outbox(&sql));
        assert!(prepared.is_ok(), "{}: {:?}", path.display(), prepared.err());
    }
}

#[test]
fn whole_tasks_are_read_with_their_columns_in_one_order() {
    let conn = migrated();
    let whole = conn.prepare(queries::EXPIRED_HELD).unwrap();
    let whole: Vec<&str> = whole.column_names();
    assert_eq!(whole.len(), at::MORE);
    for (column, name) in [
        (at::ID, "id"),
        (at::SESSION, "session"),
        (at::UNIQUE_KEY, "unique_key"),
        (at::FAILED, "failed"),
        (at::NOTED, "noted"),
        (at::WAIT_SECRET, "wait_secret"),
        (at::RERUNS, "reruns"),
    ] {
        assert_eq!(whole[column], name);
    }
    for sql in [
        queries::CLAIM_LANE,
        queries::CLAIM_ID,
        queries::EXPIRED_ALARM,
        queries::GET,
        queries::LIST_RECORD,
    ] {
        let statement = conn.prepare(sql).unwrap();
        assert_eq!(statement.column_names()[..at::MORE], whole, "{sql}");
    }
}
