//! Faults of reads and of the purge.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use retry_core::id::TaskId;
use retry_core::limits::MAX_PAGE;
use retry_core::store::{
    ClaimRequest, Count, CountScope, Counts, Exchanged, Listed, Page, Result, TaskFilter, TaskStore as _,
};
use retry_core::task::{Edit, Task, TaskDetail};
use retry_core::time::Timestamp;

use super::base::Base;
use super::broken::Fault;

/// Counts one task too many.
#[derive(Debug, Default)]
pub(super) struct CountsOneMore;

#[async_trait]
impl Fault for CountsOneMore {
    async fn count(&self, store: &Base, scope: &CountScope) -> Result<Counts> {
        let mut counts = store.count(scope).await?;
        if let Some(count) = counts.counts.values_mut().next() {
            *count = Count::Exact(count.get() + 1);
        }
        Ok(counts)
    }
}

/// Leaves out the first row of every page but the first.
#[derive(Debug, Default)]
pub(super) struct SkipsAtPages;

#[async_trait]
impl Fault for SkipsAtPages {
    async fn list(&self, store: &Base, filter: &TaskFilter, page: &Page) -> Result<Listed> {
        let mut listed = store.list(filter, page).await?;
        if page.after.is_some() && !listed.tasks.is_empty() {
            listed.tasks.remove(0);
        }
        Ok(listed)
    }
}

/// Finds texts in payloads without regard to case.
#[derive(Debug, Default)]
pub(super) struct FoldsFilter;

#[async_trait]
impl Fault for FoldsFilter {
    async fn list(&self, store: &Base, filter: &TaskFilter, page: &Page) -> Result<Listed> {
        let Some(text) = filter.payload_contains.as_deref().map(str::to_lowercase) else {
            return store.list(filter, page).await;
        };
        let wide = TaskFilter {
            payload_contains: None,
            ..filter.clone()
        };
        let mut listed = store.list(&wide, page).await?;
        let mut found = Vec::new();
        for row in listed.tasks {
            let detail = store.get(row.task.id).await?;
            if detail.is_some_and(|detail| detail.payload.as_json().to_lowercase().contains(&text)) {
                found.push(row);
            }
        }
        listed.tasks = found;
        Ok(listed)
    }
}

/// Shows one open child too many.
#[derive(Debug, Default)]
pub(super) struct Miscounts;

impl Miscounts {
    fn miscount(task: &mut Task) {
        task.children.open += u32::from(task.children.total > 0);
    }
}

#[async_trait]
impl Fault for Miscounts {
    async fn get(&self, store: &Base, id: TaskId) -> Result<Option<TaskDetail>> {
        let mut found = store.get(id).await?;
        if let Some(detail) = &mut found {
            Self::miscount(&mut detail.task);
        }
        Ok(found)
    }

    async fn list(&self, store: &Base, filter: &TaskFilter, page: &Page) -> Result<Listed> {
        let mut listed = store.list(filter, page).await?;
        listed
            .tasks
            .iter_mut()
            .for_each(|row| Self::miscount(&mut row.task));
        Ok(listed)
    }

    async fn exchange(
        &self,
        store: &Base,
        edits: &[Edit],
        claims: &[ClaimRequest],
        now: Timestamp,
    ) -> Result<Exchanged> {
        let mut answer = store.exchange(edits, claims, now).await?;
        let claimed = answer.claimed.iter_mut().flat_map(|claimed| &mut claimed.tasks);
        claimed.for_each(|claimed| Self::miscount(&mut claimed.task));
        Ok(answer)
    }
}

/// Purges children whose parent still needs them: from then on it does not show them.
#[derive(Debug, Default)]
pub(super) struct PurgesChildren {
    gone: Mutex<BTreeSet<TaskId>>,
}

impl PurgesChildren {
    fn is_gone(&self, id: TaskId) -> bool {
        self.gone
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&id)
    }
}

#[async_trait]
impl Fault for PurgesChildren {
    async fn purge(&self, store: &Base, now: Timestamp, limit: usize) -> Result<u64> {
        let rows = store
            .list(&TaskFilter::default(), &Page::first(MAX_PAGE))
            .await?
            .tasks;
        let due = rows.iter().map(|row| &row.task).filter(|task| {
            task.parent.is_some() && task.purge_at.is_some_and(|at| at <= now) && !self.is_gone(task.id)
        });
        let children: Vec<TaskId> = due.map(|task| task.id).collect();
        let purged = store.purge(now, limit).await?;
        let mut wrong = 0;
        for child in children {
            if store.get(child).await?.is_some() {
                self.gone
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .insert(child);
                wrong += 1;
            }
        }
        Ok(purged + wrong)
    }

    async fn get(&self, store: &Base, id: TaskId) -> Result<Option<TaskDetail>> {
        if self.is_gone(id) {
            return Ok(None);
        }
        store.get(id).await
    }

    async fn list(&self, store: &Base, filter: &TaskFilter, page: &Page) -> Result<Listed> {
        let mut listed = store.list(filter, page).await?;
        listed.tasks.retain(|row| !self.is_gone(row.task.id));
        Ok(listed)
    }
}

/// Purges everything that is due at once.
#[derive(Debug, Default)]
pub(super) struct PurgesAll;

#[async_trait]
impl Fault for PurgesAll {
    async fn purge(&self, store: &Base, now: Timestamp, limit: usize) -> Result<u64> {
        store.purge(now, limit.max(1_000)).await
    }
}
