//! What a relay counts and measures.

use std::collections::BTreeMap;

use metrics_util::debugging::{DebugValue, DebuggingRecorder};

use super::harness::Office;
use super::poison::raw;
use crate::engine::tests::faulty::Fault;
use crate::engine::tests::harness::SECOND;

async fn live(office: &Office) {
    let relay = office.relay();
    office.commit_all(4);
    raw(office, b"no task");
    office.world.pass(SECOND * 5).await;
    // Of a relay that is gone, one that cannot work tells.
    relay.kill().await;
    office.commit_all(2);
    office.world.pass(SECOND * 20).await;
    let relay = office.lazy_relay();
    office.world.client.pause(&super::upkeep::queue()).await.unwrap();
    office.world.pass(SECOND * 10).await;
    relay.kill().await;
}

fn values_of(life: impl Future<Output = ()>) -> BTreeMap<String, f64> {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    metrics::with_local_recorder(&recorder, || runtime.block_on(life));
    let values = snapshotter.snapshot().into_vec().into_iter();
    let of_orders = values.filter_map(|(key, _, _, value)| {
        let key = key.key();
        let label = key.labels().map(|label| (label.key(), label.value()));
        let value = match value {
            DebugValue::Counter(count) => count as f64,
            DebugValue::Gauge(value) => value.into_inner(),
            DebugValue::Histogram(_) => return None,
        };
        label
            .eq([("outbox", "orders")])
            .then(|| (key.name().to_owned(), value))
    });
    of_orders.collect()
}

#[test]
fn hand_overs_are_counted_and_the_lag_is_shown() {
    let values = values_of(live(&Office::new()));
    assert_eq!(values["task_retry_outbox_handed_over_total"], 4.0);
    assert_eq!(values["task_retry_outbox_set_aside_total"], 1.0);
    assert_eq!(values["task_retry_outbox_waiting"], 2.0);
    let lag = values["task_retry_outbox_lag_seconds"];
    assert!((20.0..=31.0).contains(&lag), "{lag}");
}

/// It is what an outage of the store is noticed by.
#[test]
fn the_lag_is_shown_while_the_store_does_not_answer() {
    let values = values_of(async {
        let office = Office::new();
        let store = office.store();
        store.all(Some(Fault::Lost));
        office.commit_all(2);
        let relay = Office::start(office.builder(&store, &office.table()));
        office.world.pass(SECOND * 30).await;
        relay.kill().await;
    });
    assert_eq!(values["task_retry_outbox_waiting"], 2.0);
    let lag = values["task_retry_outbox_lag_seconds"];
    assert!((19.0..=30.0).contains(&lag), "{lag}");
}
