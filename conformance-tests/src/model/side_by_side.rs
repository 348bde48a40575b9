//! Several stores as one: each call goes to all of them, and answers that differ are an error.
//!
//! What the contract leaves to a store is not compared: marks, `next_due` of a claim that met a limit, lost sessions that hold
//! nothing, queues without tasks or setting, and the texts of errors.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use retry_core::clock::ManualClock;
use retry_core::id::{SessionId, Shard, TaskId};
use retry_core::name::Queue;
use retry_core::store::{
    ClaimRequest, Claimed, CountScope, Counts, Durability, Exchanged, Expired, ExpiredRequest, Inserted,
    Listed, Page, QueueInfo, QueueSetting, Renewed, Result, Session, SessionInfo, StoreError, StoreErrorKind,
    TaskFilter, TaskStore, Wakeups,
};
use retry_core::task::{Edit, NewTask, TaskDetail};
use retry_core::time::Timestamp;

use super::compare::{limit_reached, sorted};
use crate::harness::{Capabilities, Harness, Instance, Skip};

/// A harness whose stores are those of other harnesses, called one after the other.
///
/// Run the generated histories on it ([`check`](super::check)): one history runs on all stores, and every answer is
/// compared with the others' and with the model's.
#[allow(missing_debug_implementations, reason = "a harness is no data")]
pub struct SideBySide {
    name: String,
    members: Vec<Arc<dyn Harness>>,
}

impl SideBySide {
    /// The stores of these harnesses.
    #[must_use]
    pub fn new(members: Vec<Arc<dyn Harness>>) -> Self {
        let names: Vec<&str> = members.iter().map(|member| member.name()).collect();
        Self {
            name: names.join("+"),
            members,
        }
    }
}

#[async_trait]
impl Harness for SideBySide {
    fn name(&self) -> &str {
        &self.name
    }

    fn capabilities(&self) -> Capabilities {
        let fewest = self
            .members
            .iter()
            .map(|member| member.capabilities().histories)
            .min();
        Capabilities::new().histories(fewest.unwrap_or_default())
    }

    async fn fresh(&self, clock: ManualClock) -> std::result::Result<Box<dyn Instance>, Skip> {
        let mut instances = Vec::with_capacity(self.members.len());
        for member in &self.members {
            instances.push((member.name().to_owned(), member.fresh(clock.clone()).await?));
        }
        Ok(Box::new(Together(instances)))
    }
}

struct Together(Vec<(String, Box<dyn Instance>)>);

impl Instance for Together {
    fn store(&self) -> Arc<dyn TaskStore> {
        let stores = self
            .0
            .iter()
            .map(|(name, instance)| (name.clone(), instance.store()));
        Arc::new(Several {
            members: Arc::new(stores.collect()),
            turn: Arc::default(),
        })
    }
}

type Members = Vec<(String, Arc<dyn TaskStore>)>;

struct Several {
    members: Arc<Members>,
    /// One call at a time, in the order in which they were made.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl fmt::Debug for Several {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.members.iter().map(|(name, _)| name))
            .finish()
    }
}

impl Several {
    /// The first answer, if the others say the same; `plain` leaves out what a store may choose.
    fn agreed<T: fmt::Debug + PartialEq + Clone>(
        &self,
        answers: Vec<Result<T>>,
        plain: impl Fn(&mut T),
    ) -> Result<T> {
        let plainly = |answer: &Result<T>| match answer {
            Ok(answer) => {
                let mut answer = answer.clone();
                plain(&mut answer);
                Ok(answer)
            }
            Err(error) => Err((error.certainty(), error.kind())),
        };
        let first = plainly(&answers[0]);
        for ((name, _), other) in self.members.iter().zip(&answers).skip(1) {
            let other = plainly(other);
            if other != first {
                let text = format!(
                    "the stores differ: {} answers {first:?}, {name} answers {other:?}",
                    self.members[0].0
                );
                return Err(StoreError::unknown(StoreErrorKind::Other, text));
            }
        }
        answers.into_iter().next().expect("at least one store")
    }
}

/// Asks every store and gives the agreed answer. A call that is dropped goes on: else some stores would have seen it and
/// others not.
macro_rules! ask {
    ($self:ident, [$($name:ident = $own:expr),*], |$store:ident| $call:expr) => {
        ask!($self, [$($name = $own),*], |$store| $call, |_| {})
    };
    ($self:ident, [$($name:ident = $own:expr),*], |$store:ident| $call:expr, $plain:expr) => {{
        let turn = Arc::clone(&$self.turn).lock_owned().await;
        let members = Arc::clone(&$self.members);
        $(let $name = $own;)*
        let asked = tokio::spawn(async move {
            let _turn = turn;
            let mut answers = Vec::with_capacity(members.len());
            for (_, $store) in members.iter() {
                answers.push($call.await);
            }
            answers
        });
        let answers = asked.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        $self.agreed(answers, $plain)
    }};
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl TaskStore for Several {
    async fn insert(&self, tasks: &[NewTask], now: Timestamp) -> Result<Vec<Inserted>> {
        ask!(self, [tasks = tasks.to_vec()], |store| store.insert(&tasks, now))
    }

    async fn exchange(&self, edits: &[Edit], claims: &[ClaimRequest], now: Timestamp) -> Result<Exchanged> {
        ask!(
            self,
            [edits = edits.to_vec(), asked_for = claims.to_vec()],
            |store| store.exchange(&edits, &asked_for, now),
            |answer: &mut Exchanged| {
                for (request, claimed) in claims.iter().zip(&mut answer.claimed) {
                    plain_claim(request, claimed);
                }
            }
        )
    }

    async fn open_session(&self, info: &SessionInfo, until: Timestamp, now: Timestamp) -> Result<()> {
        ask!(self, [info = info.clone()], |store| store
            .open_session(&info, until, now))
    }

    async fn renew(&self, session: SessionId, until: Timestamp, now: Timestamp) -> Result<Renewed> {
        ask!(
            self,
            [],
            |store| store.renew(session, until, now),
            |answer: &mut Renewed| {
                *answer = sorted(answer.clone());
            }
        )
    }

    async fn close_session(&self, session: SessionId) -> Result<()> {
        ask!(self, [], |store| store.close_session(session))
    }

    async fn sessions(&self) -> Result<Vec<Session>> {
        ask!(self, [], |store| store.sessions(), |answer: &mut Vec<Session>| {
            answer.retain(|session| !session.lost);
            answer.sort_by_key(|session| session.info.id);
        })
    }

    async fn expired(&self, request: &ExpiredRequest, now: Timestamp) -> Result<Expired> {
        ask!(self, [request = *request], |store| store.expired(&request, now))
    }

    async fn get(&self, id: TaskId) -> Result<Option<TaskDetail>> {
        ask!(self, [], |store| store.get(id))
    }

    async fn list(&self, filter: &TaskFilter, page: &Page) -> Result<Listed> {
        ask!(self, [filter = filter.clone(), page = *page], |store| store
            .list(&filter, &page))
    }

    async fn count(&self, scope: &CountScope) -> Result<Counts> {
        ask!(self, [scope = scope.clone()], |store| store.count(&scope))
    }

    async fn purge(&self, now: Timestamp, limit: usize) -> Result<u64> {
        ask!(self, [], |store| store.purge(now, limit))
    }

    async fn set_queue(&self, queue: &Queue, setting: QueueSetting) -> Result<()> {
        ask!(self, [queue = queue.clone()], |store| store
            .set_queue(&queue, setting))
    }

    async fn queues(&self) -> Result<Vec<QueueInfo>> {
        ask!(self, [], |store| store.queues(), |answer: &mut Vec<QueueInfo>| {
            answer.retain(|info| info.paused || !info.lanes.is_empty());
            answer.sort_by(|a, b| a.queue.cmp(&b.queue));
            answer.iter_mut().for_each(|info| info.lanes.sort());
        })
    }

    async fn time(&self) -> Result<Timestamp> {
        self.members[0].1.time().await
    }

    async fn migrate(&self) -> Result<()> {
        ask!(self, [], |store| store.migrate())
    }

    fn watch(&self, queues: &[Queue]) -> Wakeups {
        self.members[0].1.watch(queues)
    }

    fn durability(&self) -> Durability {
        self.members[0].1.durability()
    }

    async fn time_of(&self, _: usize) -> Result<Timestamp> {
        self.time().await
    }

    fn part_of(&self, _: Shard) -> Option<usize> {
        None
    }

    fn parts(&self) -> Vec<Arc<dyn TaskStore>> {
        Vec::new()
    }
}

fn plain_claim(request: &ClaimRequest, claimed: &mut Claimed) {
    let full = claimed.tasks.len() == request.limit;
    if full || request.ids.is_some() || limit_reached(request, claimed) {
        claimed.next_due = None;
    }
    if request.ids.is_some() {
        claimed.tasks.sort_by_key(|claimed| claimed.task.id);
    }
    claimed.marks.clear();
}

#[cfg(test)]
mod tests {
    use retry_core::store::MemoryStore;

    use super::*;
    use crate::model::{Sort, check_seed};
    use crate::mutants::{MUTANTS, MutantHarness, RIGHT};
    use crate::runner::Unpassed;

    struct Plain;

    #[async_trait]
    impl Harness for Plain {
        fn name(&self) -> &'static str {
            "plain"
        }

        async fn fresh(&self, clock: ManualClock) -> std::result::Result<Box<dyn Instance>, Skip> {
            Ok(Box::new(Own(MemoryStore::with_clock(Arc::new(clock)))))
        }
    }

    struct Own(MemoryStore);

    impl Instance for Own {
        fn store(&self) -> Arc<dyn TaskStore> {
            Arc::new(self.0.clone())
        }
    }

    fn beside(other: Arc<dyn Harness>) -> std::result::Result<(), Unpassed> {
        let both: Arc<dyn Harness> = Arc::new(SideBySide::new(vec![Arc::new(Plain), other]));
        check_seed(&both, Sort::Sequential, 0, 100).map(drop)
    }

    #[test]
    fn right_stores_agree() {
        assert_eq!(beside(Arc::new(MutantHarness(&RIGHT))), Ok(()));
    }

    #[test]
    fn a_store_that_answers_otherwise_is_named() {
        let mutant = MUTANTS
            .iter()
            .find(|mutant| mutant.found_by.contains(&Sort::Sequential))
            .expect("one is found by histories");
        let broken = beside(Arc::new(MutantHarness(mutant))).expect_err("it answers otherwise");
        let Unpassed::Failed(failure) = broken else {
            panic!("it was not skipped");
        };
        assert!(
            failure.given.contains("the stores differ: plain answers"),
            "{failure}"
        );
    }
}
