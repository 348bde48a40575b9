//! One caller of a client: it enqueues a task and reads it back.

use std::sync::Arc;

use retry_core::client::{Client, Error};
use retry_core::draft::Draft;
use retry_core::seams::{Random as _, SeededRandom};
use retry_core::store::{Inserted, StoreError};

use super::Plan;
use super::ledger::Ledger;
use super::tries::Tries;
use crate::fixture::json;
use crate::verdict::{Failure, Verdict};

pub(super) struct Enqueuer {
    plan: Plan,
    number: usize,
    random: SeededRandom,
    ledger: Arc<Ledger>,
}

impl Enqueuer {
    pub(super) fn new(plan: &Plan, number: usize, ledger: Arc<Ledger>) -> Self {
        let seed = plan.seed.wrapping_mul(1_000_003).wrapping_add(number as u64);
        Self {
            plan: plan.clone(),
            number,
            random: SeededRandom::new(seed),
            ledger,
        }
    }

    pub(super) async fn live(self, client: Client) -> Verdict {
        let mut round = 0;
        while !self.ledger.is_over() && self.plan.rounds.is_none_or(|most| round < most) {
            round += 1;
            self.enqueue(&client, round).await?;
        }
        Ok(())
    }

    /// A unique key makes one task of an enqueue that is made again, as a program would have it.
    async fn enqueue(&self, client: &Client, round: usize) -> Verdict {
        let key = format!("{}-{round}", self.number);
        let draft = Draft::raw("work", json("{\"to\":\"Zoë\"}")).unique(&key);
        let (plan, ledger) = (&self.plan, &*self.ledger);
        let random = || self.random.next_u64();
        let mut tries = Tries::new("enqueue", plan, ledger);
        let call = || {
            let draft = draft.clone();
            async move { client.enqueue(draft).await.map_err(store_error) }
        };
        let enqueued = tries.all(random, call).await?;
        let is_right = match enqueued.inserted {
            Inserted::New { leased } => !leased,
            Inserted::Repeated => true,
            Inserted::Duplicate { .. } => tries.is_unknown,
            _ => false,
        };
        if !is_right {
            let given = format!("{enqueued:?}");
            return Err(Failure::new(
                "L2",
                "an enqueue",
                given,
                "a new task, or the one of an earlier sending",
            ));
        }
        ledger.note_inserted(enqueued.id);
        let mut tries = Tries::new("get", plan, ledger);
        let call = || async move { client.get(enqueued.id).await.map_err(store_error) };
        let found: Option<_> = tries.all(random, call).await?;
        if found.is_none() {
            let given = format!("{} is not there", enqueued.id);
            return Err(Failure::new(
                "L11",
                "a read after an enqueue",
                given,
                "the caller's own completed write",
            ));
        }
        Ok(())
    }
}

fn store_error(error: Error) -> StoreError {
    match error {
        Error::Store(error) => error,
        other => StoreError::invalid(other.to_string()),
    }
}
