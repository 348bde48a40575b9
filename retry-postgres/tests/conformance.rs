//! The conformance suite on PostgreSQL servers, each store in a schema of its own; and through PgBouncer.

use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use conformance_tests::{Capabilities, Harness, Instance, Skip, TransactionEnd};
use retry_core::clock::ManualClock;
use retry_core::id::TaskId;
use retry_core::store::{Enlist as _, Inserted, Result as StoreResult, TaskStore};
use retry_core::task::NewTask;
use retry_core::time::Timestamp;
use retry_postgres::PostgresStore;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use test_servers::{Kind, Shared, shared, unique};

/// One server, where schemas may be created.
struct Postgres {
    server: Arc<Shared>,
    pooler: bool,
}

#[async_trait]
impl Harness for Postgres {
    fn name(&self) -> &str {
        self.server.name()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new()
            .reopen()
            .damage()
            .peer()
            .transactions()
            .histories(64)
    }

    async fn fresh(&self, _clock: ManualClock) -> Result<Box<dyn Instance>, Skip> {
        let url = self.server.reached();
        let schema = Schema {
            url: url.map_err(|missing| Skip::new(missing.to_string()))?,
            name: unique("conformance"),
            pooler: self.pooler,
        };
        let store = schema.open().await;
        Ok(Box::new(Fresh { store, schema }))
    }
}

/// A schema, dropped in the end.
struct Schema {
    url: String,
    name: String,
    pooler: bool,
}

impl Schema {
    async fn open(&self) -> PostgresStore {
        let builder = PostgresStore::builder(&self.url)
            .schema(&self.name)
            .pooler(self.pooler)
            .max_connections(4);
        builder.connect().await.expect("the store opens")
    }
}

/// A store in a schema of its own.
struct Fresh {
    store: PostgresStore,
    schema: Schema,
}

#[async_trait]
impl Instance for Fresh {
    fn store(&self) -> Arc<dyn TaskStore> {
        Arc::new(self.store.clone())
    }

    async fn reopen(self: Box<Self>) -> Box<dyn Instance> {
        let Self { store, schema } = *self;
        drop(store);
        let store = schema.open().await;
        Box::new(Self { store, schema })
    }

    async fn damage(&self, id: TaskId) {
        let Schema { url, name, .. } = &self.schema;
        let mut conn = PgConnection::connect(url)
            .await
            .expect("a connection beside the store");
        let sql = format!("UPDATE {name}.body SET settings = '{{' WHERE id = '{id}'");
        let statement = sqlx::raw_sql(AssertSqlSafe(sql));
        let done = statement.execute(&mut conn).await.expect("the statement runs");
        assert_eq!(done.rows_affected(), 1, "one row is damaged");
    }

    async fn peer(&self) -> Arc<dyn TaskStore> {
        Arc::new(self.schema.open().await)
    }

    async fn in_transaction(
        &self,
        tasks: &[NewTask],
        now: Timestamp,
        end: TransactionEnd,
    ) -> StoreResult<Vec<Inserted>> {
        let Schema { url, .. } = &self.schema;
        let mut conn = PgConnection::connect(url)
            .await
            .expect("a connection beside the store");
        let mut tx = conn.begin().await.expect("a transaction");
        let tasks = Ok(tasks.to_vec());
        if end == TransactionEnd::RollbackToSavepoint {
            let mut savepoint = tx.begin().await.expect("a savepoint");
            let answer = self
                .store
                .enlist(&mut savepoint, tasks, now, |answer| answer)
                .await;
            savepoint.rollback().await.expect("rolled back");
            tx.commit().await.expect("committed");
            return answer;
        }
        let answer = self.store.enlist(&mut tx, tasks, now, |answer| answer).await;
        match end {
            TransactionEnd::Commit => tx.commit().await.expect("committed"),
            _ => tx.rollback().await.expect("rolled back"),
        }
        answer
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        let (url, schema) = (self.url.clone(), self.name.clone());
        // A thread of its own: a runtime cannot be waited for inside another one.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let Ok(mut conn) = PgConnection::connect(&url).await else {
                    return;
                };
                let sql = format!("DROP SCHEMA IF EXISTS {schema} CASCADE");
                // What is left behind disturbs no other run.
                let _ = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut conn).await;
            });
        });
        let _ = dropping.join();
    }
}

fn main() -> ExitCode {
    let harnesses = |kind, pooler| {
        let harness = move |server| Postgres { server, pooler };
        shared(kind).into_iter().map(harness)
    };
    let all = harnesses(Kind::Postgres, false).chain(harnesses(Kind::PgBouncer, true));
    conformance_tests::run_all(all)
}
