//! Transactions on the user's own pool or connection, for clients that wrap them.

use retry_core::store::{Enlist as _, Inserted, Result, Transact};
use retry_core::task::NewTask;
use retry_core::time::Timestamp;
use sqlx::{Connection as _, MySql, MySqlConnection, MySqlPool, Transaction};

use crate::error::{During, Fault, store_error};
use crate::store::MySqlStore;

impl Transact<&MySqlPool> for MySqlStore {
    type Tx = Transaction<'static, MySql>;
    type Connection = MySqlConnection;

    async fn begin(&self, db: &MySqlPool) -> Result<Self::Tx> {
        db.begin().await.map_err(|error| self.worded(error, During::Connect))
    }

    async fn insert_in(
        &self,
        tx: &mut Self::Tx,
        tasks: Result<Vec<NewTask>>,
        now: Timestamp,
    ) -> Result<Vec<Inserted>> {
        self.enlist(tx, tasks, now, |answer| answer).await
    }

    async fn commit(&self, tx: Self::Tx) -> Result<()> {
        tx.commit()
            .await
            .map_err(|error| self.worded(error, During::Commit))
    }
}

impl<'c> Transact<&'c mut MySqlConnection> for MySqlStore {
    type Tx = Transaction<'c, MySql>;
    type Connection = MySqlConnection;

    async fn begin(&self, db: &'c mut MySqlConnection) -> Result<Self::Tx> {
        db.begin().await.map_err(|error| self.worded(error, During::Connect))
    }

    async fn insert_in(
        &self,
        tx: &mut Self::Tx,
        tasks: Result<Vec<NewTask>>,
        now: Timestamp,
    ) -> Result<Vec<Inserted>> {
        self.enlist(tx, tasks, now, |answer| answer).await
    }

    async fn commit(&self, tx: Self::Tx) -> Result<()> {
        tx.commit()
            .await
            .map_err(|error| self.worded(error, During::Commit))
    }
}

impl MySqlStore {
    fn worded(&self, error: sqlx::Error, during: During) -> retry_core::store::StoreError {
        store_error(Fault::from(error), during, &self.inner.place)
    }
}
