//! A hand that drives a store: it builds tasks, inserts, claims and settles.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use retry_core::clock::{Clock as _, SystemClock};
use retry_core::draft::{Draft, TaskPayload as _};
use retry_core::id::{Nonce, SessionId, Shard, TaskIds};
use retry_core::machine::{Event, transition};
use retry_core::name::{Kind, Queue, WorkerName};
use retry_core::seams::{Random as _, SeededRandom};
use retry_core::store::{Applied, ClaimRequest, Inserted, SessionInfo, TaskStore};
use retry_core::task::{ClaimedTask, Edit, NewTask};
use retry_core::time::Timestamp;

use crate::args::Run;
use crate::full::BATCH;
use crate::job::{After, Job};
use crate::place::Place;

/// Longer than any repetition: nothing renews the session.
const LEASE: Duration = Duration::from_hours(1);

/// Drives a store by its contract.
#[derive(Debug)]
pub(crate) struct Hand {
    store: Arc<dyn TaskStore>,
    session: SessionId,
    queue: Queue,
    kind: Kind,
    random: SeededRandom,
    ids: TaskIds,
    clock: SystemClock,
}

impl Hand {
    /// A hand with an open session.
    pub(crate) async fn open(place: &Place, run: &Run) -> Result<Self> {
        let random = SeededRandom::new(run.seed.wrapping_add(2));
        let hand = Self {
            store: Arc::clone(place.store()),
            session: SessionId::from_random(random.next_u64(), random.next_u64()),
            queue: Queue::default(),
            kind: Kind::new(Job::KIND)?,
            random,
            ids: TaskIds::new(),
            clock: SystemClock::new(),
        };
        let info = SessionInfo {
            id: hand.session,
            name: WorkerName::new("hand")?,
            host: String::new(),
            queues: vec![hand.queue.clone()],
            kinds: vec![hand.kind.clone()],
        };
        let now = hand.clock.now();
        hand.store
            .open_session(&info, now.saturating_add(LEASE), now)
            .await?;
        Ok(hand)
    }

    pub(crate) const fn queue(&self) -> &Queue {
        &self.queue
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The tasks of drafts, ready to be inserted.
    pub(crate) fn build(
        &mut self,
        numbers: Range<usize>,
        draft: impl Fn(usize) -> Draft,
    ) -> Result<Vec<NewTask>> {
        let now = self.now();
        let build = |number| {
            let id = self.ids.next(now, Shard::default(), self.random.next_u64());
            Ok(draft(number).build(id, now, self.random.next_u64(), None)?)
        };
        numbers.map(build).collect()
    }

    /// Inserts tasks in one call.
    pub(crate) async fn insert(&self, tasks: &[NewTask]) -> Result<()> {
        let inserted = self.store.insert(tasks, self.now()).await?;
        let new = inserted
            .iter()
            .all(|inserted| matches!(inserted, Inserted::New { .. }));
        ensure!(new && inserted.len() == tasks.len(), "a task was not inserted");
        Ok(())
    }

    /// Inserts `n` tasks in batches.
    pub(crate) async fn insert_all(&mut self, n: usize, draft: impl Fn(usize) -> Draft) -> Result<()> {
        for start in (0..n).step_by(BATCH) {
            let tasks = self.build(start..n.min(start + BATCH), &draft)?;
            self.insert(&tasks).await?;
        }
        Ok(())
    }

    /// Settles tasks as succeeded and claims up to `limit` others, in one exchange.
    pub(crate) async fn exchange(&self, settled: &[ClaimedTask], limit: usize) -> Result<Vec<ClaimedTask>> {
        let now = self.now();
        let edit = |claimed: &ClaimedTask| {
            let event = Event::Succeed {
                output: None,
                via_fallback: false,
            };
            anyhow::Ok(Edit {
                id: claimed.task.id,
                version: claimed.task.version,
                nonce: Nonce::from_random(self.random.next_u64()),
                action: transition(&claimed.task, event, now, 0)?,
                insert: Vec::new(),
            })
        };
        let edits = settled.iter().map(edit).collect::<Result<Vec<_>>>()?;
        let claim = ClaimRequest::new(self.session, self.queue.clone(), [self.kind.clone()], limit);
        let answer = self.store.exchange(&edits, &[claim], now).await?;
        let done = answer
            .applied
            .iter()
            .all(|applied| matches!(applied, Applied::Done { .. }));
        ensure!(
            done && answer.applied.len() == edits.len(),
            "a task was not settled"
        );
        let claimed = answer
            .claimed
            .into_iter()
            .next()
            .context("no answer to a claim")?;
        ensure!(!claimed.session_lost, "the session was lost");
        Ok(claimed.tasks)
    }

    /// Claims and settles until nothing is due; answers how many tasks.
    pub(crate) async fn drain(&self) -> Result<usize> {
        let (mut drained, mut held) = (0, Vec::new());
        loop {
            let claimed = self.exchange(&held, BATCH).await?;
            drained += held.len();
            if claimed.is_empty() {
                return Ok(drained);
            }
            held = claimed;
        }
    }

    /// Inserts `n` tasks and settles them, to be kept.
    pub(crate) async fn finish(&mut self, n: usize) -> Result<()> {
        self.insert_all(n, |number| Job::draft(number, After::Keep))
            .await?;
        let finished = self.drain().await?;
        ensure!(finished == n, "{finished} of {n} tasks were finished");
        Ok(())
    }
}
