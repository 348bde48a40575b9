//! Messages published to RabbitMQ with publisher confirms.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::try_join_all;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::tcp::OwnedTLSConfig;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::uri::AMQPUri;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, DefaultConnectionBuilder};
use retry_core::clock::{Clock, Monotonic, SystemClock};

use crate::confirms::{answers, complete, gather};
use crate::limits::MESSAGE_TIMEOUT;
use crate::message::Outgoing;
use crate::pem;
use crate::shared::Slot;
use crate::sink::{Answer, MessageSink};
use crate::within::by;

/// Bytes of a routing key or a header's name at most: AMQP's short strings.
const SHORT: usize = 255;

/// What the delivery mode of AMQP calls persistent.
const PERSISTENT: u8 = 2;

/// Seconds between two heartbeats unless the URL says otherwise: a dead connection is noticed within two.
const HEARTBEAT: u16 = 10;

/// Publishes messages to RabbitMQ: the topic is the routing key, the task's id the `message_id`. Acknowledged means the broker's
/// publisher confirm: persistent messages in durable queues are on its disk then, those of quorum queues on most
/// of their disks.
///
/// Routing is mandatory: a message that no queue takes is not acknowledged, and tried again until one does. RabbitMQ drops no
/// repetition: receivers know one by its `message_id`. A message whose confirm does not come in time is tried again; the
/// others of its call are settled.
///
/// Each call has a channel of its own, of which a connection may have 2,047 unless the server says otherwise: a relay has one
/// call for each of its partitions and each message without key.
pub struct RabbitSink {
    uri: AMQPUri,
    tls: OwnedTLSConfig,
    exchange: ShortString,
    limit: Duration,
    clock: Arc<dyn Clock>,
    connection: Slot<Arc<Link>>,
}

/// A connection, and its channels that no call uses: none of them owes a confirm or a returned message.
struct Link {
    connection: Connection,
    idle: Mutex<Vec<Channel>>,
}

/// Options of a [`RabbitSink`].
#[derive(Clone)]
#[must_use]
pub struct RabbitSinkBuilder {
    url: String,
    exchange: String,
    root_certificates: Option<PathBuf>,
    limit: Duration,
    clock: Arc<dyn Clock>,
}

/// Why a sink cannot be made; the URL, which may hold a password, is not shown.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidRabbit {
    /// Not a URL of AMQP.
    Url,
    /// `amqps` needs the feature `rabbitmq-tls`.
    Tls,
    /// The name of the exchange is longer than 255 bytes.
    Exchange,
    /// The file of certificates is not there, or holds none.
    Certificates,
}

impl fmt::Display for InvalidRabbit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Url => "not the URL of a RabbitMQ server: amqp://host/vhost, or amqps://host/vhost for TLS",
            Self::Tls => "amqps needs the feature `rabbitmq-tls`",
            Self::Exchange => "the name of the exchange is too long",
            Self::Certificates => "the file of root certificates holds no certificate in PEM",
        })
    }
}

impl std::error::Error for InvalidRabbit {}

/// The URL may hold a password and is not shown.
impl fmt::Debug for RabbitSinkBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RabbitSinkBuilder")
            .field("exchange", &self.exchange)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RabbitSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = &self.uri.authority;
        f.debug_struct("RabbitSink")
            .field("host", &authority.host)
            .field("port", &authority.port)
            .field("exchange", &self.exchange.as_str())
            .finish_non_exhaustive()
    }
}

impl RabbitSinkBuilder {
    /// The exchange to publish to; the default one unless told otherwise, where the topic is the name of a queue.
    pub fn exchange(mut self, exchange: impl Into<String>) -> Self {
        self.exchange = exchange.into();
        self
    }

    /// A file of certificates in PEM, of authorities that are believed beside the system's.
    pub fn root_certificates(mut self, file: impl Into<PathBuf>) -> Self {
        self.root_certificates = Some(file.into());
        self
    }

    /// How long connecting, and then the confirm of a message, may take;
    /// [`MESSAGE_TIMEOUT`](crate::limits::MESSAGE_TIMEOUT) unless told otherwise. Twice this should be less than the relay's
    /// [limit](crate::RelayBuilder::publish_timeout) of a call.
    pub const fn confirm_timeout(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// The clock that the limit goes by.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The sink; it connects when there is something to send.
    ///
    /// # Errors
    /// The URL or the exchange is none, or the certificates cannot be read.
    pub fn build(self) -> Result<RabbitSink, InvalidRabbit> {
        let mut uri: AMQPUri = self.url.parse().map_err(|_| InvalidRabbit::Url)?;
        if self.url.starts_with("amqps") && !cfg!(feature = "rabbitmq-tls") {
            return Err(InvalidRabbit::Tls);
        }
        uri.query.heartbeat.get_or_insert(HEARTBEAT);
        let certificates = self.root_certificates.as_deref();
        let read = |file| pem::read(file).ok_or(InvalidRabbit::Certificates);
        let tls = OwnedTLSConfig {
            identity: None,
            cert_chain: certificates.map(read).transpose()?,
        };
        Ok(RabbitSink {
            uri,
            tls,
            exchange: short(&self.exchange).ok_or(InvalidRabbit::Exchange)?,
            limit: self.limit,
            clock: self.clock,
            connection: Slot::default(),
        })
    }
}

fn short(text: &str) -> Option<ShortString> {
    (text.len() <= SHORT).then(|| text.into())
}

impl RabbitSink {
    /// A sink for the server at `url`: `amqp://[user:password@]host[:port]/[vhost]`, `amqps://…` with TLS.
    pub fn builder(url: impl Into<String>) -> RabbitSinkBuilder {
        RabbitSinkBuilder {
            url: url.into(),
            exchange: String::new(),
            root_certificates: None,
            limit: MESSAGE_TIMEOUT,
            clock: Arc::new(SystemClock::new()),
        }
    }

    async fn connect(&self) -> Result<Arc<Link>, String> {
        let options = ConnectionProperties::default().with_connection_name("task-retry".into());
        let connecting = async {
            let builder = DefaultConnectionBuilder::new()?;
            let builder = builder.with_uri(self.uri.clone()).with_properties(options);
            builder.with_tls_config(self.tls.clone()).connect().await
        };
        let connected = by(self.clock.as_ref(), self.deadline(), connecting).await;
        let connected = connected.ok_or("the broker did not answer in time")?;
        Ok(Arc::new(Link {
            connection: connected.map_err(|error| error.to_string())?,
            idle: Mutex::default(),
        }))
    }

    fn deadline(&self) -> Monotonic {
        self.clock.monotonic() + self.limit
    }

    /// The message as the protocol has it, or why it has no such form.
    fn form(message: &Outgoing) -> Result<(ShortString, BasicProperties), Answer> {
        let key = short(&message.topic)
            .ok_or_else(|| Answer::refused("the topic is too long for a routing key"))?;
        let mut headers = FieldTable::default();
        for (name, value) in message.wire_headers() {
            let name = short(name).ok_or_else(|| Answer::refused("the name of a header is too long"))?;
            headers.insert(name, AMQPValue::LongString(value.into()));
        }
        let properties = BasicProperties::default()
            .with_delivery_mode(PERSISTENT)
            .with_message_id(message.id.to_string().as_str().into())
            .with_headers(headers);
        Ok((key, properties))
    }

    /// Publishes on a channel of its own and waits for the confirms; whether the connection is worth keeping.
    async fn wave(&self, link: &Link, wave: &[Formed<'_>]) -> (Vec<Answer>, bool) {
        let deadline = self.deadline();
        let options = BasicPublishOptions {
            mandatory: true,
            ..BasicPublishOptions::default()
        };
        let written = async {
            let channel = link.channel().await?;
            let published = wave.iter().map(|(message, key, properties)| {
                let (exchange, key) = (self.exchange.clone(), key.clone());
                channel.basic_publish(exchange, key, options, &message.body, properties.clone())
            });
            let confirms = try_join_all(published).await?;
            lapin::Result::Ok((channel, confirms))
        };
        let (channel, confirms) = match by(self.clock.as_ref(), deadline, written).await {
            Some(Ok(written)) => written,
            // What is known of some of them could be about others: nothing is believed.
            Some(Err(error)) => return (vec![Answer::retry(error); wave.len()], true),
            None => return (vec![Answer::retry("the broker takes nothing"); wave.len()], false),
        };
        let mut words: Vec<_> = wave.iter().map(|_| None).collect();
        // What has come by then counts.
        let _ = by(self.clock.as_ref(), deadline, gather(confirms, &mut words)).await;
        if complete(&words) {
            link.give_back(channel);
        }
        let alive = words.iter().any(Option::is_some);
        let ids: Vec<String> = wave.iter().map(|(message, ..)| message.id.to_string()).collect();
        (answers(&ids, words), alive)
    }
}

/// A message with its routing key and its properties.
type Formed<'a> = (&'a Outgoing, ShortString, BasicProperties);

impl Link {
    /// A channel that no other call uses: what confirms carry belongs to the channel, not to the message.
    async fn channel(&self) -> lapin::Result<Channel> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(channel) = idle.filter(|channel| channel.status().connected()) {
            return Ok(channel);
        }
        let channel = self.connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(channel)
    }

    fn give_back(&self, channel: Channel) {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(channel);
    }
}

#[async_trait]
impl MessageSink for RabbitSink {
    async fn publish(&self, messages: &[Outgoing]) -> Vec<Answer> {
        let mut wave: Vec<Formed<'_>> = Vec::new();
        let mut refused = Vec::new();
        for message in messages {
            match Self::form(message) {
                Ok((key, properties)) => {
                    wave.push((message, key, properties));
                    refused.push(None);
                }
                Err(answer) => refused.push(Some(answer)),
            }
        }
        let answers = if wave.is_empty() {
            Vec::new()
        } else {
            match self.connection.get(self.connect()).await {
                Ok(borrowed) => {
                    let (answers, alive) = self.wave(&borrowed.connection, &wave).await;
                    let connected = borrowed.connection.connection.status().connected();
                    borrowed.end(alive && connected);
                    answers
                }
                Err(error) => vec![Answer::retry(error); wave.len()],
            }
        };
        let mut answers = answers.into_iter();
        let answer = |refused: Option<Answer>| refused.or_else(|| answers.next());
        refused.into_iter().filter_map(answer).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said_when_it_is_built_and_no_password_is_shown() {
        let build = |url: &str| RabbitSink::builder(url).build();
        assert_eq!(build("http://x").unwrap_err(), InvalidRabbit::Url);
        #[cfg(not(feature = "rabbitmq-tls"))]
        assert_eq!(build("amqps://x/%2f").unwrap_err(), InvalidRabbit::Tls);
        let long = RabbitSink::builder("amqp://x")
            .exchange("e".repeat(SHORT + 1))
            .build();
        assert_eq!(long.unwrap_err(), InvalidRabbit::Exchange);
        let missing = RabbitSink::builder("amqp://x").root_certificates("/nowhere/ca.pem");
        assert_eq!(missing.build().unwrap_err(), InvalidRabbit::Certificates);
        let sink = build("amqp://me:secret@x/%2f").unwrap();
        assert!(!format!("{sink:?}").contains("secret"));
        assert_eq!(sink.uri.query.heartbeat, Some(HEARTBEAT));
    }
}
