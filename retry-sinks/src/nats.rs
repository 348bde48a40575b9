//! Messages published to NATS JetStream.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{self, Context};
use async_nats::{ConnectError, ConnectOptions, HeaderMap, HeaderName, HeaderValue, ServerAddr};
use async_trait::async_trait;
use futures_util::future::join_all;

use crate::message::Outgoing;
use crate::pem;
use crate::shared::Slot;
use crate::sink::{Answer, MessageSink};

/// Publishes messages to NATS JetStream: the topic is the subject, the task's id the `Nats-Msg-Id`, by which the server drops
/// repetitions within the stream's duplicate window. Acknowledged means the stream's own acknowledgement.
///
/// A stream has to be there for every subject: one without is tried again until there is.
pub struct NatsSink {
    servers: Vec<ServerAddr>,
    options: ConnectOptions,
    ack_timeout: Duration,
    connection: Slot<Context>,
}

/// Options of a [`NatsSink`].
#[must_use]
pub struct NatsSinkBuilder {
    urls: Vec<String>,
    options: ConnectOptions,
    root_certificates: Option<PathBuf>,
    ack_timeout: Duration,
}

/// Why a sink cannot be made; the URL, which may hold a password, is not shown.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidNats {
    /// Not a URL of NATS.
    Url,
    /// The file of certificates is not there, or holds none.
    Certificates,
}

impl fmt::Display for InvalidNats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Url => "not the URL of a NATS server: nats://host, or tls://host for TLS",
            Self::Certificates => "the file of root certificates holds no certificate in PEM",
        })
    }
}

impl std::error::Error for InvalidNats {}

/// URLs may hold passwords and are not shown.
impl fmt::Debug for NatsSinkBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsSinkBuilder")
            .field("servers", &self.urls.len())
            .field("ack_timeout", &self.ack_timeout)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for NatsSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<_> = self
            .servers
            .iter()
            .map(|server| (server.host(), server.port()))
            .collect();
        f.debug_struct("NatsSink")
            .field("servers", &hosts)
            .finish_non_exhaustive()
    }
}

impl NatsSinkBuilder {
    /// Another server of the cluster.
    pub fn server(mut self, url: impl Into<String>) -> Self {
        self.urls.push(url.into());
        self
    }

    /// A token to authenticate with.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.options = self.options.token(token.into());
        self
    }

    /// A user and a password, in place of those in the URL.
    pub fn user_and_password(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.options = self.options.user_and_password(user.into(), password.into());
        self
    }

    /// A file of certificates in PEM, of the authorities that are believed instead of the system's.
    pub fn root_certificates(mut self, file: impl Into<PathBuf>) -> Self {
        self.root_certificates = Some(file.into());
        self
    }

    /// How long connecting may take; 5 s unless told otherwise.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.options = self.options.connection_timeout(limit);
        self
    }

    /// How long the stream's acknowledgement may take; 5 s unless told otherwise.
    pub const fn ack_timeout(mut self, limit: Duration) -> Self {
        self.ack_timeout = limit;
        self
    }

    /// The sink; it connects when there is something to send.
    ///
    /// # Errors
    /// A URL is none, or the certificates cannot be read.
    pub fn build(self) -> Result<NatsSink, InvalidNats> {
        let servers = self
            .urls
            .iter()
            .map(|url| url.parse().map_err(|_| InvalidNats::Url));
        let servers = servers.collect::<Result<_, _>>()?;
        let mut options = self.options;
        if let Some(file) = self.root_certificates {
            // The client reads the file itself, each time it connects.
            pem::read(&file).ok_or(InvalidNats::Certificates)?;
            options = options.add_root_certificates(file);
        }
        Ok(NatsSink {
            servers,
            options,
            ack_timeout: self.ack_timeout,
            connection: Slot::default(),
        })
    }
}

impl NatsSink {
    /// A sink for the server at `url`: `nats://[user:password@]host[:port]`, `tls://…` with TLS, never without.
    pub fn builder(url: impl Into<String>) -> NatsSinkBuilder {
        NatsSinkBuilder {
            urls: vec![url.into()],
            options: ConnectOptions::new().connection_timeout(Duration::from_secs(5)),
            root_certificates: None,
            ack_timeout: Duration::from_secs(5),
        }
    }

    async fn connect(&self) -> Result<Context, ConnectError> {
        let client = async_nats::connect_with_options(&self.servers[..], self.options.clone()).await?;
        let mut context = jetstream::new(client);
        context.set_timeout(self.ack_timeout);
        Ok(context)
    }

    async fn one(context: &Context, message: &Outgoing) -> Answer {
        if !is_subject(&message.topic) {
            return Answer::refused("the topic is no subject that can be published to");
        }
        let mut headers = HeaderMap::new();
        for (name, value) in message.wire_headers() {
            let (Ok(key), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) else {
                return Answer::refused(format!("NATS does not allow the header {name:?}"));
            };
            headers.insert(key, value);
        }
        let publish = PublishMessage::build()
            .payload(message.body.clone())
            .headers(headers)
            .message_id(message.id.to_string());
        let sent = match context.send_publish(message.topic.clone(), publish).await {
            Ok(sent) => sent.await,
            Err(error) => Err(error),
        };
        match sent {
            Ok(_) => Answer::Acked,
            Err(error) if error.kind() == PublishErrorKind::MaxPayloadExceeded => Answer::refused(error),
            Err(error) => Answer::retry(error),
        }
    }
}

/// Whether messages can be published to it: tokens between dots, no wildcards and no spaces.
fn is_subject(topic: &str) -> bool {
    let wild = |token: &str| token.is_empty() || token == "*" || token == ">";
    !topic.contains(char::is_whitespace) && !topic.split('.').any(wild)
}

#[async_trait]
impl MessageSink for NatsSink {
    async fn publish(&self, messages: &[Outgoing]) -> Vec<Answer> {
        // The client keeps the connection by itself from the first one on.
        let borrowed = match self.connection.get(self.connect()).await {
            Ok(borrowed) => borrowed,
            Err(error) => return vec![Answer::retry(error); messages.len()],
        };
        let context = borrowed.connection.clone();
        borrowed.end(true);
        join_all(messages.iter().map(|message| Self::one(&context, message))).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_those_that_can_be_published_to() {
        for good in ["a", "order.paid", "a-b_c.d/e"] {
            assert!(is_subject(good), "{good}");
        }
        for wrong in ["", "a..b", ".a", "a.", "a.*", "a.>", "a b"] {
            assert!(!is_subject(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn no_password_is_shown() {
        let builder = NatsSink::builder("nats://me:secret@localhost").token("secret");
        assert!(!format!("{builder:?}").contains("secret"));
        assert!(!format!("{:?}", builder.build().unwrap()).contains("secret"));
        assert_eq!(
            NatsSink::builder("nats://:x").build().unwrap_err(),
            InvalidNats::Url
        );
        let missing = NatsSink::builder("tls://localhost").root_certificates("/nowhere/ca.pem");
        assert_eq!(missing.build().unwrap_err(), InvalidNats::Certificates);
    }
}
