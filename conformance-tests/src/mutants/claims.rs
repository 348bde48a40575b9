//! Faults of claims.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use retry_core::id::SessionId;
use retry_core::name::WorkerName;
use retry_core::store::{
    ClaimRequest, Exchanged, Page, QueueSetting, Result, SessionInfo, StoreError, TaskFilter, TaskStore,
};
use retry_core::task::{ClaimedTask, Edit, State, Task};
use retry_core::time::Timestamp;

use super::base::Base;
use super::broken::Fault;

/// A fault that changes the claims of an exchange only.
macro_rules! claim_fault {
    ($(#[$doc:meta])* $name:ident, |$store:ident, $edits:ident, $claims:ident, $now:ident| $body:expr) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub(super) struct $name;

        #[async_trait]
        impl Fault for $name {
            async fn exchange(
                &self,
                $store: &Base,
                $edits: &[Edit],
                $claims: &[ClaimRequest],
                $now: Timestamp,
            ) -> Result<Exchanged> {
                $body
            }
        }
    };
}

claim_fault! {
    /// Claims what is due in a millisecond.
    Early, |store, edits, claims, now| {
        let applied = store.exchange(edits, &[], now).await?.applied;
        let soon = now.saturating_add(Duration::from_millis(1));
        let claimed = store.exchange(&[], claims, soon).await?.claimed;
        Ok(Exchanged::new(applied, claimed))
    }
}

claim_fault! {
    /// Ignores the limit of a claim.
    NoLimit, |store, edits, claims, now| {
        let greedy: Vec<ClaimRequest> = claims
            .iter()
            .map(|claim| ClaimRequest { limit: claim.limit.max(100), ..claim.clone() })
            .collect();
        store.exchange(edits, &greedy, now).await
    }
}

claim_fault! {
    /// Ignores `max_suspects`.
    AllSuspects, |store, edits, claims, now| {
        let greedy: Vec<ClaimRequest> = claims
            .iter()
            .map(|claim| ClaimRequest { max_suspects: 1_000, ..claim.clone() })
            .collect();
        store.exchange(edits, &greedy, now).await
    }
}

claim_fault! {
    /// Claims from paused queues.
    NoPause, |store, edits, claims, now| {
        let paused: Vec<_> = store.queues().await?.into_iter().filter(|info| info.paused).collect();
        for info in &paused {
            store.set_queue(&info.queue, QueueSetting::Resume).await?;
        }
        let answer = store.exchange(edits, claims, now).await;
        for info in &paused {
            store.set_queue(&info.queue, QueueSetting::Pause).await?;
        }
        answer
    }
}

claim_fault! {
    /// Never tells when a task is due next.
    NoNextDue, |store, edits, claims, now| {
        let mut answer = store.exchange(edits, claims, now).await?;
        answer.claimed.iter_mut().for_each(|claimed| claimed.next_due = None);
        Ok(answer)
    }
}

claim_fault! {
    /// Gives tasks to lost sessions too, by a session of its own.
    Lends, |store, edits, claims, now| {
        let mut answer = store.exchange(edits, claims, now).await?;
        let lender = SessionInfo {
            id: SessionId::from_random(1, 1),
            name: WorkerName::new("lender").map_err(|error| StoreError::invalid(error.to_string()))?,
            host: String::new(),
            queues: Vec::new(),
            kinds: Vec::new(),
        };
        for (claim, claimed) in claims.iter().zip(&mut answer.claimed) {
            if claimed.session_lost {
                store.open_session(&lender, Timestamp::MAX, now).await?;
                let lent = ClaimRequest { session: lender.id, ..claim.clone() };
                let lent = store.exchange(&[], &[lent], now).await?.claimed;
                *claimed = lent.into_iter().next().unwrap_or_default();
            }
        }
        Ok(answer)
    }
}

claim_fault! {
    /// Gives the oldest ids first, whatever their level and time.
    ById, |store, edits, claims, now| {
        by_ids(store, edits, claims, now, usize::MAX, |task| (0, Timestamp::MIN, task.id)).await
    }
}

claim_fault! {
    /// Looks at the first hundred pending rows of the queue only.
    FewRows, |store, edits, claims, now| {
        by_ids(store, edits, claims, now, 100, |task| (task.priority.code(), task.run_at, task.id)).await
    }
}

/// Claims by the ids of the first `rows` pending tasks in the order of `key`.
async fn by_ids<K: Ord + Send>(
    store: &Base,
    edits: &[Edit],
    claims: &[ClaimRequest],
    now: Timestamp,
    rows: usize,
    key: impl Fn(&Task) -> K + Send + Sync,
) -> Result<Exchanged> {
    let mut answer = Exchanged::new(store.exchange(edits, &[], now).await?.applied, Vec::new());
    for claim in claims {
        let filter = TaskFilter {
            states: vec![State::Pending],
            queues: vec![claim.queue.clone()],
            ..TaskFilter::default()
        };
        let listed = store.list(&filter, &Page::first(1_000)).await?;
        let mut pending: Vec<Task> = listed.tasks.into_iter().map(|row| row.task).collect();
        pending.sort_by_key(&key);
        let ids = pending.iter().take(rows).map(|task| task.id).collect();
        let named = ClaimRequest {
            ids: Some(claim.ids.clone().unwrap_or(ids)),
            ..claim.clone()
        };
        answer
            .claimed
            .extend(store.exchange(&[], &[named], now).await?.claimed);
    }
    Ok(answer)
}

/// Gives the tasks of the last claim again to one that would get nothing.
#[derive(Debug, Default)]
pub(super) struct Twice {
    last: Mutex<Vec<ClaimedTask>>,
}

#[async_trait]
impl Fault for Twice {
    async fn exchange(
        &self,
        store: &Base,
        edits: &[Edit],
        claims: &[ClaimRequest],
        now: Timestamp,
    ) -> Result<Exchanged> {
        let mut answer = store.exchange(edits, claims, now).await?;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        for claimed in &mut answer.claimed {
            if claimed.tasks.is_empty() {
                claimed.tasks.clone_from(&last);
            } else {
                last.clone_from(&claimed.tasks);
            }
        }
        drop(last);
        Ok(answer)
    }
}
