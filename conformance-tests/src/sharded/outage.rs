//! Cases of one part that does not answer: only its own tasks feel it, and the answers say so.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use libtest_mimic::Trial;
use retry_core::clock::ManualClock;
use retry_core::limits::{PART_FAILURES, PART_LONGEST_PAUSE};
use retry_core::machine::Event;
use retry_core::store::{Applied, Certainty, CountScope, Inserted, Page, TaskFilter, TaskStore};
use retry_core::task::NewTask;

use super::Sharded;
use super::switch::{State, Switch};
use crate::fixture::Fixture;
use crate::harness::Harness as _;
use crate::runner::{self, Unpassed};
use crate::verdict::{Failure, Verdict, equal, holds};

/// A store of parts that can be switched off.
#[derive(Debug)]
pub struct Outage {
    f: Fixture,
    store: Arc<dyn TaskStore>,
    parts: Vec<Switch>,
}

/// A case.
#[derive(Debug)]
pub struct OutageCase {
    /// What it shows.
    pub name: &'static str,
    run: for<'o> fn(&'o mut Outage) -> BoxFuture<'o, Verdict>,
}

macro_rules! cases {
    ($($name:ident)*) => {
        &[$(OutageCase { name: stringify!($name), run: |outage| Box::pin($name(outage)) },)*]
    };
}

/// All of them.
pub const CASES: &[OutageCase] = cases! {
    an_insert_says_what_was_not_tried
    edits_say_what_was_not_tried
    reads_name_the_missing_part
    a_dead_part_is_not_called
    a_part_that_returns_is_used_again
    an_unknown_part_is_an_unknown_whole
};

const NEW: Inserted = Inserted::New { leased: false };

/// The cases as tests.
#[must_use]
pub fn trials(harness: &Arc<Sharded>) -> Vec<Trial> {
    let trial = |case: &'static OutageCase| {
        let harness = Arc::clone(harness);
        let name = format!("{}::outage::{}", harness.name(), case.name);
        Trial::ignorable_test(name, move || runner::completion(&*harness, run(&harness, case)))
    };
    CASES.iter().map(trial).collect()
}

/// Runs one case.
///
/// # Errors
/// It was skipped, or it failed.
pub fn run(harness: &Arc<Sharded>, case: &'static OutageCase) -> Result<(), Unpassed> {
    let runtime = runner::runtime();
    let verdict = runtime.block_on(async {
        let clock = ManualClock::new();
        let (f, store, parts) = harness.switched(clock).await.map_err(Unpassed::Skipped)?;
        let mut outage = Outage { f, store, parts };
        (case.run)(&mut outage).await.map_err(|failure| {
            let trail = outage.f.trail();
            Unpassed::from(Failure { trail, ..failure })
        })
    });
    runtime.shutdown_background();
    verdict
}

impl Outage {
    /// A task for each part.
    fn one_each(&mut self) -> Vec<NewTask> {
        let count = self.parts.len();
        let mut homes: Vec<Option<NewTask>> = vec![None; count];
        while homes.iter().any(Option::is_none) {
            let task = self.f.task();
            let home = self.store.part_of(task.id.shard()).unwrap_or_default();
            homes[home].get_or_insert(task);
        }
        homes.into_iter().flatten().collect()
    }

    /// What each part is to answer while the first does not.
    fn first_is<A: Clone>(&self, first: A, others: A) -> Vec<A> {
        let mut wanted = vec![others; self.parts.len()];
        wanted[0] = first;
        wanted
    }
}

/// L1: an insert over all parts is New where its part answered and `NotTried` where it did not, and that is true.
async fn an_insert_says_what_was_not_tried(o: &mut Outage) -> Verdict {
    let tasks = o.one_each();
    o.parts[0].set(State::Off);
    let answers = o.f.insert(&tasks).await?;
    let wanted = o.first_is(Inserted::NotTried, NEW);
    equal("L1", "an insert while a part is off", answers, wanted)?;
    o.parts[0].set(State::On);
    o.f.advance(PART_LONGEST_PAUSE);
    for (task, stored) in tasks.iter().zip(o.first_is(false, true)) {
        equal(
            "L1",
            "whether it is stored",
            o.f.get(task.id).await?.is_some(),
            stored,
        )?;
    }
    let again = o.f.insert(&tasks).await?;
    let wanted = o.first_is(NEW, Inserted::Repeated);
    equal("L1", "the insert sent again", again, wanted)?;
    o.parts.iter().for_each(|part| part.set(State::Off));
    let none = o.store.insert(&tasks, o.f.now()).await;
    let refused = none
        .as_ref()
        .is_err_and(|error| error.certainty() == Certainty::Rejected);
    holds(
        "L1",
        "an insert while all parts are off",
        refused,
        none,
        "an error: nothing was written",
    )
}

/// L6: so it is with edits.
async fn edits_say_what_was_not_tried(o: &mut Outage) -> Verdict {
    let tasks = o.one_each();
    o.f.insert(&tasks).await?;
    let mut edits = Vec::new();
    for new in &tasks {
        let task = o.f.task_now(new.id).await?;
        edits.push(o.f.decide(&task, Event::Cancel));
    }
    o.parts[0].set(State::Off);
    let applied = o.f.exchange(&edits, &[]).await?.applied;
    let wanted = o.first_is(Applied::NotTried, Applied::DONE);
    equal("L6", "edits while a part is off", applied, wanted)?;
    o.parts[0].set(State::On);
    o.f.advance(PART_LONGEST_PAUSE);
    let again = o.f.exchange(&edits, &[]).await?.applied;
    let wanted = o.first_is(Applied::DONE, Applied::Repeated);
    equal("L10", "the edits sent again", again, wanted)
}

/// L11: what is read without a part says so.
async fn reads_name_the_missing_part(o: &mut Outage) -> Verdict {
    let tasks = o.one_each();
    o.f.insert(&tasks).await?;
    o.parts[0].set(State::Off);
    let listed = o.store.list(&TaskFilter::default(), &Page::first(100)).await;
    let listed = o.f.answered("a listing".to_owned(), listed)?;
    let given = (listed.tasks.len(), listed.missing_parts);
    equal(
        "L11",
        "a listing while a part is off",
        given,
        (tasks.len() - 1, vec![0]),
    )?;
    let counts = o.store.count(&CountScope::default()).await;
    let counts = o.f.answered("a count".to_owned(), counts)?;
    let given = (counts.complete, counts.missing_parts);
    equal("L11", "a count while a part is off", given, (false, vec![0]))?;
    let missing: Vec<_> =
        o.f.queues()
            .await?
            .into_iter()
            .map(|queue| queue.missing_parts)
            .collect();
    equal("L11", "the queues while a part is off", missing, vec![vec![0]])?;
    let absent = o.store.get(tasks[0].id).await;
    holds(
        "L11",
        "a task of that part",
        absent.is_err(),
        absent,
        "an error: it may be there",
    )
}

/// L13: a part that does not answer is left alone, so that nobody waits for it.
async fn a_dead_part_is_not_called(o: &mut Outage) -> Verdict {
    let before = o.parts[0].calls();
    o.parts[0].set(State::Off);
    for _ in 0..20 {
        let tasks = o.one_each();
        let answers = o.f.insert(&tasks).await?;
        let wanted = o.first_is(Inserted::NotTried, NEW);
        equal("L1", "an insert while a part is off", answers, wanted)?;
    }
    let calls = o.parts[0].calls() - before;
    let most = PART_FAILURES as usize;
    holds(
        "L13",
        "calls of a part that is off",
        calls <= most,
        calls,
        &format!("at most {most}"),
    )
}

/// L1: a part that is back has its tasks again.
async fn a_part_that_returns_is_used_again(o: &mut Outage) -> Verdict {
    o.parts[0].set(State::Off);
    for _ in 0..10 {
        let tasks = o.one_each();
        o.f.insert(&tasks).await?;
        o.f.advance(PART_LONGEST_PAUSE);
    }
    o.parts[0].set(State::On);
    o.f.advance(PART_LONGEST_PAUSE);
    let tasks = o.one_each();
    let answers = o.f.insert(&tasks).await?;
    equal(
        "L1",
        "an insert after the part is back",
        answers,
        vec![NEW; tasks.len()],
    )
}

/// L10: if it is unknown what a part wrote, so it is of the whole, and repeating it converges.
async fn an_unknown_part_is_an_unknown_whole(o: &mut Outage) -> Verdict {
    let tasks = o.one_each();
    o.parts[0].set(State::Mute);
    let answer = o.store.insert(&tasks, o.f.now()).await;
    let unknown = answer
        .as_ref()
        .is_err_and(|error| error.certainty() == Certainty::Unknown);
    holds(
        "L10",
        "an insert with a lost answer",
        unknown,
        answer,
        "an unknown outcome",
    )?;
    o.parts[0].set(State::On);
    let again = o.f.insert(&tasks).await?;
    equal(
        "L10",
        "the insert sent again",
        again,
        vec![Inserted::Repeated; tasks.len()],
    )
}
