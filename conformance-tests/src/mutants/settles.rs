//! Faults of edits.

use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use retry_core::id::{Nonce, TaskId};
use retry_core::store::{
    Applied, ClaimRequest, Exchanged, Result, StoreError, StoreErrorKind, TaskStore as _,
};
use retry_core::task::{Action, Change, Edit, Field, NewTask, State};
use retry_core::time::Timestamp;

use super::base::Base;
use super::broken::Fault;

/// A fault that changes the edits of an exchange before they are applied.
macro_rules! edit_fault {
    ($(#[$doc:meta])* $name:ident, |$store:ident, $edit:ident| $body:expr) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub(super) struct $name;

        #[async_trait]
        impl Fault for $name {
            async fn exchange(
                &self,
                $store: &Base,
                edits: &[Edit],
                claims: &[ClaimRequest],
                now: Timestamp,
            ) -> Result<Exchanged> {
                let mut changed = Vec::new();
                for edit in edits {
                    let mut $edit = edit.clone();
                    $body;
                    changed.push($edit);
                }
                $store.exchange(&changed, claims, now).await
            }
        }
    };
}

/// Applies `f` to the change of an edit that is one.
fn with_change(edit: &mut Edit, f: impl FnOnce(&mut Change)) {
    if let Action::Set(change) = &mut edit.action {
        f(change);
    }
}

edit_fault! {
    /// Writes whatever version and state the row has.
    NoGuard, |store, edit| {
        if let Some(stored) = store.get(edit.id).await? {
            edit.version = stored.task.version;
            with_change(&mut edit, |change| change.from = stored.task.state);
        }
    }
}

edit_fault! {
    /// Counts the attempts anew after every retry.
    ResetsAttempts, |_store, edit| {
        with_change(&mut edit, |change| {
            if change.to.state == State::Pending && change.to.failure.is_some() {
                change.to.attempt = 0;
            }
        })
    }
}

edit_fault! {
    /// Keeps no history of an attempt after which the next one begins under the same lease.
    NoHistoryInPlace, |_store, edit| {
        with_change(&mut edit, |change| {
            if change.to.state == State::Running {
                change.to.failure = None;
            }
        })
    }
}

edit_fault! {
    /// Puts what comes back to its place behind all that became due before its claim.
    LosesPlaces, |store, edit| {
        let stored = store.get(edit.id).await?;
        with_change(&mut edit, |change| {
            let comes_back = change.from == State::Running && change.to.state == State::Pending;
            if let Some(stored) = stored.filter(|stored| comes_back && stored.task.run_at == change.to.run_at) {
                change.to.run_at = stored.task.updated_at;
            }
        })
    }
}

edit_fault! {
    /// Does not look for an early completion when a wait begins.
    NoCompletion, |_store, edit| with_change(&mut edit, |change| change.if_completed = None)
}

edit_fault! {
    /// Does not look whether a child is open when a parent splits.
    NeverNoneOpen, |_store, edit| with_change(&mut edit, |change| change.if_none_open = None)
}

edit_fault! {
    /// Rings no alarm of a parent that splits when its children have ended: nobody asks its policy.
    SilentSplit, |_store, edit| with_change(&mut edit, |change| {
        let ended = change.if_none_open.as_deref_mut().filter(|_| change.from == State::Running);
        if let Some(joining) = ended.filter(|target| target.state == State::Joining) {
            joining.alarm_at = None;
        }
    })
}

edit_fault! {
    /// Writes no checkpoint with a change that ends an attempt by waiting for children.
    SplitLosesCheckpoint, |_store, edit| with_change(&mut edit, |change| {
        if change.to.state == State::Joining && change.from == State::Running {
            let targets = [Some(&mut change.to), change.if_none_open.as_deref_mut()];
            for cold in targets.into_iter().flatten().filter_map(|target| target.cold.as_mut()) {
                cold.checkpoint = Field::Keep;
            }
        }
    })
}

edit_fault! {
    /// Counts no children that a running parent inserts before its split, and so inserts them without it.
    ChunksWithoutParent, |_store, edit| {
        let chunk = matches!(&edit.action, Action::Set(change) if change.to.state == State::Running);
        for child in edit.insert.iter_mut().filter(|_| chunk) {
            child.parent = None;
        }
    }
}

edit_fault! {
    /// Makes an ended parent that is reopened due, as a rerun does.
    ReopensAsRerun, |_store, edit| with_change(&mut edit, |change| {
        if change.from.is_final() && change.to.state == State::Joining {
            change.to.state = State::Pending;
        }
    })
}

/// Forgets which edits it applied.
#[derive(Debug, Default)]
pub(super) struct NoNonce {
    sent: AtomicU64,
}

#[async_trait]
impl Fault for NoNonce {
    async fn exchange(
        &self,
        store: &Base,
        edits: &[Edit],
        claims: &[ClaimRequest],
        now: Timestamp,
    ) -> Result<Exchanged> {
        let nonce = || Nonce::from_random(1 + self.sent.fetch_add(1, Ordering::Relaxed));
        let edits: Vec<Edit> = edits
            .iter()
            .map(|edit| Edit {
                nonce: nonce(),
                ..edit.clone()
            })
            .collect();
        store.exchange(&edits, claims, now).await
    }
}

/// Fails the call at the first stale edit, with the ones before it written.
#[derive(Debug, Default)]
pub(super) struct StaleStops;

#[async_trait]
impl Fault for StaleStops {
    async fn exchange(
        &self,
        store: &Base,
        edits: &[Edit],
        claims: &[ClaimRequest],
        now: Timestamp,
    ) -> Result<Exchanged> {
        let mut applied = Vec::new();
        for edit in edits {
            applied.extend(
                store
                    .exchange(std::slice::from_ref(edit), &[], now)
                    .await?
                    .applied,
            );
            if edits.len() > 1 && applied.last() == Some(&Applied::Stale) {
                return Err(StoreError::rejected(StoreErrorKind::Other, "stale"));
            }
        }
        let claimed = store.exchange(&[], claims, now).await?.claimed;
        Ok(Exchanged::new(applied, claimed))
    }
}

/// Makes the inserts of an edit also when the edit is stale.
#[derive(Debug, Default)]
pub(super) struct InsertsAnyway;

#[async_trait]
impl Fault for InsertsAnyway {
    async fn exchange(
        &self,
        store: &Base,
        edits: &[Edit],
        claims: &[ClaimRequest],
        now: Timestamp,
    ) -> Result<Exchanged> {
        let answer = store.exchange(edits, claims, now).await?;
        for (edit, applied) in edits.iter().zip(&answer.applied) {
            if *applied == Applied::Stale {
                let orphans: Vec<NewTask> = edit
                    .insert
                    .iter()
                    .map(|task| NewTask {
                        parent: None,
                        ..task.clone()
                    })
                    .collect();
                store.insert(&orphans, now).await?;
            }
        }
        Ok(answer)
    }
}

/// Answers a cancel request and forgets it.
#[derive(Debug, Default)]
pub(super) struct LosesCancels;

#[async_trait]
impl Fault for LosesCancels {
    async fn exchange(
        &self,
        store: &Base,
        edits: &[Edit],
        claims: &[ClaimRequest],
        now: Timestamp,
    ) -> Result<Exchanged> {
        let mut applied = Vec::new();
        for edit in edits {
            let stored = store.get(edit.id).await?;
            let running = stored.is_some_and(|stored| stored.task.state == State::Running);
            if edit.action == Action::RequestCancel && running {
                applied.push(Applied::DONE);
            } else {
                applied.extend(
                    store
                        .exchange(std::slice::from_ref(edit), &[], now)
                        .await?
                        .applied,
                );
            }
        }
        let claimed = store.exchange(&[], claims, now).await?.claimed;
        Ok(Exchanged::new(applied, claimed))
    }
}

/// Applies and answers edits in the order of their tasks.
#[derive(Debug, Default)]
pub(super) struct Sorts;

#[async_trait]
impl Fault for Sorts {
    async fn exchange(
        &self,
        store: &Base,
        edits: &[Edit],
        claims: &[ClaimRequest],
        now: Timestamp,
    ) -> Result<Exchanged> {
        let mut sorted = edits.to_vec();
        sorted.sort_by_key(|edit| edit.id);
        store.exchange(&sorted, claims, now).await
    }
}

edit_fault! {
    /// Looks for the edited tasks before the first edit is applied, and never again.
    LooksOnce, |store, edit| {
        if edit.insert.is_empty() && store.get(edit.id).await?.is_none() {
            edit.id = TaskId::from_bytes([0xee; 16]);
        }
    }
}

/// Refuses settles of a session whose lease has ended, marked or not.
#[derive(Debug, Default)]
pub(super) struct RefusesLate;

#[async_trait]
impl Fault for RefusesLate {
    async fn exchange(
        &self,
        store: &Base,
        edits: &[Edit],
        claims: &[ClaimRequest],
        now: Timestamp,
    ) -> Result<Exchanged> {
        let sessions = store.sessions().await?;
        let mut checked = Vec::new();
        for edit in edits {
            let session = store.get(edit.id).await?.and_then(|stored| stored.task.session);
            let ended = sessions
                .iter()
                .any(|open| Some(open.info.id) == session && open.lease_until < now);
            let version = if ended { u64::MAX } else { edit.version };
            checked.push(Edit {
                version,
                ..edit.clone()
            });
        }
        store.exchange(&checked, claims, now).await
    }
}
