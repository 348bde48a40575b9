//! A request for each message.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use retry_core::alert::{InvalidWebhook, Webhook};
use retry_core::clock::{Clock, SystemClock};

use crate::limits::MESSAGE_TIMEOUT;
use crate::message::Outgoing;
use crate::sink::{Answer, MessageSink};
use crate::within::by;

/// The header with the message's topic.
const TOPIC_HEADER: &str = "retry-topic";

/// What a server that knows it uses to drop repetitions: the task's id.
const IDEMPOTENCY_HEADER: &str = "idempotency-key";

/// Requests of one call at the same time: each has a connection of its own.
const AT_ONCE: usize = 16;

/// Posts each message to a URL, on a connection of its own, with its headers, its topic as `retry-topic` and its task's id as
/// `idempotency-key`. Acknowledged means a status of 2xx.
///
/// The statuses 400, 410, 413, 415, 422 and 501 say that this message will never be taken. Any other, a redirect too, is tried
/// again: it speaks of the server, of the credentials or of the address. So is one that is not answered in time.
#[derive(Clone)]
pub struct HttpSink {
    webhook: Webhook,
    in_path: bool,
    limit: Duration,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for HttpSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HttpSink").field(&self.webhook).finish()
    }
}

/// Options of an [`HttpSink`].
#[derive(Debug, Clone)]
#[must_use]
pub struct HttpSinkBuilder {
    webhook: Result<Webhook, InvalidWebhook>,
    in_path: bool,
    limit: Duration,
    clock: Arc<dyn Clock>,
}

impl HttpSinkBuilder {
    /// Adds a header to every request, in place of one with the same name: `authorization`, say.
    pub fn header(mut self, name: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        self.webhook = self.webhook.and_then(|webhook| webhook.header(name, value));
        self
    }

    /// Puts the topic behind the URL's path, as a further segment.
    pub const fn topic_in_path(mut self) -> Self {
        self.in_path = true;
        self
    }

    /// How long the request of a message may take, its connection included;
    /// [`MESSAGE_TIMEOUT`](crate::limits::MESSAGE_TIMEOUT) unless told otherwise. It should be less than the relay's
    /// [limit](crate::RelayBuilder::publish_timeout) of a call.
    pub const fn response_timeout(mut self, limit: Duration) -> Self {
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
    /// The URL or a header is none.
    pub fn build(self) -> Result<HttpSink, InvalidWebhook> {
        Ok(HttpSink {
            webhook: self.webhook?,
            in_path: self.in_path,
            limit: self.limit,
            clock: self.clock,
        })
    }
}

impl HttpSink {
    /// A sink for a URL with `http` or `https`.
    pub fn builder(url: impl AsRef<str>) -> HttpSinkBuilder {
        HttpSinkBuilder {
            webhook: Webhook::new(url),
            in_path: false,
            limit: MESSAGE_TIMEOUT,
            clock: Arc::new(SystemClock::new()),
        }
    }

    async fn one(&self, message: &Outgoing) -> Answer {
        let id = message.id.to_string();
        let own = [(TOPIC_HEADER, message.topic.clone()), (IDEMPOTENCY_HEADER, id)];
        let headers: Vec<(&str, String)> = message.wire_headers().chain(own).collect();
        let segment = self.in_path.then(|| escaped(&message.topic));
        let request = self
            .webhook
            .request(segment.as_deref(), &headers, message.body.clone());
        let request = match request {
            Ok(request) => request,
            Err(why) => return Answer::refused(why),
        };
        let deadline = self.clock.monotonic() + self.limit;
        let sending = self.webhook.send(request);
        let Some(answer) = by(self.clock.as_ref(), deadline, sending).await else {
            return Answer::retry("the server did not answer in time");
        };
        match answer {
            Ok(200..=299) => Answer::Acked,
            Ok(status @ (400 | 410 | 413 | 415 | 422 | 501)) => {
                Answer::refused(format!("the server answered {status}"))
            }
            Ok(status) => Answer::retry(format!("the server answered {status}")),
            Err(error) => Answer::retry(error),
        }
    }
}

/// A topic as a segment of a path: what is not unreserved (RFC 3986 §2.3) is escaped, slashes too.
fn escaped(topic: &str) -> String {
    let mut path = String::with_capacity(topic.len());
    for byte in topic.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                path.push(char::from(byte))
            }
            _ => path.push_str(&format!("%{byte:02X}")),
        }
    }
    path
}

#[async_trait]
impl MessageSink for HttpSink {
    async fn publish(&self, messages: &[Outgoing]) -> Vec<Answer> {
        join_all(messages.iter().map(|message| self.one(message))).await
    }

    fn max_wave(&self) -> usize {
        AT_ONCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_one_segment() {
        assert_eq!(escaped("order.paid-1_~"), "order.paid-1_~");
        assert_eq!(escaped("a/b ü?"), "a%2Fb%20%C3%BC%3F");
    }

    #[test]
    fn what_is_wrong_is_said_when_it_is_built_and_no_secret_is_shown() {
        assert_eq!(
            HttpSink::builder("ftp://x").build().unwrap_err(),
            InvalidWebhook::Url
        );
        assert!(HttpSink::builder("http://x").header("a b", "c").build().is_err());
        let sink = HttpSink::builder("http://x/secret")
            .header("authorization", "secret")
            .build()
            .unwrap();
        assert!(!format!("{sink:?}").contains("secret"));
    }
}
