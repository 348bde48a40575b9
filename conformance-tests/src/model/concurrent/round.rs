//! Runs concurrent histories: alone as any other history, together and then checked for a witness.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use retry_core::store::{StoreError, TaskStore};
use retry_core::time::Timestamp;

use super::clients::{Client, Planned, Record};
use super::interleave::{draw, in_turns, on_threads};
use super::plan::{Act, Part, Round};
use super::witness::{Found, Search, Stored};
use crate::harness::Harness;
use crate::model::call::Call;
use crate::model::history::{Features, History};
use crate::model::world::Step;
use crate::model::{features, history};
use crate::runner::Unpassed;
use crate::verdict::{Failure, Verdict};

/// Calls of a round; the mask of the search has as many bits.
const MAX_CALLS: usize = 60;

/// Tasks that a client settles of one claim.
const SETTLED: usize = 10;

/// Runs a concurrent history on a fresh store and tells what happened in it.
///
/// # Errors
/// There is no store, or its answers have no sequential order.
pub(crate) async fn run(harness: &dyn Harness, parts: &[Part]) -> Result<Features, Unpassed> {
    let mut history = History::start(harness).await?;
    for part in parts {
        match part {
            Part::Alone(ops) => {
                for op in ops {
                    history = history.op(op).await.map_err(Unpassed::from)?;
                }
            }
            Part::Together(_) if history.over => {}
            Part::Together(round) => {
                let verdict = history.round(round).await;
                verdict.map_err(|failure| Unpassed::from(history.explained(failure)))?;
            }
        }
    }
    history.end().await.map_err(Unpassed::from)
}

impl History {
    async fn round(&mut self, round: &Round) -> Verdict {
        let records = self.together(round).await;
        let stored = self.everything().await?;
        let heading = format!("{} clients at once:", round.clients.len());
        self.trail.push(heading);
        let mut in_order: Vec<&Record> = records.iter().collect();
        in_order.sort_by_key(|record| record.called);
        self.trail.extend(in_order.iter().map(|record| record.describe()));
        for record in &records {
            if let Ok(answer) = &record.answer {
                features::of_answer(answer, &mut self.features);
            }
        }
        let overlapped = records.iter().any(|record| {
            records
                .iter()
                .any(|other| other.called != record.called && other.overlaps(record))
        });
        if overlapped {
            self.features.insert("calls that overlap".to_owned());
        }
        let before = self.world.model.clone();
        match Search::new(&records, &before, &stored).run(&before) {
            Found::Order(model) => {
                self.world.model = *model;
                Ok(())
            }
            Found::Unknown => {
                // Which order was taken is not known, but what is stored is: the history ends here.
                self.features.insert("a search given up".to_owned());
                self.over = true;
                Ok(())
            }
            Found::None(order, refused) => Err(report(&records, &order, refused)),
        }
    }

    /// Runs the clients of a round at once, half of them on another handle if there is one.
    async fn together(&mut self, round: &Round) -> Vec<Record> {
        let count = Arc::new(AtomicU64::new(0));
        let mut random = round.schedule;
        let mut left = MAX_CALLS;
        let mut clients: Vec<BoxFuture<'static, Vec<Record>>> = Vec::new();
        for (number, acts) in round.clients.iter().enumerate() {
            let mut plan = self.plan(acts);
            // One that claims and settles makes two calls.
            plan.truncate(left / 2);
            left -= 2 * plan.len();
            let client = Client {
                number,
                store: self.handle(number).await,
                now: skewed(self.world.now(), draw(&mut random)),
                plan,
                count: Arc::clone(&count),
            };
            clients.push(client.work().boxed());
        }
        let ended = if round.schedule.is_multiple_of(2) {
            in_turns(clients, round.schedule).await
        } else {
            on_threads(clients).await
        };
        ended.concat()
    }

    async fn handle(&mut self, number: usize) -> Arc<dyn TaskStore> {
        if !self.can_peer || number.is_multiple_of(2) {
            return Arc::clone(&self.store);
        }
        if self.peer.is_none() {
            self.peer = Some(self.instance.peer().await);
        }
        Arc::clone(self.peer.as_ref().unwrap_or(&self.store))
    }

    fn plan(&mut self, acts: &[Act]) -> Vec<Planned> {
        let mut plan = Vec::new();
        for act in acts {
            match act {
                Act::Op(op) => {
                    plan.extend(self.world.resolve(op).into_iter().filter_map(|step| match step {
                        Step::Call(call) => Some(Planned::Call(call)),
                        _ => None,
                    }))
                }
                Act::ClaimAndSettle(claim, edits) => {
                    let nonces = (0..SETTLED).map(|_| self.world.names.nonce()).collect();
                    let request = self.world.claim(claim);
                    plan.extend(request.map(|request| {
                        let claim = Call::Exchange(Vec::new(), vec![request]);
                        Planned::ClaimAndSettle(claim, edits.clone(), nonces)
                    }));
                }
            }
        }
        plan
    }

    async fn everything(&self) -> Verdict<Stored> {
        let rows = history::list_all(&*self.store).await?;
        let mut details = Vec::new();
        for row in rows.into_iter().rev() {
            let found = self.store.get(row.task.id).await;
            let found = found.map_err(|error| Failure::call("a get after concurrent calls", &error))?;
            details.extend(found);
        }
        let failed = |error: StoreError| Failure::call("a read after concurrent calls", &error);
        Ok(Stored {
            details,
            queues: self.store.queues().await.map_err(failed)?,
            sessions: self.store.sessions().await.map_err(failed)?,
        })
    }
}

/// The clocks of clients differ by a little.
fn skewed(now: Timestamp, random: usize) -> Timestamp {
    match random % 6 {
        0 => now.saturating_add(Duration::from_millis(1)),
        1 => now.saturating_add(Duration::from_secs(2)),
        2 => now.saturating_sub(Duration::from_secs(1)),
        _ => now,
    }
}

fn report(records: &[Record], order: &[usize], refused: Vec<Failure>) -> Failure {
    let law = refused.first().map_or("L6", |failure| failure.law.as_str());
    let made: Vec<String> = order
        .iter()
        .map(|index| {
            let record = &records[*index];
            format!("client {} [{}–{}]", record.client, record.called, record.returned)
        })
        .collect();
    let given: Vec<String> = refused
        .iter()
        .map(|failure| {
            format!(
                "{}: {} instead of {}",
                failure.what, failure.given, failure.allowed
            )
        })
        .collect();
    Failure::new(
        law,
        "concurrent calls: whether some order of them, each between its beginning and its end, explains the answers",
        format!(
            "none. The longest order that fits: [{}]; then every next call is wrong: {}",
            made.join(", "),
            given.join(" | ")
        ),
        "answers as of one call after the other; a claim may leave out what an overlapping call touches",
    )
}
