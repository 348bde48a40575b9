//! SQLite: a file in a folder of its own.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use retry_sqlite::SqliteStore;
use tempfile::TempDir;

use super::Subject;
use super::sqlite_toy::Toy;
use super::sqlite_tx::SqliteTransactions;
use crate::aims::Aim;
use crate::args::{Run, Synchronous};
use crate::bare;
use crate::full::Transactions;
use crate::job::After;
use crate::place::{Place, folder};

#[derive(Debug)]
pub(super) struct Sqlite;

#[async_trait]
impl Subject for Sqlite {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    async fn fresh(&self, run: &Run) -> Result<Place> {
        let folder = folder(run)?;
        let builder = SqliteStore::builder(database(&folder)).synchronous(synchronous(run.synchronous));
        let store = builder.build().context("the SQLite store cannot be opened")?;
        Place::open(store, folder, run).await
    }

    async fn toy(&self, run: &Run, after: After) -> Result<Option<Box<dyn bare::Toy>>> {
        Ok(Some(Box::new(Toy::fresh(run, after)?)))
    }

    async fn transactions(&self, run: &Run) -> Result<Option<Box<dyn Transactions>>> {
        let folder = folder(run)?;
        let builder = SqliteStore::builder(database(&folder)).synchronous(synchronous(run.synchronous));
        let transactions = SqliteTransactions::new(builder.build()?, folder).await?;
        Ok(Some(Box::new(transactions)))
    }

    fn is_on_disk(&self) -> bool {
        true
    }

    fn settings(&self, run: &Run) -> Option<String> {
        Some(format!("synchronous={}", run.synchronous.text()))
    }

    fn aims(&self) -> Vec<Aim> {
        vec![
            Aim::of_bare("E1", 5.5 / 8.6, 7.5 / 8.6),
            Aim::of_bare("E32", 60.0 / 161.0, 110.0 / 161.0),
            Aim::of_bare("EB", 150.0 / 783.0, 250.0 / 783.0),
            Aim::of_bare("D.keep", 100.0 / 436.0, 200.0 / 436.0),
            Aim::of_bare("D.delete", 100.0 / 619.0, 200.0 / 619.0),
            Aim::of_bare("M", 30.0 / 131.0, 70.0 / 131.0),
            Aim::of_bare("MB", 60.0 / 364.0, 130.0 / 364.0),
            Aim::of_bare("L.p50", 1.0 / 0.24, 0.6 / 0.24),
            Aim::of_bare("L.p99", 3.0 / 0.24, 1.5 / 0.24),
        ]
    }
}

/// Where the database of a folder is.
pub(super) fn database(folder: &TempDir) -> PathBuf {
    folder.path().join("tasks.db")
}

const fn synchronous(given: Synchronous) -> retry_sqlite::Synchronous {
    match given {
        Synchronous::Full => retry_sqlite::Synchronous::Full,
        Synchronous::Normal => retry_sqlite::Synchronous::Normal,
        Synchronous::Off => retry_sqlite::Synchronous::Off,
    }
}
