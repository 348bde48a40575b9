//! Tasks that are enqueued inside a transaction of the user's own exist exactly when it commits.

use retry_core::limits::MAX_BATCH;
use retry_core::store::{Inserted, StoreErrorKind};
use retry_core::task::{NewTask, State};

use crate::fixture::{Fixture, unique};
use crate::harness::TransactionEnd;
use crate::verdict::{Verdict, equal, holds};

const NEW: Inserted = Inserted::New { leased: false };

/// L1, L12: after the commit each task is there as it was sent, and can be claimed.
pub async fn a_commit_brings_the_tasks(f: &mut Fixture) -> Verdict {
    let session = f.open().await?;
    let sent: Vec<NewTask> = (0..3).map(|_| f.task()).collect();
    let answers = f.in_transaction(&sent, TransactionEnd::Commit).await?;
    equal("L1", "the answers inside the transaction", answers, vec![NEW; 3])?;
    for new in &sent {
        let stored = f.get(new.id).await?.is_some();
        holds("L1", "a task that was committed", stored, stored, "it is stored")?;
        let stored = f.detail(new.id).await?;
        equal("L12", "the payload", &stored.payload, &new.payload)?;
        let claimed = f.claim_task(session, new).await?;
        equal("L3", "the claimed task's state", claimed.state, State::Running)?;
    }
    Ok(())
}

/// L1, L2: after a rollback, also to a savepoint, there is no task, and its unique key is free.
pub async fn a_rollback_leaves_nothing(f: &mut Fixture) -> Verdict {
    for (key, end) in [
        ("a", TransactionEnd::Rollback),
        ("b", TransactionEnd::RollbackToSavepoint),
    ] {
        let keyed = |new: NewTask| NewTask {
            unique: Some(unique(key)),
            ..new
        };
        let (plain, holder) = (f.task(), keyed(f.task()));
        f.in_transaction(&[plain.clone(), holder.clone()], end).await?;
        for new in [&plain, &holder] {
            equal("L1", "a task that was rolled back", f.get(new.id).await?, None)?;
        }
        let next = keyed(f.task());
        let answers = f.insert(std::slice::from_ref(&next)).await?;
        equal("L2", "the next task with its key", answers, vec![NEW])?;
        // The id is free as well: nothing remembers it.
        let answers = f.insert(&[plain]).await?;
        equal("L1", "the rolled back task, sent again", answers, vec![NEW])?;
    }
    Ok(())
}

/// L2: repeats and duplicates are answered as outside, and the first of a batch wins.
pub async fn answers_are_those_of_an_insert(f: &mut Fixture) -> Verdict {
    let keyed = |new: NewTask, key: &str| NewTask {
        unique: Some(unique(key)),
        ..new
    };
    let (known, holder) = (f.task(), keyed(f.task(), "held"));
    f.insert(&[known.clone(), holder.clone()]).await?;
    let first = keyed(f.task(), "new");
    let sent = [
        known,
        keyed(f.task(), "held"),
        first.clone(),
        keyed(f.task(), "new"),
    ];
    let answers = f.in_transaction(&sent, TransactionEnd::Commit).await?;
    let duplicate = |holder: &NewTask| Inserted::Duplicate {
        holder: holder.id,
        state: State::Pending,
    };
    let allowed = vec![Inserted::Repeated, duplicate(&holder), NEW, duplicate(&first)];
    equal("L2", "the answers, in input order", answers, allowed)
}

/// L1: a call over a bound is refused before anything is written, and the transaction can still be committed.
pub async fn a_refused_call_writes_nothing(f: &mut Fixture) -> Verdict {
    let sent: Vec<NewTask> = (0..=MAX_BATCH).map(|_| f.task()).collect();
    let answer = f.try_in_transaction(&sent, TransactionEnd::Commit).await;
    let refused = matches!(&answer, Err(error) if error.kind() == StoreErrorKind::Invalid);
    holds(
        "L1",
        "a call over the bound",
        refused,
        answer,
        "the error Invalid",
    )?;
    equal("L1", "the first of its tasks", f.get(sent[0].id).await?, None)
}
