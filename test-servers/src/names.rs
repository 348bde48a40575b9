//! Names for what a test puts on a server that others use as well, and that is older than the test.

use std::hash::{BuildHasher, RandomState};
use std::process;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// What tells this process from those that used the server before, on whatever machine, and left something behind.
static RUN: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(process::id()) & 0xff_ffff_ffff);

/// A name that nobody has on the same server: `prefix`, and some 14 more of the letters, digits and underlines that every server takes.
#[must_use]
pub fn unique(prefix: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{prefix}_{:010x}_{number}", *RUN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_short() {
        let (one, other) = (unique("it"), unique("it"));
        assert_ne!(one, other);
        assert!(one.len() < 20 && one.starts_with("it_"), "{one}");
        assert!(
            one.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        );
    }
}
