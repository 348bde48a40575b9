//! Which part keeps the tasks of which slot: highest random weight (Thaler, Ravishankar 1998), worked out once.

use std::collections::BTreeSet;
use std::fmt;
use std::hash::Hasher as _;
use std::sync::Arc;

use siphasher::sip::SipHasher24;

use crate::id::Shard;

#[derive(Debug)]
pub(super) struct Placing {
    /// The part of each slot.
    parts: Box<[usize]>,
}

impl Placing {
    /// Each slot to the part whose name weighs most for it.
    pub(super) fn by_weight(names: &[&str]) -> Self {
        let heaviest = |shard: Shard| {
            let weights = (0..names.len()).map(|part| (weight(names[part], shard), part));
            weights.max().map_or(0, |(_, part)| part)
        };
        Self {
            parts: Shard::all().map(heaviest).collect(),
        }
    }

    /// Each slot as told; an answer that is no part is handed back.
    pub(super) fn told(count: usize, tell: impl Fn(Shard) -> usize) -> Result<Self, (Shard, usize)> {
        let checked = |shard| match tell(shard) {
            part if part < count => Ok(part),
            part => Err((shard, part)),
        };
        let parts = Shard::all().map(checked).collect::<Result<_, _>>()?;
        Ok(Self { parts })
    }

    /// The slots of a part, if it has any.
    pub(super) fn slots(&self, part: usize, name: &str) -> Option<PartSlots> {
        let slots: BTreeSet<Shard> = Shard::all().filter(|shard| self.part(*shard) == part).collect();
        let (part, any) = (Arc::from(name), !slots.is_empty());
        any.then(|| PartSlots {
            part,
            slots: Arc::new(slots),
        })
    }

    pub(super) fn part(&self, shard: Shard) -> usize {
        self.parts[usize::from(shard.number())]
    }
}

/// The slots of one part of a sharded store.
#[derive(Clone)]
pub struct PartSlots {
    part: Arc<str>,
    slots: Arc<BTreeSet<Shard>>,
}

impl fmt::Debug for PartSlots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} slots of {:?}", self.slots.len(), self.part)
    }
}

impl PartSlots {
    /// The part's name.
    #[must_use]
    pub fn part(&self) -> &str {
        &self.part
    }

    /// Whether a slot is one of them.
    #[must_use]
    pub fn contains(&self, shard: Shard) -> bool {
        self.slots.contains(&shard)
    }
}

/// The SipHash-2-4 under a zero key of the name's length, the name and the slot.
fn weight(name: &str, shard: Shard) -> u64 {
    let mut hasher = SipHasher24::new();
    hasher.write(&(name.len() as u64).to_be_bytes());
    hasher.write(name.as_bytes());
    hasher.write(&shard.number().to_be_bytes());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(placing: &Placing, count: usize) -> Vec<usize> {
        let mut shares = vec![0; count];
        placing.parts.iter().for_each(|part| shares[*part] += 1);
        shares
    }

    #[test]
    fn another_part_takes_its_share_and_nothing_else_moves() {
        let (three, four) = (["east", "west", "north"], ["east", "west", "north", "south"]);
        let (before, after) = (Placing::by_weight(&three), Placing::by_weight(&four));
        let moved = Shard::all().filter(|shard| before.part(*shard) != after.part(*shard));
        let mut count = 0;
        for shard in moved {
            assert_eq!(after.part(shard), 3, "{shard:?}");
            count += 1;
        }
        // A quarter of 4,096, give or take four standard deviations.
        assert!((913..=1_135).contains(&count), "{count}");
        for share in shares(&before, 3) {
            assert!((1_244..=1_487).contains(&share), "{share}");
        }
    }

    #[test]
    fn the_order_of_the_names_does_not_matter_and_they_never_weigh_otherwise() {
        let (one, other) = (Placing::by_weight(&["a", "b"]), Placing::by_weight(&["b", "a"]));
        assert!(Shard::all().all(|shard| one.part(shard) != other.part(shard)));
        // Tasks are looked for where these say: another hash would lose them.
        let first: Vec<usize> = Shard::all().take(16).map(|shard| one.part(shard)).collect();
        assert_eq!(first, FIRST_OF_A_AND_B);
    }

    const FIRST_OF_A_AND_B: [usize; 16] = [0, 1, 0, 0, 1, 1, 1, 1, 0, 1, 1, 1, 0, 1, 0, 0];

    #[test]
    fn a_rule_of_ones_own_must_name_parts() {
        let halves = |shard: Shard| usize::from(shard.number() / 2_048);
        assert_eq!(shares(&Placing::told(2, halves).unwrap(), 2), [2_048, 2_048]);
        assert_eq!(Placing::told(1, halves).unwrap_err(), (Shard::new(2_048), 1));
    }
}
