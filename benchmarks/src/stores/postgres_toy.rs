//! A toy queue on PostgreSQL: integer key, six columns, one index; a turn is one statement, so one round trip and one commit.

use anyhow::{Result, ensure};
use async_trait::async_trait;
use sqlx::{PgConnection, Row as _};

use super::postgres::Schema;
use crate::bare::{self, Claimed};
use crate::job::After;

const SCHEMA: &str = "
CREATE TABLE job (
  id      bigint   GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind    text     NOT NULL,
  state   smallint NOT NULL,
  run_at  bigint   NOT NULL,
  version integer  NOT NULL,
  payload text     NOT NULL
);
CREATE INDEX ready ON job (run_at, id) WHERE state = 0;";

const INSERT: &str = "INSERT INTO job (kind, state, run_at, version, payload)
  SELECT 'job', 0, $1, 0, payload FROM unnest($2::text[]) AS payload";

/// The claim does not see what the same statement inserts.
macro_rules! turn {
    ($settle:literal) => {
        concat!(
            "WITH added AS (
               INSERT INTO job (kind, state, run_at, version, payload)
               SELECT 'job', 0, $1, 0, payload FROM unnest($2::text[]) AS payload),
             settled AS (",
            $settle,
            " WHERE id = ANY($3) AND state = 1 AND version = 1 RETURNING 1),
             claimed AS (
               UPDATE job SET state = 1, version = version + 1 WHERE id = ANY (ARRAY(
                 SELECT id FROM job WHERE state = 0 AND run_at <= $1 ORDER BY run_at, id LIMIT $4
                 FOR UPDATE SKIP LOCKED))
               RETURNING id, version, payload)
             SELECT (SELECT count(*) FROM settled) AS settled, id, version, payload
               FROM (SELECT 1) AS one LEFT JOIN claimed ON true"
        )
    };
}

const KEEP: &str = turn!("UPDATE job SET state = 2, version = version + 1");
const DELETE: &str = turn!("DELETE FROM job");

/// One connection to a fresh schema.
#[derive(Debug)]
pub(super) struct Toy {
    connection: PgConnection,
    after: After,
    _schema: Schema,
}

impl Toy {
    pub(super) async fn fresh(schema: Schema, after: After) -> Result<Self> {
        let mut connection = schema.create().await?;
        sqlx::raw_sql(SCHEMA).execute(&mut connection).await?;
        Ok(Self {
            connection,
            after,
            _schema: schema,
        })
    }

    async fn insert(&mut self, payloads: &[&str]) -> Result<()> {
        let insert = sqlx::query(INSERT).bind(1_i64).bind(payloads);
        insert.execute(&mut self.connection).await?;
        Ok(())
    }

    async fn whole(&mut self, payloads: &[&str], held: &[Claimed], limit: usize) -> Result<Vec<Claimed>> {
        let statement = match self.after {
            After::Keep => KEEP,
            After::Delete => DELETE,
        };
        let ids: Vec<i64> = held.iter().map(|claimed| claimed.id).collect();
        let rows = sqlx::query(statement)
            .bind(1_i64)
            .bind(payloads)
            .bind(ids)
            .bind(i64::try_from(limit)?)
            .fetch_all(&mut self.connection)
            .await?;
        let mut claimed = Vec::with_capacity(rows.len());
        for row in rows {
            let settled: i64 = row.try_get(0)?;
            ensure!(usize::try_from(settled)? == held.len(), "a job was not settled");
            if let Some(id) = row.try_get(1)? {
                let version: i32 = row.try_get(2)?;
                claimed.push(Claimed {
                    id,
                    version: version.into(),
                    payload: row.try_get(3)?,
                });
            }
        }
        Ok(claimed)
    }
}

#[async_trait]
impl bare::Toy for Toy {
    async fn turn(&mut self, payloads: &[&str], held: &[Claimed], limit: usize) -> Result<Vec<Claimed>> {
        if held.is_empty() && limit == 0 {
            self.insert(payloads).await?;
            return Ok(Vec::new());
        }
        let claimed = self.whole(payloads, held, limit).await?;
        if claimed.is_empty() && !payloads.is_empty() && limit > 0 {
            return self.whole(&[], &[], limit).await;
        }
        Ok(claimed)
    }
}
