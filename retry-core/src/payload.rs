//! What a task carries: JSON text, kept and returned byte for byte.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::limits::MAX_PAYLOAD_BYTES;

/// JSON text of at most 1 MiB: a task's payload, output, checkpoint or completion.
///
/// Cloning is cheap. Its `Debug` form shows the length only, so that a payload never slips into a log.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Payload(Arc<str>);

/// Why a payload was refused.
#[derive(Debug)]
#[non_exhaustive]
pub enum InvalidPayload {
    /// It has more bytes than [`MAX_PAYLOAD_BYTES`].
    TooLarge {
        /// Its length in bytes.
        bytes: usize,
    },
    /// It is not JSON, or the value cannot be written as JSON.
    Json(serde_json::Error),
}

impl fmt::Display for InvalidPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { bytes } => write!(
                f,
                "the payload has {bytes} bytes, at most {MAX_PAYLOAD_BYTES} are allowed; \
                 store large data elsewhere and put its address in the payload"
            ),
            Self::Json(_) => f.write_str("the payload is not valid JSON"),
        }
    }
}

impl std::error::Error for InvalidPayload {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Json(error) => Some(error),
            Self::TooLarge { .. } => None,
        }
    }
}

impl Payload {
    /// The payload `null`.
    #[must_use]
    pub fn null() -> Self {
        Self(Arc::from("null"))
    }

    /// Writes `value` as JSON.
    ///
    /// # Errors
    /// The value does not serialize, or its text is too large.
    pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Self, InvalidPayload> {
        let text = serde_json::to_string(value).map_err(InvalidPayload::Json)?;
        Self::sized(text)
    }

    /// Takes JSON text as it is, byte for byte.
    ///
    /// # Errors
    /// It is not JSON, or too large.
    pub fn from_json(text: impl Into<String>) -> Result<Self, InvalidPayload> {
        let text = text.into();
        serde_json::from_str::<serde::de::IgnoredAny>(&text).map_err(InvalidPayload::Json)?;
        Self::sized(text)
    }

    /// Takes text that a store kept. Nothing is checked: damaged text is found when the payload is decoded.
    #[must_use]
    pub fn from_stored(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    fn sized(text: String) -> Result<Self, InvalidPayload> {
        if text.len() > MAX_PAYLOAD_BYTES {
            return Err(InvalidPayload::TooLarge { bytes: text.len() });
        }
        Ok(Self(Arc::from(text)))
    }

    /// Reads the value back.
    ///
    /// # Errors
    /// The text does not describe a `T`. The error may quote parts of the text: do not log it above debug.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(&self.0)
    }

    /// The JSON text.
    #[must_use]
    pub fn as_json(&self) -> &str {
        &self.0
    }

    /// Its length in bytes.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "JSON text is never empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.0.len())
    }
}

/// Binary data inside a payload, written as a base64 string (standard alphabet, padded; RFC 4648 §4).
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Base64(pub Vec<u8>);

impl fmt::Debug for Base64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Base64({} bytes)", self.0.len())
    }
}

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Self).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_is_checked_at_the_boundary() {
        let text = |n: usize| format!("\"{}\"", "x".repeat(n - 2));
        assert!(Payload::from_json(text(MAX_PAYLOAD_BYTES)).is_ok());
        let error = Payload::from_json(text(MAX_PAYLOAD_BYTES + 1)).unwrap_err();
        assert!(matches!(error, InvalidPayload::TooLarge { bytes } if bytes == MAX_PAYLOAD_BYTES + 1));
    }

    #[test]
    fn text_is_kept_byte_for_byte() {
        let text = "{ \"b\":1.0,  \"a\" : \"\\u00e9\" }";
        assert_eq!(Payload::from_json(text).unwrap().as_json(), text);
        assert!(matches!(Payload::from_json("{"), Err(InvalidPayload::Json(_))));
    }

    #[test]
    fn binary_data_travels_as_base64() {
        let bytes = Base64((0..=255).collect());
        let payload = Payload::encode(&bytes).unwrap();
        assert_eq!(payload.decode::<Base64>().unwrap(), bytes);
    }

    #[test]
    fn debug_shows_no_content() {
        assert_eq!(
            format!("{:?}", Payload::encode("secret").unwrap()),
            "Payload(8 bytes)"
        );
    }
}
