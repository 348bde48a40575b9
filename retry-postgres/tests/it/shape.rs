//! What writes cost: index entries, heap-only updates, and searches under a snapshot that nobody ends.

use std::sync::Arc;

use retry_core::store::{TaskStore as _, TaskStoreExt as _};
use sqlx::{PgConnection, Row as _};

use crate::Test;
use crate::support::{
    Env, FAR, NOW, block_on, claimed, execute, number, request, rows, session, success, task_id, tasks,
};

pub(crate) const TESTS: &[(&str, Test)] = &[
    (
        "shape::a_plain_task_has_few_index_entries",
        a_plain_task_has_few_index_entries,
    ),
    ("shape::renewals_are_heap_only", renewals_are_heap_only),
    (
        "shape::marks_spare_the_walk_over_the_dead",
        marks_spare_the_walk_over_the_dead,
    ),
    (
        "shape::heartbeats_and_rescuers_are_spared_the_walk_over_the_dead",
        heartbeats_and_rescuers_are_spared_the_walk_over_the_dead,
    ),
    (
        "shape::vacuum_comes_by_the_number_of_dead_rows",
        vacuum_comes_by_the_number_of_dead_rows,
    ),
];

/// The text of a statement of the store.
fn statement(schema: &str, wanted: &str) -> String {
    let all = retry_postgres::plans::statements(schema);
    let found = all.into_iter().find(|(name, _)| *name == wanted);
    found.expect("the statement").1
}

/// How many indexes of a table have an entry for a task as it is now: what its last write added, unless it was heap-only.
async fn entries(conn: &mut PgConnection, schema: &str, table: &str, n: u64) -> i64 {
    let sql = format!(
        "SELECT coalesce(pg_get_expr(indpred, indrelid), 'true') FROM pg_index \
         WHERE indrelid = '{schema}.{table}'::regclass"
    );
    let mut entries = 0;
    for row in rows(conn, sql).await {
        let predicate: String = row.get(0);
        let sql = format!(
            "SELECT count(*) FROM {schema}.{table} WHERE id = '{}' AND ({predicate})",
            task_id(n)
        );
        entries += number(conn, sql).await;
    }
    entries
}

fn a_plain_task_has_few_index_entries(env: Arc<Env>) {
    block_on(async move {
        let (store, schema) = env.fresh().await;
        let mut conn = env.beside().await;
        store.insert(&tasks(1..2), NOW).await.unwrap();
        let mut inserted = 0;
        for table in ["task", "body", "note", "failure"] {
            inserted += entries(&mut conn, &schema, table, 1).await;
        }
        assert_eq!(inserted, 3, "an insert");
        let worker = session(1);
        store.open_session(&worker, FAR, NOW).await.unwrap();
        let claimed = store.claim(request(&worker, 1), NOW).await.unwrap();
        assert_eq!(entries(&mut conn, &schema, "task", 1).await, 2, "a claim");
        store.apply(success(&claimed.tasks[0]), NOW).await.unwrap();
        assert_eq!(entries(&mut conn, &schema, "task", 1).await, 2, "a settle");
        assert_eq!(
            entries(&mut conn, &schema, "note", 1).await,
            0,
            "a settle writes no other row"
        );
    });
}

/// So few that a page has room for all of them, and none needs the room of those before it: whether that is free already
/// depends on who else looks at the database.
const RENEWALS: i64 = 10;

/// By the counts of the transaction itself: what the server tells of all of them comes late.
fn renewals_are_heap_only(env: Arc<Env>) {
    block_on(async move {
        let (store, schema) = env.fresh().await;
        let worker = session(1);
        store.open_session(&worker, NOW, NOW).await.unwrap();
        let mut conn = env.beside().await;
        let renew = statement(&schema, "session_renew");
        execute(&mut conn, format!("PREPARE renew AS {renew}")).await;
        let id = String::from(worker.id);
        execute(&mut conn, "BEGIN").await;
        for n in 1..=RENEWALS {
            let until = NOW.as_millis() + n;
            execute(&mut conn, format!("EXECUTE renew ('{id}', {until}, 10)")).await;
        }
        let counted = format!(
            "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_xact_user_tables \
             WHERE schemaname = '{schema}' AND relname = 'session'"
        );
        let row = rows(&mut conn, counted).await.remove(0);
        assert_eq!((row.get::<i64, _>(0), row.get::<i64, _>(1)), (RENEWALS, RENEWALS));
    });
}

/// Pages that the look at a lane's head touches, behind a position.
async fn pages(conn: &mut PgConnection, schema: &str, behind: (i64, String)) -> i64 {
    let (run_at, id) = behind;
    let worker = String::from(session(1_000_000).id);
    let arguments =
        format!("'{worker}', 'default', '{{0}}', '{{work}}', '{{4}}', '{{{run_at}}}', '{{{id}}}', false");
    touched(conn, schema, "claim_heads_after", &arguments).await
}

/// Pages that a statement of the store touches.
async fn touched(conn: &mut PgConnection, schema: &str, name: &str, arguments: &str) -> i64 {
    let text = statement(schema, name);
    execute(conn, "DEALLOCATE ALL").await;
    for (name, value) in retry_postgres::plans::settings() {
        execute(conn, format!("SET {name} = '{value}'")).await;
    }
    execute(conn, format!("PREPARE touching AS {text}")).await;
    let sql = format!("EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, SUMMARY OFF) EXECUTE touching ({arguments})");
    let plan: Vec<String> = rows(conn, sql).await.iter().map(|row| row.get(0)).collect();
    let buffers = plan
        .iter()
        .find(|line| line.contains("Buffers: shared"))
        .unwrap_or_else(|| panic!("{plan:#?}"));
    let numbers = buffers.split(' ').filter_map(|word| word.split_once('='));
    numbers
        .filter(|(what, _)| ["hit", "read"].contains(what))
        .map(|(_, n)| n.parse::<i64>().unwrap())
        .sum()
}

/// With a snapshot held open nothing dead can be removed. A claim that starts behind the last one does not walk it.
fn marks_spare_the_walk_over_the_dead(env: Arc<Env>) {
    block_on(async move {
        let (store, schema) = env.fresh().await;
        let mut pin = env.beside().await;
        execute(&mut pin, "BEGIN ISOLATION LEVEL REPEATABLE READ").await;
        number(&mut pin, format!("SELECT count(*) FROM {schema}.task")).await;
        let mut last = (0, task_id(0).to_string());
        for round in 0..10 {
            let ended = claimed(&store, round * 1_000..(round + 1) * 1_000).await;
            let edits: Vec<_> = ended.iter().map(success).collect();
            store.exchange(&edits, &[], NOW).await.unwrap();
            let task = &ended.last().unwrap().task;
            last = (task.run_at.as_millis(), task.id.to_string());
        }
        store.insert(&tasks(20_000..20_100), NOW).await.unwrap();
        let mut conn = env.beside().await;
        let without = pages(&mut conn, &schema, (i64::MIN, task_id(0).to_string())).await;
        let with = pages(&mut conn, &schema, last).await;
        execute(&mut pin, "COMMIT").await;
        let (fresh_store, fresh) = env.fresh().await;
        fresh_store.insert(&tasks(0..100), NOW).await.unwrap();
        let unpinned = pages(&mut conn, &fresh, (i64::MIN, task_id(0).to_string())).await;
        assert!(
            with <= 2 * unpinned,
            "{with} pages with marks, {unpinned} in a new store"
        );
        assert!(
            without > 2 * with,
            "the walk that marks spare: {without} against {with}"
        );
    });
}

/// A heartbeat of a session that has held many tasks since the snapshot, and a rescuer's look at ten such.
fn heartbeats_and_rescuers_are_spared_the_walk_over_the_dead(env: Arc<Env>) {
    block_on(async move {
        let (store, schema) = env.fresh().await;
        let mut pin = env.beside().await;
        execute(&mut pin, "BEGIN ISOLATION LEVEL REPEATABLE READ").await;
        number(&mut pin, format!("SELECT count(*) FROM {schema}.task")).await;
        for round in 0..10 {
            let ended = claimed(&store, round * 1_000..(round + 1) * 1_000).await;
            let edits: Vec<_> = ended.iter().map(success).collect();
            store.exchange(&edits, &[], NOW).await.unwrap();
        }
        let worker = String::from(session(1_000_000).id);
        let mut conn = env.beside().await;
        let renewal = format!("'{worker}', 0, 10");
        let counted = touched(&mut conn, &schema, "session_renew", &renewal).await;
        let uncounted = touched(&mut conn, &schema, "session_renew_uncounted", &renewal).await;
        let first = "'00000000-0000-0000-0000-000000000000'";
        let looked = touched(&mut conn, &schema, "expired_sessions", first).await;
        execute(&mut pin, "COMMIT").await;
        let touched = [counted, uncounted, looked];
        // The look passes over ten sessions.
        assert!(
            2 * uncounted < counted && 2 * looked < counted,
            "{touched:?} pages: the first walks over the dead of one session"
        );
    });
}

fn vacuum_comes_by_the_number_of_dead_rows(env: Arc<Env>) {
    block_on(async move {
        let (_store, schema) = env.fresh().await;
        let mut conn = env.beside().await;
        for table in ["task", "body", "note", "failure", "session"] {
            let sql = format!(
                "SELECT count(*) FROM pg_class WHERE oid = '{schema}.{table}'::regclass \
                 AND reloptions @> '{{autovacuum_vacuum_scale_factor=0}}'"
            );
            assert_eq!(number(&mut conn, sql).await, 1, "{table}");
        }
    });
}
