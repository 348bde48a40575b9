//! Messages produced to Kafka.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::DateTime;
use futures_util::future::join_all;
use rskafka::BackoffConfig;
use rskafka::client::error::{Error, ProtocolError};
use rskafka::client::partition::{Compression, PartitionClient, UnknownTopicHandling};
use rskafka::client::{Client, ClientBuilder};
use rskafka::record::Record;
use tokio::sync::Mutex;

use crate::batches::{Piece, Trouble, resolve, send};
use crate::limits::MAX_KAFKA_BATCH_BYTES;
use crate::message::Outgoing;
use crate::shared::Slot;
use crate::sink::{Answer, MessageSink, Reason};

/// Produces messages to Kafka with `acks=all`: the key picks the partition as Kafka's own Java client does (murmur2), one without
/// key by its id. Acknowledged means that all in-sync replicas have it; how many those are at least is the topic's
/// `min.insync.replicas`.
///
/// The messages of a call for one partition are one record batch, so several of one key travel together; more bytes than a batch
/// may have are several batches, one after the other. Of a batch that the broker finds too large each message goes alone, and
/// what is too large alone is refused. There is no idempotent producer: an acknowledgement that is lost leaves a repetition, which receivers know by the header `retry-task-id`.
/// Without TLS and authentication. A topic has to be there: one without is tried again until it is.
pub struct KafkaSink {
    brokers: Vec<String>,
    deadline: Duration,
    most: usize,
    client: Slot<Arc<Known>>,
}

/// A client and the partitions that it has learned of.
struct Known {
    client: Client,
    topics: Mutex<HashMap<String, Vec<Arc<PartitionClient>>>>,
}

/// Options of a [`KafkaSink`].
#[derive(Debug, Clone)]
#[must_use]
pub struct KafkaSinkBuilder {
    brokers: Vec<String>,
    deadline: Duration,
    most: usize,
}

/// No broker was named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoBrokers;

impl fmt::Display for NoBrokers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("name at least one broker of Kafka, as host:port")
    }
}

impl std::error::Error for NoBrokers {}

impl fmt::Debug for KafkaSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaSink")
            .field("brokers", &self.brokers)
            .finish_non_exhaustive()
    }
}

impl KafkaSinkBuilder {
    /// How long the client tries by itself before a call fails; 10 s unless told otherwise.
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Bytes of a record batch, beyond which the next message begins another one;
    /// [`MAX_KAFKA_BATCH_BYTES`](crate::limits::MAX_KAFKA_BATCH_BYTES) unless told otherwise. Of use where a topic's
    /// `max.message.bytes` is not Kafka's own.
    pub const fn max_batch_bytes(mut self, bytes: usize) -> Self {
        self.most = bytes;
        self
    }

    /// The sink; it connects when there is something to send.
    ///
    /// # Errors
    /// No broker was named.
    pub fn build(self) -> Result<KafkaSink, NoBrokers> {
        if self.brokers.is_empty() {
            return Err(NoBrokers);
        }
        Ok(KafkaSink {
            brokers: self.brokers,
            deadline: self.deadline,
            most: self.most,
            client: Slot::default(),
        })
    }
}

impl KafkaSink {
    /// A sink for a cluster, some of whose brokers are named as `host:port`.
    pub fn builder(brokers: impl IntoIterator<Item = impl Into<String>>) -> KafkaSinkBuilder {
        KafkaSinkBuilder {
            brokers: brokers.into_iter().map(Into::into).collect(),
            deadline: Duration::from_secs(10),
            most: MAX_KAFKA_BATCH_BYTES,
        }
    }

    async fn connect(&self) -> Result<Arc<Known>, Error> {
        let backoff = BackoffConfig {
            max_backoff: Duration::from_secs(1),
            deadline: Some(self.deadline),
            ..BackoffConfig::default()
        };
        let builder = ClientBuilder::new(self.brokers.clone());
        let client = builder
            .client_id("task-retry")
            .backoff_config(backoff)
            .build()
            .await?;
        let topics = Mutex::default();
        Ok(Arc::new(Known { client, topics }))
    }
}

impl Known {
    /// The partitions of a topic, in their order.
    async fn partitions(&self, topic: &str) -> Result<Vec<Arc<PartitionClient>>, String> {
        let mut topics = self.topics.lock().await;
        if let Some(known) = topics.get(topic) {
            return Ok(known.clone());
        }
        let all = self
            .client
            .list_topics()
            .await
            .map_err(|error| error.to_string())?;
        let found = all.into_iter().find(|there| there.name == topic);
        let found = found.ok_or("there is no such topic")?;
        let mut clients = Vec::new();
        for partition in found.partitions {
            let made = self
                .client
                .partition_client(topic, partition, UnknownTopicHandling::Error);
            clients.push(Arc::new(made.await.map_err(|error| error.to_string())?));
        }
        topics.insert(topic.to_owned(), clients.clone());
        Ok(clients)
    }
}

/// The partition of a message.
fn pick<'a>(partitions: &'a [Arc<PartitionClient>], message: &Outgoing) -> Option<&'a Arc<PartitionClient>> {
    let id = message.id.to_bytes();
    let key = message.key.as_ref().map_or(&id[..], |key| key.as_bytes());
    let at = usize::try_from(positive(murmur2(key))).unwrap_or(0);
    partitions.get(at.checked_rem(partitions.len())?)
}

/// Sends one record batch: the messages by their place in the call.
async fn produce(
    partition: &PartitionClient,
    messages: &[Outgoing],
    batch: Vec<usize>,
) -> Result<(), Trouble> {
    let records = batch.iter().map(|at| record(&messages[*at])).collect();
    match partition.produce(records, Compression::NoCompression).await {
        Ok(_) => Ok(()),
        Err(error) => Err(trouble(&error)),
    }
}

/// What a message is in a batch, its length fields and those of its headers included.
fn bytes(message: &Outgoing) -> usize {
    const RECORD: usize = 32;
    const HEADER: usize = 10;
    let headers = message.wire_headers();
    let headers: usize = headers
        .map(|(name, value)| name.len() + value.len() + HEADER)
        .sum();
    RECORD + message.key.as_ref().map_or(0, String::len) + message.body.len() + headers
}

fn record(message: &Outgoing) -> Record {
    let headers = message
        .wire_headers()
        .map(|(name, value)| (name.to_owned(), value.into_bytes()));
    // The first 48 bits of a task's id are the milliseconds of its creation.
    let created = message.id.to_bytes()[..6]
        .iter()
        .fold(0_i64, |millis, byte| (millis << 8) | i64::from(*byte));
    Record {
        key: message.key.as_ref().map(|key| key.clone().into_bytes()),
        value: Some(message.body.to_vec()),
        headers: headers.collect(),
        timestamp: DateTime::from_timestamp_millis(created).unwrap_or_default(),
    }
}

/// What Kafka's partitioner makes of a hash.
const fn positive(hash: u32) -> u32 {
    hash & 0x7fff_ffff
}

/// MurmurHash2 as Kafka's Java client has it.
fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c_u32 ^ u32::try_from(data.len()).unwrap_or(u32::MAX);
    let (words, rest) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k = (k ^ (k >> 24)).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ k;
    }
    if !rest.is_empty() {
        let tail = rest
            .iter()
            .rev()
            .fold(0, |tail, byte| (tail << 8) | u32::from(*byte));
        hash = (hash ^ tail).wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

fn trouble(error: &Error) -> Trouble {
    let large = [ProtocolError::MessageTooLarge, ProtocolError::RecordListTooLarge];
    match error {
        Error::ServerError { protocol_error, .. } if large.contains(protocol_error) => {
            Trouble::TooLarge(Reason::new(format!("the broker refuses it: {protocol_error:?}")))
        }
        Error::ServerError { protocol_error, .. } => {
            Trouble::NotTaken(Reason::new(format!("the broker answered {protocol_error:?}")))
        }
        error => Trouble::Unreachable(Reason::new(error)),
    }
}

#[async_trait]
impl MessageSink for KafkaSink {
    async fn publish(&self, messages: &[Outgoing]) -> Vec<Answer> {
        let borrowed = match self.client.get(self.connect()).await {
            Ok(borrowed) => borrowed,
            Err(error) => return vec![Answer::retry(error); messages.len()],
        };
        let known = &borrowed.connection;
        let mut answers = vec![Answer::retry("it was not sent"); messages.len()];
        let topics = messages.iter().map(|message| message.topic.as_str());
        let topics = resolve(topics, |topic| known.partitions(topic)).await;
        let mut parts: Vec<(&Arc<PartitionClient>, Vec<Piece<'_>>)> = Vec::new();
        for (at, message) in messages.iter().enumerate() {
            let found = match &topics[message.topic.as_str()] {
                Ok(partitions) => pick(partitions, message).ok_or("the topic has no partitions"),
                Err(why) => Err(why.as_str()),
            };
            let partition = match found {
                Ok(partition) => partition,
                Err(why) => {
                    answers[at] = Answer::retry(why);
                    continue;
                }
            };
            let (key, bytes) = (message.key.as_deref(), bytes(message));
            let piece = Piece { at, key, bytes };
            match parts.iter_mut().find(|(other, _)| Arc::ptr_eq(other, partition)) {
                Some((_, pieces)) => pieces.push(piece),
                None => parts.push((partition, vec![piece])),
            }
        }
        let calls = parts
            .iter()
            .map(|(partition, pieces)| send(pieces, self.most, |batch| produce(partition, messages, batch)));
        for (at, answer) in join_all(calls).await.into_iter().flatten() {
            answers[at] = answer;
        }
        // After a failure topics and leaders may have changed: the next call learns them anew.
        let good = !answers.iter().any(|answer| matches!(answer, Answer::Retry(_)));
        borrowed.end(good);
        answers
    }

    fn takes_runs(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values of Kafka's own test.
    #[test]
    fn keys_go_where_the_java_client_puts_them() {
        let known = [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ];
        for (key, hash) in known {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
        }
    }

    #[test]
    fn a_cluster_needs_a_broker() {
        assert_eq!(
            KafkaSink::builder([] as [&str; 0]).build().unwrap_err(),
            NoBrokers
        );
    }
}
