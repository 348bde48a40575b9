//! Transactions on the user's own pool, for clients that wrap them.

use retry_core::store::{Begin, Enlist as _, Inserted, Result, StoreError, Transact};
use retry_core::task::NewTask;
use retry_core::time::Timestamp;
use sqlx::{PgPool, Postgres, Transaction};

use crate::error::{During, Fault, store_error};
use crate::store::PostgresStore;

impl Begin<&PgPool> for PostgresStore {
    type Tx = Transaction<'static, Postgres>;

    async fn begin(&self, db: &PgPool) -> Result<Self::Tx> {
        db.begin()
            .await
            .map_err(|error| self.worded(error, During::Before))
    }
}

impl Transact<Transaction<'static, Postgres>> for PostgresStore {
    async fn insert_in(
        &self,
        tx: &mut Transaction<'static, Postgres>,
        tasks: Result<Vec<NewTask>>,
        now: Timestamp,
    ) -> Result<Vec<Inserted>> {
        self.enlist(tx, tasks, now, |answer| answer).await
    }

    async fn commit(&self, tx: Transaction<'static, Postgres>) -> Result<()> {
        tx.commit()
            .await
            .map_err(|error| self.worded(error, During::Commit))
    }
}

impl PostgresStore {
    fn worded(&self, error: sqlx::Error, during: During) -> StoreError {
        store_error(Fault::Driver(error), during, &self.inner.calls.place)
    }
}
