//! A connection at work for one call: how statements run on it, and what the call will cause outside the database.

use std::sync::Arc;

use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{Connection as _, PgConnection, Postgres, SqlStr};

use crate::effects::Effects;
use crate::error::Outcome;
use crate::queries::Queries;

/// Runs statements on a connection: the store's own, inside a transaction or not, or one of the user's.
pub(crate) struct Tx<'c> {
    conn: &'c mut PgConnection,
    pub(crate) sql: Arc<Queries>,
    /// Whether statements are prepared once for a connection.
    named: bool,
    /// Whether the user commits.
    pub(crate) foreign: bool,
    /// Whether the call was tried before and somebody was in the way.
    pub(crate) is_again: bool,
    pub(crate) effects: Effects,
}

/// A statement with its parameters.
pub(crate) type Statement = Query<'static, Postgres, PgArguments>;

impl<'c> Tx<'c> {
    pub(crate) fn new(conn: &'c mut PgConnection, sql: Arc<Queries>, named: bool) -> Self {
        Self {
            conn,
            sql,
            named,
            foreign: false,
            is_again: false,
            effects: Effects::default(),
        }
    }

    /// A connection of the user's own.
    pub(crate) fn foreign(conn: &'c mut PgConnection, sql: Arc<Queries>, named: bool) -> Self {
        Self {
            foreign: true,
            ..Self::new(conn, sql, named)
        }
    }

    /// Fails outside of a transaction. There each statement would commit by itself: a call would not be all or none, and an answer
    /// that is lost would leave unknown what a transaction rolls back. The driver counts what it began itself; the server knows.
    pub(crate) async fn require_transaction(&mut self) -> Outcome<()> {
        if !self.conn.is_in_transaction() {
            let asking = "SAVEPOINT retry_in_tx; RELEASE SAVEPOINT retry_in_tx";
            sqlx::raw_sql(asking).execute(&mut *self.conn).await?;
        }
        Ok(())
    }

    /// A statement that waits for its parameters.
    pub(crate) fn query(&self, sql: &SqlStr) -> Statement {
        sqlx::query(sql.clone()).persistent(self.named)
    }

    /// Runs a statement and gives its rows.
    pub(crate) async fn rows(&mut self, statement: Statement) -> Outcome<Vec<PgRow>> {
        Ok(statement.fetch_all(&mut *self.conn).await?)
    }

    /// Runs a statement that gives at most one row.
    pub(crate) async fn row(&mut self, statement: Statement) -> Outcome<Option<PgRow>> {
        Ok(self.rows(statement).await?.pop())
    }

    /// Runs a statement and gives the number of rows that it wrote.
    pub(crate) async fn execute(&mut self, statement: Statement) -> Outcome<u64> {
        Ok(statement.execute(&mut *self.conn).await?.rows_affected())
    }

    /// Runs statements without parameters, which may be several.
    pub(crate) async fn batch(&mut self, sql: &SqlStr) -> Outcome<()> {
        sqlx::raw_sql(sql.clone()).execute(&mut *self.conn).await?;
        Ok(())
    }
}
