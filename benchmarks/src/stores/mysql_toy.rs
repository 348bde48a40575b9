//! A toy queue on MySQL: integer key, six columns, one index; a turn is one transaction in at most two round trips, because
//! there is no update that returns rows.

use std::fmt::Write as _;

use anyhow::{Result, ensure};
use async_trait::async_trait;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, MySqlConnection, Row as _};

use super::mysql::Database;
use crate::bare::{self, Claimed};
use crate::job::After;

/// A job that is not waiting has no `run_at`, so that settling does not touch the index.
const SCHEMA: &str = "
CREATE TABLE job (
  id      BIGINT   PRIMARY KEY AUTO_INCREMENT,
  kind    VARCHAR(128) NOT NULL,
  state   TINYINT  NOT NULL,
  run_at  BIGINT,
  version INT      NOT NULL,
  payload LONGTEXT NOT NULL,
  KEY ready (run_at)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin";

const CLAIM: &str = "SELECT id, version + 1, payload FROM job WHERE run_at <= 1 ORDER BY run_at, id";

/// One connection to a fresh database.
#[derive(Debug)]
pub(super) struct Toy {
    connection: MySqlConnection,
    after: After,
    _database: Database,
}

impl Toy {
    pub(super) async fn fresh(database: Database, after: After) -> Result<Self> {
        let mut connection = MySqlConnection::connect(&database.url()).await?;
        connection
            .execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
            .await?;
        connection.execute(SCHEMA).await?;
        Ok(Self {
            connection,
            after,
            _database: database,
        })
    }

    async fn execute(&mut self, statements: String) -> Result<u64> {
        let sent = sqlx::raw_sql(AssertSqlSafe(statements));
        Ok(sent.execute(&mut self.connection).await?.rows_affected())
    }

    fn settle(&self, held: &[Claimed]) -> String {
        let what = match self.after {
            After::Keep => "UPDATE job SET state = 2, version = version + 1",
            After::Delete => "DELETE FROM job",
        };
        let ids = ids(held);
        format!("{what} WHERE id IN ({ids}) AND state = 1 AND version = 1;")
    }
}

#[async_trait]
impl bare::Toy for Toy {
    async fn turn(&mut self, payloads: &[&str], held: &[Claimed], limit: usize) -> Result<Vec<Claimed>> {
        let insert = insert(payloads)?;
        if held.is_empty() && limit == 0 {
            self.execute(insert).await?;
            return Ok(Vec::new());
        }
        let mut first = "BEGIN;".to_owned();
        if !held.is_empty() {
            first.push_str(&self.settle(held));
        }
        first.push_str(&insert);
        write!(first, "{CLAIM} LIMIT {limit} FOR UPDATE SKIP LOCKED")?;
        let rows = sqlx::raw_sql(AssertSqlSafe(first));
        let rows = rows.fetch_all(&mut self.connection).await?;
        let claim = |row: &sqlx::mysql::MySqlRow| {
            Ok(Claimed {
                id: row.try_get(0)?,
                version: row.try_get(1)?,
                payload: row.try_get(2)?,
            })
        };
        let claimed: Vec<Claimed> = rows.iter().map(claim).collect::<Result<_>>()?;
        let mut second = String::new();
        if !claimed.is_empty() {
            let ids = ids(&claimed);
            write!(
                second,
                "UPDATE job SET state = 1, run_at = NULL, version = version + 1 WHERE id IN ({ids}) AND state = 0;"
            )?;
        }
        second.push_str("COMMIT");
        let changed = self.execute(second).await?;
        ensure!(
            usize::try_from(changed)? == claimed.len(),
            "a job was not claimed"
        );
        Ok(claimed)
    }
}

/// Numbers only, so nothing has to be quoted.
fn ids(jobs: &[Claimed]) -> String {
    let ids: Vec<String> = jobs.iter().map(|job| job.id.to_string()).collect();
    ids.join(",")
}

fn insert(payloads: &[&str]) -> Result<String> {
    let Some((first, others)) = payloads.split_first() else {
        return Ok(String::new());
    };
    ensure!(
        !payloads.iter().any(|payload| payload.contains(['\'', '\\'])),
        "a payload of the benchmarks has nothing to quote"
    );
    let mut text =
        format!("INSERT INTO job (kind, state, run_at, version, payload) VALUES ('job',0,1,0,'{first}')");
    for payload in others {
        write!(text, ",('job',0,1,0,'{payload}')")?;
    }
    text.push(';');
    Ok(text)
}
