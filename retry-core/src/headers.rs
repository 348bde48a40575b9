//! Headers: short texts that travel with a task, such as trace context.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limits::MAX_HEADERS_BYTES;

/// Key–value texts of at most 16 KiB together, UTF-8 without U+0000; keys are unique, case matters.
///
/// Its `Debug` form shows the keys only.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Headers(BTreeMap<String, String>);

/// Why a header was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidHeader {
    /// The key is empty.
    EmptyKey,
    /// A key or value has the character U+0000, which PostgreSQL cannot keep.
    Nul,
    /// All headers together have more bytes than [`MAX_HEADERS_BYTES`].
    TooLarge {
        /// Their length in bytes.
        bytes: usize,
    },
}

impl fmt::Display for InvalidHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptyKey => f.write_str("a header needs a key"),
            Self::Nul => f.write_str("a header must not contain the character U+0000"),
            Self::TooLarge { bytes } => {
                write!(
                    f,
                    "the headers have {bytes} bytes, at most {MAX_HEADERS_BYTES} are allowed"
                )
            }
        }
    }
}

impl std::error::Error for InvalidHeader {}

impl Headers {
    /// No headers.
    #[must_use]
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Sets a header, in place of an earlier one with the same key.
    ///
    /// # Errors
    /// The header breaks a bound; nothing is changed then.
    pub fn insert(&mut self, key: impl Into<String>, value: impl Into<String>) -> Result<(), InvalidHeader> {
        let (key, value) = (key.into(), value.into());
        if key.is_empty() {
            return Err(InvalidHeader::EmptyKey);
        }
        if key.contains('\0') || value.contains('\0') {
            return Err(InvalidHeader::Nul);
        }
        let replaced = self.0.get(&key).map_or(0, |old| key.len() + old.len());
        let bytes = self.bytes() - replaced + key.len() + value.len();
        if bytes > MAX_HEADERS_BYTES {
            return Err(InvalidHeader::TooLarge { bytes });
        }
        self.0.insert(key, value);
        Ok(())
    }

    /// The value of a header.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// All headers, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes of all keys and values.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.iter().map(|(key, value)| key.len() + value.len()).sum()
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Headers")?;
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_hold_and_a_refusal_changes_nothing() {
        let mut headers = Headers::new();
        assert_eq!(headers.insert("", "v"), Err(InvalidHeader::EmptyKey));
        assert_eq!(headers.insert("k", "a\0"), Err(InvalidHeader::Nul));
        headers.insert("k", "x".repeat(MAX_HEADERS_BYTES - 1)).unwrap();
        let error = headers.insert("j", "").unwrap_err();
        assert_eq!(
            error,
            InvalidHeader::TooLarge {
                bytes: MAX_HEADERS_BYTES + 1
            }
        );
        headers.insert("k", "short").unwrap();
        assert_eq!(headers.iter().collect::<Vec<_>>(), [("k", "short")]);
    }
}
