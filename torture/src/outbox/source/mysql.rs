//! MySQL and MariaDB: a database that every process reaches by URL.

use anyhow::Result;
use async_trait::async_trait;
use retry_core::client::Client;
use retry_core::draft::Draft;
use retry_core::outbox::OutboxRelayHandle;
use retry_mysql::MySqlOutbox;
use sqlx::{Connection as _, MySqlPool};
use test_servers::Kind;

use super::{NAME, Shop, Source};
use crate::outbox::runs::Ship;
use crate::outbox::writer::Fate;
use crate::place::{Server, patiently};
use crate::stores::served::Served;

#[derive(Debug)]
pub(super) struct MySql {
    url: String,
    /// The server, if it is the run's own.
    served: Option<Served>,
}

impl MySql {
    /// The database at `url`, or one of the run's own when a scheme is all it is.
    pub(super) fn new(url: &str) -> Result<Self> {
        if url.contains(':') {
            let url = url.to_owned();
            return Ok(Self { url, served: None });
        }
        let served = Served::start(Kind::MySql, None)?;
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

    async fn outbox(&self) -> Result<MySqlOutbox> {
        Ok(patiently(|| MySqlOutbox::connect(NAME, &self.url)).await?)
    }
}

#[async_trait]
impl Source for MySql {
    fn url(&self) -> &str {
        &self.url
    }

    async fn prepare(&self) -> Result<()> {
        self.outbox().await?;
        let pool = MySqlPool::connect(&self.direct()).await?;
        sqlx::query("CREATE TABLE IF NOT EXISTS orders (n bigint NOT NULL PRIMARY KEY)")
            .execute(&pool)
            .await?;
        Ok(())
    }

    async fn shop(&self) -> Result<Box<dyn Shop>> {
        let outbox = self.outbox().await?;
        let pool = MySqlPool::connect_lazy(&self.url)?;
        Ok(Box::new(Book { pool, outbox }))
    }

    async fn relay(&self, client: &Client) -> Result<OutboxRelayHandle> {
        super::relay(client, self.outbox().await?)
    }

    async fn rows(&self) -> Result<Vec<u64>> {
        let pool = MySqlPool::connect(&self.direct()).await?;
        let rows: Vec<i64> = sqlx::query_scalar("SELECT n FROM orders")
            .fetch_all(&pool)
            .await?;
        Ok(rows.into_iter().map(i64::cast_unsigned).collect())
    }

    async fn waiting(&self) -> Result<u64> {
        super::waiting(&self.outbox().await?).await
    }

    async fn aside(&self) -> Result<u64> {
        let pool = MySqlPool::connect(&self.direct()).await?;
        let aside = "SELECT count(*) FROM retry_outbox WHERE set_aside IS NOT NULL";
        let rows: i64 = sqlx::query_scalar(aside).fetch_one(&pool).await?;
        Ok(rows.cast_unsigned())
    }

    fn server(&self) -> Option<&dyn Server> {
        self.served.as_ref().map(|served| served as _)
    }
}

struct Book {
    pool: MySqlPool,
    outbox: MySqlOutbox,
}

#[async_trait]
impl Shop for Book {
    async fn order(&mut self, client: &Client, n: u64, fate: Fate) -> Result<()> {
        let mut tx = self.pool.begin().await?;
        sqlx::query("INSERT INTO orders (n) VALUES (?)")
            .bind(n.cast_signed())
            .execute(&mut *tx)
            .await?;
        let draft = Draft::of(&Ship { n });
        client.enqueue(draft).outbox(&self.outbox, &mut tx).await?;
        if fate == Fate::Savepoint {
            let mut savepoint = tx.begin().await?;
            let other = Draft::of(&Ship { n: n + 1 });
            client.enqueue(other).outbox(&self.outbox, &mut savepoint).await?;
            savepoint.rollback().await?;
        }
        match fate {
            Fate::RollBack => tx.rollback().await?,
            Fate::Commit | Fate::Savepoint => tx.commit().await?,
        }
        Ok(())
    }
}
