//! The seam to a broker.

use std::fmt;

use async_trait::async_trait;
use retry_core::task::ErrorText;

use crate::limits::MAX_WAVE;
use crate::message::Outgoing;

/// What became of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The broker has acknowledged it: it has it for good, as far as its settings promise.
    Acked,
    /// It was not acknowledged; it may have been taken all the same. It is sent again.
    Retry(Reason),
    /// It will never be taken as it is. It fails, and the next one of its key goes on.
    Refused(Reason),
}

impl Answer {
    /// To be sent again.
    pub fn retry(reason: impl fmt::Display) -> Self {
        Self::Retry(Reason::new(reason))
    }

    /// Never to be sent again.
    pub fn refused(reason: impl fmt::Display) -> Self {
        Self::Refused(Reason::new(reason))
    }
}

/// Why a message was not acknowledged: kept with its task and shown to operators, so without credentials and bodies.
#[derive(Clone, PartialEq, Eq)]
pub struct Reason(ErrorText);

impl Reason {
    /// A reason, cut like any error text.
    pub fn new(reason: impl fmt::Display) -> Self {
        Self(ErrorText::new(reason.to_string()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    pub(crate) fn into_text(self) -> ErrorText {
        self.0
    }
}

impl fmt::Debug for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Hands messages over to a broker.
///
/// **Order** is the relay's affair. A call carries at most one message of a key, so a sink may send all of a call at the
/// same time, in any order. The next message of the key comes only in a call after the one that answered
/// [`Answer::Acked`] or [`Answer::Refused`] for the one before. A sink whose broker takes several messages of a key as
/// one, all or none, says so by [`takes_runs`](Self::takes_runs).
///
/// **Calls overlap**: each partition has one at a time, and there are many partitions.
#[async_trait]
pub trait MessageSink: fmt::Debug + Send + Sync + 'static {
    /// Sends messages and waits for the broker's word on each: one answer per message, in input order. A missing answer
    /// counts as [`Answer::Retry`].
    ///
    /// It connects when needed, again after a loss, and answers within a time of its own; the relay drops a call that
    /// takes longer than its limit, after which the messages may have been taken or not, or may be taken yet.
    async fn publish(&self, messages: &[Outgoing]) -> Vec<Answer>;

    /// How many messages a call may carry, at least one.
    fn max_wave(&self) -> usize {
        MAX_WAVE
    }

    /// Whether a call may carry several consecutive messages of one key and topic. Then the broker takes them in input
    /// order and takes none when it has not taken the ones before; the relay disbelieves an answer behind one that is not
    /// [`Answer::Acked`] or [`Answer::Refused`].
    fn takes_runs(&self) -> bool {
        false
    }
}

#[cfg(test)]
const fn _object_safe(_: &dyn MessageSink) {}
