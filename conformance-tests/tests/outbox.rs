//! The checks of an outbox's table: on the one in memory, and on broken ones, each of which one case has to reject.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use conformance_tests::Skip;
use conformance_tests::outbox::mutants::{MUTANTS, Mutant};
use conformance_tests::outbox::{CASES, Case, OutboxHarness, OutboxInstance, Transaction, run_case, trials};
use libtest_mimic::{Arguments, Failed, Trial};
use retry_core::id::TaskId;
use retry_core::outbox::{
    MemoryOutbox, MemoryOutboxTransaction, NewRow, OutboxName, OutboxTable, WriteOutbox as _,
};
use retry_core::store::Result as StoreResult;

struct Memory;

#[async_trait]
impl OutboxHarness for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    async fn fresh(&self) -> Result<Box<dyn OutboxInstance>, Skip> {
        Ok(Box::new(Fresh(MemoryOutbox::new(
            OutboxName::new("memory").expect("a name"),
        ))))
    }
}

struct Fresh(MemoryOutbox);

#[async_trait]
impl OutboxInstance for Fresh {
    fn table(&self) -> Arc<dyn OutboxTable> {
        Arc::new(self.0.clone())
    }

    async fn begin(&self) -> Box<dyn Transaction> {
        Box::new(Open(self.0.clone(), self.0.begin()))
    }

    async fn aside(&self) -> Vec<TaskId> {
        self.0.aside().iter().map(|(row, _)| row.row.id).collect()
    }
}

struct Open(MemoryOutbox, MemoryOutboxTransaction);

#[async_trait]
impl Transaction for Open {
    async fn write(&mut self, rows: Vec<NewRow>) -> StoreResult<()> {
        self.0.write(&mut self.1, Ok(rows), |answer| answer)
    }

    async fn commit(self: Box<Self>) {
        self.1.commit();
    }

    async fn roll_back(self: Box<Self>) {
        self.1.rollback();
    }
}

/// Whether the case that is meant to catch a mutant rejects it.
fn rejected(mutant: Mutant, by: &str) -> Result<(), Failed> {
    let case: &'static Case = CASES
        .iter()
        .find(|case| case.name == by)
        .ok_or_else(|| Failed::from(format!("there is no case {by}")))?;
    let harness: Arc<dyn OutboxHarness> = Arc::new(mutant);
    match catch_unwind(AssertUnwindSafe(|| run_case(&harness, case))) {
        Err(_) => Ok(()),
        Ok(Ok(())) => Err(Failed::from(format!("{mutant:?} passes {by}"))),
        Ok(Err(other)) => Err(Failed::from(format!("{mutant:?}: {other:?}"))),
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mutants = MUTANTS
        .iter()
        .map(|(mutant, by)| Trial::test(format!("mutant::{mutant:?}"), move || rejected(*mutant, by)));
    let all = trials(Arc::new(Memory)).into_iter().chain(mutants).collect();
    libtest_mimic::run(&arguments, all).exit_code()
}
