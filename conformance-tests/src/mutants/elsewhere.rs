//! Faults that other task queues were published with, as far as a store of this contract can have them.
//! `docs/design/known-defects.md` tells which other tests reject the rest.

use async_trait::async_trait;
use retry_core::id::Nonce;
use retry_core::machine::{Event, transition};
use retry_core::store::{
    Cause, ClaimRequest, CountScope, Result, StoreError, StoreErrorKind, TaskStore as _,
};
use retry_core::task::{Action, Edit, NewTask, State, Task};
use retry_core::time::Timestamp;

use super::base::Base;
use super::broken::Fault;
use super::faulty::faulty;

/// As many due tasks as one command of a server takes that is given all of them.
const TOO_MANY: u64 = 8_000;

/// More than any claim takes here.
const ALL: usize = 1_000;

/// How often every task may be tried, whatever was asked.
const ATTEMPTS: u32 = 25;

fn edit(task: &Task, action: Action) -> Edit {
    Edit {
        id: task.id,
        version: task.version,
        nonce: Nonce::from_random(task.version + 11),
        action,
        insert: Vec::new(),
    }
}

faulty! {
    /// Moves all that is due before it gives some: with many due tasks no claim ever succeeds.
    FailsOnBacklogs: exchange |store, edits, claims, now| {
        let scope = CountScope { exact: true, ..CountScope::default() };
        if !claims.is_empty() && store.count(&scope).await?.of(State::Pending) >= TOO_MANY {
            return Err(StoreError::rejected(StoreErrorKind::Other, "too many results to unpack"));
        }
        store.exchange(edits, claims, now).await
    };

    /// Takes all that is due and then picks what was asked for: the rest runs nowhere.
    TakesAll: exchange |store, edits, claims, now| {
        let greedy = |claim: &ClaimRequest| {
            let limit = if claim.limit > 0 { ALL } else { 0 };
            let kinds = claim.kinds.iter().map(|(kind, _)| (kind.clone(), limit)).collect();
            ClaimRequest { limit, kinds, ..claim.clone() }
        };
        let greedy: Vec<ClaimRequest> = claims.iter().map(greedy).collect();
        let mut answer = store.exchange(edits, &greedy, now).await?;
        for (claimed, claim) in answer.claimed.iter_mut().zip(claims) {
            claimed.tasks.truncate(claim.limit);
        }
        Ok(answer)
    };

    /// Takes tasks out of the store when it gives them: they are lost with their worker.
    Pops: exchange |store, edits, claims, now| {
        let answer = store.exchange(edits, claims, now).await?;
        let given = answer.claimed.iter().flat_map(|claimed| &claimed.tasks);
        let popped: Vec<Edit> = given
            .map(|claimed| edit(&claimed.task, Action::Delete { from: State::Running }))
            .collect();
        store.exchange(&popped, &[], now).await?;
        Ok(answer)
    };

    /// Gives the tasks of a lost session back by itself: nobody counts the loss, and a task that kills its workers does so for ever.
    MarksHandBack: expired |store, request, now| {
        let mut expired = store.expired(request, now).await?;
        let lost = expired.items.extract_if(.., |(_, cause)| *cause == Cause::SessionLost);
        for (task, _) in lost.collect::<Vec<_>>() {
            let action = transition(&task, Event::HandBack, now, 0);
            let action = action.map_err(|error| StoreError::invalid(error.to_string()))?;
            store.exchange(&[edit(&task, action)], &[], now).await?;
        }
        Ok(expired)
    };

    /// Knows one number of attempts for all tasks.
    OneNumberOfAttempts: insert |store, tasks, now| {
        let mut tasks: Vec<NewTask> = tasks.to_vec();
        tasks.iter_mut().for_each(|task| task.settings.max_attempts = Some(ATTEMPTS));
        store.insert(&tasks, now).await
    };
}
