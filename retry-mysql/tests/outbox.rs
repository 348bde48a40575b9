//! The checks of an outbox's table on MySQL and MariaDB servers, each in a table of its own.

use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use conformance_tests::Skip;
use conformance_tests::outbox::{OutboxHarness, OutboxInstance, Transaction, run};
use retry_core::id::TaskId;
use retry_core::outbox::{NewRow, OutboxTable, WriteOutbox as _};
use retry_core::store::Result as StoreResult;
use retry_mysql::MySqlOutbox;
use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, Connection as _};
use test_servers::{Address, Kind, Reach as _, Shared, shared, unique};
use tokio::sync::OnceCell;

/// One server, whose user may create databases.
struct Server {
    server: Arc<Shared>,
    /// That of a database for all tables, once it is made.
    url: OnceCell<String>,
}

/// Makes a database, and gives its URL.
async fn database(server: &str) -> String {
    let name = unique("outbox");
    let mut conn = MySqlConnection::connect(server)
        .await
        .expect("the server answers");
    let create = sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {name}")));
    create.execute(&mut conn).await.expect("the database is created");
    Address::of(server).database(&name).to_string()
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(url) = self.url.take().filter(|_| self.server.is_given()) {
            let name = url.rsplit('/').next().and_then(|name| name.split('?').next());
            last(&url, format!("DROP DATABASE {}", name.unwrap_or_default()));
        }
    }
}

/// Runs a statement when nobody waits for it. What is left behind disturbs no other run.
fn last(url: &str, sql: String) {
    let url = url.to_owned();
    // A thread of its own: a runtime cannot be waited for inside another one.
    let running = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let Ok(mut conn) = MySqlConnection::connect(&url).await else {
                return;
            };
            let sql = format!("SET lock_wait_timeout = 2; {sql}");
            let _ = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut conn).await;
        });
    });
    let _ = running.join();
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
        let server = self.server.reached();
        let server = server.map_err(|missing| Skip::new(missing.to_string()))?;
        let url = self.url.get_or_init(|| database(&server)).await.clone();
        let table = unique("outbox");
        let builder = MySqlOutbox::builder("orders", &url).table(&table);
        let outbox = builder.connect().await.expect("the outbox connects");
        Ok(Box::new(Fresh { outbox, url, table }))
    }
}

/// A table of its own.
struct Fresh {
    outbox: MySqlOutbox,
    url: String,
    table: String,
}

#[async_trait]
impl OutboxInstance for Fresh {
    fn table(&self) -> Arc<dyn OutboxTable> {
        Arc::new(self.outbox.clone())
    }

    async fn begin(&self) -> Box<dyn Transaction> {
        let conn = MySqlConnection::connect(&self.url).await.expect("a connection");
        let outbox = self.outbox.clone();
        let mut open = Open { outbox, conn };
        open.run("START TRANSACTION").await;
        Box::new(open)
    }

    async fn aside(&self) -> Vec<TaskId> {
        let mut conn = MySqlConnection::connect(&self.url).await.expect("a connection");
        let sql = format!("SELECT HEX(id) FROM {} WHERE set_aside IS NOT NULL", self.table);
        let rows = sqlx::query_scalar::<_, String>(AssertSqlSafe(sql));
        let ids = rows.fetch_all(&mut conn).await.expect("the rows");
        ids.iter().map(|id| task(id)).collect()
    }
}

/// The task that hexadecimal digits name.
fn task(hex: &str) -> TaskId {
    TaskId::from_bytes(u128::from_str_radix(hex, 16).expect("an id").to_be_bytes())
}

impl Drop for Fresh {
    fn drop(&mut self) {
        last(&self.url, format!("DROP TABLE IF EXISTS {}", self.table));
    }
}

/// A connection of the user's own, with a transaction open.
struct Open {
    outbox: MySqlOutbox,
    conn: MySqlConnection,
}

impl Open {
    async fn run(&mut self, sql: &'static str) {
        sqlx::raw_sql(sql)
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
        self.run("SAVEPOINT mine").await;
        let answer = self.write(rows).await;
        self.run("ROLLBACK TO SAVEPOINT mine").await;
        answer
    }

    async fn commit(mut self: Box<Self>) {
        self.run("COMMIT").await;
    }

    async fn roll_back(mut self: Box<Self>) {
        self.run("ROLLBACK").await;
    }
}

fn main() -> ExitCode {
    let server = |server| Server {
        server,
        url: OnceCell::new(),
    };
    run(shared(Kind::MySql).into_iter().map(server))
}
