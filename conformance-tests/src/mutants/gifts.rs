//! Faults of what a claim takes, gives and tells.

use std::time::Duration;

use async_trait::async_trait;
use retry_core::limits::MAX_BATCH;
use retry_core::store::{ClaimRequest, Exchanged, Result, StoreError, StoreErrorKind, TaskStore as _};
use retry_core::task::Edit;
use retry_core::time::Timestamp;

use super::base::Base;
use super::broken::Fault;
use super::faulty::faulty;

/// Makes the claims as `change` makes them.
async fn changed(
    store: &Base,
    edits: &[Edit],
    claims: &[ClaimRequest],
    now: Timestamp,
    change: impl Fn(&mut ClaimRequest) + Send + Sync,
) -> Result<Exchanged> {
    let mut claims = claims.to_vec();
    claims.iter_mut().for_each(change);
    store.exchange(edits, &claims, now).await
}

faulty! {
    /// Ignores the limits of the kinds.
    KindsUnlimited: exchange |store, edits, claims, now| changed(store, edits, claims, now, |claim| {
        let limit = claim.limit;
        claim.kinds.iter_mut().for_each(|(_, of_kind)| *of_kind = limit);
    }).await;

    /// Ignores the window of a claim.
    NoWindow: exchange |store, edits, claims, now| changed(store, edits, claims, now, |claim| {
        (claim.not_before, claim.not_after) = (None, None);
    }).await;

    /// Takes what is due at the end of the window for late.
    WindowIsOpen: exchange |store, edits, claims, now| changed(store, edits, claims, now, |claim| {
        claim.not_after = claim.not_after.map(|at| at.saturating_sub(Duration::from_millis(1)));
    }).await;

    /// Looks for named tasks as for any others.
    ForgetsIds: exchange |store, edits, claims, now| changed(store, edits, claims, now, |claim| {
        if claim.ids.as_ref().is_some_and(|ids| !ids.is_empty()) {
            claim.ids = None;
        }
    }).await;

    /// Asks for the first kind only.
    FirstKind: exchange |store, edits, claims, now| changed(store, edits, claims, now, |claim| {
        claim.kinds.truncate(1);
    }).await;

    /// Takes the marks for places in all lanes.
    MarksAreForAll: exchange |store, edits, claims, now| changed(store, edits, claims, now, |claim| {
        let last = claim.after.iter().map(|mark| (mark.run_at, mark.id)).max();
        claim.not_before = last.map(|(run_at, _)| run_at).max(claim.not_before);
    }).await;

    /// Fails on more than half a batch.
    HalfABatch: exchange |store, edits, claims, now| {
        if edits.len() > MAX_BATCH / 2 || claims.iter().any(|claim| claim.limit > MAX_BATCH / 2) {
            return Err(StoreError::rejected(StoreErrorKind::Other, "too many results to unpack"));
        }
        store.exchange(edits, claims, now).await
    };

    /// Claims before it edits.
    ClaimsFirst: exchange |store, edits, claims, now| {
        let claimed = store.exchange(&[], claims, now).await?.claimed;
        let applied = store.exchange(edits, &[], now).await?.applied;
        Ok(Exchanged::new(applied, claimed))
    };

    /// Hands out the record as it was before the claim.
    OldRecord: exchange |store, edits, claims, now| {
        let mut answer = store.exchange(edits, claims, now).await?;
        for claimed in answer.claimed.iter_mut().flat_map(|claimed| &mut claimed.tasks) {
            claimed.task.attempt -= 1;
        }
        Ok(answer)
    };

    /// Does not bring the checkpoint along.
    NoCheckpoint: exchange |store, edits, claims, now| {
        let mut answer = store.exchange(edits, claims, now).await?;
        let claimed = answer.claimed.iter_mut().flat_map(|claimed| &mut claimed.tasks);
        claimed.for_each(|claimed| claimed.checkpoint = None);
        Ok(answer)
    };

    /// Does not bring the completion along.
    NoDelivery: exchange |store, edits, claims, now| {
        let mut answer = store.exchange(edits, claims, now).await?;
        let claimed = answer.claimed.iter_mut().flat_map(|claimed| &mut claimed.tasks);
        claimed.for_each(|claimed| claimed.completion = None);
        Ok(answer)
    };

    /// Tells the next due time a little late.
    LateNextDue: exchange |store, edits, claims, now| {
        let mut answer = store.exchange(edits, claims, now).await?;
        for claimed in &mut answer.claimed {
            let late = |at: Timestamp| at.saturating_add(Duration::from_millis(u64::from(at > now)));
            claimed.next_due = claimed.next_due.map(late);
        }
        Ok(answer)
    };

    /// Gives each claim's tasks last in, first out.
    LastFirst: exchange |store, edits, claims, now| {
        let mut answer = store.exchange(edits, claims, now).await?;
        answer.claimed.iter_mut().for_each(|claimed| claimed.tasks.reverse());
        Ok(answer)
    };

    /// Marks places that it has not reached.
    FarMarks: exchange |store, edits, claims, now| {
        let mut answer = store.exchange(edits, claims, now).await?;
        let marks = answer.claimed.iter_mut().flat_map(|claimed| &mut claimed.marks);
        marks.for_each(|mark| mark.run_at = mark.run_at.saturating_add(Duration::from_hours(1)));
        Ok(answer)
    };

    /// Lets the first claim of a call speak for all.
    OneAnswer: exchange |store, edits, claims, now| {
        let mut answer = store.exchange(edits, claims, now).await?;
        let lost = answer.claimed.first().is_some_and(|first| first.session_lost);
        answer.claimed.iter_mut().for_each(|claimed| claimed.session_lost = lost);
        Ok(answer)
    };

    /// Answers a cancel request for a task that does not run as done.
    CancelsNothing: exchange |store, edits, claims, now| {
        let mut answer = store.exchange(edits, claims, now).await?;
        for (edit, applied) in edits.iter().zip(&mut answer.applied) {
            let request = edit.action == retry_core::task::Action::RequestCancel;
            if request && *applied == retry_core::store::Applied::Stale {
                *applied = retry_core::store::Applied::DONE;
            }
        }
        Ok(answer)
    };

    /// Answers a missing task as stale.
    MissingIsStale: exchange |store, edits, claims, now| {
        let mut answer = store.exchange(edits, claims, now).await?;
        for applied in &mut answer.applied {
            if *applied == retry_core::store::Applied::Missing {
                *applied = retry_core::store::Applied::Stale;
            }
        }
        Ok(answer)
    };
}
