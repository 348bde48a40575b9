//! The contract over several parts: writes are dealt, reads are merged, the rest is refused or handed through.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::join_all;

use super::join::{all, dealt};
use super::member::{Member, Unanswered};
use super::{ShardedStore, merge};
use crate::id::{SessionId, Shard, TaskId};
use crate::name::Queue;
use crate::store::{
    Applied, ClaimRequest, CountScope, Counts, Durability, Exchanged, Expired, ExpiredRequest, Inserted,
    Listed, Page, QueueInfo, QueueSetting, Renewed, Result, Session, SessionInfo, StoreError, StoreErrorKind,
    TaskFilter, TaskStore, Wakeups, check,
};
use crate::task::{Edit, NewTask, TaskDetail};
use crate::time::Timestamp;

impl ShardedStore {
    /// What each part reads.
    async fn read<'a, T, F>(&'a self, read: impl Fn(&'a Member) -> F) -> Vec<Result<T>>
    where
        F: Future<Output = Result<T>> + Send,
    {
        let reads = self
            .members
            .iter()
            .map(|member| member.call(Unanswered::Read, read(member)));
        join_all(reads).await
    }

    /// What a part has of a task.
    async fn look(&self, part: usize, id: TaskId) -> Result<Option<TaskDetail>> {
        let member = &self.members[part];
        member.call(Unanswered::Read, member.store.get(id)).await
    }

    /// What any part but its home has of a task: one of another list of parts.
    async fn search(&self, id: TaskId) -> Result<Option<(usize, TaskDetail)>> {
        let home = self.home(id);
        let others = (0..self.members.len()).filter(|part| *part != home);
        let looks = others.map(|part| async move {
            let found = self.look(part, id).await?;
            Ok::<_, StoreError>(found.map(|detail| (part, detail)))
        });
        let mut silent = None;
        for answer in join_all(looks).await {
            match answer {
                Ok(Some(found)) => return Ok(Some(found)),
                Ok(None) => {}
                Err(error) => drop(silent.get_or_insert(error)),
            }
        }
        // A part that does not answer may have it.
        silent.map_or(Ok(None), Err)
    }

    /// The part that keeps the children of a task, which is its own; none if it is not known where the task is.
    async fn part_of_children(&self, parent: TaskId) -> Option<usize> {
        let home = self.home(parent);
        if !self.search_all {
            return Some(home);
        }
        match self.look(home, parent).await.ok()? {
            Some(_) => Some(home),
            None => self.search(parent).await.ok()?.map(|(part, _)| part),
        }
    }

    /// Edits of one part.
    async fn edit(&self, part: usize, edits: &[Edit], now: Timestamp) -> Result<Vec<Applied>> {
        let member = &self.members[part];
        let call = member.store.exchange(edits, &[], now);
        Ok(member.call(Unanswered::Write, call).await?.applied)
    }

    /// Applies those edits whose task its home does not have where it is.
    async fn edit_elsewhere(&self, edits: &[Edit], applied: &mut [Applied], now: Timestamp) -> Result<()> {
        for (edit, applied) in edits.iter().zip(applied) {
            if *applied == Applied::Missing
                && let Some((part, _)) = self.search(edit.id).await?
            {
                let answer = self.edit(part, std::slice::from_ref(edit), now).await?;
                *applied = answer.into_iter().next().unwrap_or(Applied::Missing);
            }
        }
        Ok(())
    }

    fn check_slots(&self, edits: &[Edit]) -> Result<()> {
        let stays = |edit: &Edit| {
            edit.insert
                .iter()
                .all(|task| self.home(task.id) == self.home(edit.id))
        };
        if edits.iter().all(stays) {
            return Ok(());
        }
        Err(StoreError::invalid(
            "a task that another one brings is stored with it: its id needs a slot of the same part",
        ))
    }

    fn refused<T>(what: &str) -> Result<T> {
        Err(StoreError::invalid(format!(
            "{what} belong to the parts of a sharded store: call each of `parts()`"
        )))
    }
}

#[async_trait]
#[deny(
    clippy::missing_trait_methods,
    reason = "a default would not know of the parts"
)]
impl TaskStore for ShardedStore {
    async fn insert(&self, tasks: &[NewTask], now: Timestamp) -> Result<Vec<Inserted>> {
        check::insert(tasks)?;
        let homes: Vec<usize> = tasks.iter().map(|task| self.home(task.id)).collect();
        let send = |part: usize, tasks: Vec<NewTask>| async move {
            let member = &self.members[part];
            member
                .call(Unanswered::Write, member.store.insert(&tasks, now))
                .await
        };
        dealt(tasks, &homes, self.members.len(), || Inserted::NotTried, send).await
    }

    async fn exchange(&self, edits: &[Edit], claims: &[ClaimRequest], now: Timestamp) -> Result<Exchanged> {
        check::exchange(edits, claims)?;
        if !claims.is_empty() {
            return Self::refused("claims");
        }
        self.check_slots(edits)?;
        let homes: Vec<usize> = edits.iter().map(|edit| self.home(edit.id)).collect();
        let send = |part: usize, edits: Vec<Edit>| async move { self.edit(part, &edits, now).await };
        let sent = dealt(edits, &homes, self.members.len(), || Applied::NotTried, send);
        let mut applied = sent.await?;
        if self.search_all {
            self.edit_elsewhere(edits, &mut applied, now)
                .await
                .map_err(StoreError::into_unknown)?;
        }
        Ok(Exchanged::new(applied, Vec::new()))
    }

    async fn open_session(&self, _: &SessionInfo, _: Timestamp, _: Timestamp) -> Result<()> {
        Self::refused("sessions")
    }

    async fn renew(&self, _: SessionId, _: Timestamp, _: Timestamp) -> Result<Renewed> {
        Self::refused("sessions")
    }

    async fn close_session(&self, _: SessionId) -> Result<()> {
        Self::refused("sessions")
    }

    /// The sessions of all parts, of which a worker has one in each. They cannot say that a part is missing, so one that does
    /// not answer is an error.
    async fn sessions(&self) -> Result<Vec<Session>> {
        let lists: Result<Vec<_>> = self
            .read(|member| member.store.sessions())
            .await
            .into_iter()
            .collect();
        Ok(lists?.into_iter().flatten().collect())
    }

    async fn expired(&self, _: &ExpiredRequest, _: Timestamp) -> Result<Expired> {
        Self::refused("rounds of expired tasks")
    }

    async fn get(&self, id: TaskId) -> Result<Option<TaskDetail>> {
        match self.look(self.home(id), id).await? {
            None if self.search_all => Ok(self.search(id).await?.map(|(_, detail)| detail)),
            found => Ok(found),
        }
    }

    /// The rows of all parts that answer; the children of a task from its own part alone, which has to answer.
    async fn list(&self, filter: &TaskFilter, page: &Page) -> Result<Listed> {
        check::page(page)?;
        if page.limit == 0 {
            return Ok(Listed::default());
        }
        if let Some(parent) = filter.parent
            && let Some(part) = self.part_of_children(parent).await
        {
            let member = &self.members[part];
            let list = member.call(Unanswered::Read, member.store.list(filter, page));
            return list.await;
        }
        let pages = self.read(|member| member.store.list(filter, page)).await;
        let (pages, missing) = merge::answered(pages)?;
        Ok(merge::lists(pages, missing, page.limit))
    }

    async fn count(&self, scope: &CountScope) -> Result<Counts> {
        let counts = if scope.exact {
            let counts = self
                .members
                .iter()
                .map(|member| member.long_call(Unanswered::Read, member.store.count(scope)));
            join_all(counts).await
        } else {
            self.read(|member| member.store.count(scope)).await
        };
        let (counts, missing) = merge::answered(counts)?;
        Ok(merge::counts(counts, missing))
    }

    /// One part after the other, as far as the limit goes. Parts that do not answer are passed over unless all are.
    async fn purge(&self, now: Timestamp, limit: usize) -> Result<u64> {
        check::purge(limit)?;
        let (mut purged, mut failures, mut any) = (0_u64, Vec::new(), false);
        for member in &self.members {
            let left = limit - usize::try_from(purged).unwrap_or(limit).min(limit);
            match member
                .call(Unanswered::Write, member.store.purge(now, left))
                .await
            {
                Ok(some) => {
                    purged += some;
                    any = true;
                }
                Err(error) => {
                    tracing::debug!(part = member.name, %error, "the part was not purged");
                    failures.push(error);
                }
            }
        }
        if any || failures.is_empty() {
            return Ok(purged);
        }
        all(failures.into_iter().map(Err)).map(|()| purged)
    }

    /// Done when every part has done it. With an error some may have: repeat it.
    async fn set_queue(&self, queue: &Queue, setting: QueueSetting) -> Result<()> {
        let sets = self
            .members
            .iter()
            .map(|member| member.call(Unanswered::Write, member.store.set_queue(queue, setting)));
        all(join_all(sets).await)
    }

    async fn queues(&self) -> Result<Vec<QueueInfo>> {
        let (queues, missing) = merge::answered(self.read(|member| member.store.queues()).await)?;
        Ok(merge::queues(queues, &missing))
    }

    /// The time of the first part that tells it.
    async fn time(&self) -> Result<Timestamp> {
        let mut time = self.time_of(0).await;
        for part in 1..self.members.len() {
            if time.is_ok() {
                break;
            }
            time = self.time_of(part).await;
        }
        time
    }

    async fn time_of(&self, part: usize) -> Result<Timestamp> {
        let Some(member) = self.members.get(part) else {
            return Err(StoreError::rejected(
                StoreErrorKind::Invalid,
                "there is no such part",
            ));
        };
        member.time().await
    }

    async fn migrate(&self) -> Result<()> {
        let migrations = self
            .members
            .iter()
            .map(|member| member.long_call(Unanswered::Write, member.store.migrate()));
        all(join_all(migrations).await)
    }

    fn watch(&self, queues: &[Queue]) -> Wakeups {
        Wakeups::any(self.members.iter().map(|member| member.store.watch(queues)))
    }

    /// That of the part which promises least.
    fn durability(&self) -> Durability {
        let weaker = |one, other| match (one, other) {
            (Durability::None, _) | (_, Durability::None) => Durability::None,
            (Durability::Periodic(one), Durability::Periodic(other)) => Durability::Periodic(one.max(other)),
            (Durability::Periodic(span), Durability::Synced)
            | (Durability::Synced, Durability::Periodic(span)) => Durability::Periodic(span),
            (Durability::Synced, Durability::Synced) => Durability::Synced,
        };
        let each = self.members.iter().map(|member| member.store.durability());
        each.reduce(weaker).unwrap_or(Durability::None)
    }

    fn part_of(&self, shard: Shard) -> Option<usize> {
        Some(self.placing.part(shard))
    }

    fn parts(&self) -> Vec<Arc<dyn TaskStore>> {
        self.members
            .iter()
            .map(|member| Arc::clone(&member.store))
            .collect()
    }
}
