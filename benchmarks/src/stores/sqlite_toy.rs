//! A toy queue on rusqlite: integer key, six columns, one index.

use anyhow::Result;
use async_trait::async_trait;
use rusqlite::{Connection, params};
use tempfile::TempDir;

use super::sqlite::database;
use crate::args::Run;
use crate::bare::{self, Claimed};
use crate::job::After;
use crate::place::folder;

const SCHEMA: &str = "
CREATE TABLE job (
  id      INTEGER PRIMARY KEY,
  kind    TEXT    NOT NULL,
  state   INTEGER NOT NULL,
  run_at  INTEGER NOT NULL,
  version INTEGER NOT NULL,
  payload TEXT    NOT NULL
) STRICT;
CREATE INDEX ready ON job (run_at) WHERE state = 0;";

const INSERT: &str = "INSERT INTO job (kind, state, run_at, version, payload) VALUES ('job', 0, ?1, 0, ?2)";
const CLAIM: &str = "UPDATE job SET state = 1, version = version + 1 WHERE id IN
  (SELECT id FROM job WHERE state = 0 AND run_at <= ?1 ORDER BY run_at, id LIMIT ?2)
  RETURNING id, version, payload";
const KEEP: &str =
    "UPDATE job SET state = 2, version = version + 1 WHERE id = ?1 AND version = ?2 AND state = 1";
const DELETE: &str = "DELETE FROM job WHERE id = ?1 AND version = ?2 AND state = 1";

/// One connection to a fresh database.
#[derive(Debug)]
pub(super) struct Toy {
    connection: Connection,
    after: After,
    _folder: TempDir,
}

impl Toy {
    pub(super) fn fresh(run: &Run, after: After) -> Result<Self> {
        let folder = folder(run)?;
        let connection = Connection::open(database(&folder))?;
        connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
        connection.execute_batch(&format!(
            "PRAGMA synchronous = {}; PRAGMA cache_size = -65536; PRAGMA wal_autocheckpoint = 16384;",
            run.synchronous.text()
        ))?;
        connection.execute_batch(SCHEMA)?;
        Ok(Self {
            connection,
            after,
            _folder: folder,
        })
    }
}

#[async_trait]
impl bare::Toy for Toy {
    async fn turn(&mut self, payloads: &[&str], held: &[Claimed], limit: usize) -> Result<Vec<Claimed>> {
        let now = 1;
        let transaction = self.connection.transaction()?;
        let mut insert = transaction.prepare_cached(INSERT)?;
        for payload in payloads {
            insert.execute(params![now, payload])?;
        }
        let mut settle = transaction.prepare_cached(match self.after {
            After::Keep => KEEP,
            After::Delete => DELETE,
        })?;
        for claimed in held {
            let changed = settle.execute(params![claimed.id, claimed.version])?;
            anyhow::ensure!(changed == 1, "a job was not settled");
        }
        let mut claimed = Vec::with_capacity(limit);
        if limit > 0 {
            let mut claim = transaction.prepare_cached(CLAIM)?;
            let rows = claim.query_map(params![now, i64::try_from(limit)?], |row| {
                Ok(Claimed {
                    id: row.get(0)?,
                    version: row.get(1)?,
                    payload: row.get(2)?,
                })
            })?;
            for row in rows {
                claimed.push(row?);
            }
        }
        drop((insert, settle));
        transaction.commit()?;
        Ok(claimed)
    }
}
