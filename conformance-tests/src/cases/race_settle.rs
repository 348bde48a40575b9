//! Real concurrency of settles: one writer wins, and every child is counted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use retry_core::id::TaskId;
use retry_core::machine::Event;
use retry_core::store::{Applied, ExpiredRequest, Renewed};
use retry_core::task::{Children, State};

use super::race::{CALLERS, apply, at_once, claim_all};
use crate::fixture::{Fixture, LEASE, failure};
use crate::verdict::{Verdict, equal, holds};

/// L6, L10: of concurrent settles of one attempt one is written; the same settle from all is written once.
pub async fn one_settle_wins(f: &mut Fixture) -> Verdict {
    for same in [true, false] {
        let task = f.running_task().await?;
        let at = f.after(1);
        let shared = f.decide(&task, Event::Snooze { at });
        let mut jobs = Vec::new();
        for _ in 0..CALLERS {
            let edit = if same {
                shared.clone()
            } else {
                f.decide(&task, Event::Snooze { at })
            };
            let (store, now) = (f.store(), f.now());
            jobs.push(move || apply(Arc::clone(&store), edit.clone(), now));
        }
        let answers = at_once("concurrent settles", jobs).await?;
        let done = answers.iter().filter(|answer| **answer == Applied::DONE).count();
        equal("L6", "how many settles of one attempt were written", done, 1)?;
        let other = if same { Applied::Repeated } else { Applied::Stale };
        let others = answers.iter().filter(|answer| **answer == other).count();
        equal(
            "L10",
            &format!("how many were answered {other:?}"),
            others,
            CALLERS - 1,
        )?;
        let version = f.task_now(task.id).await?.version;
        equal("L6", "the version after them", version, task.version + 1)?;
    }
    Ok(())
}

/// L8: children that end at once are all counted, and their parent goes on once.
pub async fn children_end_at_once(f: &mut Fixture) -> Verdict {
    let new = f.task();
    let (parent, children) = f.joining(&new, 40).await?;
    let session = f.open().await?;
    let claimed = f.claim(&f.request(session, 100)).await?;
    equal("L3", "the claimed children", claimed.tasks.len(), children.len())?;
    let mut jobs = Vec::new();
    for (index, child) in claimed.tasks.iter().enumerate() {
        let failure = failure(&child.task, "no", f.now());
        let event = if index % 4 == 0 {
            Event::Fail { failure }
        } else {
            Fixture::success()
        };
        let edit = f.decide(&child.task, event);
        let (store, now) = (f.store(), f.now());
        jobs.push(move || apply(Arc::clone(&store), edit.clone(), now));
    }
    let answers = at_once("children that end at once", jobs).await?;
    equal("L8", "the answers", answers, vec![Applied::DONE; 40])?;
    let now = f.task_now(parent.id).await?;
    let wanted = (
        State::Pending,
        Children {
            total: 40,
            open: 0,
            failed: 10,
        },
    );
    equal("L8", "the parent", (now.state, now.children), wanted)
}

/// L9: a renewal and a mark at once agree: renewed and kept, or lost for good.
pub async fn a_renewal_and_a_mark_agree(f: &mut Fixture) -> Verdict {
    for _ in 0..20 {
        let task = f.running_task().await?;
        let session = task
            .session
            .unwrap_or_else(|| unreachable!("a claimed task has a session"));
        f.advance(LEASE + Duration::from_millis(1));
        let (store, other, now, until) = (f.store(), f.store(), f.now(), f.after(LEASE.as_secs()));
        let renewing = tokio::spawn(async move { store.renew(session, until, now).await });
        let mark = ExpiredRequest {
            mark: true,
            after: None,
            limit: 1_000,
        };
        let marking = tokio::spawn(async move { other.expired(&mark, now).await });
        let unwrap = |error: tokio::task::JoinError| std::panic::resume_unwind(error.into_panic());
        let renewed = f.answered(
            "renew, while marking".to_owned(),
            renewing.await.unwrap_or_else(unwrap),
        )?;
        let expired = marking
            .await
            .unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        let expired = f.answered("expired, while renewing".to_owned(), expired)?;
        let reported = expired.items.iter().any(|(reported, _)| reported.id == task.id);
        let live = renewed != Renewed::Lost;
        holds(
            "L9",
            "a renewal and a mark at once",
            live != reported,
            (live, reported),
            "renewed and not reported, or lost and reported",
        )?;
        equal(
            "L9",
            "a renewal after both",
            f.renew(session).await? != Renewed::Lost,
            live,
        )?;
        f.settle(&task, Fixture::success()).await?;
        f.close(session).await?;
    }
    Ok(())
}

/// L6: a cancel and a claim at once: cancelled unrun, or claimed and not cancelled.
pub async fn a_cancel_and_a_claim_agree(f: &mut Fixture) -> Verdict {
    let tasks = f.tasks(40);
    f.insert(&tasks).await?;
    let mut jobs = Vec::new();
    for new in &tasks {
        let task = f.task_now(new.id).await?;
        let cancel = f.decide(&task, Event::Cancel);
        let (store, now) = (f.store(), f.now());
        jobs.push(move || apply(Arc::clone(&store), cancel.clone(), now));
    }
    let session = f.open().await?;
    let claiming = tokio::spawn(claim_all(f.store(), f.request(session, 3), f.now()));
    let cancelled = at_once("cancels beside claims", jobs).await?;
    let claimed = claiming
        .await
        .unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
    let claimed = f.answered("claims beside cancels".to_owned(), claimed)?;
    let mut both: BTreeMap<TaskId, (bool, bool)> = BTreeMap::new();
    for (new, applied) in tasks.iter().zip(&cancelled) {
        both.entry(new.id).or_default().0 = *applied == Applied::DONE;
    }
    for id in claimed {
        both.entry(id).or_default().1 = true;
    }
    let torn: Vec<_> = both
        .iter()
        .filter(|(_, (cancelled, claimed))| cancelled == claimed)
        .collect();
    equal("L6", "tasks both cancelled and claimed, or neither", torn, vec![])
}
