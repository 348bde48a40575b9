//! The calls of a history and what a store answers to them.

use std::collections::BTreeMap;

use retry_core::id::{SessionId, TaskId};
use retry_core::name::Queue;
use retry_core::store::{
    Cause, ClaimRequest, CountScope, Exchanged, ExpiredRequest, Inserted, Page, QueueInfo, QueueSetting,
    Renewed, Result, Session, SessionInfo, StoreError, StoreErrorKind, TaskFilter, TaskStore,
};
use retry_core::task::{Edit, NewTask, State, Task, TaskDetail, TaskSummary};
use retry_core::time::Timestamp;

use crate::describe;

/// One call, or a walk of calls that together have one answer.
#[derive(Debug, Clone)]
pub(super) enum Call {
    Insert(Vec<NewTask>),
    Exchange(Vec<Edit>, Vec<ClaimRequest>),
    Open(SessionInfo, Timestamp),
    Renew(SessionId, Timestamp),
    Close(SessionId),
    Sessions,
    /// Marks what is expired and reports everything in one page.
    Mark,
    /// A round of reports in pages of this size, without marking.
    Round(usize),
    Get(TaskId),
    /// A whole listing in pages of this size.
    List(Box<TaskFilter>, usize),
    Count(CountScope),
    Purge,
    SetQueue(Queue, QueueSetting),
    Queues,
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Answer {
    Inserted(Vec<Inserted>),
    Exchanged(Exchanged),
    Done,
    /// Refused as invalid, with nothing written.
    Invalid,
    Renewed(Renewed),
    Sessions(Vec<Session>),
    Reported(Vec<(Task, Cause)>),
    Detail(Option<Box<TaskDetail>>),
    Listed(Vec<TaskSummary>),
    Counts(BTreeMap<(Queue, State), u64>),
    Purged(u64),
    Queues(Vec<QueueInfo>),
}

/// How often a client that is told "busy" asks again.
const PATIENCE: usize = 1_000;

/// A walk that takes more pages than any right one is cut.
const MAX_PAGES: usize = 5_000;

impl Call {
    /// The call in one line.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Insert(tasks) => describe::insert(tasks),
            Self::Exchange(edits, claims) => describe::exchange(edits, claims),
            Self::Open(info, until) => format!("open_session {} until {until}", info.id),
            Self::Renew(session, until) => format!("renew {session} until {until}"),
            other => format!("{other:?}"),
        }
    }

    /// The method.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Insert(_) => "insert",
            Self::Exchange(..) => "exchange",
            Self::Open(..) => "open_session",
            Self::Renew(..) => "renew",
            Self::Close(_) => "close_session",
            Self::Sessions => "sessions",
            Self::Mark | Self::Round(_) => "expired",
            Self::Get(_) => "get",
            Self::List(..) => "list",
            Self::Count(_) => "count",
            Self::Purge => "purge",
            Self::SetQueue(..) => "set_queue",
            Self::Queues => "queues",
        }
    }

    /// The law that a wrong answer most likely breaks.
    pub(super) const fn law(&self) -> &'static str {
        match self {
            Self::Insert(_) => "L1",
            Self::Exchange(edits, _) if edits.is_empty() => "L3",
            Self::Exchange(..) => "L6",
            Self::Open(..) | Self::Renew(..) | Self::Close(_) | Self::Sessions => "L9",
            Self::Mark | Self::Round(_) => "L9",
            Self::Get(_) | Self::List(..) | Self::Count(_) | Self::Queues => "L11",
            Self::Purge => "L1",
            Self::SetQueue(..) => "L15",
        }
    }

    /// What a client sends again when the outcome is unknown: everything but claims. None if nothing is left.
    pub(super) fn again(&self) -> Option<Self> {
        match self {
            Self::Exchange(edits, _) if edits.is_empty() => None,
            Self::Exchange(edits, _) => Some(Self::Exchange(edits.clone(), Vec::new())),
            other => Some(other.clone()),
        }
    }

    /// The tasks that it inserts.
    pub(super) fn inserts(&self) -> Vec<&NewTask> {
        match self {
            Self::Insert(tasks) => tasks.iter().collect(),
            Self::Exchange(edits, _) => edits.iter().flat_map(|edit| &edit.insert).collect(),
            _ => Vec::new(),
        }
    }

    /// The edits that it applies.
    pub(super) fn edits(&self) -> &[Edit] {
        match self {
            Self::Exchange(edits, _) => edits,
            _ => &[],
        }
    }

    /// Whether it changes what is stored.
    pub(super) const fn writes(&self) -> bool {
        !matches!(
            self,
            Self::Get(_) | Self::List(..) | Self::Count(_) | Self::Queues | Self::Sessions | Self::Round(_)
        )
    }

    /// Makes the call, and again as long as the store is busy: then it has certainly written nothing.
    pub(super) async fn perform_patiently(&self, store: &dyn TaskStore, now: Timestamp) -> Result<Answer> {
        for _ in 0..PATIENCE {
            match self.perform(store, now).await {
                Err(error) if error.kind() == StoreErrorKind::Busy => tokio::task::yield_now().await,
                answer => return answer,
            }
        }
        self.perform(store, now).await
    }

    /// Makes the call.
    pub(super) async fn perform(&self, store: &dyn TaskStore, now: Timestamp) -> Result<Answer> {
        Ok(match self {
            Self::Insert(tasks) => Answer::Inserted(store.insert(tasks, now).await?),
            Self::Exchange(edits, claims) => Answer::Exchanged(store.exchange(edits, claims, now).await?),
            Self::Open(info, until) => done_or_invalid(store.open_session(info, *until, now).await)?,
            Self::Renew(session, until) => Answer::Renewed(store.renew(*session, *until, now).await?),
            Self::Close(session) => done_or_invalid(store.close_session(*session).await)?,
            Self::Sessions => Answer::Sessions(store.sessions().await?),
            Self::Mark => Answer::Reported(round(store, now, true, retry_core::limits::MAX_BATCH).await?),
            Self::Round(page) => Answer::Reported(round(store, now, false, *page).await?),
            Self::Get(id) => Answer::Detail(store.get(*id).await?.map(Box::new)),
            Self::List(filter, page) => Answer::Listed(list(store, filter, *page).await?),
            Self::Count(scope) => {
                let counts = store.count(scope).await?.counts;
                let counts = counts.into_iter().map(|(at, count)| (at, count.get()));
                Answer::Counts(counts.filter(|(_, count)| *count > 0).collect())
            }
            Self::Purge => Answer::Purged(store.purge(now, retry_core::limits::MAX_BATCH).await?),
            Self::SetQueue(queue, setting) => done_or_invalid(store.set_queue(queue, *setting).await)?,
            Self::Queues => Answer::Queues(store.queues().await?),
        })
    }
}

impl Answer {
    /// The answer in one line.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Inserted(answers) => describe::inserted(answers),
            Self::Exchanged(answer) => describe::exchanged(answer),
            Self::Reported(items) => {
                let items = items.iter().map(|(task, cause)| (describe::task(task), cause));
                format!("{:?}", items.collect::<Vec<_>>())
            }
            Self::Detail(Some(detail)) => describe::task(&detail.task),
            Self::Listed(rows) => {
                let ids: Vec<_> = rows.iter().map(|row| row.task.id).collect();
                format!("{ids:?}")
            }
            other => format!("{other:?}"),
        }
    }
}

fn done_or_invalid(result: Result<()>) -> Result<Answer> {
    match result {
        Ok(()) => Ok(Answer::Done),
        Err(error) if error.kind() == StoreErrorKind::Invalid => Ok(Answer::Invalid),
        Err(error) => Err(error),
    }
}

async fn round(store: &dyn TaskStore, now: Timestamp, mark: bool, page: usize) -> Result<Vec<(Task, Cause)>> {
    let mut request = ExpiredRequest {
        mark,
        after: None,
        limit: page,
    };
    let mut items = Vec::new();
    for _ in 0..MAX_PAGES {
        let expired = store.expired(&request, now).await?;
        items.extend(expired.items);
        request.after = expired.next;
        request.mark = false;
        if request.after.is_none() {
            return Ok(items);
        }
    }
    Err(endless("expired"))
}

/// All rows of a listing, page by page.
pub(super) async fn list(
    store: &dyn TaskStore,
    filter: &TaskFilter,
    page: usize,
) -> Result<Vec<TaskSummary>> {
    let mut at = Page::first(page);
    let mut rows = Vec::new();
    for _ in 0..MAX_PAGES {
        let listed = store.list(filter, &at).await?;
        rows.extend(listed.tasks);
        at.after = listed.next;
        if at.after.is_none() {
            return Ok(rows);
        }
    }
    Err(endless("list"))
}

fn endless(what: &str) -> StoreError {
    StoreError::rejected(
        StoreErrorKind::Other,
        format!("the pages of `{what}` have no end"),
    )
}
