//! Conveniences over the contract, for users; store authors write none of them.

use async_trait::async_trait;

use super::{Applied, ClaimRequest, Claimed, Inserted, Result, StoreError, StoreErrorKind, TaskStore};
use crate::task::{Edit, NewTask};
use crate::time::Timestamp;

/// Single-item forms of the store's calls.
#[async_trait]
pub trait TaskStoreExt: TaskStore {
    /// Inserts one task.
    async fn insert_one(&self, task: NewTask, now: Timestamp) -> Result<Inserted> {
        only(self.insert(&[task], now).await?)
    }

    /// Applies one edit.
    async fn apply(&self, edit: Edit, now: Timestamp) -> Result<Applied> {
        only(self.exchange(&[edit], &[], now).await?.applied)
    }

    /// Makes one claim.
    async fn claim(&self, request: ClaimRequest, now: Timestamp) -> Result<Claimed> {
        only(self.exchange(&[], &[request], now).await?.claimed)
    }
}

impl<S: TaskStore + ?Sized> TaskStoreExt for S {}

fn only<T>(mut answers: Vec<T>) -> Result<T> {
    match (answers.pop(), answers.len()) {
        (Some(answer), 0) => Ok(answer),
        _ => Err(StoreError::unknown(
            StoreErrorKind::Other,
            "the store did not give one answer to one request",
        )),
    }
}
