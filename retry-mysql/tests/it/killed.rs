//! Connections that are ended under load, again and again: every error is typed, and nothing that was answered is lost.

use std::sync::Arc;
use std::time::Duration;

use conformance_tests::crowd::{Crowd, Plan};
use retry_core::clock::SystemClock;
use retry_core::store::{StoreError, StoreErrorKind, TaskStore};
use test_servers::Shared;

use crate::innodb::transactions;
use crate::support::{NOW, fresh, until};

/// How often all connections are ended.
const ROUNDS: usize = 30;

/// Calls that are answered between two rounds.
const BETWEEN: u64 = 20;

/// A call waits for a connection this long at most, and none here takes anything like it.
const LONG: Duration = Duration::from_secs(10);

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
        seed: 42,
        clock: Arc::new(SystemClock::new()),
    }
}

pub(crate) async fn connections_that_end_under_load_lose_nothing(server: Arc<Shared>) {
    let (place, store) = fresh(&server).await;
    let store: Arc<dyn TaskStore> = Arc::new(store);
    let crowd = Crowd::on(&plan(16, None), &store);
    let mut conn = place.connect().await;
    let open = format!(
        "SELECT CAST(id AS SIGNED) FROM information_schema.processlist WHERE db = '{}' AND id <> CONNECTION_ID()",
        place.name
    );
    let mut ended = 0;
    for _ in 0..ROUNDS {
        crowd.answered(BETWEEN).await;
        let ids: Vec<i64> = sqlx::query_scalar(sqlx::AssertSqlSafe(open.clone()))
            .fetch_all(&mut conn)
            .await
            .unwrap();
        for id in ids {
            // Others may have closed it meanwhile.
            let kill = sqlx::raw_sql(sqlx::AssertSqlSafe(format!("KILL {id}"))).execute(&mut conn);
            ended += usize::from(kill.await.is_ok());
        }
    }
    // Nobody restarts anything: the callers' next calls go out on new connections.
    crowd.answered(8 * BETWEEN).await;
    let account = crowd.leave().await.unwrap_or_else(|failure| panic!("{failure}"));
    assert!(ended > 100, "{ended} connections were ended");
    assert!(account.failures(&[StoreErrorKind::Unavailable]) > 0, "{account}");
    assert!(account.slowest < LONG, "{account}");
    until("no transaction is open", || {
        let place = &place;
        async move {
            transactions(&mut place.connect().await, &place.name)
                .await
                .is_empty()
        }
    })
    .await;
    let audited = account.audit(&*store, NOW).await;
    audited.unwrap_or_else(|failure| panic!("{failure}\n{account}"));
}
