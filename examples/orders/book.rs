//! The receiver's own records: what it was sent, and what it took, in a file of its own that outlives it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, params};

/// What the receiver answers for an order that is in its records.
pub(crate) const RECEIPT: &str = "entered in the receiver's book";

/// The records, shared by all connections to the receiver.
#[derive(Debug, Clone)]
pub(crate) struct Book(Arc<Mutex<Connection>>);

/// What the receiver knows about one idempotency key.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Entry {
    /// How often the order was taken in; once is right, more are duplicates that the key exposed.
    pub(crate) accepted: u32,
    /// How many of its answers the receiver itself lost.
    pub(crate) lost_answers: u32,
}

impl Book {
    /// Where the receiver of a database keeps its records.
    pub(crate) fn path(db: &Path) -> PathBuf {
        db.with_extension("receiver.db")
    }

    /// Opens the records.
    pub(crate) fn open(path: &Path) -> rusqlite::Result<Self> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(10))?;
        // NORMAL survives a kill of the process, which is what happens to it here.
        connection.execute_batch(
            "PRAGMA journal_mode = WAL;
             PRAGMA synchronous = NORMAL;
             CREATE TABLE IF NOT EXISTS entry (
                 key          TEXT PRIMARY KEY,
                 version      INTEGER NOT NULL,
                 requests     INTEGER NOT NULL,
                 accepted     INTEGER NOT NULL DEFAULT 0,
                 lost_answers INTEGER NOT NULL DEFAULT 0
             ) STRICT",
        )?;
        Ok(Self(Arc::new(Mutex::new(connection))))
    }

    /// Notes a request and answers its number, from 1; nothing if a later attempt was here before. Such a request
    /// comes from a worker that lost its lease: the version is a fencing token.
    pub(crate) fn request(&self, key: &str, version: i64) -> rusqlite::Result<Option<u32>> {
        let connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut upsert = connection.prepare_cached(
            "INSERT INTO entry (key, version, requests) VALUES (?1, ?2, 1)
             ON CONFLICT (key) DO UPDATE SET version = excluded.version, requests = requests + 1
                 WHERE excluded.version >= version
             RETURNING requests",
        )?;
        // Read to the end: the write is committed by the step behind the row, and may fail there.
        let mut rows = upsert.query(params![key, version])?;
        let requests = rows.next()?.map(|row| row.get(0)).transpose()?;
        while rows.next()?.is_some() {}
        Ok(requests)
    }

    /// Takes an order in, unless a later attempt came while this one was under way. Answers whether it did.
    pub(crate) fn accept(&self, key: &str, version: i64, loses_answer: bool) -> rusqlite::Result<bool> {
        let connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut update = connection.prepare_cached(
            "UPDATE entry SET accepted = accepted + 1, lost_answers = lost_answers + ?3
             WHERE key = ?1 AND version = ?2",
        )?;
        Ok(update.execute(params![key, version, loses_answer])? > 0)
    }

    /// Everything the receiver knows, by idempotency key.
    pub(crate) fn entries(&self) -> rusqlite::Result<HashMap<String, Entry>> {
        let connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut select = connection.prepare("SELECT key, accepted, lost_answers FROM entry")?;
        let rows = select.query_map([], |row| {
            let entry = Entry {
                accepted: row.get(1)?,
                lost_answers: row.get(2)?,
            };
            Ok((row.get(0)?, entry))
        })?;
        rows.collect()
    }
}
