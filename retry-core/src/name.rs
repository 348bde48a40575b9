//! Validated names: kinds, queues and the name of a worker.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::limits::{MAX_KEY_BYTES, MAX_NAME_BYTES, MAX_OUTBOX_NAME_BYTES};

/// Why a name or key was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidName {
    /// It has no characters.
    Empty,
    /// It has more bytes than its limit.
    TooLong {
        /// Its length in bytes.
        bytes: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// It has a character outside the allowed set.
    Character(char),
}

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a name needs at least one character"),
            Self::TooLong { bytes, limit } => write!(f, "{bytes} bytes, at most {limit} are allowed"),
            Self::Character(c) => {
                write!(
                    f,
                    "the character {c:?} is not allowed; use letters, digits and . _ : / -"
                )
            }
        }
    }
}

impl std::error::Error for InvalidName {}

fn check_name(name: &str) -> Result<(), InvalidName> {
    if name.is_empty() {
        return Err(InvalidName::Empty);
    }
    if name.len() > MAX_NAME_BYTES {
        return Err(InvalidName::TooLong {
            bytes: name.len(),
            limit: MAX_NAME_BYTES,
        });
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | ':' | '/' | '-');
    match name.chars().find(|c| !allowed(*c)) {
        Some(c) => Err(InvalidName::Character(c)),
        None => Ok(()),
    }
}

fn check_outbox(name: &str) -> Result<(), InvalidName> {
    if name.len() > MAX_OUTBOX_NAME_BYTES {
        return Err(InvalidName::TooLong {
            bytes: name.len(),
            limit: MAX_OUTBOX_NAME_BYTES,
        });
    }
    check_name(name)
}

fn check_key(key: &str) -> Result<(), InvalidName> {
    if key.is_empty() {
        return Err(InvalidName::Empty);
    }
    if key.len() > MAX_KEY_BYTES {
        return Err(InvalidName::TooLong {
            bytes: key.len(),
            limit: MAX_KEY_BYTES,
        });
    }
    if key.contains('\0') {
        return Err(InvalidName::Character('\0'));
    }
    Ok(())
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $check:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks and takes a name.
            ///
            /// # Errors
            /// [`InvalidName`] says which rule it breaks.
            pub fn new(name: impl AsRef<str>) -> Result<Self, InvalidName> {
                $check(name.as_ref())?;
                Ok(Self(Arc::from(name.as_ref())))
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<&str> for $name {
            type Error = InvalidName;
            fn try_from(name: &str) -> Result<Self, InvalidName> {
                Self::new(name)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(name: String) -> Result<Self, InvalidName> {
                Self::new(name)
            }
        }

        impl TryFrom<&$name> for $name {
            type Error = InvalidName;
            fn try_from(name: &$name) -> Result<Self, InvalidName> {
                Ok(name.clone())
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().to_owned()
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
    };
}

name_type! {
    /// Selects the handler of a task: 1–128 bytes of `[A-Za-z0-9._:/-]`; case matters.
    Kind, check_name
}
name_type! {
    /// A group of kinds with its own pause switch and worker concurrency: 1–128 bytes of `[A-Za-z0-9._:/-]`.
    Queue, check_name
}
name_type! {
    /// The name of a worker, shown to operators: 1–128 bytes of `[A-Za-z0-9._:/-]`. It need not be unique.
    WorkerName, check_name
}
name_type! {
    /// The name of an [outbox](crate::outbox): 1–48 bytes of `[A-Za-z0-9._:/-]`. Among the outboxes whose tasks go to one store
    /// it has to be unique.
    OutboxName, check_outbox
}
name_type! {
    /// Keeps a second task of the same kind out: 1–255 bytes of UTF-8 without U+0000; case and spaces matter.
    UniqueKey, check_key
}

impl Default for Queue {
    fn default() -> Self {
        Self(Arc::from("default"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_hold_their_bounds() {
        assert!(Kind::new("a").is_ok());
        assert!(Kind::new("a".repeat(128)).is_ok());
        assert_eq!(Kind::new(""), Err(InvalidName::Empty));
        assert_eq!(
            Kind::new("a".repeat(129)),
            Err(InvalidName::TooLong {
                bytes: 129,
                limit: 128
            })
        );
        assert_eq!(Queue::new("a b"), Err(InvalidName::Character(' ')));
        assert_eq!(Queue::new("é"), Err(InvalidName::Character('é')));
        assert!(Queue::new("Mail.v1:eu/west-1_x").is_ok());
    }

    #[test]
    fn an_outbox_leaves_room_for_what_stands_before_its_name() {
        let longest = "o".repeat(48);
        assert!(OutboxName::new(&longest).is_ok() && Queue::new(format!("outbox/{longest}")).is_ok());
        assert_eq!(
            OutboxName::new(longest + "o"),
            Err(InvalidName::TooLong { bytes: 49, limit: 48 })
        );
        assert_eq!(OutboxName::new(""), Err(InvalidName::Empty));
        assert_eq!(OutboxName::new("a b"), Err(InvalidName::Character(' ')));
    }

    #[test]
    fn keys_take_any_text_but_nul() {
        assert!(UniqueKey::new(" Zoë's ключ 🎉 ").is_ok());
        assert!(UniqueKey::new("k".repeat(255)).is_ok());
        assert_eq!(
            UniqueKey::new("k".repeat(256)),
            Err(InvalidName::TooLong {
                bytes: 256,
                limit: 255
            })
        );
        assert_eq!(UniqueKey::new("a\0b"), Err(InvalidName::Character('\0')));
    }
}
