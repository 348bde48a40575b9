//! The whole store: one part, or two that act as one. Tasks with a unique key go by the key, others by their id, children
//! and follow-ups stay with the task that brings them; a call that only some parts answered says so task by task.

use std::hash::{Hash as _, Hasher as _};
use std::sync::Arc;

use async_trait::async_trait;
use retry_core::id::{SessionId, TaskId};
use retry_core::name::Queue;
use retry_core::store::{
    Applied, Certainty, ClaimRequest, CountScope, Counts, Durability, Exchanged, Expired, ExpiredRequest,
    Inserted, Listed, Page, QueueInfo, QueueSetting, Renewed, Result, Session, SessionInfo, StoreError,
    StoreErrorKind, TaskFilter, TaskStore, Wakeups,
};
use retry_core::task::{Edit, NewTask, TaskDetail};
use retry_core::time::Timestamp;

use super::cover::Sometimes;
use super::link::Link;
use super::trace::Fnv;

#[derive(Debug)]
pub(super) struct Sharded {
    parts: Vec<Link>,
}

impl Sharded {
    pub(super) const fn new(parts: Vec<Link>) -> Self {
        Self { parts }
    }

    /// The part that a new task goes to.
    pub(super) fn home(&self, task: &NewTask) -> usize {
        let mut hasher = Fnv::new();
        match &task.unique {
            Some(unique) => (&task.kind, &unique.key).hash(&mut hasher),
            None => task.id.hash(&mut hasher),
        }
        usize::try_from(hasher.finish() % self.parts.len() as u64).unwrap_or(0)
    }

    fn place(&self, id: TaskId) -> &Link {
        let place = self.parts[0].shared.facts(|facts| facts.place(id));
        &self.parts[place]
    }

    /// The parts' answers in the order of what was asked. A part that certainly did nothing gives `not_tried`, unless all
    /// did so; one of unknown outcome makes the whole unknown.
    fn join<T>(&self, homes: &[usize], answers: Vec<Result<Vec<T>>>, not_tried: fn() -> T) -> Result<Vec<T>> {
        let mut lists = Vec::new();
        let (mut refusal, mut any) = (None, false);
        for answer in answers {
            match answer {
                Err(error) if error.certainty() == Certainty::Unknown => return Err(error),
                Err(error) => {
                    refusal = Some(error);
                    lists.push(None);
                }
                Ok(list) => {
                    any |= !list.is_empty();
                    lists.push(Some(list.into_iter()));
                }
            }
        }
        if let Some(error) = refusal {
            if !any {
                return Err(error);
            }
            self.parts[0].shared.hit(Sometimes::NotTried);
        }
        let answer = |home: &usize| {
            let list = lists[*home].as_mut();
            list.and_then(Iterator::next).unwrap_or_else(not_tried)
        };
        Ok(homes.iter().map(answer).collect())
    }

    fn refused<T>() -> Result<T> {
        let message = "sessions and claims belong to the parts";
        Err(StoreError::rejected(StoreErrorKind::Invalid, message))
    }
}

fn those<T: Clone>(all: &[T], homes: &[usize], part: usize) -> Vec<T> {
    let here = all.iter().zip(homes).filter(|(_, home)| **home == part);
    here.map(|(item, _)| item.clone()).collect()
}

#[async_trait]
impl TaskStore for Sharded {
    async fn insert(&self, tasks: &[NewTask], now: Timestamp) -> Result<Vec<Inserted>> {
        if let [only] = self.parts.as_slice() {
            return only.insert(tasks, now).await;
        }
        let homes: Vec<usize> = tasks.iter().map(|task| self.home(task)).collect();
        let mut answers = Vec::new();
        for (part, link) in self.parts.iter().enumerate() {
            let here = those(tasks, &homes, part);
            answers.push(if here.is_empty() {
                Ok(Vec::new())
            } else {
                link.insert(&here, now).await
            });
        }
        self.join(&homes, answers, || Inserted::NotTried)
    }

    async fn exchange(&self, edits: &[Edit], claims: &[ClaimRequest], now: Timestamp) -> Result<Exchanged> {
        if let [only] = self.parts.as_slice() {
            return only.exchange(edits, claims, now).await;
        }
        if !claims.is_empty() {
            return Self::refused();
        }
        let homes: Vec<usize> = edits.iter().map(|edit| self.place(edit.id).part).collect();
        let mut answers = Vec::new();
        for (part, link) in self.parts.iter().enumerate() {
            let here = those(edits, &homes, part);
            answers.push(if here.is_empty() {
                Ok(Vec::new())
            } else {
                link.exchange(&here, &[], now).await.map(|answer| answer.applied)
            });
        }
        let mut exchanged = Exchanged::default();
        exchanged.applied = self.join(&homes, answers, || Applied::NotTried)?;
        Ok(exchanged)
    }

    async fn open_session(&self, info: &SessionInfo, until: Timestamp, now: Timestamp) -> Result<()> {
        match self.parts.as_slice() {
            [only] => only.open_session(info, until, now).await,
            _ => Self::refused(),
        }
    }

    async fn renew(&self, session: SessionId, until: Timestamp, now: Timestamp) -> Result<Renewed> {
        match self.parts.as_slice() {
            [only] => only.renew(session, until, now).await,
            _ => Self::refused(),
        }
    }

    async fn close_session(&self, session: SessionId) -> Result<()> {
        match self.parts.as_slice() {
            [only] => only.close_session(session).await,
            _ => Self::refused(),
        }
    }

    async fn sessions(&self) -> Result<Vec<Session>> {
        let mut all = Vec::new();
        for part in &self.parts {
            all.extend(part.sessions().await?);
        }
        Ok(all)
    }

    async fn expired(&self, request: &ExpiredRequest, now: Timestamp) -> Result<Expired> {
        match self.parts.as_slice() {
            [only] => only.expired(request, now).await,
            _ => Self::refused(),
        }
    }

    async fn get(&self, id: TaskId) -> Result<Option<TaskDetail>> {
        self.place(id).get(id).await
    }

    async fn list(&self, filter: &TaskFilter, page: &Page) -> Result<Listed> {
        let mut all = self.parts[0].list(filter, page).await?;
        for part in &self.parts[1..] {
            all.tasks.extend(part.list(filter, page).await?.tasks);
        }
        all.tasks.sort_by_key(|task| std::cmp::Reverse(task.task.id));
        if all.tasks.len() > page.limit {
            all.tasks.truncate(page.limit);
            all.next = all.tasks.last().map(|task| task.task.id);
        }
        Ok(all)
    }

    async fn count(&self, scope: &CountScope) -> Result<Counts> {
        let mut all = self.parts[0].count(scope).await?;
        for part in &self.parts[1..] {
            all.counts.extend(part.count(scope).await?.counts);
        }
        Ok(all)
    }

    async fn purge(&self, now: Timestamp, limit: usize) -> Result<u64> {
        let mut purged = 0;
        for part in &self.parts {
            purged += part.purge(now, limit).await?;
        }
        Ok(purged)
    }

    async fn set_queue(&self, queue: &Queue, setting: QueueSetting) -> Result<()> {
        for part in &self.parts {
            part.set_queue(queue, setting).await?;
        }
        Ok(())
    }

    async fn queues(&self) -> Result<Vec<QueueInfo>> {
        let mut all = Vec::new();
        for part in &self.parts {
            all.extend(part.queues().await?);
        }
        Ok(all)
    }

    async fn time(&self) -> Result<Timestamp> {
        self.parts[0].time().await
    }

    async fn migrate(&self) -> Result<()> {
        Ok(())
    }

    fn watch(&self, queues: &[Queue]) -> Wakeups {
        self.parts[0].watch(queues)
    }

    fn durability(&self) -> Durability {
        self.parts[0].durability()
    }

    fn part_of(&self, task: &NewTask) -> Option<usize> {
        Some(self.home(task))
    }

    fn parts(&self) -> Vec<Arc<dyn TaskStore>> {
        if self.parts.len() == 1 {
            return Vec::new();
        }
        let part = |part: &Link| -> Arc<dyn TaskStore> { Arc::new(part.clone()) };
        self.parts.iter().map(part).collect()
    }
}
