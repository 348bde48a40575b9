//! The arguments of a statement: bound to a prepared one, or written into its text.

use std::ops::Range;

use retry_core::time::Timestamp;
use sqlx::Arguments as _;
use sqlx::mysql::MySqlArguments;

/// The arguments of a statement, in its order.
#[derive(Default)]
pub(crate) struct Args {
    values: Vec<Value>,
    /// The bytes of all texts and blobs, one after the other.
    bytes: Vec<u8>,
}

enum Value {
    Int(Option<i64>),
    Blob(Option<Range<usize>>),
    Text(Range<usize>),
}

/// A value of an argument.
pub(crate) trait Arg {
    fn add_to(self, args: &mut Args);
}

macro_rules! ints {
    ($($type:ty)+) => {
        $(
            impl Arg for $type {
                fn add_to(self, args: &mut Args) {
                    args.values.push(Value::Int(Some(i64::from(self))));
                }
            }
        )+
    };
}

ints!(i64 u32 u8 bool);

impl Arg for Option<i64> {
    fn add_to(self, args: &mut Args) {
        args.values.push(Value::Int(self));
    }
}

impl Arg for &[u8] {
    fn add_to(self, args: &mut Args) {
        let range = args.keep(self);
        args.values.push(Value::Blob(Some(range)));
    }
}

impl<const N: usize> Arg for [u8; N] {
    fn add_to(self, args: &mut Args) {
        self.as_slice().add_to(args);
    }
}

impl<const N: usize> Arg for &[u8; N] {
    fn add_to(self, args: &mut Args) {
        self.as_slice().add_to(args);
    }
}

impl Arg for Vec<u8> {
    fn add_to(self, args: &mut Args) {
        self.as_slice().add_to(args);
    }
}

/// Bytes that may be absent.
macro_rules! blobs {
    ($($type:ty)+) => {
        $(
            impl Arg for Option<$type> {
                fn add_to(self, args: &mut Args) {
                    match self {
                        Some(bytes) => AsRef::<[u8]>::as_ref(&bytes).add_to(args),
                        None => args.values.push(Value::Blob(None)),
                    }
                }
            }
        )+
    };
}

blobs!(&[u8] [u8; 16] &str String);

impl Arg for &str {
    fn add_to(self, args: &mut Args) {
        let range = args.keep(self.as_bytes());
        args.values.push(Value::Text(range));
    }
}

impl Arg for String {
    fn add_to(self, args: &mut Args) {
        self.as_str().add_to(args);
    }
}

impl Args {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds a value: a number, bytes, a text of the store's own making, or an option of one of the first two.
    pub(crate) fn with(mut self, value: impl Arg) -> Self {
        value.add_to(&mut self);
        self
    }

    /// How many bytes the texts and blobs have.
    pub(crate) const fn len(&self) -> usize {
        self.bytes.len()
    }

    fn keep(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len()
    }

    /// As the driver binds them.
    pub(crate) fn bound(&self) -> MySqlArguments {
        let mut bound = MySqlArguments::default();
        bound.reserve(self.values.len(), self.bytes.len() + 9 * self.values.len());
        for value in &self.values {
            // Numbers, bytes and texts always encode; the driver compares the count.
            let _ = match value {
                Value::Int(int) => bound.add(*int),
                Value::Blob(range) => bound.add(range.clone().map(|range| &self.bytes[range])),
                Value::Text(range) => {
                    bound.add(str::from_utf8(&self.bytes[range.clone()]).unwrap_or_default())
                }
            };
        }
        bound
    }

    /// As literals that mean the same under every character set and mode of a connection.
    pub(crate) fn literals(&self) -> impl Iterator<Item = String> {
        self.values.iter().map(|value| match value {
            Value::Int(None) | Value::Blob(None) => "NULL".to_owned(),
            Value::Int(Some(int)) => int.to_string(),
            Value::Blob(Some(range)) => format!("x'{}'", hex(&self.bytes[range.clone()])),
            Value::Text(range) => format!("CONVERT(x'{}' USING utf8mb4)", hex(&self.bytes[range.clone()])),
        })
    }
}

/// Bytes as hexadecimal digits, in which lists carry them, too.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// A time in a list.
pub(crate) fn millis(time: Option<Timestamp>) -> String {
    time.map_or_else(|| "null".to_owned(), |time| time.as_millis().to_string())
}

/// The list of ids that `{ids}` takes, in the given order.
pub(crate) fn ids<'i>(ids: impl IntoIterator<Item = &'i [u8; 16]>) -> String {
    let mut list = String::from("[");
    for id in ids {
        list.push_str(if list.len() == 1 { "\"" } else { ",\"" });
        list.push_str(&hex(id));
        list.push('"');
    }
    list.push(']');
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_hold_no_character_that_a_mode_could_change() {
        let args = Args::new()
            .with(-7i64)
            .with(true)
            .with(None::<i64>)
            .with(&b"'\\\0\xff"[..])
            .with("[\"a\"]");
        let literals: Vec<String> = args.literals().collect();
        assert_eq!(
            literals,
            [
                "-7",
                "1",
                "NULL",
                "x'275c00ff'",
                "CONVERT(x'5b2261225d' USING utf8mb4)"
            ]
        );
        assert_eq!(ids(&[[1; 16]]), format!("[\"{}\"]", "01".repeat(16)));
    }
}
