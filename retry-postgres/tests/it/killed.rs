//! Connections that are ended under load, again and again: every error is typed, and nothing that was answered is lost.

use std::sync::Arc;
use std::time::Duration;

use conformance_tests::crowd::{Crowd, Plan};
use retry_core::clock::SystemClock;
use retry_core::store::{StoreError, StoreErrorKind, TaskStore};
use retry_postgres::PostgresStore;

use test_servers::Address;

use crate::Test;
use crate::support::{Env, NOW, block_on, number, until};

pub(crate) const TESTS: &[(&str, Test)] = &[(
    "killed::connections_that_end_under_load_lose_nothing",
    connections_that_end_under_load_lose_nothing,
)];

/// How often all connections are ended.
const ROUNDS: usize = 30;

/// Calls that are answered between two rounds.
const BETWEEN: u64 = 20;

/// A call waits for a connection this long at most, and none here takes anything like it.
pub(crate) const LONG: Duration = Duration::from_secs(10);

/// An error that passes: the server is away, or has too much to do.
pub(crate) fn passes(error: &StoreError) -> bool {
    matches!(error.kind(), StoreErrorKind::Unavailable | StoreErrorKind::Busy)
}

pub(crate) fn plan(callers: usize, rounds: Option<usize>) -> Plan {
    Plan {
        callers,
        rounds,
        allowed: passes,
        now: NOW,
        seed: 41,
        clock: Arc::new(SystemClock::new()),
    }
}

fn connections_that_end_under_load_lose_nothing(env: Arc<Env>) {
    block_on(async move {
        // Its connections are known by their name, whatever they do.
        let (_, schema) = env.builder();
        let option = format!("application_name={schema}");
        let named = Address::of(&env.url).option(&option).to_string();
        let builder = PostgresStore::builder(&named).schema(&schema);
        let store: Arc<dyn TaskStore> = Arc::new(builder.connect().await.unwrap());
        let crowd = Crowd::on(&plan(16, None), &store);
        let mut conn = env.beside().await;
        let named = format!("FROM pg_stat_activity WHERE application_name = '{schema}'");
        let mut ended = 0;
        for _ in 0..ROUNDS {
            crowd.answered(BETWEEN).await;
            ended += number(
                &mut conn,
                format!("SELECT count(pg_terminate_backend(pid)) {named}"),
            )
            .await;
        }
        // Nobody restarts anything: the callers' next calls go out on new connections.
        crowd.answered(8 * BETWEEN).await;
        let account = crowd.leave().await.unwrap_or_else(|failure| panic!("{failure}"));
        assert!(ended > 100, "{ended} connections were ended");
        assert!(account.failures(&[StoreErrorKind::Unavailable]) > 0, "{account}");
        assert!(account.slowest < LONG, "{account}");
        let open = format!("SELECT count(*) {named} AND xact_start IS NOT NULL");
        until(&mut conn, open, |transactions| transactions == 0).await;
        let audited = account.audit(&*store, NOW).await;
        audited.unwrap_or_else(|failure| panic!("{failure}\n{account}"));
    });
}
