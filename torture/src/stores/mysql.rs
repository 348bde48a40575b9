//! MySQL and MariaDB: a database that every process reaches by URL, with rows of the enqueuers' own in it.

use anyhow::Result;
use async_trait::async_trait;
use retry_core::client::{Client, Enqueued};
use retry_core::draft::Draft;
use retry_mysql::MySqlStore;
use sqlx::{MySqlPool, Row as _};
use test_servers::Kind;

use super::Home;
use super::served::Served;
use crate::kinds::Order;
use crate::place::{Orders, Server, Subject, patiently};

/// What must be 0: rows of the store's tables without the rows they belong to.
const NONE: [&str; 4] = [
    "SELECT count(*) FROM retry_task WHERE payload IS NULL AND id NOT IN (SELECT id FROM retry_body)",
    "SELECT count(*) FROM retry_body WHERE id NOT IN (SELECT id FROM retry_task WHERE payload IS NULL)",
    "SELECT count(*) FROM retry_note WHERE id NOT IN (SELECT id FROM retry_task)",
    "SELECT count(*) FROM retry_failure WHERE id NOT IN (SELECT id FROM retry_task)",
];

/// The server's own check of tables and indexes.
const CHECK: &str = "CHECK TABLE torture_order, retry_task, retry_body, retry_note, retry_failure, retry_session, \
                     retry_paused EXTENDED";

#[derive(Debug)]
pub(crate) struct MySql {
    url: String,
    /// The server, if it is the run's own.
    served: Option<Served>,
}

impl MySql {
    /// The database at `url`, or one of the run's own when a scheme is all it is.
    pub(crate) fn new(url: &str, home: Home<'_>) -> Result<Self> {
        if url.contains(':') {
            let url = url.to_owned();
            return Ok(Self { url, served: None });
        }
        let served = Served::start(Kind::MySql, home.servers)?;
        let url = served.url();
        let served = Some(served);
        Ok(Self { url, served })
    }

    /// Past the faults.
    fn direct(&self) -> String {
        self.served
            .as_ref()
            .map_or_else(|| self.url.clone(), Served::direct)
    }
}

#[async_trait]
impl Subject for MySql {
    fn url(&self) -> &str {
        &self.url
    }

    fn is_remote(&self) -> bool {
        true
    }

    async fn prepare(&self) -> Result<()> {
        MySqlStore::connect(&self.url).await?;
        let pool = MySqlPool::connect(&self.direct()).await?;
        sqlx::query("CREATE TABLE IF NOT EXISTS torture_order (n bigint NOT NULL PRIMARY KEY)")
            .execute(&pool)
            .await?;
        Ok(())
    }

    async fn orders(&self) -> Result<Option<Box<dyn Orders>>> {
        let store = patiently(|| MySqlStore::connect(&self.url)).await?;
        let pool = MySqlPool::connect_lazy(&self.url)?;
        let client = Client::new(store);
        Ok(Some(Box::new(Book { pool, client })))
    }

    async fn rows(&self) -> Result<Vec<u64>> {
        let pool = MySqlPool::connect(&self.direct()).await?;
        let rows: Vec<i64> = sqlx::query_scalar("SELECT n FROM torture_order")
            .fetch_all(&pool)
            .await?;
        Ok(rows.into_iter().map(i64::cast_unsigned).collect())
    }

    async fn left(&self) -> Result<Vec<String>> {
        // A server forgets a dead client with its connection.
        Ok(Vec::new())
    }

    async fn damage(&self) -> Result<Vec<String>> {
        let pool = MySqlPool::connect(&self.direct()).await?;
        let mut found = Vec::new();
        for query in NONE {
            let number: i64 = sqlx::query_scalar(query).fetch_one(&pool).await?;
            if number != 0 {
                found.push(format!("{query}: {number}, not 0"));
            }
        }
        // By the text protocol: MySQL does not prepare this statement.
        for table in sqlx::raw_sql(CHECK).fetch_all(&pool).await? {
            let (kind, said): (String, String) = (table.try_get(2)?, table.try_get(3)?);
            if kind == "error" || kind == "warning" || (kind == "status" && said != "OK") {
                let table: String = table.try_get(0)?;
                found.push(format!("{table}: {kind}: {said}"));
            }
        }
        Ok(found)
    }

    fn server(&self) -> Option<&dyn Server> {
        self.served.as_ref().map(|served| served as _)
    }
}

/// The enqueuer's own rows in the store's database.
struct Book {
    pool: MySqlPool,
    client: Client<MySqlStore>,
}

#[async_trait]
impl Orders for Book {
    async fn place(&mut self, n: u64) -> Result<Enqueued> {
        let mut tx = self.pool.begin().await?;
        let insert = sqlx::query("INSERT INTO torture_order (n) VALUES (?)");
        insert.bind(n.cast_signed()).execute(&mut *tx).await?;
        let order = Draft::of(&Order { n });
        let enqueued = self.client.enqueue(order).in_tx(&mut tx).await?;
        tx.commit().await?;
        Ok(enqueued)
    }
}
