//! Transactions on SQLite: a row of the user's and a task, on the store's own connection.

use std::sync::Arc;

use anyhow::Result;
use async_trait::async_trait;
use retry_core::client::Client;
use retry_core::engine::WorkerHandle;
use retry_core::store::TaskStore;
use retry_sqlite::SqliteStore;
use tempfile::TempDir;

use crate::full::Transactions;
use crate::job::Job;

#[derive(Debug)]
pub(super) struct SqliteTransactions {
    client: Client<SqliteStore>,
    here: Client<SqliteStore>,
    // Last, so that it is dropped after the store.
    _folder: TempDir,
}

impl SqliteTransactions {
    pub(super) async fn new(store: SqliteStore, folder: TempDir) -> Result<Self> {
        store.migrate().await?;
        store
            .transaction(|tx| {
                tx.execute_batch("CREATE TABLE business (id INTEGER PRIMARY KEY, item TEXT)")
                    .map_err(anyhow::Error::from)
            })
            .await?;
        let client = Client::new(store);
        Ok(Self {
            here: client.clone(),
            client,
            _folder: folder,
        })
    }
}

#[async_trait]
impl Transactions for SqliteTransactions {
    fn store(&self) -> Arc<dyn TaskStore> {
        Arc::<SqliteStore>::clone(self.client.store())
    }

    fn attach(&mut self, worker: &WorkerHandle) {
        self.here = self.client.attach(worker);
    }

    async fn commit(&self, job: Job, here: bool) -> Result<()> {
        let client = if here { &self.here } else { &self.client };
        client
            .transaction_blocking(move |tx| {
                tx.execute("INSERT INTO business (item) VALUES ('lamp')", [])?;
                tx.enqueue(job)?;
                anyhow::Ok(())
            })
            .await
    }
}
