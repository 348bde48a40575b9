//! The engine's other seams to the world beside [`Clock`](crate::clock::Clock): randomness and spawning.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use tokio::runtime::Handle;

/// The engine's only source of randomness.
pub trait Random: fmt::Debug + Send + Sync + 'static {
    /// The next 64 random bits.
    fn next_u64(&self) -> u64;
}

/// The operating system's randomness, drawn in blocks.
#[derive(Debug, Default)]
pub struct SystemRandom {
    block: Mutex<Vec<u64>>,
}

impl SystemRandom {
    const BLOCK: usize = 64;

    /// The operating system's randomness.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Random for SystemRandom {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that draws real randomness"
    )]
    fn next_u64(&self) -> u64 {
        let mut block = self.block.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(random) = block.pop() {
            return random;
        }
        let mut bytes = [0; 8 * Self::BLOCK];
        // Without the system's randomness ids would collide: stopping is the only safe answer.
        getrandom::fill(&mut bytes).expect("the operating system gives randomness");
        let (words, _) = bytes.as_chunks::<8>();
        block.extend(words.iter().map(|word| u64::from_le_bytes(*word)));
        block.pop().unwrap_or_default()
    }
}

/// Randomness that a seed decides, for tests and simulations: SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
#[derive(Debug)]
pub struct SeededRandom {
    state: Mutex<u64>,
}

impl SeededRandom {
    /// The sequence of `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self {
            state: Mutex::new(seed),
        }
    }
}

impl Random for SeededRandom {
    fn next_u64(&self) -> u64 {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// Runs the engine's background futures.
pub trait Spawn: fmt::Debug + Send + Sync + 'static {
    /// Runs `future` to its end, independently of the caller.
    fn spawn(&self, future: BoxFuture<'static, ()>);

    /// The same, bound to the place where this is called: what is spawned later runs there, whoever asks for it. A worker
    /// binds when it starts; else what an attached client starts would run, and end, with the client's runtime.
    /// None, the default: where futures run does not depend on the caller.
    fn bind(&self) -> Option<Arc<dyn Spawn>> {
        None
    }
}

/// Spawns on the tokio runtime in whose context it is called; [bound](Spawn::bind), on the one in whose context that was.
#[derive(Debug, Clone, Copy, Default)]
pub struct TokioSpawn;

impl Spawn for TokioSpawn {
    fn spawn(&self, future: BoxFuture<'static, ()>) {
        // Detached: the engine learns of its end by its own channels.
        drop(tokio::spawn(future));
    }

    fn bind(&self) -> Option<Arc<dyn Spawn>> {
        let handle = Handle::try_current().ok()?;
        Some(Arc::new(OnRuntime(handle)))
    }
}

/// Spawns on one tokio runtime. When that has ended, what is spawned is dropped.
#[derive(Debug)]
struct OnRuntime(Handle);

impl Spawn for OnRuntime {
    fn spawn(&self, future: BoxFuture<'static, ()>) {
        drop(self.0.spawn(future));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_decides_its_sequence() {
        let (a, b) = (SeededRandom::new(7), SeededRandom::new(7));
        let drawn: Vec<u64> = (0..4).map(|_| a.next_u64()).collect();
        assert_eq!(drawn, (0..4).map(|_| b.next_u64()).collect::<Vec<_>>());
        assert_ne!(drawn[0], SeededRandom::new(8).next_u64());
    }

    #[test]
    fn the_systems_randomness_does_not_repeat() {
        let random = SystemRandom::new();
        let drawn: std::collections::HashSet<u64> = (0..1_000).map(|_| random.next_u64()).collect();
        assert_eq!(drawn.len(), 1_000);
    }
}
