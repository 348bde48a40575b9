//! Messages published to RabbitMQ with publisher confirms.

use std::fmt;

use async_trait::async_trait;
use futures_util::future::join_all;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::uri::AMQPUri;
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};

use crate::message::Outgoing;
use crate::shared::Slot;
use crate::sink::{Answer, MessageSink};

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
/// repetition: receivers know one by its `message_id`.
pub struct RabbitSink {
    uri: AMQPUri,
    exchange: ShortString,
    connection: Slot<(std::sync::Arc<Connection>, Channel)>,
}

/// Options of a [`RabbitSink`].
#[derive(Clone)]
#[must_use]
pub struct RabbitSinkBuilder {
    url: String,
    exchange: String,
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
}

impl fmt::Display for InvalidRabbit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Url => "not the URL of a RabbitMQ server: amqp://host/vhost, or amqps://host/vhost for TLS",
            Self::Tls => "amqps needs the feature `rabbitmq-tls`",
            Self::Exchange => "the name of the exchange is too long",
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

    /// The sink; it connects when there is something to send.
    ///
    /// # Errors
    /// The URL or the exchange is none.
    pub fn build(self) -> Result<RabbitSink, InvalidRabbit> {
        let mut uri: AMQPUri = self.url.parse().map_err(|_| InvalidRabbit::Url)?;
        if self.url.starts_with("amqps") && !cfg!(feature = "rabbitmq-tls") {
            return Err(InvalidRabbit::Tls);
        }
        uri.query.heartbeat.get_or_insert(HEARTBEAT);
        Ok(RabbitSink {
            uri,
            exchange: short(&self.exchange).ok_or(InvalidRabbit::Exchange)?,
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
        }
    }

    async fn connect(&self) -> lapin::Result<(std::sync::Arc<Connection>, Channel)> {
        let options = ConnectionProperties::default().with_connection_name("task-retry".into());
        let connection = Connection::connect_uri(self.uri.clone(), options).await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok((std::sync::Arc::new(connection), channel))
    }

    async fn one(&self, channel: &Channel, message: &Outgoing) -> Answer {
        let Some(key) = short(&message.topic) else {
            return Answer::refused("the topic is too long for a routing key");
        };
        let mut headers = FieldTable::default();
        for (name, value) in message.wire_headers() {
            let Some(name) = short(name) else {
                return Answer::refused("the name of a header is too long");
            };
            headers.insert(name, AMQPValue::LongString(value.into()));
        }
        let properties = BasicProperties::default()
            .with_delivery_mode(PERSISTENT)
            .with_message_id(message.id.to_string().as_str().into())
            .with_headers(headers);
        let options = BasicPublishOptions {
            mandatory: true,
            ..BasicPublishOptions::default()
        };
        let sent = channel
            .basic_publish(self.exchange.clone(), key, options, &message.body, properties)
            .await;
        let confirmed = match sent {
            Ok(confirm) => confirm.await,
            Err(error) => Err(error),
        };
        match confirmed {
            Ok(Confirmation::Ack(None)) => Answer::Acked,
            Ok(Confirmation::Ack(Some(back)) | Confirmation::Nack(Some(back))) => {
                let (code, text) = (back.reply_code, back.reply_text.as_str());
                Answer::retry(format!("the broker returned it: {code} {text}"))
            }
            Ok(Confirmation::Nack(None)) => Answer::retry("the broker did not take it"),
            Ok(Confirmation::NotRequested) => Answer::retry("the broker does not confirm"),
            Err(error) => Answer::retry(error),
        }
    }
}

#[async_trait]
impl MessageSink for RabbitSink {
    async fn publish(&self, messages: &[Outgoing]) -> Vec<Answer> {
        let borrowed = match self.connection.get(self.connect()).await {
            Ok(borrowed) => borrowed,
            Err(error) => return vec![Answer::retry(error); messages.len()],
        };
        let (connection, channel) = &borrowed.connection;
        let answers = join_all(messages.iter().map(|message| self.one(channel, message))).await;
        // An error of the protocol closes the channel for all.
        let good = connection.status().connected() && channel.status().connected();
        borrowed.end(good);
        answers
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
        let sink = build("amqp://me:secret@x/%2f").unwrap();
        assert!(!format!("{sink:?}").contains("secret"));
        assert_eq!(sink.uri.query.heartbeat, Some(HEARTBEAT));
    }
}
