//! Messages as entries of Redis Streams.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo as _, Pipeline, RedisError,
    TlsCertificates,
};
use rustls::crypto::{CryptoProvider, ring};

use crate::message::Outgoing;
use crate::pem;
use crate::shared::Slot;
use crate::sink::{Answer, MessageSink};

/// The field of an entry with the message's body; the other fields are its headers.
const BODY: &str = "body";

/// Appends messages to Redis Streams, or Valkey's: the topic is the stream's key, the body the field `body`, and each header
/// a field of its name. Acknowledged means that the server has answered the `XADD`: as durable as its `appendfsync` says.
///
/// All messages of a call for one stream are one transaction (`MULTI`), so several of one key travel together. Redis
/// drops no repetition: receivers know one by the field `retry-task-id`.
pub struct RedisStreamsSink {
    client: Client,
    settings: AsyncConnectionConfig,
    longest: Option<usize>,
    connection: Slot<MultiplexedConnection>,
}

/// Options of a [`RedisStreamsSink`].
#[derive(Clone)]
#[must_use]
pub struct RedisStreamsSinkBuilder {
    url: String,
    connect_timeout: Duration,
    response_timeout: Duration,
    longest: Option<usize>,
    root_certificates: Option<PathBuf>,
}

/// The URL may hold a password and is not shown.
impl fmt::Debug for RedisStreamsSinkBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStreamsSinkBuilder")
            .field("longest", &self.longest)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RedisStreamsSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.client.get_connection_info().addr().to_string();
        f.debug_struct("RedisStreamsSink")
            .field("address", &address)
            .finish_non_exhaustive()
    }
}

/// Why a sink cannot be made; the URL, which may hold a password, is not shown.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidRedis {
    /// Not a URL of Redis.
    Url,
    /// The file of certificates is not there, or holds none.
    Certificates,
}

impl fmt::Display for InvalidRedis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Url => {
                "not a URL of a Redis server: redis://host, or rediss://host for TLS and its certificates"
            }
            Self::Certificates => "the file of root certificates holds no certificate in PEM",
        })
    }
}

impl std::error::Error for InvalidRedis {}

impl RedisStreamsSinkBuilder {
    /// How long connecting may take; 5 s unless told otherwise.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// How long the server may take to answer; 10 s unless told otherwise.
    pub fn response_timeout(mut self, limit: Duration) -> Self {
        self.response_timeout = limit;
        self
    }

    /// A file of certificates in PEM, of the authorities that are believed instead of the system's.
    pub fn root_certificates(mut self, file: impl Into<PathBuf>) -> Self {
        self.root_certificates = Some(file.into());
        self
    }

    /// Cuts a stream to about this many entries, the oldest first (`MAXLEN ~`); streams grow without it.
    pub fn max_len(mut self, entries: usize) -> Self {
        self.longest = Some(entries);
        self
    }

    /// The sink; it connects when there is something to send.
    ///
    /// # Errors
    /// The URL is none, or the certificates cannot be read.
    pub fn build(self) -> Result<RedisStreamsSink, InvalidRedis> {
        let info = self
            .url
            .as_str()
            .into_connection_info()
            .map_err(|_| InvalidRedis::Url)?;
        let is_tls = matches!(info.addr(), ConnectionAddr::TcpTls { .. });
        if self.root_certificates.is_some() && !is_tls {
            return Err(InvalidRedis::Url);
        }
        if is_tls && CryptoProvider::get_default().is_none() {
            // Somebody else may have been faster; then theirs is used.
            let _ = ring::default_provider().install_default();
        }
        let client = match &self.root_certificates {
            None => Client::open(info).map_err(|_| InvalidRedis::Url)?,
            Some(file) => {
                let pem = pem::read(file).ok_or(InvalidRedis::Certificates)?;
                let certificates = TlsCertificates {
                    client_tls: None,
                    root_cert: Some(pem.into_bytes()),
                };
                Client::build_with_tls(info, certificates).map_err(|_| InvalidRedis::Certificates)?
            }
        };
        Ok(RedisStreamsSink {
            client,
            settings: AsyncConnectionConfig::new()
                .set_connection_timeout(Some(self.connect_timeout))
                .set_response_timeout(Some(self.response_timeout)),
            longest: self.longest,
            connection: Slot::default(),
        })
    }
}

impl RedisStreamsSink {
    /// A sink for the server at `url`: `redis://[user:password@]host[:port][/db]`, `rediss://…` with TLS.
    pub fn builder(url: impl Into<String>) -> RedisStreamsSinkBuilder {
        RedisStreamsSinkBuilder {
            url: url.into(),
            connect_timeout: Duration::from_secs(5),
            response_timeout: Duration::from_secs(10),
            longest: None,
            root_certificates: None,
        }
    }

    fn append(&self, pipeline: &mut Pipeline, message: &Outgoing) {
        pipeline.cmd("XADD").arg(&message.topic);
        if let Some(longest) = self.longest {
            pipeline.arg("MAXLEN").arg("~").arg(longest);
        }
        pipeline.arg("*").arg(BODY).arg(message.body.as_ref());
        for (name, value) in message.wire_headers() {
            pipeline.arg(name).arg(value);
        }
        pipeline.ignore();
    }

    /// Appends the messages of one stream, all or none.
    async fn transaction(&self, messages: &[&Outgoing]) -> Result<(), RedisError> {
        let connect = self
            .client
            .get_multiplexed_async_connection_with_config(&self.settings);
        let mut borrowed = self.connection.get(connect).await?;
        let mut pipeline = redis::pipe();
        pipeline.atomic();
        for message in messages {
            self.append(&mut pipeline, message);
        }
        let answer = pipeline.query_async::<()>(&mut borrowed.connection).await;
        // Whoever is refused may talk to the wrong server: to a former primary (READONLY) say, behind an address that moved.
        borrowed.end(answer.is_ok());
        answer
    }
}

#[async_trait]
impl MessageSink for RedisStreamsSink {
    async fn publish(&self, messages: &[Outgoing]) -> Vec<Answer> {
        let mut answers = vec![Answer::Acked; messages.len()];
        let mut streams: Vec<(&str, Vec<usize>)> = Vec::new();
        for (at, message) in messages.iter().enumerate() {
            if message.headers.get(BODY).is_some() {
                answers[at] = Answer::refused("a header of the name `body` has no place in an entry");
                continue;
            }
            match streams.iter_mut().find(|(topic, _)| *topic == message.topic) {
                Some((_, of_topic)) => of_topic.push(at),
                None => streams.push((&message.topic, vec![at])),
            }
        }
        let calls = streams.iter().map(|(_, of_topic)| async move {
            let messages: Vec<&Outgoing> = of_topic.iter().map(|at| &messages[*at]).collect();
            self.transaction(&messages).await
        });
        let results = futures_util::future::join_all(calls).await;
        for ((_, of_topic), result) in streams.iter().zip(results) {
            if let Err(error) = result {
                of_topic
                    .iter()
                    .for_each(|at| answers[*at] = Answer::retry(&error));
            }
        }
        answers
    }

    fn takes_runs(&self) -> bool {
        true
    }
}
