//! Transactions on the user's own pool or connection, for clients that wrap them.

use retry_core::store::{Enlist as _, Inserted, Result, Transact};
use retry_core::task::NewTask;
use retry_core::time::Timestamp;
use sqlx::{Connection as _, PgConnection, PgPool, Postgres, Transaction};

use crate::error::{During, Fault, store_error};
use crate::store::PostgresStore;

impl Transact<&PgPool> for PostgresStore {
    type Tx = Transaction<'static, Postgres>;
    type Connection = PgConnection;

    async fn begin(&self, db: &PgPool) -> Result<Self::Tx> {
        db.begin().await.map_err(|error| self.worded(error, During::Before))
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

impl<'c> Transact<&'c mut PgConnection> for PostgresStore {
    type Tx = Transaction<'c, Postgres>;
    type Connection = PgConnection;

    async fn begin(&self, db: &'c mut PgConnection) -> Result<Self::Tx> {
        db.begin().await.map_err(|error| self.worded(error, During::Before))
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

impl PostgresStore {
    fn worded(&self, error: sqlx::Error, during: During) -> retry_core::store::StoreError {
        store_error(Fault::Driver(error), during, &self.inner.calls.place)
    }
}
