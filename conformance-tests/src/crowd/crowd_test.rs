//! A crowd passes the right store and finds broken ones.

use std::sync::Arc;
use std::time::Duration;

use retry_core::client::Client;
use retry_core::clock::{ManualClock, SystemClock};
use retry_core::store::{StoreError, StoreErrorKind, TaskStore};

use super::{Crowd, Plan};
use crate::harness::Harness as _;
use crate::mutants::{MUTANTS, Mutant, MutantHarness, RIGHT};
use crate::verdict::Verdict;

fn is_busy(error: &StoreError) -> bool {
    error.kind() == StoreErrorKind::Busy
}

fn plan() -> Plan {
    Plan {
        callers: 8,
        rounds: Some(40),
        allowed: is_busy,
        now: ManualClock::START,
        seed: 1,
        clock: Arc::new(SystemClock::new()),
    }
}

async fn store(mutant: &'static Mutant) -> Arc<dyn TaskStore> {
    let fresh = MutantHarness(mutant).fresh(ManualClock::new()).await;
    fresh
        .unwrap_or_else(|_| panic!("a store in memory is always there"))
        .store()
}

async fn verdict(store: Arc<dyn TaskStore>) -> Verdict {
    let account = Crowd::on(&plan(), &store).ended().await?;
    account.audit(&*store, ManualClock::START).await
}

#[tokio::test]
async fn the_right_store_passes() {
    let store = store(&RIGHT).await;
    let account = Crowd::on(&plan(), &store).ended().await.unwrap();
    assert!(account.calls > 8 * 80, "{account}");
    account.audit(&*store, ManualClock::START).await.unwrap();
}

#[tokio::test]
async fn what_a_client_enqueues_is_there() {
    let store = store(&RIGHT).await;
    let client = Client::of(Arc::clone(&store));
    let crowd = Crowd::through(&plan(), &client);
    crowd.answered(100).await;
    let account = crowd.leave().await.unwrap();
    assert!(account.tasks.len() >= 50, "{account}");
    // A client's tasks are due by its own clock.
    let later = ManualClock::START.saturating_add(Duration::from_hours(1));
    account.audit(&*store, later).await.unwrap();
}

#[tokio::test]
async fn broken_stores_are_found() {
    for name in [
        "drops_every_third_task",
        "claims_twice",
        "busy_but_written",
        "renew_creates",
    ] {
        let mutant = MUTANTS.iter().find(|mutant| mutant.name == name).unwrap();
        let verdict = verdict(store(mutant).await).await;
        // The last one breaks what no caller of a crowd does.
        assert_eq!(verdict.is_ok(), name == "renew_creates", "{name}");
    }
}
