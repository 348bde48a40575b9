//! What a crowd was answered, and its comparison with what is stored.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as _;
use std::fmt;
use std::time::Duration;

use retry_core::id::{Nonce, SessionId, TaskId};
use retry_core::machine::{Event, transition};
use retry_core::name::WorkerName;
use retry_core::store::{
    Applied, Cause, Certainty, ClaimRequest, CountScope, ExpiredRequest, Page, Result, SessionInfo,
    StoreError, StoreErrorKind, TaskFilter, TaskStore, TaskStoreExt as _,
};
use retry_core::task::{ClaimedTask, Edit, State, Task};
use retry_core::time::Timestamp;

use super::caller::success;
use crate::fixture::{kind, queue};
use crate::verdict::{Failure, Verdict, equal};

/// Tasks of one call of the audit.
const BATCH: usize = 500;

/// What the callers were answered.
#[derive(Debug, Clone)]
pub struct Account {
    /// Calls that were answered.
    pub calls: u64,
    /// Each task whose insert was answered, with the version whose settle was.
    pub tasks: BTreeMap<TaskId, Option<u64>>,
    /// The longest that a single call took, however it ended.
    pub slowest: Duration,
    /// The errors, each sort once.
    pub failed: Vec<Failed>,
    pub(super) claims: BTreeSet<(TaskId, u64)>,
    pub(super) doubtful: BTreeSet<SessionId>,
}

/// Errors of one sort: alike in what may be done about them, and in their words.
#[derive(Debug, Clone)]
pub struct Failed {
    /// Whether the call may have been done.
    pub certainty: Certainty,
    /// Their kind.
    pub kind: StoreErrorKind,
    /// How many there were.
    pub times: u64,
    /// What they said.
    pub said: String,
    /// What the first one came from.
    pub cause: String,
}

impl Failed {
    pub(super) fn first(error: &StoreError) -> Self {
        Self {
            certainty: error.certainty(),
            kind: error.kind(),
            times: 1,
            said: error.to_string(),
            cause: error.source().map(ToString::to_string).unwrap_or_default(),
        }
    }

    pub(super) fn is_like(&self, other: &Self) -> bool {
        (self.certainty, self.kind, &self.said) == (other.certainty, other.kind, &other.said)
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (calls, tasks, slowest) = (self.calls, self.tasks.len(), self.slowest);
        write!(f, "{calls} calls, {tasks} tasks, the slowest call {slowest:?}")?;
        for failed in &self.failed {
            let Failed {
                certainty,
                kind,
                times,
                said,
                cause,
            } = failed;
            write!(f, "\n  {times} × {certainty:?} {kind:?}, {said} ({cause})")?;
        }
        Ok(())
    }
}

impl Account {
    /// How many errors there were of these kinds.
    #[must_use]
    pub fn failures(&self, kinds: &[StoreErrorKind]) -> u64 {
        let of_them = self.failed.iter().filter(|failed| kinds.contains(&failed.kind));
        of_them.map(|failed| failed.times).sum()
    }

    /// Compares it with what `store` has, on which nobody else works, then rescues and ends every task that is left. At
    /// `now` all of them are due.
    ///
    /// # Errors
    /// The law that was broken. A call that fails is an error as well: whatever was wrong with the server must be over.
    pub async fn audit(&self, store: &dyn TaskStore, now: Timestamp) -> Verdict {
        let stored = stored(store)
            .await
            .map_err(|error| Failure::call("a list", &error))?;
        for (id, settled) in &self.tasks {
            let Some(task) = stored.get(id) else {
                let given = format!("{id} is not stored");
                return Err(Failure::new(
                    "L1",
                    "an insert that was answered",
                    given,
                    "the task",
                ));
            };
            self.check(task, *settled)?;
        }
        let unasked: Vec<_> = stored.keys().filter(|id| !self.tasks.contains_key(*id)).collect();
        equal("L1", "tasks that nobody was answered for", unasked, Vec::new())?;
        let ended = self.finish(store, now).await?;
        let scope = CountScope {
            exact: true,
            ..CountScope::default()
        };
        let counts = store
            .count(&scope)
            .await
            .map_err(|error| Failure::call("a count", &error))?;
        let succeeded = counts.of(State::Succeeded);
        equal(
            "L6",
            "tasks that succeeded in the end",
            succeeded,
            self.tasks.len() as u64,
        )?;
        let settled = self.tasks.values().flatten().count();
        equal(
            "L6",
            "tasks that were left and those that were settled",
            ended + settled,
            self.tasks.len(),
        )
    }

    fn check(&self, task: &Task, settled: Option<u64>) -> Verdict {
        let is_right = match (settled, task.state) {
            (Some(version), State::Succeeded) => task.version == version + 1,
            (None, State::Pending) => task.version == 0,
            (None, State::Running) => task
                .session
                .is_some_and(|session| self.doubtful.contains(&session)),
            _ => false,
        };
        if is_right {
            return Ok(());
        }
        let allowed = match settled {
            Some(version) => format!("succeeded, of version {}", version + 1),
            None => "pending and untouched, or running under a session whose claim was of unknown outcome"
                .to_owned(),
        };
        let given = format!(
            "{} of version {}, session {:?}",
            task.state, task.version, task.session
        );
        Err(Failure::new(
            "L6",
            format!("task {} as it is stored", task.id),
            given,
            allowed,
        ))
    }

    /// Brings every task to its end, and says how many those were.
    async fn finish(&self, store: &dyn TaskStore, now: Timestamp) -> Verdict<usize> {
        let failed = |error: StoreError| Failure::call("ending what is left", &error);
        let mut nonces = (1..).map(Nonce::from_random);
        rescue(store, now, &mut nonces).await.map_err(failed)?;
        let session = open(store, now).await.map_err(failed)?;
        let mut ended = 0;
        loop {
            let request = ClaimRequest::new(session, queue("default"), [kind("work")], BATCH);
            let claimed = store.claim(request, now).await.map_err(failed)?.tasks;
            if claimed.is_empty() {
                store.close_session(session).await.map_err(failed)?;
                return Ok(ended);
            }
            ended += claimed.len();
            self.settle(store, &claimed, now).await?;
        }
    }

    async fn settle(&self, store: &dyn TaskStore, claimed: &[ClaimedTask], now: Timestamp) -> Verdict {
        let again = claimed
            .iter()
            .find(|claimed| self.claims.contains(&(claimed.task.id, claimed.task.version)));
        if let Some(claimed) = again {
            let given = format!("version {} of {}", claimed.task.version, claimed.task.id);
            return Err(Failure::new(
                "L3",
                "a claim",
                given,
                "a version that nobody has got before",
            ));
        }
        let edits: Vec<_> = (1 << 40..)
            .zip(claimed)
            .map(|(n, claimed)| success(claimed, n, now))
            .collect();
        let answer = store.exchange(&edits, &[], now).await;
        let applied = answer
            .map_err(|error| Failure::call("ending what is left", &error))?
            .applied;
        equal(
            "L6",
            "settles of what was left",
            applied,
            vec![Applied::DONE; edits.len()],
        )
    }
}

/// Every task that is stored.
async fn stored(store: &dyn TaskStore) -> Result<BTreeMap<TaskId, Task>> {
    let mut tasks = BTreeMap::new();
    let mut page = Page::first(1_000);
    loop {
        let listed = store.list(&TaskFilter::default(), &page).await?;
        tasks.extend(listed.tasks.into_iter().map(|row| (row.task.id, row.task)));
        match listed.next {
            Some(next) => page.after = Some(next),
            None => return Ok(tasks),
        }
    }
}

/// Gives tasks of ended sessions back.
async fn rescue(
    store: &dyn TaskStore,
    now: Timestamp,
    nonces: &mut impl Iterator<Item = Nonce>,
) -> Result<()> {
    let mut request = ExpiredRequest {
        limit: BATCH,
        ..ExpiredRequest::default()
    };
    loop {
        let expired = store.expired(&request, now).await?;
        let lost = expired.items.iter().filter(|(_, cause)| *cause != Cause::Alarm);
        let edits: Vec<Edit> = lost
            .zip(nonces.by_ref())
            .map(|((task, _), nonce)| given_back(task, nonce, now))
            .collect();
        store.exchange(&edits, &[], now).await?;
        match expired.next {
            Some(next) => request.after = Some(next),
            None => return Ok(()),
        }
    }
}

fn given_back(task: &Task, nonce: Nonce, now: Timestamp) -> Edit {
    let action = transition(task, Event::LeaseLost { process_dead: true }, now, 0);
    Edit {
        id: task.id,
        version: task.version,
        nonce,
        action: action.unwrap_or_else(|refused| panic!("a running task can be rescued: {refused}")),
        insert: Vec::new(),
    }
}

async fn open(store: &dyn TaskStore, now: Timestamp) -> Result<SessionId> {
    let name = WorkerName::new("auditor");
    let info = SessionInfo {
        id: SessionId::from_random(u64::MAX, u64::MAX),
        name: name.unwrap_or_else(|error| panic!("no worker's name: {error}")),
        host: "crowd".to_owned(),
        queues: vec![queue("default")],
        kinds: vec![kind("work")],
    };
    store.open_session(&info, Timestamp::MAX, now).await?;
    Ok(info.id)
}
