//! Where messages for a sink wait: a queue for those without key, and a queue for each partition of the keys.

use std::fmt;
use std::hash::Hasher as _;
use std::time::Duration;

use retry_core::draft::{Draft, TaskOptions};
use retry_core::name::{InvalidName, Kind, Queue};
use retry_core::payload::Payload;
use retry_core::policy::{Backoff, Jitter, RetryPolicy};
use siphasher::sip::SipHasher24;

use crate::limits::{DEFAULT_PARTITIONS, MAX_KEY_BYTES, MAX_PARTITIONS, MAX_TOPIC_BYTES};
use crate::message::{InvalidMessage, Message, RESERVED, Stored, is_text};

/// The name and the shape of the queues in which messages for a sink wait. Every program that enqueues or relays them has to
/// make it alike: another number of partitions puts the messages of a key elsewhere, behind each other's back.
///
/// ```
/// use retry_sinks::{Message, SinkQueue};
///
/// let events = SinkQueue::new("events")?.partitions(8)?;
/// let draft = events.draft(Message::text("paid").topic("order.paid").key("customer-7"))?;
/// // client.enqueue(draft).await?, or .in_tx(&mut tx)
/// # drop(draft);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkQueue {
    name: Queue,
    partitions: u16,
    topic: String,
}

/// Why a [`SinkQueue`] cannot be made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidQueue {
    /// The name, with the number of a partition behind it, is no name of a queue.
    Name(InvalidName),
    /// The number of partitions is not between 1 and [`MAX_PARTITIONS`].
    Partitions(u16),
    /// The default topic is no topic.
    Topic,
}

impl fmt::Display for InvalidQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(error) => write!(f, "the name of a queue of messages: {error}"),
            Self::Partitions(n) => write!(f, "{n} partitions, allowed are 1 to {MAX_PARTITIONS}"),
            Self::Topic => InvalidMessage::Topic.fmt(f),
        }
    }
}

impl std::error::Error for InvalidQueue {}

/// Longer than what is put behind the name in any queue or kind.
const LONGEST_SUFFIX: &str = "/partition";

impl SinkQueue {
    /// The queue `name`, with 16 partitions; messages go to the topic of this name unless they say otherwise.
    ///
    /// # Errors
    /// The name is empty, too long or has characters that names of queues do not have.
    pub fn new(name: impl AsRef<str>) -> Result<Self, InvalidQueue> {
        let name = name.as_ref();
        Queue::new(format!("{name}{LONGEST_SUFFIX}")).map_err(InvalidQueue::Name)?;
        let name = Queue::new(name).map_err(InvalidQueue::Name)?;
        Ok(Self {
            topic: name.as_str().to_owned(),
            name,
            partitions: DEFAULT_PARTITIONS,
        })
    }

    /// How many partitions the keys are spread over. More let more processes share the work; the number stays as it is
    /// as long as messages wait.
    ///
    /// # Errors
    /// Not between 1 and [`MAX_PARTITIONS`].
    pub fn partitions(mut self, partitions: u16) -> Result<Self, InvalidQueue> {
        if !(1..=MAX_PARTITIONS).contains(&partitions) {
            return Err(InvalidQueue::Partitions(partitions));
        }
        self.partitions = partitions;
        Ok(self)
    }

    /// The topic of messages that name none, in place of the queue's name.
    ///
    /// # Errors
    /// It is no topic.
    pub fn default_topic(mut self, topic: impl Into<String>) -> Result<Self, InvalidQueue> {
        self.topic = topic.into();
        match is_text(&self.topic, MAX_TOPIC_BYTES) {
            true => Ok(self),
            false => Err(InvalidQueue::Topic),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// The task that sends `message`: enqueue it by itself, with others or inside a transaction.
    ///
    /// Further options may be set, but of one with a key neither queue, priority, shard key, rescue delay nor crash budget: its place in
    /// the order depends on them. What is due later keeps its place by the time it is due. On a sharded store the key is the
    /// shard key; a message that a handler brings along with its outcome is stored with the task that brings it, out of the key's
    /// order.
    ///
    /// # Errors
    /// [`InvalidMessage`] says what is wrong with it.
    pub fn draft(&self, message: Message) -> Result<Draft, InvalidMessage> {
        let topic = message.topic.unwrap_or_else(|| self.topic.clone());
        if !is_text(&topic, MAX_TOPIC_BYTES) {
            return Err(InvalidMessage::Topic);
        }
        if message
            .key
            .as_deref()
            .is_some_and(|key| !is_text(key, MAX_KEY_BYTES))
        {
            return Err(InvalidMessage::Key);
        }
        let allowed = |text: &str| !text.chars().any(char::is_control);
        let good = |(name, value): &&(String, String)| {
            !name.is_empty() && !name.starts_with(RESERVED) && allowed(name) && allowed(value)
        };
        if let Some((name, _)) = message.headers.iter().find(|header| !good(header)) {
            return Err(InvalidMessage::Header { name: name.clone() });
        }
        let options = match &message.key {
            // On a sharded store all messages of a key are on one part, or nobody could keep their order.
            Some(key) => ordered()
                .queue(self.queue_of(self.partition_of(key)).as_str())
                .shard_key(key),
            None => TaskOptions::new().queue(self.name.as_str()),
        };
        let options = message
            .headers
            .into_iter()
            .fold(options, |options, (name, value)| options.header(name, value));
        let stored = Stored {
            topic,
            key: message.key,
            body: message.body,
        };
        let payload = Payload::encode(&stored).map_err(InvalidMessage::Body)?;
        Ok(Draft::raw(self.message_kind().as_str(), payload).options(options))
    }

    pub(crate) const fn partition_count(&self) -> u16 {
        self.partitions
    }

    /// The partition of a key: SipHash-2-4 under a zero key, so that every program and version agrees.
    pub(crate) fn partition_of(&self, key: &str) -> u16 {
        let mut hasher = SipHasher24::new();
        hasher.write(key.as_bytes());
        u16::try_from(hasher.finish() % u64::from(self.partitions)).unwrap_or(0)
    }

    /// The queue of a partition.
    pub(crate) fn queue_of(&self, partition: u16) -> Queue {
        self.named(&format!("/{partition}"))
    }

    /// The queue of the owner tasks.
    pub(crate) fn owner_queue(&self) -> Queue {
        self.named("/owners")
    }

    pub(crate) fn message_kind(&self) -> Kind {
        self.named("/message")
    }

    pub(crate) fn owner_kind(&self) -> Kind {
        self.named("/owner")
    }

    /// A name with `suffix`, which is no longer than the longest.
    fn named<N: TryFrom<String, Error = InvalidName>>(&self, suffix: &str) -> N {
        N::try_from(format!("{}{suffix}", self.name.as_str()))
            .unwrap_or_else(|error| unreachable!("the longest suffix was tried with this name: {error}"))
    }
}

/// Options of a task that keeps its place in the order whatever happens to it.
pub(crate) fn ordered() -> TaskOptions {
    TaskOptions::new()
        .retry(endless())
        .rescue_delay(Duration::ZERO)
        .crash_budget(None)
}

/// Retries without end, from a tenth of a second to half a minute apart.
pub(crate) fn endless() -> RetryPolicy {
    let backoff = Backoff::doubling(Duration::from_millis(100)).cap(Duration::from_secs(30));
    RetryPolicy::linear(Duration::from_secs(1))
        .to_builder()
        .backoff(backoff)
        .jitter(Jitter::Equal)
        .build()
        .unwrap_or_else(|_| RetryPolicy::linear(Duration::from_secs(1)))
}

#[cfg(test)]
mod tests {
    use retry_core::id::{Shard, TaskIds};
    use retry_core::time::Timestamp;

    use super::*;
    use crate::message::Outgoing;

    fn queue() -> SinkQueue {
        SinkQueue::new("events").unwrap()
    }

    #[test]
    fn names_and_partitions_are_checked_at_their_bounds() {
        let longest = "q".repeat(128 - LONGEST_SUFFIX.len());
        let made = SinkQueue::new(&longest)
            .unwrap()
            .partitions(MAX_PARTITIONS)
            .unwrap();
        assert!(made.queue_of(MAX_PARTITIONS - 1).as_str().ends_with("/255"));
        assert!(made.owner_queue().as_str().len() <= 128 && made.message_kind().as_str().len() <= 128);
        assert!(matches!(
            SinkQueue::new(longest + "q"),
            Err(InvalidQueue::Name(_))
        ));
        assert!(matches!(SinkQueue::new("a b"), Err(InvalidQueue::Name(_))));
        for wrong in [0, MAX_PARTITIONS + 1] {
            assert_eq!(queue().partitions(wrong), Err(InvalidQueue::Partitions(wrong)));
        }
        assert_eq!(queue().default_topic(""), Err(InvalidQueue::Topic));
    }

    #[test]
    fn a_message_is_checked_before_anything_is_written() {
        let refused = |message: Message| queue().draft(message).unwrap_err();
        let long = "t".repeat(MAX_TOPIC_BYTES);
        assert!(queue().draft(Message::text("").topic(long.clone())).is_ok());
        assert!(matches!(
            refused(Message::text("").topic(long + "t")),
            InvalidMessage::Topic
        ));
        let long = "k".repeat(MAX_KEY_BYTES);
        assert!(queue().draft(Message::text("").key(long.clone())).is_ok());
        assert!(matches!(
            refused(Message::text("").key(long + "k")),
            InvalidMessage::Key
        ));
        assert!(matches!(
            refused(Message::text("").key("a\nb")),
            InvalidMessage::Key
        ));
        for (name, value) in [("", "v"), ("retry-fence", "9"), ("n", "a\r\nb"), ("n\0", "v")] {
            let message = Message::text("").header(name, value);
            assert!(
                matches!(refused(message), InvalidMessage::Header { .. }),
                "{name:?}"
            );
        }
        let large = Message::bytes(vec![0; 1024 * 1024]);
        assert!(matches!(refused(large), InvalidMessage::Body(_)));
    }

    #[test]
    fn what_is_stored_is_what_the_sink_gets() {
        let now = Timestamp::from_millis(1_000);
        let id = TaskIds::new().next(now, Shard::default(), 7);
        let bytes: Vec<u8> = (0..=255).collect();
        let message = Message::bytes(bytes.clone()).key("k").header("h", "v");
        let task = queue().draft(message).unwrap().build(id, now, 0, None).unwrap();
        assert_eq!(task.queue, queue().queue_of(queue().partition_of("k")));
        assert_eq!(
            (task.settings.crash_budget, task.settings.max_attempts),
            (None, None)
        );
        assert!(task.settings.rescue_delay.is_zero());
        let mut out = Outgoing::read(id, &task.payload, task.headers).unwrap();
        out.fence = 3;
        assert_eq!(
            (out.topic.as_str(), out.body.as_ref()),
            ("events", bytes.as_slice())
        );
        let headers: Vec<_> = out.wire_headers().collect();
        let expected = [
            ("h", "v"),
            ("retry-task-id", &id.to_string()),
            ("retry-fence", "3"),
            ("retry-key", "k"),
        ];
        assert_eq!(headers, expected.map(|(name, value)| (name, value.to_owned())));

        let plain = queue().draft(Message::text("é").topic("t")).unwrap();
        let task = plain.build(id, now, 0, None).unwrap();
        assert_eq!(task.queue.as_str(), "events");
        let out = Outgoing::read(id, &task.payload, task.headers).unwrap();
        assert_eq!(
            (out.topic.as_str(), out.key, out.body.as_ref()),
            ("t", None, "é".as_bytes())
        );
    }

    #[test]
    fn keys_are_spread_and_stay_where_they_are() {
        let queue = queue();
        let used: std::collections::BTreeSet<u16> = (0..500)
            .map(|n| queue.partition_of(&format!("key-{n}")))
            .collect();
        assert_eq!(used.len(), usize::from(DEFAULT_PARTITIONS));
        // Fixed for ever: messages that wait would change their place.
        assert_eq!(
            ["a", "b", "customer-7"].map(|key| queue.partition_of(key)),
            [9, 4, 6]
        );
    }
}
