//! How the receiver fails: a pure function of the seed, the order and how often it was sent.

use std::time::Duration;

use task_retry::seams::{Random as _, SeededRandom};

/// What the receiver does with one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// Takes the order after a while and says so.
    Accept(Duration),
    /// Takes the order and then loses the answer: the connection breaks.
    AcceptAndBreak,
    /// Takes the order and never answers.
    AcceptAndHang,
    /// Breaks the connection before it takes the order.
    Break,
    /// 503, with or without a time to come back at.
    Busy(Option<Duration>),
    /// 429 and a time to come back at.
    TooMany(Duration),
    /// 400, however often it is asked.
    Reject,
}

/// How this receiver fails.
#[derive(Debug, Clone)]
pub(crate) struct Faults {
    seed: u64,
    poisoned: Option<String>,
}

impl Faults {
    /// The faults of `seed`, which picks the one order of `orders` that is always rejected.
    pub(crate) fn new<'a>(seed: u64, orders: impl IntoIterator<Item = &'a str>) -> Self {
        let poisoned = orders
            .into_iter()
            .min_by_key(|id| draw(seed, id, u32::MAX).next_u64());
        Self {
            seed,
            poisoned: poisoned.map(str::to_owned),
        }
    }

    /// What happens to the request number `nth`, from 1, for an order.
    pub(crate) fn behaviour(&self, order: &str, nth: u32, by_fallback: bool) -> Behaviour {
        if self.poisoned.as_deref() == Some(order) {
            return Behaviour::Reject;
        }
        // One address in fifty is beyond the ordinary route; only the fallback reaches it.
        if !by_fallback && draw(self.seed, order, 0).next_u64().is_multiple_of(50) {
            return Behaviour::Busy(None);
        }
        let random = draw(self.seed, order, nth);
        let milliseconds = |from: u64, to: u64| Duration::from_millis(from + random.next_u64() % (to - from));
        match random.next_u64() % 1_000 {
            0..60 => Behaviour::Busy(None),
            60..100 => Behaviour::Busy(Some(Duration::from_secs(1))),
            100..120 => Behaviour::TooMany(Duration::from_secs(1)),
            120..150 => Behaviour::Break,
            150..170 => Behaviour::AcceptAndBreak,
            170..175 => Behaviour::AcceptAndHang,
            175..225 => Behaviour::Accept(milliseconds(300, 900)),
            _ => Behaviour::Accept(milliseconds(10, 60)),
        }
    }
}

/// The randomness that belongs to one request: seed, order and number through FNV-1a, then the generator.
fn draw(seed: u64, order: &str, nth: u32) -> SeededRandom {
    let bytes = order.bytes().chain(nth.to_le_bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64 ^ seed, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    SeededRandom::new(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_decides_everything_and_rejects_one_order() {
        let ids: Vec<String> = (0..1_000).map(|n| format!("A-{n}")).collect();
        let run = |seed| {
            let faults = Faults::new(seed, ids.iter().map(String::as_str));
            let all: Vec<_> = ids.iter().map(|id| faults.behaviour(id, 1, false)).collect();
            all
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
        let rejected = |all: Vec<_>| all.into_iter().filter(|b| *b == Behaviour::Reject).count();
        assert_eq!((rejected(run(7)), rejected(run(8))), (1, 1));
    }
}
