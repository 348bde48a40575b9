//! A message: what a program wants sent, how it is stored in its task, and what a sink gets.

use std::fmt;

use bytes::Bytes;
use retry_core::draft::TaskPayload;
use retry_core::headers::Headers;
use retry_core::id::TaskId;
use retry_core::payload::{Base64, InvalidPayload, Payload};
use serde::{Deserialize, Serialize};

/// Headers with this beginning are the relay's own.
pub(crate) const RESERVED: &str = "retry-";

/// The header with the task's id, the same in every repetition of a message: receivers drop what they know.
pub const TASK_ID_HEADER: &str = "retry-task-id";

/// The header with the fencing number of the partition's owner, which never goes down from owner to owner.
pub const FENCE_HEADER: &str = "retry-fence";

/// The header with the message's key, where the broker has no place of its own for it.
pub const KEY_HEADER: &str = "retry-key";

/// A message to be sent: a body, and where it goes. [`SinkQueue::draft`](crate::SinkQueue::draft) makes a task of it.
#[derive(Clone)]
#[must_use]
pub struct Message {
    pub(crate) topic: Option<String>,
    pub(crate) key: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Body,
}

/// A body as it is stored.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Body {
    Text(String),
    Base64(Base64),
}

impl Message {
    const fn new(body: Body) -> Self {
        Self {
            topic: None,
            key: None,
            headers: Vec::new(),
            body,
        }
    }

    /// A message whose body is this text.
    pub fn text(body: impl Into<String>) -> Self {
        Self::new(Body::Text(body.into()))
    }

    /// A message whose body are these bytes.
    pub fn bytes(body: impl Into<Vec<u8>>) -> Self {
        Self::new(Body::Base64(Base64(body.into())))
    }

    /// A message whose body is `value` as JSON.
    ///
    /// # Errors
    /// The value does not serialize.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        serde_json::to_string(value).map(Self::text)
    }

    /// A message whose body is a task's payload as JSON; it goes to the topic that bears the name of its kind unless told
    /// otherwise.
    ///
    /// # Errors
    /// The payload does not serialize.
    pub fn of<P: TaskPayload>(payload: &P) -> Result<Self, serde_json::Error> {
        Ok(Self::json(payload)?.topic(P::KIND))
    }

    /// The topic: a subject, a routing key, a stream or a path, by the sink. The queue's own unless told otherwise.
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.topic = Some(topic.into());
        self
    }

    /// Messages of one key reach the broker in the order in which they were enqueued.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Adds a header, in place of one with the same name. The name must suit the broker; names that begin with `retry-`
    /// are refused.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

/// Shows no body and no key.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("topic", &self.topic)
            .field("keyed", &self.key.is_some())
            .finish_non_exhaustive()
    }
}

/// A message as the payload of its task.
#[derive(Serialize, Deserialize)]
pub(crate) struct Stored {
    pub(crate) topic: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    pub(crate) body: Body,
}

/// Why a message cannot be enqueued.
#[derive(Debug)]
#[non_exhaustive]
pub enum InvalidMessage {
    /// The topic is empty, too long ([`MAX_TOPIC_BYTES`](crate::limits::MAX_TOPIC_BYTES)) or has control characters.
    Topic,
    /// The key is empty, too long ([`MAX_KEY_BYTES`](crate::limits::MAX_KEY_BYTES)) or has control characters.
    Key,
    /// A header has an empty name, the beginning `retry-`, or control characters in its name or value.
    Header {
        /// Its name.
        name: String,
    },
    /// The message is too large for a task.
    Body(InvalidPayload),
}

impl fmt::Display for InvalidMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (topic, key) = (crate::limits::MAX_TOPIC_BYTES, crate::limits::MAX_KEY_BYTES);
        match self {
            Self::Topic => write!(f, "a topic has 1 to {topic} bytes and no control characters"),
            Self::Key => write!(f, "a key has 1 to {key} bytes and no control characters"),
            Self::Header { name } => write!(
                f,
                "the header {name:?}: a name is not empty and does not begin with `{RESERVED}`, and there are no \
                 control characters"
            ),
            Self::Body(_) => f.write_str("the message cannot be stored as a task"),
        }
    }
}

impl std::error::Error for InvalidMessage {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Body(error) => Some(error),
            _ => None,
        }
    }
}

pub(crate) fn is_text(text: &str, most: usize) -> bool {
    !text.is_empty() && text.len() <= most && !text.chars().any(char::is_control)
}

/// A message on its way to the broker, as a [`MessageSink`](crate::MessageSink) gets it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outgoing {
    /// The id of its task: the same in every repetition, so that brokers and receivers can drop what they know.
    pub id: TaskId,
    /// Where it goes, after the relay's naming.
    pub topic: String,
    /// What it is ordered by.
    pub key: Option<String>,
    /// Its headers, those of trace context among them.
    pub headers: Headers,
    /// What it says.
    pub body: Bytes,
    /// The fencing number of the partition's owner; of a message without key, its task's version.
    pub fence: u64,
}

impl Outgoing {
    /// Reads the payload of a message's task.
    pub(crate) fn read(id: TaskId, payload: &Payload, headers: Headers) -> Result<Self, serde_json::Error> {
        let stored: Stored = payload.decode()?;
        let body = match stored.body {
            Body::Text(text) => Bytes::from(text),
            Body::Base64(Base64(bytes)) => Bytes::from(bytes),
        };
        Ok(Self {
            id,
            topic: stored.topic,
            key: stored.key,
            headers,
            body,
            fence: 0,
        })
    }

    /// All headers that are to travel: the message's own, its id, the fencing number and its key.
    pub fn wire_headers(&self) -> impl Iterator<Item = (&str, String)> {
        let own = self.headers.iter().map(|(name, value)| (name, value.to_owned()));
        let key = self.key.iter().map(|key| (KEY_HEADER, key.clone()));
        own.filter(|(name, _)| !name.starts_with(RESERVED))
            .chain([
                (TASK_ID_HEADER, self.id.to_string()),
                (FENCE_HEADER, self.fence.to_string()),
            ])
            .chain(key)
    }
}

/// Shows no body, key or header.
impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing")
            .field("id", &self.id)
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}
