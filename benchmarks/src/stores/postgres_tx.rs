//! Transactions on PostgreSQL: a row of the user's and a task, on a pool of the user's.

use std::sync::Arc;

use anyhow::Result;
use async_trait::async_trait;
use retry_core::client::Client;
use retry_core::engine::WorkerHandle;
use retry_core::store::TaskStore;
use retry_postgres::PostgresStore;
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, PgPool};

use super::postgres::Schema;
use crate::full::Transactions;
use crate::job::Job;

#[derive(Debug)]
pub(super) struct PostgresTransactions {
    client: Client<PostgresStore>,
    here: Client<PostgresStore>,
    pool: PgPool,
    insert: String,
    // Last, so that it is dropped after the store.
    _schema: Schema,
}

impl PostgresTransactions {
    pub(super) async fn new(store: PostgresStore, schema: Schema) -> Result<Self> {
        let pool = PgPoolOptions::new()
            .max_connections(2)
            .connect(schema.url())
            .await?;
        let table = format!("{}.business", schema.name());
        let create = format!("CREATE TABLE {table} (id BIGSERIAL PRIMARY KEY, item TEXT)");
        sqlx::raw_sql(AssertSqlSafe(create)).execute(&pool).await?;
        let client = Client::new(store);
        Ok(Self {
            here: client.clone(),
            client,
            pool,
            insert: format!("INSERT INTO {table} (item) VALUES ('lamp')"),
            _schema: schema,
        })
    }
}

#[async_trait]
impl Transactions for PostgresTransactions {
    fn store(&self) -> Arc<dyn TaskStore> {
        Arc::<PostgresStore>::clone(self.client.store())
    }

    fn attach(&mut self, worker: &WorkerHandle) {
        self.here = self.client.attach(worker);
    }

    async fn commit(&self, job: Job, here: bool) -> Result<()> {
        let client = if here { &self.here } else { &self.client };
        client
            .transaction(&self.pool, async |tx| {
                sqlx::query(AssertSqlSafe(self.insert.clone()))
                    .execute(&mut **tx)
                    .await?;
                tx.enqueue(job).await?;
                anyhow::Ok(())
            })
            .await
    }
}
