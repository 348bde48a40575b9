//! Messages produced to Kafka.

use std::collections::{BTreeMap, HashMap};
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

use crate::message::Outgoing;
use crate::shared::Slot;
use crate::sink::{Answer, MessageSink};

/// Produces messages to Kafka with `acks=all`: the key picks the partition as Kafka's own Java client does (murmur2), one without
/// key by its id. Acknowledged means that all in-sync replicas have it; how many those are at least is the topic's
/// `min.insync.replicas`.
///
/// All messages of a call for one partition are one record batch, so several of one key travel together. There is no idempotent
/// producer: an acknowledgement that is lost leaves a repetition, which receivers know by the header `retry-task-id`.
/// Without TLS and authentication. A topic has to be there: one without is tried again until it is.
pub struct KafkaSink {
    brokers: Vec<String>,
    deadline: Duration,
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

    async fn partition(&self, message: &Outgoing) -> Result<Arc<PartitionClient>, String> {
        let partitions = self.partitions(&message.topic).await?;
        let id = message.id.to_bytes();
        let key = message.key.as_ref().map_or(&id[..], |key| key.as_bytes());
        let at = usize::try_from(positive(murmur2(key)))
            .unwrap_or(0)
            .checked_rem(partitions.len());
        at.map(|at| Arc::clone(&partitions[at]))
            .ok_or_else(|| "the topic has no partitions".to_owned())
    }
}

/// A batch for one partition: the messages by their place in the call.
type Batch = (Arc<PartitionClient>, Vec<usize>);

async fn produce(partition: &PartitionClient, messages: &[Outgoing], batch: &[usize]) -> Result<(), Error> {
    let records = batch.iter().map(|at| record(&messages[*at])).collect();
    partition
        .produce(records, Compression::NoCompression)
        .await
        .map(drop)
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
        headers: headers.collect::<BTreeMap<_, _>>(),
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

fn answer(error: &Error) -> Answer {
    let large = [ProtocolError::MessageTooLarge, ProtocolError::RecordListTooLarge];
    match error {
        Error::ServerError { protocol_error, .. } if large.contains(protocol_error) => {
            Answer::refused(format!("the broker refuses it: {protocol_error:?}"))
        }
        Error::ServerError { protocol_error, .. } => {
            Answer::retry(format!("the broker answered {protocol_error:?}"))
        }
        error => Answer::retry(error),
    }
}

#[async_trait]
impl MessageSink for KafkaSink {
    async fn publish(&self, messages: &[Outgoing]) -> Vec<Answer> {
        let borrowed = match self.client.get(self.connect()).await {
            Ok(borrowed) => borrowed,
            Err(error) => return vec![answer(&error); messages.len()],
        };
        let known = &borrowed.connection;
        let mut answers = vec![Answer::Acked; messages.len()];
        let mut batches: Vec<Batch> = Vec::new();
        for (at, message) in messages.iter().enumerate() {
            match known.partition(message).await {
                Ok(partition) => match batches
                    .iter_mut()
                    .find(|(other, _)| Arc::ptr_eq(other, &partition))
                {
                    Some((_, batch)) => batch.push(at),
                    None => batches.push((partition, vec![at])),
                },
                Err(why) => answers[at] = Answer::retry(why),
            }
        }
        let calls = batches
            .iter()
            .map(|(partition, batch)| produce(partition, messages, batch));
        for ((_, batch), result) in batches.iter().zip(join_all(calls).await) {
            let Err(error) = result else { continue };
            // A batch that is too large may hold one that is not: then each goes alone.
            let given = match (answer(&error), batch.len()) {
                (Answer::Refused(reason), 2..) => Answer::Retry(reason),
                (given, _) => given,
            };
            batch.iter().for_each(|at| answers[*at] = given.clone());
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
