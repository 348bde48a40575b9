//! The meters of one relay: handles are made once for each topic.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use metrics::{Counter, Gauge};
use retry_core::time::Timestamp;

use super::Place;
use super::names::{self, TABLE, Type};

/// Topics with metrics of their own. Some brokers invite a topic for each customer, and whoever collects the metrics keeps
/// every label it has ever met.
const MAX_TOPICS: usize = 1_000;

/// The label in place of topics beyond the bound.
const OTHER: &str = "other";

/// Counters of a topic. Handles bind to the recorder that is installed when they are made.
struct TopicMeters {
    published: Counter,
    retried: Counter,
    refused: Counter,
}

impl TopicMeters {
    fn new(queue: &str, topic: &str) -> Self {
        let labels = [("queue", queue.to_owned()), ("topic", topic.to_owned())];
        Self {
            published: metrics::counter!(names::PUBLISHED, &labels),
            retried: metrics::counter!(names::RETRIED, &labels),
            refused: metrics::counter!(names::REFUSED, &labels),
        }
    }
}

#[derive(Default)]
struct Topics {
    known: HashMap<String, Arc<TopicMeters>>,
    other: Option<Arc<TopicMeters>>,
}

pub(crate) struct Meters {
    queue: String,
    topics: Mutex<Topics>,
    /// Since when the oldest message of a partition that is held is due.
    oldest: Mutex<BTreeMap<Place, Timestamp>>,
    gauge: OnceLock<Gauge>,
}

impl fmt::Debug for Meters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Meters")
    }
}

impl Meters {
    pub(crate) fn new(queue: &str) -> Self {
        Self {
            queue: queue.to_owned(),
            topics: Mutex::default(),
            oldest: Mutex::default(),
            gauge: OnceLock::new(),
        }
    }

    #[expect(clippy::unused_self, reason = "the same call as without the feature")]
    pub(crate) const fn are_on(&self) -> bool {
        true
    }

    pub(crate) fn published(&self, topic: &str) {
        self.of(topic).published.increment(1);
    }

    pub(crate) fn retried(&self, topic: &str) {
        self.of(topic).retried.increment(1);
    }

    pub(crate) fn refused(&self, topic: &str) {
        self.of(topic).refused.increment(1);
    }

    /// The oldest message that is held of a partition is due since then; none: nothing is held there.
    pub(crate) fn oldest(&self, place: Place, due: Option<Timestamp>, now: Timestamp) {
        let mut oldest = lock(&self.oldest);
        match due {
            Some(due) => drop(oldest.insert(place, due)),
            None => drop(oldest.remove(&place)),
        }
        let lag = oldest.values().min().map(|due| now.saturating_since(*due));
        // Under the lock, so that the last one to know is the last one to tell.
        let gauge = self.gauge.get_or_init(|| {
            describe();
            metrics::gauge!(names::OLDEST_SECONDS, "queue" => self.queue.clone())
        });
        gauge.set(lag.unwrap_or_default().as_secs_f64());
    }

    fn of(&self, topic: &str) -> Arc<TopicMeters> {
        let mut topics = lock(&self.topics);
        if let Some(known) = topics.known.get(topic) {
            return Arc::clone(known);
        }
        if topics.known.len() >= MAX_TOPICS {
            let other = || Arc::new(TopicMeters::new(&self.queue, OTHER));
            return Arc::clone(topics.other.get_or_insert_with(other));
        }
        let new = Arc::new(TopicMeters::new(&self.queue, topic));
        topics.known.insert(topic.to_owned(), Arc::clone(&new));
        new
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn describe() {
    for metric in TABLE {
        match metric.ty {
            Type::Counter => metrics::describe_counter!(metric.name, metric.about),
            Type::Gauge => metrics::describe_gauge!(metric.name, metric.about),
        }
    }
}
