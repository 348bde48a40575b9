//! PostgreSQL: each order and its delivery in one sqlx transaction of the application's own, in one database.

use std::collections::HashMap;

use anyhow::Context as _;
use async_trait::async_trait;
use sqlx::PgPool;
use task_retry::Client;
use task_retry::postgres::PostgresStore;

use super::Taken;
use crate::order::Order;

/// The database with the application's table and the tasks.
pub(super) struct Shop {
    /// Knows its store, which `in_tx` needs.
    store: Client<PostgresStore>,
    client: Client,
    pool: PgPool,
}

impl Shop {
    pub(super) async fn open(url: &str) -> anyhow::Result<Self> {
        let store = PostgresStore::connect(url)
            .await
            .context("cannot open the store")?;
        let pool = PgPool::connect(url).await.context("cannot connect")?;
        // One at a time: two that create the same table at once are refused in spite of the IF NOT EXISTS.
        let mut tx = pool.begin().await?;
        sqlx::query("SELECT pg_advisory_xact_lock(hashtext('orders'))")
            .execute(&mut *tx)
            .await?;
        sqlx::query(
            "CREATE TABLE IF NOT EXISTS orders (
                id      text PRIMARY KEY,
                task_id text, -- null within the transaction that takes the order in, and never after it
                body    text NOT NULL
            )",
        )
        .execute(&mut *tx)
        .await
        .context("cannot make the table of orders")?;
        tx.commit().await?;
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
        let find = sqlx::query_scalar("SELECT body FROM orders WHERE id = $1").bind(id);
        Ok(find.fetch_optional(&self.pool).await?)
    }

    async fn take_in(&self, orders: Vec<Order>) -> anyhow::Result<Vec<Taken>> {
        let mut taken = Vec::with_capacity(orders.len());
        let mut tx = self.pool.begin().await?;
        for order in orders {
            let id = order.id.clone();
            // Waits for another instance that is taking the same order in.
            let insert = sqlx::query("INSERT INTO orders (id, body) VALUES ($1, $2) ON CONFLICT DO NOTHING");
            let inserted = insert.bind(&id).bind(order.body()?).execute(&mut *tx).await?;
            if inserted.rows_affected() == 0 {
                let find = sqlx::query_scalar("SELECT body FROM orders WHERE id = $1").bind(&id);
                let stored: String = find.fetch_one(&mut *tx).await?;
                taken.push(Taken::before(&stored, &order)?);
                continue;
            }
            let delivery = self.store.enqueue(order).in_tx(&mut tx).await?;
            let update = sqlx::query("UPDATE orders SET task_id = $2 WHERE id = $1");
            let update = update.bind(&id).bind(delivery.id.to_string());
            update.execute(&mut *tx).await?;
            taken.push(Taken::New);
        }
        tx.commit().await?;
        Ok(taken)
    }

    async fn orders(&self) -> anyhow::Result<HashMap<String, String>> {
        let select = sqlx::query_as("SELECT task_id, id FROM orders");
        let rows: Vec<(String, String)> = select.fetch_all(&self.pool).await?;
        Ok(rows.into_iter().collect())
    }
}
