//! The plans of all statements as the store sends them: read from the server's own log, with the arguments they had.

use std::collections::BTreeMap;
use std::sync::Arc;

use retry_core::machine::Event;
use retry_core::name::{Queue, UniqueKey};
use retry_core::store::{
    CountScope, ExpiredRequest, Mark, Page, QueueSetting, TaskFilter, TaskStore as _, TaskStoreExt as _,
};
use retry_core::task::{KeyScope, NewTask, OnDuplicate, State, Unique};
use retry_core::time::Timestamp;
use retry_mysql::MySqlStore;
use sqlx::{AssertSqlSafe, Row as _};
use test_servers::Server;

use crate::support::{
    FAR, NOW, claimed, decided, fresh, kind, request, run, session, success, task, task_id, tasks,
};

/// Tables that hold a handful of rows, which nobody needs an index for.
const SMALL: &[&str] = &["s", "p", "retry_session", "retry_paused", "retry_schema"];

/// Every call, each with one and with many.
async fn exercise(store: &MySqlStore, first: u64) {
    let queue = Queue::default();
    let unique = |n: u64| Unique {
        key: UniqueKey::new(format!("key {n}")).unwrap(),
        scope: KeyScope::Active,
        on_duplicate: OnDuplicate::Keep,
    };
    store.insert(&tasks(first..first + 600), NOW).await.unwrap();
    let keyed: Vec<NewTask> = (0..20)
        .map(|n| NewTask {
            unique: Some(unique(n)),
            ..task(first + 1_000 + n)
        })
        .collect();
    store.insert(&keyed, NOW).await.unwrap();
    let again: Vec<NewTask> = keyed
        .iter()
        .map(|new| NewTask {
            id: task_id(first + 5_000),
            ..new.clone()
        })
        .collect();
    store.insert(&again[..1], NOW).await.unwrap();
    let holder = session(store, first).await;
    let one = claimed(store, holder, 1).await;
    let mut window = request(holder, 50);
    window.after = vec![Mark {
        lane: retry_core::store::Lane {
            kind: kind("work"),
            priority: retry_core::priority::Priority::Normal,
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
    let children: Vec<NewTask> = (0..9)
        .map(|n| NewTask {
            parent: Some(many[0].task.id),
            ..task(first + 2_000 + n)
        })
        .collect();
    let mut split = decided(&many[0], Event::Split, 2);
    split.insert = children;
    let mut edits = vec![split];
    edits.extend(
        many[1..30]
            .iter()
            .zip(10..)
            .map(|(claimed, nonce)| success(claimed, nonce)),
    );
    store.exchange(&edits, &[request(holder, 20)], NOW).await.unwrap();
    store.renew(holder, FAR, NOW).await.unwrap();
    store
        .set_queue(&Queue::new("other").unwrap(), QueueSetting::Pause)
        .await
        .unwrap();
    store.queues().await.unwrap();
    store.sessions().await.unwrap();
    store.get(task_id(first)).await.unwrap();
    let filters = [
        TaskFilter::default(),
        TaskFilter {
            parent: Some(many[0].task.id),
            ..TaskFilter::default()
        },
        TaskFilter {
            session: Some(holder),
            ..TaskFilter::default()
        },
        TaskFilter {
            states: vec![State::Joining, State::Failed],
            ..TaskFilter::default()
        },
    ];
    for filter in filters {
        store
            .list(
                &filter,
                &Page {
                    after: Some(task_id(first + 900)),
                    limit: 100,
                },
            )
            .await
            .unwrap();
    }
    store.count(&CountScope::default()).await.unwrap();
    store
        .count(&CountScope {
            queue: Some(queue),
            exact: false,
        })
        .await
        .unwrap();
    store.close_session(holder).await.unwrap();
    let lost = session(store, first + 1).await;
    claimed(store, lost, 30).await;
    let late = Timestamp::from_millis(FAR.as_millis() + 1);
    store
        .expired(
            &ExpiredRequest {
                mark: true,
                after: None,
                limit: 10,
            },
            late,
        )
        .await
        .unwrap();
    store.purge(late, 50).await.unwrap();
}

pub(crate) async fn no_statement_scans_or_sorts(server: Arc<Server>) {
    let (place, store) = fresh(&server).await;
    for round in 0..4 {
        exercise(&store, 10_000 * (round + 1)).await;
    }
    let mut conn = place.connect().await;
    run(&mut conn, "SET GLOBAL general_log = 0").await;
    let sql = "SELECT CONVERT(argument USING utf8mb4) FROM mysql.general_log WHERE command_type = 'Execute'";
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
            statements.insert(
                text.chars().filter(|c| !c.is_ascii_digit()).take(90).collect(),
                text,
            );
        }
    }
    assert!(
        statements.len() >= 30,
        "{} statements were logged",
        statements.len()
    );
    for text in statements.values() {
        let plan = sqlx::query(AssertSqlSafe(format!("EXPLAIN {text}")))
            .fetch_all(&mut conn)
            .await;
        let plan = plan.unwrap_or_else(|error| panic!("{error}\n{text}"));
        check(text, &plan);
    }
}

fn check(text: &str, plan: &[sqlx::mysql::MySqlRow]) {
    let shown: String = text.chars().take(400).collect();
    for row in plan {
        let column = |name: &str| -> String {
            row.try_get_unchecked::<Option<String>, _>(name)
                .ok()
                .flatten()
                .unwrap_or_default()
        };
        let (table, access, extra) = (column("table"), column("type"), column("Extra"));
        let is_list = table == "e" || table.starts_with('<') || table.is_empty();
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
