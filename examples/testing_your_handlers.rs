//! Handlers under test: hours of retries in milliseconds, and a crash at every place where one can come.
//!
//! ```sh
//! cargo run  --example testing_your_handlers --features testing
//! cargo test --example testing_your_handlers --features testing
//! ```
//!
//! Two handlers charge a customer. One asks the bank anew in every run; the kit finds where that charges twice. The other
//! sends the task's id along as an idempotency key, and passes everywhere.
#![expect(
    clippy::print_stdout,
    reason = "a program for the command line shows its result there"
)]

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use task_retry::testing::{TestKit, check_idempotent};
use task_retry::{Ctx, State, TaskPayload};

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Charge {
    cents: u64,
}

impl TaskPayload for Charge {
    const KIND: &'static str = "charge";
}

/// A bank that fails the first time, and knows idempotency keys.
#[derive(Debug, Clone, Default)]
struct Bank(Arc<Mutex<Ledger>>);

#[derive(Debug, Default)]
struct Ledger {
    requests: u32,
    charges: BTreeMap<String, u64>,
}

impl Bank {
    async fn charge(&self, key: String, cents: u64) -> io::Result<()> {
        tokio::task::yield_now().await; // the request travels
        {
            let mut ledger = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            ledger.requests += 1;
            if ledger.requests == 1 {
                return Err(io::Error::other("the bank is busy"));
            }
            ledger.charges.insert(key, cents);
        }
        tokio::task::yield_now().await; // the answer travels
        Ok(())
    }

    fn total(&self) -> u64 {
        let ledger = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ledger.charges.values().sum()
    }
}

/// A new key in every attempt: charges again whenever it runs again.
async fn careless(task: Charge, ctx: Ctx, State(bank): State<Bank>) -> io::Result<()> {
    bank.charge(format!("{}/{}", ctx.id(), ctx.version()), task.cents)
        .await
}

/// The same key for all attempts of a task.
async fn careful(task: Charge, ctx: Ctx, State(bank): State<Bank>) -> io::Result<()> {
    bank.charge(ctx.id().to_string(), task.cents).await
}

async fn charged_once(_: &TestKit, bank: &Bank) {
    assert_eq!(bank.total(), 990, "cents charged in all");
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    // The checks that fail on purpose shall speak through the report alone.
    std::panic::set_hook(Box::new(|_| {}));
    let world = async |kit: TestKit| {
        let bank = Bank::default();
        (kit.handler(careless).state(bank.clone()), bank)
    };
    match check_idempotent(world, Charge { cents: 990 }, charged_once).await {
        Ok(held) => println!("careless: held at {} places", held.tried.len()),
        Err(found) => println!("careless: {found}"),
    }
    let world = async |kit: TestKit| {
        let bank = Bank::default();
        (kit.handler(careful).state(bank.clone()), bank)
    };
    match check_idempotent(world, Charge { cents: 990 }, charged_once).await {
        Ok(held) => println!("careful: held at {} places: {:?}", held.tried.len(), held.tried),
        Err(found) => println!("careful: {found}"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use task_retry::TaskState;
    use task_retry::testing::{Fault, assert_idempotent, assert_idempotent_at};

    use super::*;

    #[tokio::test]
    async fn a_busy_bank_is_asked_again() {
        let bank = Bank::default();
        let kit = TestKit::new().handler(careful).state(bank.clone());
        let id = kit.enqueue(Charge { cents: 990 }).await;
        kit.assert_enqueued::<Charge>(|charge| charge.cents == 990);

        kit.advance(Duration::ZERO).await; // the first attempt fails; the next is due in a second
        kit.assert_state(id, TaskState::Pending);
        assert_eq!(kit.task(id).failures[0].error.as_str(), "the bank is busy");

        kit.drain().await.assert_done();
        kit.assert_state(id, TaskState::Succeeded);
        assert_eq!((bank.total(), kit.runs().len()), (990, 2));
    }

    #[tokio::test]
    async fn a_crash_charges_nobody_twice() {
        assert_idempotent(
            async |kit: TestKit| {
                let bank = Bank::default();
                (kit.handler(careful).state(bank.clone()), bank)
            },
            Charge { cents: 990 },
            charged_once,
        )
        .await;
    }

    #[tokio::test]
    #[should_panic(expected = "a crash at await point 3")]
    async fn the_careless_one_is_caught_when_the_answer_was_lost() {
        assert_idempotent_at(
            Fault::CrashAtAwait(3), // 1: the busy bank; 2 and 3: the request and its answer
            async |kit: TestKit| {
                let bank = Bank::default();
                (kit.handler(careless).state(bank.clone()), bank)
            },
            Charge { cents: 990 },
            charged_once,
        )
        .await;
    }
}
