//! The checks of an outbox's table on PostgreSQL servers, each table in a schema of its own; and through PgBouncer.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use conformance_tests::Skip;
use conformance_tests::outbox::{OutboxHarness, OutboxInstance, Transaction, run};
use retry_core::id::TaskId;
use retry_core::outbox::{NewRow, OutboxTable, WriteOutbox as _};
use retry_core::store::Result as StoreResult;
use retry_postgres::PostgresOutbox;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};
use test_servers::{Kind, installed, start};

/// Where the servers are: several with commas between them.
const POSTGRES: &str = "RETRY_TEST_POSTGRES_URL";
const PGBOUNCER: &str = "RETRY_TEST_PGBOUNCER_URL";

/// One server, or why there is none.
struct Server {
    name: String,
    url: Result<String, Skip>,
    pooler: bool,
}

#[async_trait]
impl OutboxHarness for Server {
    fn name(&self) -> &str {
        &self.name
    }

    fn has_savepoints(&self) -> bool {
        true
    }

    async fn fresh(&self) -> Result<Box<dyn OutboxInstance>, Skip> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let url = self.url.clone()?;
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let schema = format!("outbox_{}_{n}", std::process::id());
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

/// A harness for each URL of a variable.
fn named(name: &str, urls: &str, pooler: bool) -> Vec<Server> {
    let server = |(place, url): (usize, &str)| Server {
        name: match place {
            0 => name.to_owned(),
            more => format!("{name}-{}", more + 1),
        },
        url: Ok(url.trim().to_owned()),
        pooler,
    };
    urls.split(',').enumerate().map(server).collect()
}

fn main() -> ExitCode {
    let given = |variable| std::env::var(variable).ok().filter(|urls| !urls.is_empty());
    let own = given(POSTGRES).is_none() && installed(Kind::Postgres).is_ok();
    let own = own.then(|| start(Kind::Postgres).expect("a server starts"));
    let urls = given(POSTGRES).or_else(|| own.as_ref().map(test_servers::Server::url));
    let missing = |name: &str, variable| Server {
        name: name.to_owned(),
        url: Err(Skip::new(format!(
            "set {variable} to a server's URL, or install one"
        ))),
        pooler: false,
    };
    let mut all = match urls {
        Some(urls) => named("postgres", &urls, false),
        None => vec![missing("postgres", POSTGRES)],
    };
    match given(PGBOUNCER) {
        Some(urls) => all.extend(named("pgbouncer", &urls, true)),
        None => all.push(missing("pgbouncer", PGBOUNCER)),
    }
    let code = run(all);
    drop(own);
    code
}
