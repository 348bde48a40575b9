//! PostgreSQL: a database that every process reaches by URL, or through PgBouncer, with rows of the enqueuers' own in it.

use std::process::Command;
use std::sync::Arc;

use anyhow::Result;
use async_trait::async_trait;
use retry_core::client::{Client, Enqueued};
use retry_core::draft::Draft;
use retry_postgres::{OpenError, PostgresStore};
use sqlx::PgPool;
use test_servers::Kind;

use super::Home;
use super::served::{self, Served};
use crate::kinds::Order;
use crate::place::{Ledger, Orders, Server, Subject, Sum, patiently};

/// What must be 0: rows of the store's tables without the rows they belong to.
const NONE: [&str; 4] = [
    "SELECT count(*) FROM task_retry.task x WHERE NOT EXISTS (SELECT 1 FROM task_retry.body y WHERE y.id = x.id)",
    "SELECT count(*) FROM task_retry.body x WHERE NOT EXISTS (SELECT 1 FROM task_retry.task y WHERE y.id = x.id)",
    "SELECT count(*) FROM task_retry.note x WHERE NOT EXISTS (SELECT 1 FROM task_retry.task y WHERE y.id = x.id)",
    "SELECT count(*) FROM task_retry.failure x WHERE NOT EXISTS (SELECT 1 FROM task_retry.task y WHERE y.id = x.id)",
];

/// The scheme of a URL that leads to a pooler, which shares connections between transactions. The processes need to know.
const POOLER: &str = "pgbouncer";

#[derive(Debug)]
pub(crate) struct Postgres {
    url: String,
    /// The server, if it is the run's own.
    served: Option<Served>,
}

impl Postgres {
    /// The database at `url`, or one of the run's own when a scheme is all it is.
    pub(crate) fn new(url: &str, home: Home<'_>) -> Result<Self> {
        if url.contains(':') {
            let url = url.to_owned();
            return Ok(Self { url, served: None });
        }
        let (kind, scheme) = match url {
            POOLER => (Kind::PgBouncer, POOLER),
            _ => (Kind::Postgres, "postgres"),
        };
        let served = Served::start(kind, home.servers)?;
        let url = served.url().replacen("postgres", scheme, 1);
        let served = Some(served);
        Ok(Self { url, served })
    }

    fn is_pooled(&self) -> bool {
        self.url.starts_with(POOLER)
    }

    /// The address, as a driver knows it.
    fn address(&self) -> String {
        self.url.replacen(POOLER, "postgres", 1)
    }

    async fn store(&self) -> Result<PostgresStore, OpenError> {
        PostgresStore::builder(&self.address())
            .pooler(self.is_pooled())
            .connect()
            .await
    }

    /// Past the faults, and past a pooler of the run's own.
    fn direct(&self) -> String {
        self.served
            .as_ref()
            .map_or_else(|| self.address(), Served::direct)
    }
}

#[async_trait]
impl Subject for Postgres {
    fn url(&self) -> &str {
        &self.url
    }

    async fn connect(&self) -> Result<Client> {
        Ok(Client::new(self.store().await?).erase())
    }

    fn is_remote(&self) -> bool {
        true
    }

    async fn prepare(&self) -> Result<()> {
        self.store().await?;
        let pool = PgPool::connect(&self.direct()).await?;
        sqlx::query("CREATE TABLE IF NOT EXISTS torture_order (n bigint NOT NULL PRIMARY KEY)")
            .execute(&pool)
            .await?;
        sqlx::query(
            "CREATE TABLE IF NOT EXISTS torture_sum (
                 batch text NOT NULL PRIMARY KEY, version bigint NOT NULL, sum bigint NOT NULL, times bigint NOT NULL
             )",
        )
        .execute(&pool)
        .await?;
        Ok(())
    }

    async fn orders(&self) -> Result<Option<Box<dyn Orders>>> {
        let client = Client::new(patiently(|| self.store()).await?);
        Ok(Some(Box::new(Book {
            pool: PgPool::connect_lazy(&self.address())?,
            client,
            prepared: !self.is_pooled(),
        })))
    }

    async fn rows(&self) -> Result<Vec<u64>> {
        let pool = PgPool::connect(&self.direct()).await?;
        let rows: Vec<i64> = sqlx::query_scalar("SELECT n FROM torture_order")
            .fetch_all(&pool)
            .await?;
        Ok(rows.into_iter().map(i64::cast_unsigned).collect())
    }

    async fn ledger(&self) -> Result<Option<Arc<dyn Ledger>>> {
        Ok(Some(Arc::new(Sums {
            pool: PgPool::connect_lazy(&self.address())?,
            prepared: !self.is_pooled(),
        })))
    }

    async fn left(&self) -> Result<Vec<String>> {
        // A server forgets a dead client with its connection.
        Ok(Vec::new())
    }

    async fn damage(&self) -> Result<Vec<String>> {
        let pool = PgPool::connect(&self.direct()).await?;
        let mut found = Vec::new();
        for query in NONE {
            let number: i64 = sqlx::query_scalar(query).fetch_one(&pool).await?;
            if number != 0 {
                found.push(format!("{query}: {number}, not 0"));
            }
        }
        let Some(program) = test_servers::tool(Kind::Postgres, "pg_amcheck") else {
            served::unchecked("pg_amcheck");
            return Ok(found);
        };
        let mut check = Command::new(program);
        check
            .args([
                "--install-missing",
                "--heapallindexed",
                "--parent-check",
                "--schema=task_retry",
            ])
            .arg(self.direct());
        found.extend(served::complaint(&mut check)?);
        Ok(found)
    }

    fn server(&self) -> Option<&dyn Server> {
        self.served.as_ref().map(|served| served as _)
    }
}

/// The user's own rows in the store's database.
struct Sums {
    pool: PgPool,
    /// Whether statements are kept on a connection; a pooler may have given it to another.
    prepared: bool,
}

#[async_trait]
impl Ledger for Sums {
    async fn write(&self, sum: &Sum) -> Result<()> {
        let write = "INSERT INTO torture_sum VALUES ($1, $2, $3, 1) ON CONFLICT (batch) DO UPDATE \
                     SET version = excluded.version, sum = excluded.sum, times = torture_sum.times + 1 \
                     WHERE torture_sum.version < excluded.version";
        sqlx::query(write)
            .bind(&sum.batch)
            .bind(sum.version.cast_signed())
            .bind(sum.sum.cast_signed())
            .persistent(self.prepared)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    async fn sums(&self) -> Result<Vec<Sum>> {
        let read = "SELECT batch, version, sum, times FROM torture_sum";
        let read = sqlx::query_as(read).persistent(self.prepared);
        let rows: Vec<(String, i64, i64, i64)> = read.fetch_all(&self.pool).await?;
        let sum = |(batch, version, sum, times): (String, i64, i64, i64)| Sum {
            batch,
            version: version.cast_unsigned(),
            sum: sum.cast_unsigned(),
            times: times.cast_unsigned(),
        };
        Ok(rows.into_iter().map(sum).collect())
    }
}

/// The enqueuer's own rows in the store's database.
struct Book {
    pool: PgPool,
    client: Client<PostgresStore>,
    /// As in `Sums`.
    prepared: bool,
}

#[async_trait]
impl Orders for Book {
    async fn place(&mut self, n: u64) -> Result<Enqueued> {
        let mut tx = self.pool.begin().await?;
        let insert = sqlx::query("INSERT INTO torture_order (n) VALUES ($1)");
        insert
            .bind(n.cast_signed())
            .persistent(self.prepared)
            .execute(&mut *tx)
            .await?;
        let order = Draft::of(&Order { n });
        let enqueued = self.client.enqueue(order).in_tx(&mut tx).await?;
        tx.commit().await?;
        Ok(enqueued)
    }
}
