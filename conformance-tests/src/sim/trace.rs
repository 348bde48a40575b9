//! The trace of a history: a hash chain over everything that happens, and the lines themselves when asked for.

use std::fmt;
use std::hash::{Hash, Hasher};

/// FNV-1a over what is fed: the same on every machine and in every release of the language.
#[derive(Debug)]
pub(super) struct Fnv(u64);

impl Fnv {
    pub(super) const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

#[derive(Debug)]
pub(super) struct Trace {
    hash: u64,
    events: u64,
    lines: Option<Vec<String>>,
}

impl Trace {
    pub(super) fn new(keep_lines: bool) -> Self {
        Self {
            hash: Fnv::new().0,
            events: 0,
            lines: keep_lines.then(Vec::new),
        }
    }

    /// Adds an event. `digest` is what counts; `line` is built only when lines are kept.
    pub(super) fn add(&mut self, at_ms: u128, digest: impl Hash, line: impl FnOnce() -> String) {
        let mut hasher = Fnv(self.hash);
        (at_ms, digest).hash(&mut hasher);
        self.hash = hasher.finish();
        self.events += 1;
        if let Some(lines) = &mut self.lines {
            lines.push(format!(
                "{:>9} s  {}  {:08x}",
                Seconds(at_ms),
                line(),
                self.hash >> 32
            ));
        }
    }

    pub(super) const fn hash(&self) -> u64 {
        self.hash
    }

    pub(super) const fn events(&self) -> u64 {
        self.events
    }

    pub(super) fn into_lines(self) -> Vec<String> {
        self.lines.unwrap_or_default()
    }
}

struct Seconds(u128);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{:03}", self.0 / 1_000, self.0 % 1_000))
    }
}
