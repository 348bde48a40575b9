//! The checks of an outbox's table on MySQL and MariaDB servers, each in a table of its own.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use conformance_tests::Skip;
use conformance_tests::outbox::{OutboxHarness, OutboxInstance, Transaction, run};
use retry_core::id::TaskId;
use retry_core::outbox::{NewRow, OutboxTable, WriteOutbox as _};
use retry_core::store::Result as StoreResult;
use retry_mysql::MySqlOutbox;
use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, Connection as _};
use test_servers::{Kind, installed, start};

/// Where the servers are: several with commas between them.
const MYSQL: &str = "RETRY_TEST_MYSQL_URL";

/// One server, or why there is none.
struct Server {
    name: String,
    url: Result<String, Skip>,
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
        let table = format!("outbox_{}_{n}", std::process::id());
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
        let (url, table) = (self.url.clone(), self.table.clone());
        // A thread of its own: a runtime cannot be waited for inside another one.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let Ok(mut conn) = MySqlConnection::connect(&url).await else {
                    return;
                };
                let sql = format!("SET lock_wait_timeout = 2; DROP TABLE IF EXISTS {table}");
                // What is left behind disturbs no other run.
                let _ = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut conn).await;
            });
        });
        let _ = dropping.join();
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
    let given = std::env::var(MYSQL).ok().filter(|urls| !urls.is_empty());
    let own = (given.is_none() && installed(Kind::MySql).is_ok())
        .then(|| start(Kind::MySql).expect("a server starts"));
    let urls = given.or_else(|| own.as_ref().map(test_servers::Server::url));
    let all: Vec<Server> = match urls {
        Some(urls) => urls
            .split(',')
            .zip(1..)
            .map(|(url, place)| Server {
                name: match place {
                    1 => "mysql".to_owned(),
                    more => format!("mysql-{more}"),
                },
                url: Ok(url.trim().to_owned()),
            })
            .collect(),
        None => vec![Server {
            name: "mysql".to_owned(),
            url: Err(Skip::new(format!(
                "set {MYSQL} to a server's URL, or install one"
            ))),
        }],
    };
    let code = run(all);
    drop(own);
    code
}
