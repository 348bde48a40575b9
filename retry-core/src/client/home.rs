//! The parts of the store as a client sees them: each with its own clock, and its own way for single enqueues, so that one
//! that is slow or silent holds up its own tasks only.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;

use super::Shared;
use super::coalescer::Coalescer;
use super::enqueue::is_silence;
use crate::clock::{Clock as _, SyncedClock};
use crate::draft::{Draft, InvalidTask};
use crate::id::{Shard, TaskIds};
use crate::store::{self, StoreError};
use crate::task::NewTask;
use crate::time::Timestamp;

/// A reading of the store's clock that took longer is worth less than an old one.
const SLOWEST_READING: Duration = Duration::from_secs(2);

/// A part of the store, or the whole of one that has no parts.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) clock: Arc<SyncedClock>,
    pub(super) coalescer: Coalescer,
}

/// Parts that do not answer, with what they were told to have said.
pub(super) type Silent = BTreeMap<usize, StoreError>;

/// Where a new task goes, and what time it is there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) shard: Shard,
    pub(super) now: Timestamp,
    /// For its id.
    random: u64,
}

impl Shared {
    /// The number of the part that keeps the tasks of a slot.
    pub(super) fn part(&self, shard: Shard) -> usize {
        match self.homes.len() {
            1 => 0,
            homes => self
                .store
                .part_of(shard)
                .filter(|part| *part < homes)
                .unwrap_or(0),
        }
    }

    pub(super) fn home(&self, shard: Shard) -> &Home {
        &self.homes[self.part(shard)]
    }

    /// The clock of a task's part.
    pub(super) fn clock(&self, shard: Shard) -> &SyncedClock {
        &self.home(shard).clock
    }

    /// The time of the part that keeps the tasks of a slot. Asks it when the last answer is old; one that fails to answer
    /// is not asked twice as long as an old answer is there.
    pub(super) async fn now(&self, shard: Shard) -> store::Result<Timestamp> {
        self.now_of(self.part(shard)).await
    }

    async fn now_of(&self, part: usize) -> store::Result<Timestamp> {
        let clock = &self.homes[part].clock;
        match self.read_clock(part).await {
            Err(error) if !clock.is_synced() => return Err(error),
            Err(error) => tracing::debug!(%error, "the store's clock was not read; the last reading is used"),
            Ok(()) => {}
        }
        Ok(clock.now())
    }

    /// Asks a part for its time when the last answer is old.
    async fn read_clock(&self, part: usize) -> store::Result<()> {
        let clock = &self.homes[part].clock;
        if clock.is_due() {
            let sent = clock.monotonic();
            let time = self.store.time_of(part).await?;
            let received = clock.monotonic();
            // A reading is as uncertain as half the delay of its answer.
            if received.saturating_since(sent) <= SLOWEST_READING || !clock.is_synced() {
                clock.record(time, sent, received);
            }
        }
        Ok(())
    }

    /// The time of the first part that tells it.
    pub(super) async fn any_now(&self) -> store::Result<Timestamp> {
        let mut now = self.now_of(0).await;
        for part in 1..self.homes.len() {
            if now.is_ok() {
                break;
            }
            now = self.now_of(part).await;
        }
        now
    }

    /// Where the task of a draft goes: where its keys ask for, else anywhere but to the parts in `avoid`.
    pub(super) async fn place(&self, draft: &Draft, avoid: &[usize]) -> store::Result<Place> {
        let random = self.random.next_u64();
        let (shard, now) = match draft.shard() {
            Some(shard) => (shard, self.now(shard).await?),
            None => self.anywhere(random, avoid.to_vec()).await?,
        };
        Ok(Place { shard, now, random })
    }

    /// A slot for a task without a key, of a part that tells its time.
    async fn anywhere(&self, random: u64, mut avoid: Vec<usize>) -> store::Result<(Shard, Timestamp)> {
        if self.homes.len() == 1 {
            let now = self.now_of(0).await?;
            return Ok((self.spread(now, random, &[]), now));
        }
        let now = self.some_now().await?;
        loop {
            let shard = self.spread(now, random, &avoid);
            let part = self.part(shard);
            match self.now_of(part).await {
                Ok(now) => return Ok((shard, now)),
                Err(error) if avoid.contains(&part) => return Err(error),
                Err(_) => avoid.push(part),
            }
        }
    }

    /// The time of some part, asking none that might be slow as long as another has told it.
    async fn some_now(&self) -> store::Result<Timestamp> {
        match self.homes.iter().find(|home| home.clock.is_synced()) {
            Some(home) => Ok(home.clock.now()),
            None => self.any_now().await,
        }
    }

    /// A slot for a task without a key: the next one that the client may use and that no part in `avoid` keeps.
    fn spread(&self, now: Timestamp, random: u64, avoid: &[usize]) -> Shard {
        let drawn = self.ids().spread(now, random);
        let suits = |shard: &Shard| self.is_own(*shard) && !avoid.contains(&self.part(*shard));
        let mut from_there = (0..Shard::COUNT).map(|step| Shard::new(drawn.number() + step));
        from_there.find(suits).unwrap_or(drawn)
    }

    fn is_own(&self, shard: Shard) -> bool {
        self.slots.as_ref().is_none_or(|slots| slots.contains(shard))
    }

    /// The parts that some tasks ask for and that do not tell their time, all asked at once. They will not take the tasks
    /// either, and whoever sends to one that hangs waits, and does not know in the end.
    pub(super) async fn silent(&self, drafts: &[Draft]) -> Silent {
        if self.homes.len() == 1 {
            return Silent::new();
        }
        let asked = drafts.iter().filter_map(Draft::shard);
        let asked: BTreeSet<usize> = asked.map(|shard| self.part(shard)).collect();
        let looks = asked.into_iter().map(|part| async move {
            let error = self.read_clock(part).await.err()?;
            is_silence(&error).then_some((part, error))
        });
        join_all(looks).await.into_iter().flatten().collect()
    }

    /// Where one of many tasks goes: where its keys ask for, also if that part is silent, else anywhere else.
    pub(super) async fn place_of_many(&self, draft: &Draft, silent: &mut Silent) -> store::Result<Place> {
        let Some(shard) = draft.shard() else {
            return self.place_anywhere(draft, silent).await;
        };
        let random = self.random.next_u64();
        let clock = self.clock(shard);
        let now = match self.homes.len() {
            1 => self.now(shard).await?,
            _ if clock.is_synced() => clock.now(),
            _ => self.some_now().await?,
        };
        Ok(Place { shard, now, random })
    }

    async fn place_anywhere(&self, draft: &Draft, silent: &mut Silent) -> store::Result<Place> {
        loop {
            let avoid: Vec<usize> = silent.keys().copied().collect();
            let place = self.place(draft, &avoid).await?;
            let part = self.part(place.shard);
            if self.homes.len() == 1 || silent.contains_key(&part) {
                return Ok(place);
            }
            match self.read_clock(part).await {
                Err(error) if is_silence(&error) => drop(silent.insert(part, error)),
                _ => return Ok(place),
            }
        }
    }

    /// The same without a round trip, at the time that `now` tells for the slot.
    pub(super) fn place_at(&self, draft: &Draft, now: impl Fn(Shard) -> Timestamp) -> Place {
        let random = self.random.next_u64();
        let (shard, now) = match draft.shard() {
            Some(shard) => (shard, now(shard)),
            None => {
                let first = Shard::default();
                let at = now(first);
                let shard = self.spread(at, random, &[]);
                match self.part(shard) == self.part(first) {
                    true => (shard, at),
                    false => (shard, now(shard)),
                }
            }
        };
        Place { shard, now, random }
    }

    fn ids(&self) -> MutexGuard<'_, TaskIds> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The task of a draft.
    ///
    /// # Errors
    /// It is invalid, or its keys belong to another part than the client's.
    pub(super) fn build(&self, draft: Draft, place: Place) -> Result<NewTask, InvalidTask> {
        if let Some(slots) = self.slots.as_ref().filter(|_| !self.is_own(place.shard)) {
            return Err(InvalidTask::OtherPart(slots.part().to_owned()));
        }
        let id = self.ids().next(place.now, place.shard, place.random);
        draft.build(id, place.now, self.random.next_u64(), None)
    }
}
