//! Transactions on the user's own pool, for clients that wrap them.

use retry_core::store::{Begin, Enlist as _, Inserted, Result, StoreError, Transact};
use retry_core::task::NewTask;
use retry_core::time::Timestamp;
use sqlx::{MySql, MySqlPool, Transaction};

use crate::error::{During, Fault, store_error};
use crate::store::MySqlStore;

impl Begin<&MySqlPool> for MySqlStore {
    type Tx = Transaction<'static, MySql>;

    async fn begin(&self, db: &MySqlPool) -> Result<Self::Tx> {
        db.begin()
            .await
            .map_err(|error| self.worded(error, During::Connect))
    }
}

impl Transact<Transaction<'static, MySql>> for MySqlStore {
    async fn insert_in(
        &self,
        tx: &mut Transaction<'static, MySql>,
        tasks: Result<Vec<NewTask>>,
        now: Timestamp,
    ) -> Result<Vec<Inserted>> {
        self.enlist(tx, tasks, now, |answer| answer).await
    }

    async fn commit(&self, tx: Transaction<'static, MySql>) -> Result<()> {
        tx.commit()
            .await
            .map_err(|error| self.worded(error, During::Commit))
    }
}

impl MySqlStore {
    fn worded(&self, error: sqlx::Error, during: During) -> StoreError {
        store_error(Fault::from(error), during, &self.inner.place)
    }
}
