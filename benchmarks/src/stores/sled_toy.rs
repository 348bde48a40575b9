//! A toy queue on sled: one tree with a record and, while it waits, one key of the index for each job.
//!
//! A turn is made durable by sled's own flush. The store syncs the file once more, because that flush does not bring the file's
//! length to the disk; the aims are set against the flush alone.

use anyhow::{Context as _, Result, ensure};
use async_trait::async_trait;
use sled::{Batch, Db};
use tempfile::TempDir;

use crate::args::Run;
use crate::bare::{self, Claimed};
use crate::job::After;
use crate::place::folder;

const READY: u8 = b'r';
const JOB: u8 = b'j';
/// Version, state and time, before the kind and the payload.
const HEAD: usize = 17;
const KIND: &[u8] = b"job\0";
const PENDING: u8 = 0;
const RUNNING: u8 = 1;
const SUCCEEDED: u8 = 2;
const NOW: i64 = 1;

/// A fresh database.
#[derive(Debug)]
pub(super) struct Toy {
    db: Db,
    after: After,
    last: i64,
    _folder: TempDir,
}

impl Toy {
    pub(super) fn fresh(run: &Run, after: After) -> Result<Self> {
        let folder = folder(run)?;
        let config = sled::Config::new().path(folder.path());
        let config = config.cache_capacity(128 * 1024 * 1024).flush_every_ms(None);
        Ok(Self {
            db: config.open()?,
            after,
            last: 0,
            _folder: folder,
        })
    }

    fn insert(&mut self, payloads: &[&str]) -> Result<()> {
        let mut batch = Batch::default();
        for payload in payloads {
            self.last += 1;
            batch.insert(&ready(self.last), &[]);
            batch.insert(&job(self.last), record(0, PENDING, payload.as_bytes()));
        }
        Ok(self.db.apply_batch(batch)?)
    }

    fn settle(&self, held: &[Claimed], batch: &mut Batch) -> Result<()> {
        for claimed in held {
            let key = job(claimed.id);
            let found = self.db.get(key)?.context("a job is gone")?;
            ensure!(found[8] == RUNNING && found[7] == 1, "a job was not settled");
            match self.after {
                After::Keep => {
                    batch.insert(
                        &key,
                        record(claimed.version + 1, SUCCEEDED, claimed.payload.as_bytes()),
                    );
                }
                After::Delete => batch.remove(&key),
            }
        }
        Ok(())
    }

    fn claim(&self, limit: usize, batch: &mut Batch) -> Result<Vec<Claimed>> {
        let mut claimed = Vec::with_capacity(limit);
        for entry in self.db.scan_prefix([READY]).take(limit) {
            let (key, _) = entry?;
            let id = i64::from_be_bytes(key[9..].try_into()?);
            let found = self.db.get(job(id))?.context("a waiting job is gone")?;
            let payload = String::from_utf8(found[HEAD + KIND.len()..].to_vec())?;
            batch.remove(key);
            batch.insert(&job(id), record(1, RUNNING, payload.as_bytes()));
            claimed.push(Claimed {
                id,
                version: 1,
                payload,
            });
        }
        Ok(claimed)
    }
}

#[async_trait]
impl bare::Toy for Toy {
    async fn turn(&mut self, payloads: &[&str], held: &[Claimed], limit: usize) -> Result<Vec<Claimed>> {
        if !payloads.is_empty() {
            self.insert(payloads)?;
        }
        let mut batch = Batch::default();
        self.settle(held, &mut batch)?;
        let claimed = self.claim(limit, &mut batch)?;
        if !held.is_empty() || !claimed.is_empty() {
            self.db.apply_batch(batch)?;
        }
        self.db.flush()?;
        Ok(claimed)
    }
}

fn ready(id: i64) -> [u8; 17] {
    let mut key = [READY; 17];
    key[1..9].copy_from_slice(&NOW.to_be_bytes());
    key[9..].copy_from_slice(&id.to_be_bytes());
    key
}

fn job(id: i64) -> [u8; 9] {
    let mut key = [JOB; 9];
    key[1..].copy_from_slice(&id.to_be_bytes());
    key
}

fn record(version: i64, state: u8, payload: &[u8]) -> Vec<u8> {
    let mut record = Vec::with_capacity(HEAD + KIND.len() + payload.len());
    record.extend(version.to_be_bytes());
    record.push(state);
    record.extend(NOW.to_be_bytes());
    record.extend(KIND);
    record.extend(payload);
    record
}
