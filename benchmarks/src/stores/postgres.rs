//! PostgreSQL: a schema of its own on one server.

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use retry_postgres::PostgresStore;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use test_servers::Kind;

use super::postgres_toy::Toy;
use super::postgres_tx::PostgresTransactions;
use super::{Snapshot, Subject};
use crate::aims::Aim;
use crate::args::Run;
use crate::bare;
use crate::full::Transactions;
use crate::job::After;
use crate::place::{Ground, Place};
use crate::server::{Address, fresh_name, removed};

/// Two of the bare commits of E1, in ms: the limit of a latency, which has no bare figure of its own among the aims.
const TWO_COMMITS: f64 = 2.0 / 4.6;

#[derive(Debug)]
pub(super) struct Postgres(Address);

impl Postgres {
    pub(super) fn new(given: &str) -> Self {
        Self(Address::new(Kind::Postgres, given, &[]))
    }
}

#[async_trait]
impl Subject for Postgres {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn url(&self) -> Result<String> {
        Ok(self.0.url()?.to_owned())
    }

    async fn fresh(&self, run: &Run) -> Result<Place> {
        let schema = Schema::new(self.0.url()?);
        let builder = PostgresStore::builder(&schema.url).schema(&schema.name);
        let store = builder
            .connect()
            .await
            .context("the PostgreSQL store cannot be opened")?;
        Place::open(store, schema, run).await
    }

    async fn toy(&self, _: &Run, after: After) -> Result<Option<Box<dyn bare::Toy>>> {
        let schema = Schema::new(self.0.url()?);
        Ok(Some(Box::new(Toy::fresh(schema, after).await?)))
    }

    async fn transactions(&self, _: &Run) -> Result<Option<Box<dyn Transactions>>> {
        let schema = Schema::new(self.0.url()?);
        let store = PostgresStore::builder(&schema.url).schema(&schema.name);
        let transactions = PostgresTransactions::new(store.connect().await?, schema).await?;
        Ok(Some(Box::new(transactions)))
    }

    async fn snapshot(&self) -> Result<Option<Box<dyn Snapshot>>> {
        let mut connection = PgConnection::connect(self.0.url()?).await?;
        sqlx::raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class")
            .execute(&mut connection)
            .await?;
        Ok(Some(Box::new(connection)))
    }

    fn is_on_disk(&self) -> bool {
        !self.0.is_given()
    }

    fn settings(&self, _: &Run) -> Option<String> {
        Some(self.0.text())
    }

    fn aims(&self) -> Vec<Aim> {
        vec![
            Aim::of_bare("E1", 3.5 / 4.6, 4.0 / 4.6),
            Aim::of_bare("E32", 25.0 / 96.0, 60.0 / 96.0),
            Aim::of_bare("EB", 120.0 / 386.0, 200.0 / 386.0),
            Aim::of_bare("D.keep", 57.0 / 163.0, 100.0 / 163.0),
            Aim::of_bare("D.delete", 85.0 / 218.0, 130.0 / 218.0),
            Aim::of_bare("M", 10.0 / 47.0, 30.0 / 47.0),
            Aim::of_bare("MB", 45.0 / 133.0, 80.0 / 133.0),
            Aim::of_bare("L.p50", 1.5 / TWO_COMMITS, 1.0 / TWO_COMMITS),
            Aim::of_bare("L.p99", 4.0 / TWO_COMMITS, 3.0 / TWO_COMMITS),
        ]
    }
}

impl Snapshot for PgConnection {}

/// A schema on the server, dropped in the end.
#[derive(Debug)]
pub(super) struct Schema {
    url: String,
    name: String,
}

impl Schema {
    fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            name: fresh_name(),
        }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// A connection that makes the schema and stays in it.
    pub(super) async fn create(&self) -> Result<PgConnection> {
        let mut connection = PgConnection::connect(&self.url).await?;
        let create = format!("CREATE SCHEMA {0}; SET search_path TO {0}", self.name);
        sqlx::raw_sql(AssertSqlSafe(create))
            .execute(&mut connection)
            .await?;
        Ok(connection)
    }
}

#[async_trait]
impl Ground for Schema {
    async fn bytes(&self) -> Result<Option<u64>> {
        let mut connection = PgConnection::connect(&self.url).await?;
        let bytes: i64 = sqlx::query_scalar(
            "SELECT sum(pg_total_relation_size(c.oid))::bigint FROM pg_class c \
             JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relkind = 'r'",
        )
        .bind(&self.name)
        .fetch_one(&mut connection)
        .await?;
        Ok(Some(u64::try_from(bytes)?))
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        let (url, drop) = (
            self.url.clone(),
            format!("DROP SCHEMA IF EXISTS {} CASCADE", self.name),
        );
        removed(&self.name, async move {
            let mut connection = PgConnection::connect(&url).await?;
            sqlx::raw_sql(AssertSqlSafe(drop))
                .execute(&mut connection)
                .await?;
            Ok(())
        });
    }
}
