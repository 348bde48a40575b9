//! A toy queue on sled: integer key, four fields and a payload, one index; each turn one batch, flushed and synced.

use std::fs::File;

use anyhow::{Context as _, Result, ensure};
use async_trait::async_trait;
use sled::{Batch, Tree};
use tempfile::TempDir;

use crate::args::Run;
use crate::bare::{self, Claimed};
use crate::job::After;
use crate::place::folder;

/// When every job is due.
const DUE: i64 = 1;

/// One tree in a fresh database.
#[derive(Debug)]
pub(super) struct Toy {
    tree: Tree,
    /// A handle to sled's file: its own flush does not sync the file's length.
    file: File,
    next: i64,
    after: After,
    _folder: TempDir,
}

impl Toy {
    pub(super) fn fresh(run: &Run, after: After) -> Result<Self> {
        let folder = folder(run)?;
        let db = sled::Config::new()
            .path(folder.path())
            .cache_capacity(128 * 1024 * 1024)
            .flush_every_ms(None)
            .open()?;
        Ok(Self {
            tree: db.open_tree("jobs")?,
            file: File::options().write(true).open(folder.path().join("db"))?,
            next: 0,
            after,
            _folder: folder,
        })
    }
}

fn job(id: i64) -> Vec<u8> {
    [b"j".as_slice(), &id.to_be_bytes()].concat()
}

fn ready(id: i64) -> Vec<u8> {
    [b"r".as_slice(), &DUE.to_be_bytes(), &id.to_be_bytes()].concat()
}

/// state, run_at, version, kind, payload.
fn row(state: u8, version: i64, payload: &str) -> Vec<u8> {
    let (due, version) = (DUE.to_be_bytes(), version.to_be_bytes());
    [&[state], due.as_slice(), &version, b"job", payload.as_bytes()].concat()
}

fn version(row: &[u8]) -> Result<i64> {
    Ok(i64::from_be_bytes(row[9..17].try_into()?))
}

#[async_trait]
impl bare::Toy for Toy {
    async fn turn(&mut self, payloads: &[&str], held: &[Claimed], limit: usize) -> Result<Vec<Claimed>> {
        let mut batch = Batch::default();
        let mut claimed = Vec::with_capacity(limit);
        // A range does not see what the batch brings: jobs of this turn are claimed in the next.
        for entry in self.tree.scan_prefix(b"r").keys().take(limit) {
            let id = i64::from_be_bytes(entry?[9..17].try_into()?);
            let stored = self.tree.get(job(id))?.context("a job without a row")?;
            let (version, payload) = (version(&stored)? + 1, String::from_utf8(stored[20..].to_vec())?);
            batch.insert(job(id), row(1, version, &payload));
            batch.remove(ready(id));
            claimed.push(Claimed { id, version, payload });
        }
        for Claimed {
            id,
            version: held,
            payload,
        } in held
        {
            let stored = self.tree.get(job(*id))?.context("a job without a row")?;
            ensure!(version(&stored)? == *held, "a job was not settled");
            match self.after {
                After::Keep => batch.insert(job(*id), row(2, held + 1, payload)),
                After::Delete => batch.remove(job(*id)),
            }
        }
        for payload in payloads {
            batch.insert(job(self.next), row(0, 0, payload));
            batch.insert(ready(self.next), &[]);
            self.next += 1;
        }
        self.tree.apply_batch(batch)?;
        self.tree.flush()?;
        self.file.sync_all()?;
        Ok(claimed)
    }
}
