//! From a stored payload to the type that a program has today.

use std::fmt;

use serde::de::DeserializeOwned;

use super::TaskPayload;
use crate::headers::Headers;
use crate::payload::Payload;

/// The header that holds the version of a payload's form; without it the version is 1.
pub const VERSION_HEADER: &str = "task-retry-version";

/// Why a stored payload cannot become the type of today. It does not quote the payload.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// It does not describe the type.
    Undecodable(String),
    /// A newer program made it: its version is above the one that this program knows, and it does not decode as that.
    Newer {
        /// Its version.
        stored: u32,
        /// The version of this program.
        known: u32,
    },
    /// [`TaskPayload::migrate`] refused it.
    Migration {
        /// Its version.
        stored: u32,
        /// What it said.
        reason: String,
    },
    /// Its [`VERSION_HEADER`] is no number above zero.
    Version,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Undecodable(reason) => write!(f, "the payload does not decode: {reason}"),
            Self::Newer { stored, known } => write!(
                f,
                "the payload has version {stored}, and this program knows versions up to {known}; a newer one has to run it"
            ),
            Self::Migration { stored, reason } => {
                write!(f, "the payload of version {stored} does not migrate: {reason}")
            }
            Self::Version => write!(f, "the header `{VERSION_HEADER}` is no version"),
        }
    }
}

impl std::error::Error for DecodeError {}

/// The payload as the type of today: migrated when it is of an older version.
///
/// # Errors
/// It cannot become that type.
pub fn decode<P: TaskPayload>(payload: &Payload, headers: &Headers) -> Result<P, DecodeError> {
    let stored = match headers.get(VERSION_HEADER) {
        None => 1,
        Some(version) => version
            .parse()
            .ok()
            .filter(|version| *version > 0)
            .ok_or(DecodeError::Version)?,
    };
    decode_version(payload, stored)
}

pub(super) fn decode_version<P: TaskPayload>(payload: &Payload, stored: u32) -> Result<P, DecodeError> {
    let known = P::VERSION;
    if stored == known {
        return read(payload);
    }
    if stored > known {
        return payload.decode().map_err(|_| DecodeError::Newer { stored, known });
    }
    let migrated = P::migrate(stored, read(payload)?).map_err(|error| DecodeError::Migration {
        stored,
        reason: error.to_string(),
    })?;
    serde_json::from_value(migrated).map_err(|error| DecodeError::Undecodable(unquoted(&error)))
}

fn read<T: DeserializeOwned>(payload: &Payload) -> Result<T, DecodeError> {
    payload
        .decode()
        .map_err(|error| DecodeError::Undecodable(unquoted(&error)))
}

/// What is wrong with a payload without a word of the payload: serde's messages quote the value that they found before
/// they say what was expected.
fn unquoted(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let names_fields_only = text.starts_with("missing field") || text.starts_with("duplicate field");
    if !error.is_data() || names_fields_only {
        return text;
    }
    let found = text.split([':', '`', '"']).next().unwrap_or_default().trim_end();
    let told = found.starts_with("invalid ") || found.starts_with("unknown ");
    match text.rfind(", expected ").filter(|_| told) {
        Some(expected) => format!("{found}{}", &text[expected..]),
        None => format!(
            "an invalid value at line {} column {}",
            error.line(),
            error.column()
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only decoded")]
    struct Order {
        n: u32,
        size: Size,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Size {
        Small,
    }

    #[derive(Debug)]
    struct Own;

    impl<'de> Deserialize<'de> for Own {
        fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            Err(serde::de::Error::custom("secret, expected nothing"))
        }
    }

    fn told<T: DeserializeOwned + fmt::Debug>(json: &str) -> String {
        unquoted(&serde_json::from_str::<T>(json).unwrap_err())
    }

    #[test]
    fn an_undecodable_payload_is_described_without_quoting_it() {
        let place = "at line 1 column";
        assert_eq!(
            told::<Order>(r#"{"n":"secret"}"#),
            format!("invalid type, expected u32 {place} 13")
        );
        assert_eq!(
            told::<Order>(r#"{"n":-7}"#),
            format!("invalid value, expected u32 {place} 7")
        );
        assert_eq!(
            told::<Order>(r#"{"n":1,"size":"secret, expected x"}"#),
            format!("unknown variant, expected `small` {place} 34")
        );
        assert_eq!(
            told::<Order>(r#"{"n":1}"#),
            format!("missing field `size` {place} 7")
        );
        assert_eq!(
            told::<Order>("{"),
            format!("EOF while parsing an object {place} 1")
        );
        let own = told::<Own>("1");
        assert!(own.starts_with("an invalid value at line"), "{own}");
    }
}
