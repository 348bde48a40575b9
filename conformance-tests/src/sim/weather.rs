//! What the network and the store do to calls at the moment.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use retry_core::clock::Monotonic;
use retry_core::name::UniqueKey;
use retry_core::store::Durability;
use retry_core::task::Edit;

use super::config::{MAX_PARTS, Rates};
use super::exec::HostId;
use super::fact::{Op, Who};
use super::fault::Fault;
use super::features::{Feature, Features};
use super::rng::Rng;
use super::shared::lock;

/// How long the store lets a call wait for a key in somebody's open transaction, in milliseconds.
pub(super) const KEY_WAIT: u64 = 2_000;
/// How long such transactions are open, and one in how many of these spans has one that holds a given key.
const KEY_HELD: Duration = Duration::from_secs(20);
const KEY_SPANS: u128 = 4;

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Instant,
    Clean {
        there: u64,
        back: u64,
    },
    Rejected {
        after: u64,
    },
    Outage {
        after: u64,
    },
    /// The connection had ended.
    Cut {
        after: u64,
    },
    /// Unknown, and not written.
    Unwritten {
        after: u64,
    },
    /// Unknown, and written.
    Written {
        there: u64,
        back: u64,
    },
    /// The caller's time-out ends it; written after `write`, if that is given.
    Hung {
        write: Option<u64>,
        time_out: u64,
    },
    /// Unknown, and written later.
    Late {
        after: u64,
        later: u64,
    },
}

impl Fate {
    /// What goes wrong, if anything.
    pub(super) const fn fault(self) -> Option<Fault> {
        Some(match self {
            Self::Instant | Self::Cut { .. } => return None,
            Self::Clean { .. } => Fault::Slow,
            Self::Rejected { .. } => Fault::Rejected,
            Self::Outage { .. } => Fault::Away,
            Self::Unwritten { .. } => Fault::UnknownUnwritten,
            Self::Written { .. } => Fault::UnknownWritten,
            Self::Hung { write: None, .. } => Fault::HungUnwritten,
            Self::Hung { write: Some(_), .. } => Fault::HungWritten,
            Self::Late { .. } => Fault::Late,
        })
    }
}

#[derive(Debug)]
pub(super) struct Weather {
    rates: Rates,
    features: Features,
    sync_ms: u64,
    fair: AtomicBool,
    away: [AtomicBool; MAX_PARTS],
    /// Hosts whose connections were cut: the next call of each fails.
    cut_off: Mutex<BTreeSet<(HostId, usize)>>,
}

impl Weather {
    pub(super) fn new(rates: Rates, features: Features, sync_ms: u64) -> Self {
        Self {
            rates,
            features,
            sync_ms,
            fair: AtomicBool::new(false),
            away: Default::default(),
            cut_off: Mutex::new(BTreeSet::new()),
        }
    }

    /// No call goes wrong from now on.
    pub(super) fn clear_up(&self) {
        self.fair.store(true, Ordering::Relaxed);
        (0..MAX_PARTS).for_each(|part| self.set_away(part, false));
    }

    /// A part of the store goes away or comes back.
    pub(super) fn set_away(&self, part: usize, away: bool) {
        self.away[part].store(away, Ordering::Relaxed);
    }

    pub(super) fn is_away(&self, part: usize) -> bool {
        self.away[part].load(Ordering::Relaxed)
    }

    /// The process of a part ended, and with it every connection.
    pub(super) fn cut_connections(&self, hosts: Range<HostId>, part: usize) {
        lock(&self.cut_off).extend(hosts.map(|host| (host, part)));
    }

    pub(super) fn durability(&self) -> Durability {
        if self.features.has(Feature::PowerCut) {
            Durability::Periodic(Duration::from_millis(self.sync_ms))
        } else {
            Durability::Synced
        }
    }

    /// Whether a call waits in vain for a unique key that one of its edits takes. Nothing is drawn: spans of time have their
    /// keys.
    pub(super) fn holds_key(&self, edits: &[Edit], now: Monotonic) -> bool {
        let is_fair = self.fair.load(Ordering::Relaxed);
        if is_fair || !self.features.has(Feature::Rejected) {
            return false;
        }
        let span = now.since_start().as_millis() / KEY_HELD.as_millis();
        let held = |key: &UniqueKey| {
            let number = key.as_str().bytes().map(u128::from).sum::<u128>();
            (span + number).is_multiple_of(KEY_SPANS)
        };
        let mut taken = edits.iter().flat_map(|edit| &edit.insert);
        taken.any(|new| new.unique.as_ref().is_some_and(|unique| held(&unique.key)))
    }

    pub(super) fn is_partial(&self, rng: &mut Rng) -> bool {
        let drawn = rng.chance(self.rates.unknown.max(10) / 2);
        drawn && self.features.has(Feature::Partial) && !self.fair.load(Ordering::Relaxed)
    }

    pub(super) fn fate(&self, (who, part): (Who, usize), op: Op, rng: &mut Rng) -> Fate {
        let rates = &self.rates;
        let mut span = || {
            if rates.latency_ms == 0 {
                0
            } else {
                rng.below(rates.latency_ms + 1)
            }
        };
        let (there, back) = (span() / 2, span() / 2);
        let after = there + back;
        let later = 1 + rng.below(3_000);
        let half = rng.chance(500);
        if lock(&self.cut_off).remove(&(who.host, part)) {
            return Fate::Cut { after };
        }
        if self.fair.load(Ordering::Relaxed) {
            return if after == 0 {
                Fate::Instant
            } else {
                Fate::Clean { there, back }
            };
        }
        if self.is_away(part) {
            return if half {
                Fate::Outage { after }
            } else {
                Fate::Unwritten { after }
            };
        }
        let mut left = rng.below(1_000);
        let mut hit = |rate: u64| {
            let hit = left < rate;
            left = left.saturating_sub(rate);
            hit && rate > 0
        };
        if hit(rates.rejected) {
            Fate::Rejected { after }
        } else if hit(rates.unknown) {
            if half {
                Fate::Unwritten { after }
            } else {
                Fate::Written { there, back }
            }
        } else if hit(rates.hang) {
            Fate::Hung {
                write: half.then_some(there),
                time_out: rates.hang_ms,
            }
        } else if op != Op::SetQueue && hit(rates.late) {
            // A pause that lands after its resume is the operator's own loss.
            Fate::Late { after, later }
        } else if after == 0 {
            Fate::Instant
        } else {
            Fate::Clean { there, back }
        }
    }
}
