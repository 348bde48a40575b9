//! The arguments of a script: collected in one buffer, so that they can be sent again when the server does not know the script.

use std::fmt;

/// Arguments in order.
#[derive(Clone, Default)]
pub(crate) struct Args {
    data: Vec<u8>,
    ends: Vec<usize>,
}

impl Args {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds an argument.
    pub(crate) fn push(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.data.extend_from_slice(bytes.as_ref());
        self.ends.push(self.data.len());
        self
    }

    /// Adds a number as text.
    pub(crate) fn number(&mut self, number: i64) -> &mut Self {
        self.push(number.to_string())
    }

    /// Adds what `write` appends as one argument.
    pub(crate) fn build(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> &mut Self {
        write(&mut self.data);
        self.ends.push(self.data.len());
        self
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let from = std::mem::replace(&mut start, *end);
            &self.data[from..*end]
        })
    }
}

/// The data is the user's: only its size is shown.
impl fmt::Debug for Args {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Args({}, {} bytes)", self.ends.len(), self.data.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_keep_their_borders() {
        let mut args = Args::new();
        args.push("a").push("").number(-5).build(|out| out.extend([0, 1]));
        let all: Vec<&[u8]> = args.iter().collect();
        assert_eq!(all, [&b"a"[..], b"", b"-5", b"\0\x01"]);
        assert_eq!(format!("{args:?}"), "Args(4, 5 bytes)");
    }
}
