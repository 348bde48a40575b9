//! A sharded store as a client and a worker together see it: clients call the whole, workers each part.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use retry_core::id::{SessionId, Shard, TaskId};
use retry_core::name::Queue;
use retry_core::store::{
    Cause, ClaimRequest, Claimed, CountScope, Counts, Durability, Exchanged, Expired, ExpiredCursor,
    ExpiredRequest, Inserted, Listed, Page, QueueInfo, QueueSetting, Renewed, Result, Session, SessionInfo,
    TaskFilter, TaskStore, Wakeups, check,
};
use retry_core::task::{Edit, NewTask, Task, TaskDetail};
use retry_core::time::Timestamp;

use super::ONE;

#[derive(Debug, Clone)]
pub(super) struct ThroughParts {
    whole: Arc<dyn TaskStore>,
    /// Those that have tasks.
    parts: Vec<Arc<dyn TaskStore>>,
}

impl ThroughParts {
    pub(super) fn new(whole: Arc<dyn TaskStore>, spread: bool) -> Self {
        let mut parts = whole.parts();
        if !spread {
            let home = whole.part_of(ONE).unwrap_or_default();
            parts = vec![parts.swap_remove(home)];
        }
        Self { whole, parts }
    }

    /// One claim, as a worker makes it in part after part for the room that it has left.
    async fn claim(&self, request: &ClaimRequest, now: Timestamp) -> Result<Claimed> {
        let (mut all, mut left) = (Claimed::default(), request.clone());
        for part in &self.parts {
            let claims = std::slice::from_ref(&left);
            let answer = part.exchange(&[], claims, now).await?.claimed;
            let claimed = answer.into_iter().next().unwrap_or_default();
            left.limit -= claimed.tasks.len().min(left.limit);
            for claimed in &claimed.tasks {
                for (kind, limit) in &mut left.kinds {
                    *limit -= usize::from(*kind == claimed.task.kind).min(*limit);
                }
                // The claim has raised no count of crashes.
                left.max_suspects -= usize::from(claimed.task.is_suspect()).min(left.max_suspects);
            }
            all.tasks.extend(claimed.tasks);
            all.bad.extend(claimed.bad);
            all.marks.extend(claimed.marks);
            all.session_lost |= claimed.session_lost;
            all.next_due = [all.next_due, claimed.next_due].into_iter().flatten().min();
        }
        // The parts behind the one that filled it were asked for nothing.
        if left.limit == 0 && !all.tasks.is_empty() {
            all.next_due = Some(now);
        }
        Ok(all)
    }
}

/// Where a reported task stands in the round.
fn place((task, cause): &(Task, Cause)) -> ExpiredCursor {
    match (cause, task.session, task.alarm_at) {
        (Cause::SessionLost | Cause::SessionDead, Some(session), _) => {
            ExpiredCursor::Session(session, task.id)
        }
        (_, _, alarm) => ExpiredCursor::Alarm(alarm.unwrap_or(Timestamp::MIN), task.id),
    }
}

/// One page of several parts, in the order of the round, down to where every part has looked.
fn merged(rounds: Vec<Expired>, limit: usize) -> Expired {
    // Behind the `next` of any part there may be tasks that it has not shown yet.
    let shown_to = rounds.iter().filter_map(|round| round.next).min();
    let mut all = Expired::default();
    for round in rounds {
        let items = round.items.into_iter();
        all.items
            .extend(items.filter(|item| shown_to.is_none_or(|to| place(item) <= to)));
        all.bad.extend(round.bad);
    }
    all.items.sort_by_key(place);
    all.next = shown_to;
    if all.items.len() > limit {
        all.items.truncate(limit);
        all.next = all.items.last().map(place);
    }
    all
}

#[async_trait]
#[deny(
    clippy::missing_trait_methods,
    reason = "each call is either the whole's or the parts'"
)]
impl TaskStore for ThroughParts {
    async fn insert(&self, tasks: &[NewTask], now: Timestamp) -> Result<Vec<Inserted>> {
        self.whole.insert(tasks, now).await
    }

    async fn exchange(&self, edits: &[Edit], claims: &[ClaimRequest], now: Timestamp) -> Result<Exchanged> {
        if claims.is_empty() {
            return self.whole.exchange(edits, claims, now).await;
        }
        if let [only] = self.parts.as_slice() {
            return only.exchange(edits, claims, now).await;
        }
        check::exchange(edits, claims)?;
        let mut exchanged = self.whole.exchange(edits, &[], now).await?;
        for claim in claims {
            exchanged.claimed.push(self.claim(claim, now).await?);
        }
        Ok(exchanged)
    }

    async fn open_session(&self, info: &SessionInfo, until: Timestamp, now: Timestamp) -> Result<()> {
        for part in &self.parts {
            part.open_session(info, until, now).await?;
        }
        Ok(())
    }

    async fn renew(&self, session: SessionId, until: Timestamp, now: Timestamp) -> Result<Renewed> {
        let (mut cancels, mut sum) = (Vec::new(), 0);
        for part in &self.parts {
            match part.renew(session, until, now).await? {
                Renewed::Live { cancel, held } => {
                    cancels.extend(cancel);
                    sum += held;
                }
                lost => return Ok(lost),
            }
        }
        Ok(Renewed::Live {
            cancel: cancels,
            held: sum,
        })
    }

    async fn close_session(&self, session: SessionId) -> Result<()> {
        for part in &self.parts {
            part.close_session(session).await?;
        }
        Ok(())
    }

    /// One session in several parts is one of the suite's: lost where it is lost in any.
    async fn sessions(&self) -> Result<Vec<Session>> {
        let mut all: BTreeMap<SessionId, Session> = BTreeMap::new();
        for session in self.whole.sessions().await? {
            let known = all.entry(session.info.id).or_insert_with(|| session.clone());
            known.lost |= session.lost;
        }
        Ok(all.into_values().collect())
    }

    async fn expired(&self, request: &ExpiredRequest, now: Timestamp) -> Result<Expired> {
        if let [only] = self.parts.as_slice() {
            return only.expired(request, now).await;
        }
        let mut rounds = Vec::new();
        for part in &self.parts {
            rounds.push(part.expired(request, now).await?);
        }
        Ok(merged(rounds, request.limit))
    }

    async fn get(&self, id: TaskId) -> Result<Option<TaskDetail>> {
        self.whole.get(id).await
    }

    async fn list(&self, filter: &TaskFilter, page: &Page) -> Result<Listed> {
        self.whole.list(filter, page).await
    }

    async fn count(&self, scope: &CountScope) -> Result<Counts> {
        self.whole.count(scope).await
    }

    async fn purge(&self, now: Timestamp, limit: usize) -> Result<u64> {
        self.whole.purge(now, limit).await
    }

    async fn set_queue(&self, queue: &Queue, setting: QueueSetting) -> Result<()> {
        self.whole.set_queue(queue, setting).await
    }

    async fn queues(&self) -> Result<Vec<QueueInfo>> {
        self.whole.queues().await
    }

    async fn time(&self) -> Result<Timestamp> {
        self.whole.time().await
    }

    async fn time_of(&self, part: usize) -> Result<Timestamp> {
        self.whole.time_of(part).await
    }

    async fn migrate(&self) -> Result<()> {
        self.whole.migrate().await
    }

    fn watch(&self, queues: &[Queue]) -> Wakeups {
        self.whole.watch(queues)
    }

    fn durability(&self) -> Durability {
        self.whole.durability()
    }

    fn part_of(&self, shard: Shard) -> Option<usize> {
        self.whole.part_of(shard)
    }

    fn parts(&self) -> Vec<Arc<dyn TaskStore>> {
        Vec::new()
    }
}
