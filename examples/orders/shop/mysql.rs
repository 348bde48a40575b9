//! MySQL and MariaDB: each order and its delivery in one sqlx transaction of the application's own, in one database.

use std::collections::HashMap;

use anyhow::Context as _;
use async_trait::async_trait;
use sqlx::MySqlPool;
use task_retry::Client;
use task_retry::mysql::MySqlStore;

use super::Taken;
use crate::order::Order;

/// The database with the application's table and the tasks.
pub(super) struct Shop {
    /// Knows its store, which `in_tx` needs.
    store: Client<MySqlStore>,
    client: Client,
    pool: MySqlPool,
}

impl Shop {
    pub(super) async fn open(url: &str) -> anyhow::Result<Self> {
        let store = MySqlStore::connect(url).await.context("cannot open the store")?;
        let pool = MySqlPool::connect(url).await.context("cannot connect")?;
        // Compared byte by byte, as everywhere else: the usual collations take A-1 and a-1 for one order.
        sqlx::query(
            "CREATE TABLE IF NOT EXISTS orders (
                id      varbinary(64) PRIMARY KEY,
                task_id char(36) CHARACTER SET ascii, -- null only within the transaction that takes the order in
                body    mediumtext CHARACTER SET utf8mb4 NOT NULL
            ) ENGINE = InnoDB",
        )
        .execute(&pool)
        .await
        .context("cannot make the table of orders")?;
        let store = Client::new(store);
        Ok(Self {
            client: store.clone().erase(),
            store,
            pool,
        })
    }
}

#[async_trait]
impl super::Shop for Shop {
    fn client(&self) -> &Client {
        &self.client
    }

    async fn body(&self, id: &str) -> anyhow::Result<Option<String>> {
        let find = sqlx::query_scalar("SELECT body FROM orders WHERE id = ?").bind(id);
        Ok(find.fetch_optional(&self.pool).await?)
    }

    async fn take_in(&self, orders: Vec<Order>) -> anyhow::Result<Vec<Taken>> {
        let mut taken = Vec::with_capacity(orders.len());
        let mut tx = self.pool.begin().await?;
        for order in orders {
            let id = order.id.clone();
            // Waits for another instance that is taking the same order in.
            let insert = sqlx::query("INSERT IGNORE INTO orders (id, body) VALUES (?, ?)");
            let inserted = insert.bind(&id).bind(order.body()?).execute(&mut *tx).await?;
            if inserted.rows_affected() == 0 {
                let find = sqlx::query_scalar("SELECT body FROM orders WHERE id = ?").bind(&id);
                let stored: String = find.fetch_one(&mut *tx).await?;
                taken.push(Taken::before(&stored, &order)?);
                continue;
            }
            let delivery = self.store.enqueue(order).in_tx(&mut tx).await?;
            let update = sqlx::query("UPDATE orders SET task_id = ? WHERE id = ?");
            let update = update.bind(delivery.id.to_string()).bind(&id);
            update.execute(&mut *tx).await?;
            taken.push(Taken::New);
        }
        tx.commit().await?;
        Ok(taken)
    }

    async fn orders(&self) -> anyhow::Result<HashMap<String, String>> {
        let select = sqlx::query_as("SELECT task_id, CONVERT(id USING utf8mb4) FROM orders");
        let rows: Vec<(String, String)> = select.fetch_all(&self.pool).await?;
        Ok(rows.into_iter().collect())
    }
}
