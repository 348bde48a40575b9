//! What a relay counts and measures.

use metrics_util::debugging::{DebugValue, DebuggingRecorder};

use super::harness::Office;
use super::poison::raw;
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

#[test]
fn hand_overs_are_counted_and_the_lag_is_shown() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    metrics::with_local_recorder(&recorder, || runtime.block_on(live(&Office::new())));
    let values = snapshotter.snapshot().into_vec();
    let value = |name: &str| {
        let named = |key: &metrics::Key| {
            let label = key.labels().map(|label| (label.key(), label.value()));
            key.name() == name && label.eq([("outbox", "orders")])
        };
        let mut found = values.iter().filter(|(key, ..)| named(key.key()));
        found.next().map(|(_, _, _, value)| match value {
            DebugValue::Counter(count) => count.to_string(),
            DebugValue::Gauge(value) => value.to_string(),
            DebugValue::Histogram(_) => "a histogram".to_owned(),
        })
    };
    assert_eq!(value("task_retry_outbox_handed_over_total").as_deref(), Some("4"));
    assert_eq!(value("task_retry_outbox_set_aside_total").as_deref(), Some("1"));
    assert_eq!(value("task_retry_outbox_waiting").as_deref(), Some("2"));
    let lag: f64 = value("task_retry_outbox_lag_seconds").unwrap().parse().unwrap();
    assert!((20.0..=31.0).contains(&lag), "{lag}");
}
