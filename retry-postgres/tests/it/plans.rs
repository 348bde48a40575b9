//! The plans of all statements: at batch 1 and 1,000, on empty, unanalysed and large tables, after six executions, with the
//! generic plan and with the planner's own choice. None reads a whole table or index that grows with the tasks.

use std::sync::Arc;

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};

use crate::Test;
use crate::arguments::arguments;
use crate::support::{Env, block_on, execute, rows};

pub(crate) const TESTS: &[(&str, Test)] = &[
    ("plans::on_empty_tables", on_empty_tables),
    ("plans::on_unanalysed_tables", on_unanalysed_tables),
    ("plans::on_large_tables", on_large_tables),
    (
        "plans::planned_before_the_tables_grew",
        planned_before_the_tables_grew,
    ),
];

/// Rows of a large table.
pub(crate) const ROWS: u64 = 1_000_000;

/// Rows of a table that was never analysed. More of them would change nothing that a planner without statistics knows.
const UNANALYSED: u64 = 100_000;

/// Tables that grow with the tasks.
const GROWING: [&str; 4] = ["task", "body", "note", "failure"];

/// Statements that walk a part of an index from its beginning and stop at a limit.
const WALKS: [&str; 7] = [
    "lane_list",
    "queue_list",
    "count_pending",
    "count_running",
    "count_ended",
    "count_listed",
    "expired_sessions",
];

/// Those that run once in a store's life, have no plan, or read everything on purpose.
const NOT_PLANNED: [&str; 7] = [
    "create",
    "create_schema",
    "schema_found",
    "schema_lock",
    "schema_version",
    "count_exact",
    "server",
];

/// Those that run on a connection of the user's own, which has other settings.
const FOREIGN: [&str; 6] = [
    "insert_task",
    "lease_look",
    "task_exists",
    "key_holder",
    "replace_task",
    "body_write",
];

fn on_empty_tables(env: Arc<Env>) {
    block_on(async move {
        let (_store, schema) = env.fresh().await;
        check(&env, &schema, false).await;
    });
}

fn on_unanalysed_tables(env: Arc<Env>) {
    block_on(async move {
        let (_store, schema) = env.fresh().await;
        let mut conn = env.beside().await;
        for table in GROWING {
            execute(
                &mut conn,
                format!("ALTER TABLE {schema}.{table} SET (autovacuum_enabled = off)"),
            )
            .await;
        }
        fill(&mut conn, &schema, UNANALYSED).await;
        check(&env, &schema, false).await;
    });
}

fn on_large_tables(env: Arc<Env>) {
    block_on(async move {
        let (_store, schema) = env.fresh().await;
        let mut conn = env.beside().await;
        fill(&mut conn, &schema, ROWS).await;
        for table in GROWING {
            execute(&mut conn, format!("VACUUM ANALYZE {schema}.{table}")).await;
        }
        check(&env, &schema, true).await;
    });
}

/// The statistics of an empty table are the worst to plan with, and a plan may be kept for long.
fn planned_before_the_tables_grew(env: Arc<Env>) {
    block_on(async move {
        let (_store, schema) = env.fresh().await;
        let mut conn = env.beside().await;
        for table in GROWING {
            execute(&mut conn, format!("VACUUM ANALYZE {schema}.{table}")).await;
        }
        check(&env, &schema, false).await;
    });
}

/// Tasks in every state, with all that tasks may have. The indexes are built afterwards, which takes a fifth of the time.
async fn fill(conn: &mut PgConnection, schema: &str, rows_of_each: u64) {
    let tables = GROWING.join(",");
    let indexes = format!(
        "SELECT indexname::text, indexdef, tablename::text FROM pg_indexes \
          WHERE schemaname = '{schema}' AND tablename = ANY ('{{{tables}}}')"
    );
    let indexes = rows(conn, indexes).await;
    let text = |index: &PgRow, column: usize| index.try_get_unchecked::<String, _>(column).unwrap();
    for index in &indexes {
        let (name, table) = (text(index, 0), text(index, 2));
        let drop = format!(
            "ALTER TABLE {schema}.{table} DROP CONSTRAINT IF EXISTS {name}; DROP INDEX IF EXISTS {schema}.{name}"
        );
        execute(conn, drop).await;
    }
    insert(conn, schema, rows_of_each).await;
    for index in &indexes {
        execute(conn, text(index, 1)).await;
    }
}

async fn insert(conn: &mut PgConnection, schema: &str, rows: u64) {
    execute(
        conn,
        format!(
            "INSERT INTO {schema}.task SELECT lpad(to_hex(n), 32, '0')::uuid, 1, 0, n, n, n, \
                    CASE WHEN n % 10 = 0 THEN n END, CASE WHEN n % 7 >= 4 THEN n END, NULL, \
                    CASE WHEN n % 7 = 1 THEN lpad(to_hex(n % 50), 32, '0')::uuid END, \
                    CASE WHEN n % 3 = 0 THEN lpad(to_hex(n % 100), 32, '0')::uuid END, 1, 0, 0, 0, 0, 0, 10, n % 7, 4, \
                    false, n % 5 = 0, n % 4 = 0, 'default', 'work', CASE WHEN n % 5 = 0 THEN 'key ' || n END \
               FROM generate_series(1, {rows}) n; \
             INSERT INTO {schema}.body (id, wait_secret, payload) \
             SELECT id, 1, 'null' FROM {schema}.task; \
             INSERT INTO {schema}.note (id, last_error) SELECT id, 'no' FROM {schema}.task WHERE noted; \
             INSERT INTO {schema}.failure SELECT id, 1, '' FROM {schema}.task WHERE noted"
        ),
    )
    .await;
}

/// Checks every statement with the store's settings, and some with a user's.
async fn check(env: &Env, schema: &str, is_analysed: bool) {
    let mut conn = env.beside().await;
    for batch in [1, 1_000] {
        for (name, text) in retry_postgres::plans::statements(schema) {
            if NOT_PLANNED.contains(&name) {
                continue;
            }
            for (setting, value) in retry_postgres::plans::settings() {
                execute(&mut conn, format!("SET {setting} = '{value}'")).await;
            }
            let plan = planned(&mut conn, name, &text, batch).await;
            assert_narrow(name, batch, &plan);
            execute(&mut conn, "RESET ALL").await;
            if is_analysed && FOREIGN.contains(&name) {
                for mode in ["auto", "force_generic_plan", "force_custom_plan"] {
                    execute(&mut conn, format!("SET plan_cache_mode = {mode}")).await;
                    let plan = planned(&mut conn, name, &text, batch).await;
                    assert_narrow(name, batch, &plan);
                }
                execute(&mut conn, "RESET ALL").await;
            }
        }
    }
}

/// The plan after six executions, which are undone.
async fn planned(conn: &mut PgConnection, name: &str, text: &str, batch: u64) -> serde_json::Value {
    let call = match arguments(name, batch) {
        arguments if arguments.is_empty() => "EXECUTE checked".to_owned(),
        arguments => format!("EXECUTE checked ({})", arguments.join(", ")),
    };
    execute(conn, format!("BEGIN; PREPARE checked AS {text}")).await;
    for _ in 0..6 {
        execute(conn, format!("SAVEPOINT one; {call}; ROLLBACK TO one")).await;
    }
    let row = rows(conn, format!("EXPLAIN (FORMAT JSON) {call}"))
        .await
        .remove(0);
    execute(conn, "ROLLBACK; DEALLOCATE checked").await;
    let plan: &str = row.try_get_unchecked(0).unwrap();
    serde_json::from_str(plan).unwrap()
}

/// Every scan of a growing table looks up what it needs in an index.
fn assert_narrow(name: &str, batch: u64, plan: &serde_json::Value) {
    let mut nodes = vec![plan];
    while let Some(node) = nodes.pop() {
        match node {
            serde_json::Value::Array(list) => nodes.extend(list),
            serde_json::Value::Object(fields) => {
                nodes.extend(
                    fields
                        .values()
                        .filter(|value| value.is_array() || value.is_object()),
                );
                let text = |key: &str| {
                    fields
                        .get(key)
                        .and_then(|value| value.as_str())
                        .unwrap_or_default()
                };
                let kind = text("Node Type");
                let grows = GROWING.contains(&text("Relation Name"));
                let shown = || format!("{name} at batch {batch}: {plan:#}");
                assert!(!(grows && kind == "Seq Scan"), "{}", shown());
                let is_bare = kind.starts_with("Index") && !fields.contains_key("Index Cond");
                assert!(!(grows && is_bare) || WALKS.contains(&name), "{}", shown());
                assert!(!["Hash Join", "Merge Join"].contains(&kind), "{}", shown());
            }
            _ => {}
        }
    }
}
