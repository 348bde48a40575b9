//! Answers of scripts, taken apart.

use redis::Value;
use retry_core::id::{SessionId, TaskId};
use retry_core::store::{Result, StoreError};
use retry_core::time::Timestamp;

use crate::error::unexpected;

/// An answer with the address to name when it has another shape.
pub(crate) struct Reply<'a> {
    value: Value,
    address: &'a str,
}

impl<'a> Reply<'a> {
    pub(crate) const fn new(value: Value, address: &'a str) -> Self {
        Self { value, address }
    }

    pub(crate) const fn address(&self) -> &'a str {
        self.address
    }

    fn wrong(&self) -> StoreError {
        unexpected(self.address)
    }

    pub(crate) const fn is_nil(&self) -> bool {
        matches!(self.value, Value::Nil)
    }

    pub(crate) const fn is_int(&self) -> bool {
        matches!(self.value, Value::Int(_))
    }

    pub(crate) fn array(self) -> Result<Replies<'a>> {
        let address = self.address;
        match self.value {
            Value::Array(values) => Ok(Replies {
                values: values.into_iter(),
                address,
            }),
            Value::Nil => Ok(Replies {
                values: Vec::new().into_iter(),
                address,
            }),
            _ => Err(unexpected(address)),
        }
    }

    pub(crate) fn int(self) -> Result<i64> {
        match self.value {
            Value::Int(n) => Ok(n),
            // Hash values come as text.
            Value::BulkString(ref text) => std::str::from_utf8(text)
                .ok()
                .and_then(|text| text.parse().ok())
                .ok_or_else(|| self.wrong()),
            _ => Err(self.wrong()),
        }
    }

    pub(crate) fn bytes(self) -> Result<Vec<u8>> {
        match self.value {
            Value::BulkString(bytes) => Ok(bytes),
            Value::SimpleString(text) => Ok(text.into_bytes()),
            _ => Err(unexpected(self.address)),
        }
    }

    pub(crate) fn opt_bytes(self) -> Result<Option<Vec<u8>>> {
        if self.is_nil() {
            return Ok(None);
        }
        self.bytes().map(Some)
    }

    fn id(self) -> Result<[u8; 16]> {
        let address = self.address;
        self.bytes()?.try_into().map_err(|_| unexpected(address))
    }

    pub(crate) fn task_id(self) -> Result<TaskId> {
        self.id().map(TaskId::from_bytes)
    }

    pub(crate) fn session_id(self) -> Result<SessionId> {
        self.id().map(SessionId::from_bytes)
    }

    /// A session and a task in one member of a set.
    pub(crate) fn member(self) -> Result<(SessionId, TaskId)> {
        let address = self.address;
        let bytes = self.bytes()?;
        let halves = bytes
            .split_first_chunk()
            .and_then(|(session, id)| Some((*session, id.try_into().ok()?)));
        let (session, id) = halves.ok_or_else(|| unexpected(address))?;
        Ok((SessionId::from_bytes(session), TaskId::from_bytes(id)))
    }

    pub(crate) fn opt_time(self) -> Result<Option<Timestamp>> {
        if self.is_nil() {
            return Ok(None);
        }
        Ok(Some(Timestamp::from_millis(self.int()?)))
    }
}

/// The parts of an answer, in order.
pub(crate) struct Replies<'a> {
    values: std::vec::IntoIter<Value>,
    address: &'a str,
}

impl<'a> Replies<'a> {
    /// The next part; its absence is another shape.
    pub(crate) fn part(&mut self) -> Result<Reply<'a>> {
        let address = self.address;
        self.next().ok_or_else(|| unexpected(address))
    }

    pub(crate) fn left(&self) -> usize {
        self.values.len()
    }
}

impl<'a> Iterator for Replies<'a> {
    type Item = Reply<'a>;
    fn next(&mut self) -> Option<Reply<'a>> {
        let value = self.values.next()?;
        Some(Reply::new(value, self.address))
    }
}

/// An answer that is text.
pub(crate) fn text(value: Value, address: &str) -> Result<String> {
    let text = match value {
        Value::BulkString(bytes) => String::from_utf8(bytes).ok(),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Some(text),
        _ => None,
    };
    text.ok_or_else(|| unexpected(address))
}
