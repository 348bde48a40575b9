//! Faults of sessions and of what is reported to rescuers.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use retry_core::id::{SessionId, TaskId};
use retry_core::store::{Expired, ExpiredRequest, Renewed, Result, TaskStore as _};
use retry_core::time::Timestamp;

use super::base::Base;
use super::broken::Fault;

/// Tells a lost session that it lives.
#[derive(Debug, Default)]
pub(super) struct Resurrects;

#[async_trait]
impl Fault for Resurrects {
    async fn renew(
        &self,
        store: &Base,
        session: SessionId,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Renewed> {
        let renewed = store.renew(session, until, now).await?;
        let known = store.sessions().await?.iter().any(|open| open.info.id == session);
        Ok(match renewed {
            Renewed::Lost if known => Renewed::Live {
                cancel: vec![],
                held: 0,
            },
            other => other,
        })
    }
}

/// Takes a session for lost as soon as its lease has ended.
#[derive(Debug, Default)]
pub(super) struct Strict;

#[async_trait]
impl Fault for Strict {
    async fn renew(
        &self,
        store: &Base,
        session: SessionId,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Renewed> {
        let sessions = store.sessions().await?;
        let ended = sessions
            .iter()
            .any(|open| open.info.id == session && open.lease_until < now);
        if ended {
            return Ok(Renewed::Lost);
        }
        store.renew(session, until, now).await
    }
}

/// Reports a lost task once.
#[derive(Debug, Default)]
pub(super) struct Once {
    reported: Mutex<BTreeSet<(TaskId, u64)>>,
}

#[async_trait]
impl Fault for Once {
    async fn expired(&self, store: &Base, request: &ExpiredRequest, now: Timestamp) -> Result<Expired> {
        let mut expired = store.expired(request, now).await?;
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        expired
            .items
            .retain(|(task, _)| task.session.is_none() || reported.insert((task.id, task.version)));
        drop(reported);
        Ok(expired)
    }
}

/// Ends leases a millisecond early.
#[derive(Debug, Default)]
pub(super) struct EndsEarly;

#[async_trait]
impl Fault for EndsEarly {
    async fn expired(&self, store: &Base, request: &ExpiredRequest, now: Timestamp) -> Result<Expired> {
        store
            .expired(request, now.saturating_add(Duration::from_millis(1)))
            .await
    }
}

/// Leaves out the first item of every page but the first.
#[derive(Debug, Default)]
pub(super) struct SkipsAtPages;

#[async_trait]
impl Fault for SkipsAtPages {
    async fn expired(&self, store: &Base, request: &ExpiredRequest, now: Timestamp) -> Result<Expired> {
        let mut expired = store.expired(request, now).await?;
        if request.after.is_some() && !expired.items.is_empty() {
            expired.items.remove(0);
        }
        Ok(expired)
    }
}

/// Marks sessions lost although it was asked only to look.
#[derive(Debug, Default)]
pub(super) struct MarksAlways;

#[async_trait]
impl Fault for MarksAlways {
    async fn expired(&self, store: &Base, request: &ExpiredRequest, now: Timestamp) -> Result<Expired> {
        store
            .expired(
                &ExpiredRequest {
                    mark: true,
                    ..*request
                },
                now,
            )
            .await
    }
}
