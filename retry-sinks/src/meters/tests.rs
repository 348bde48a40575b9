//! What a relay measures, seen through a recorder, and the page that lists it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use retry_core::client::Client;
use retry_core::clock::ManualClock;
use retry_core::store::MemoryStore;
use retry_core::time::Timestamp;

use super::names::{Metric, TABLE, Type};
use crate::{Answer, Message, MessageSink, Outgoing, Relay, RelayHandle, SinkQueue};

const STEP: Duration = Duration::from_millis(100);

/// What a recorder was told, by `name{label=value,…}`.
struct Told {
    snapshotter: Snapshotter,
    seen: RefCell<BTreeMap<String, f64>>,
}

impl Told {
    fn by(recorder: &DebuggingRecorder) -> Self {
        Self {
            snapshotter: recorder.snapshotter(),
            seen: RefCell::default(),
        }
    }

    /// Everything so far; a snapshot takes the counts along.
    fn values(&self) -> BTreeMap<String, f64> {
        let mut seen = self.seen.borrow_mut();
        for (key, _, _, told) in self.snapshotter.snapshot().into_vec() {
            let key = key.key();
            let labels = key
                .labels()
                .map(|label| format!("{}={}", label.key(), label.value()));
            let mut labels: Vec<_> = labels.collect();
            labels.sort();
            let value = seen
                .entry(format!("{}{{{}}}", key.name(), labels.join(",")))
                .or_default();
            match told {
                DebugValue::Counter(count) => *value += f64::from(u32::try_from(count).unwrap()),
                DebugValue::Gauge(told) => *value = told.into_inner(),
                DebugValue::Histogram(_) => {}
            }
        }
        seen.clone()
    }

    fn oldest(&self) -> f64 {
        self.values()["task_retry_relay_oldest_seconds{queue=events}"]
    }
}

/// Refuses the topic `no`; takes the topic `late` once that is allowed.
#[derive(Debug, Clone)]
struct Broker(Arc<AtomicBool>);

#[async_trait]
impl MessageSink for Broker {
    async fn publish(&self, messages: &[Outgoing]) -> Vec<Answer> {
        let answer = |message: &Outgoing| match message.topic.as_str() {
            "live.no" => Answer::refused("never"),
            "live.late" if !self.0.load(Ordering::Relaxed) => Answer::retry("not yet"),
            _ => Answer::Acked,
        };
        messages.iter().map(answer).collect()
    }
}

struct World {
    clock: ManualClock,
    relay: RelayHandle,
    broker: Broker,
}

impl World {
    async fn start() -> Self {
        let clock = ManualClock::new();
        let client = Client::new(MemoryStore::with_clock(Arc::new(clock.clone())));
        let broker = Broker(Arc::default());
        let queue = SinkQueue::new("events").unwrap().partitions(4).unwrap();
        let draft = |topic, key: Option<&str>| {
            let message = Message::text("x").topic(topic);
            let message = match key {
                Some(key) => message.key(key),
                None => message,
            };
            queue.draft(message).unwrap()
        };
        let keyed = [("yes", "a"), ("yes", "b"), ("no", "c"), ("late", "d")];
        let drafts = keyed.map(|(topic, key)| draft(topic, Some(key)));
        client.enqueue_many(drafts).await.unwrap();
        client.enqueue(draft("yes", None)).await.unwrap();
        client.enqueue(draft("no", None)).await.unwrap();
        let relay = Relay::builder(&client, queue.clone(), broker.clone());
        let relay = relay.clock(Arc::new(clock.clone()));
        let relay = relay.topics(|topic| format!("live.{topic}")).build().unwrap();
        let relay = relay.start().await.unwrap();
        Self { clock, relay, broker }
    }

    async fn until(&self, is_so: impl Fn(&Self) -> bool) {
        while !is_so(self) {
            self.pass(STEP).await;
        }
    }

    async fn pass(&self, span: Duration) {
        self.clock.advance(span);
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }

    async fn shut_down(self) {
        let Self { clock, relay, .. } = self;
        let passing = async {
            loop {
                clock.advance(STEP);
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            () = relay.shutdown() => {}
            () = passing => {}
        }
    }
}

#[test]
fn a_relay_counts_by_topic_and_tells_how_old_the_oldest_message_is() {
    let recorder = DebuggingRecorder::new();
    let told = Told::by(&recorder);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (oldest, values) = metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async {
            let world = World::start().await;
            world
                .until(|world| world.relay.counts().acked == 3 && world.relay.counts().refused == 2)
                .await;
            for _ in 0..600 {
                world.pass(STEP).await;
            }
            let (waits, retried) = (told.oldest(), world.relay.counts().retried);
            world.broker.0.store(true, Ordering::Relaxed);
            world.until(|world| world.relay.counts().acked == 4).await;
            world.until(|_| told.oldest() == 0.0).await;
            assert!(retried > 1, "{retried}");
            assert_eq!(
                world.relay.counts().retried,
                retried,
                "it is sent again once more"
            );
            world.shut_down().await;
            (waits, told.values())
        })
    });
    // It is told when something happens, at the latest after a third of the lease of 15 s.
    assert!((54.0..=90.0).contains(&oldest), "{oldest}");
    let count = |name: &str, topic: &str| {
        let key = format!("task_retry_relay_{name}_total{{queue=events,topic={topic}}}");
        values.get(&key).copied().unwrap_or_default()
    };
    let row = |topic| ["published", "retried", "refused"].map(|name| count(name, topic));
    assert_eq!(row("yes"), [3.0, 0.0, 0.0]);
    assert_eq!(row("no"), [0.0, 0.0, 2.0]);
    let [published, retried, refused] = row("late");
    assert!(published == 1.0 && retried > 1.0 && refused == 0.0);
    let ours = values.keys().filter(|key| key.starts_with("task_retry_relay_"));
    for key in ours {
        let name = key.split('{').next().unwrap_or_default();
        assert!(
            TABLE.iter().any(|metric| metric.name == name),
            "{key} is in the table"
        );
    }
}

#[test]
fn a_partition_that_is_given_up_is_not_old() {
    let recorder = DebuggingRecorder::new();
    let told = Told::by(&recorder);
    let at = |seconds: i64| Timestamp::from_millis(seconds * 1_000);
    metrics::with_local_recorder(&recorder, || {
        let meters = super::Meters::new("events");
        meters.oldest((0, 1), Some(at(10)), at(40));
        meters.oldest((1, 1), Some(at(20)), at(40));
        assert_eq!(told.oldest(), 30.0, "the oldest of all");
        meters.oldest((0, 1), None, at(41));
        assert_eq!(told.oldest(), 21.0);
        meters.oldest((1, 1), None, at(42));
        assert_eq!(told.oldest(), 0.0);
    });
}

#[test]
fn topics_beyond_the_bound_share_one_label() {
    let recorder = DebuggingRecorder::new();
    let told = Told::by(&recorder);
    metrics::with_local_recorder(&recorder, || {
        let meters = super::Meters::new("events");
        for _ in 0..2 {
            (0..1_100).for_each(|topic| meters.published(&format!("t{topic}")));
        }
    });
    let values = told.values();
    let count =
        |topic: &str| values[&format!("task_retry_relay_published_total{{queue=events,topic={topic}}}")];
    assert_eq!((count("t999"), count("other")), (2.0, 200.0));
    let published = values.keys().filter(|key| key.contains("published"));
    assert_eq!(published.count(), 1_001);
}

fn row(metric: &Metric) -> String {
    let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
    let ty = match metric.ty {
        Type::Counter => "counter",
        Type::Gauge => "gauge",
    };
    let (name, about) = (metric.name, metric.about);
    format!("| `{name}` | {ty} | {} | {about} |", labels.join(", "))
}

#[test]
fn the_page_lists_every_metric_of_a_relay() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let is_row = |line: &&str| line.starts_with("| `task_retry_relay_");
    let wanted: Vec<_> = TABLE.iter().map(row).collect();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let rest = page.lines().filter(|line| !is_row(line));
        let mut lines: Vec<String> = rest.map(str::to_owned).collect();
        let head = lines.iter().rposition(|line| line.starts_with("|---")).unwrap();
        lines.splice(head + 1..head + 1, wanted);
        return std::fs::write(path, lines.join("\n") + "\n").unwrap();
    }
    let listed: Vec<_> = page.lines().filter(is_row).collect();
    assert_eq!(
        listed, wanted,
        "UPDATE_DOCS=1 cargo test -p retry-sinks --features metrics writes the page anew"
    );
}
