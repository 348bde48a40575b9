//! The checks of an outbox's table on PostgreSQL servers, each table in a schema of its own; and through PgBouncer.

use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use conformance_tests::Skip;
use conformance_tests::outbox::{OutboxHarness, OutboxInstance, Transaction, run};
use retry_core::id::TaskId;
use retry_core::outbox::{NewRow, OutboxTable, WriteOutbox as _};
use retry_core::store::Result as StoreResult;
use retry_postgres::PostgresOutbox;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};
use test_servers::{Kind, Shared, shared, unique};

/// One server, where schemas may be created.
struct Server {
    server: Arc<Shared>,
    pooler: bool,
}

#[async_trait]
impl OutboxHarness for Server {
    fn name(&self) -> &str {
        self.server.name()
    }

    fn has_savepoints(&self) -> bool {
        true
    }

    async fn fresh(&self) -> Result<Box<dyn OutboxInstance>, Skip> {
        let url = self.server.reached();
        let url = url.map_err(|missing| Skip::new(missing.to_string()))?;
        let schema = unique("outbox");
        let builder = PostgresOutbox::builder("orders", &url)
            .schema(&schema)
            .pooler(self.pooler);
        let outbox = builder.connect().await.expect("the outbox connects");
        Ok(Box::new(Fresh { outbox, url, schema }))
    }
}

/// A table in a schema of its own.
struct Fresh {
    outbox: PostgresOutbox,
    url: String,
    schema: String,
}

#[async_trait]
impl OutboxInstance for Fresh {
    fn table(&self) -> Arc<dyn OutboxTable> {
        Arc::new(self.outbox.clone())
    }

    async fn begin(&self) -> Box<dyn Transaction> {
        let conn = PgConnection::connect(&self.url).await.expect("a connection");
        let outbox = self.outbox.clone();
        let mut open = Open { outbox, conn };
        open.run("BEGIN".to_owned()).await;
        Box::new(open)
    }

    async fn aside(&self) -> Vec<TaskId> {
        let mut conn = PgConnection::connect(&self.url).await.expect("a connection");
        let sql = format!(
            "SELECT replace(id::text, '-', '') FROM {}.retry_outbox WHERE set_aside IS NOT NULL",
            self.schema
        );
        // Not prepared: PgBouncer may give each step of that another connection.
        let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut conn).await;
        let rows = rows.expect("the rows");
        rows.iter().map(|row| task(row.get(0))).collect()
    }
}

/// The task that hexadecimal digits name.
fn task(hex: &str) -> TaskId {
    TaskId::from_bytes(u128::from_str_radix(hex, 16).expect("an id").to_be_bytes())
}

impl Drop for Fresh {
    fn drop(&mut self) {
        let (url, schema) = (self.url.clone(), self.schema.clone());
        // A thread of its own: a runtime cannot be waited for inside another one.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let Ok(mut conn) = PgConnection::connect(&url).await else {
                    return;
                };
                let sql = format!("SET lock_timeout = '2s'; DROP SCHEMA IF EXISTS {schema} CASCADE");
                // What is left behind disturbs no other run.
                let _ = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut conn).await;
            });
        });
        let _ = dropping.join();
    }
}

/// A connection of the user's own, with a transaction open.
struct Open {
    outbox: PostgresOutbox,
    conn: PgConnection,
}

impl Open {
    async fn run(&mut self, sql: String) {
        let statement = sqlx::raw_sql(AssertSqlSafe(sql));
        statement
            .execute(&mut self.conn)
            .await
            .expect("the statement runs");
    }
}

#[async_trait]
impl Transaction for Open {
    async fn write(&mut self, rows: Vec<NewRow>) -> StoreResult<()> {
        self.outbox.write(&mut self.conn, Ok(rows), |answer| answer).await
    }

    async fn savepoint(&mut self, rows: Vec<NewRow>) -> StoreResult<()> {
        self.run("SAVEPOINT mine".to_owned()).await;
        let answer = self.write(rows).await;
        self.run("ROLLBACK TO SAVEPOINT mine".to_owned()).await;
        answer
    }

    async fn commit(mut self: Box<Self>) {
        self.run("COMMIT".to_owned()).await;
    }

    async fn roll_back(mut self: Box<Self>) {
        self.run("ROLLBACK".to_owned()).await;
    }
}

fn main() -> ExitCode {
    let harnesses = |kind, pooler| {
        let harness = move |server| Server { server, pooler };
        shared(kind).into_iter().map(harness)
    };
    run(harnesses(Kind::Postgres, false).chain(harnesses(Kind::PgBouncer, true)))
}
