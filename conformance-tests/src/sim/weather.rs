//! What the network and the store do to calls at the moment.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use retry_core::store::Durability;

use super::config::Rates;
use super::exec::HostId;
use super::fact::{Op, Who};
use super::features::{Feature, Features};
use super::rng::Rng;
use super::shared::lock;

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

#[derive(Debug)]
pub(super) struct Weather {
    rates: Rates,
    features: Features,
    sync_ms: u64,
    fair: AtomicBool,
    away: AtomicBool,
    /// Hosts whose connections were cut: the next call of each fails.
    cut_off: Mutex<BTreeSet<HostId>>,
}

impl Weather {
    pub(super) const fn new(rates: Rates, features: Features, sync_ms: u64) -> Self {
        Self {
            rates,
            features,
            sync_ms,
            fair: AtomicBool::new(false),
            away: AtomicBool::new(false),
            cut_off: Mutex::new(BTreeSet::new()),
        }
    }

    /// No call goes wrong from now on.
    pub(super) fn clear_up(&self) {
        self.fair.store(true, Ordering::Relaxed);
        self.away.store(false, Ordering::Relaxed);
    }

    /// The store goes away or comes back.
    pub(super) fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::Relaxed);
    }

    /// The store's process ended, and with it every connection.
    pub(super) fn cut_connections(&self, hosts: Range<HostId>) {
        lock(&self.cut_off).extend(hosts);
    }

    pub(super) fn durability(&self) -> Durability {
        if self.features.has(Feature::PowerCut) {
            Durability::Periodic(Duration::from_millis(self.sync_ms))
        } else {
            Durability::Synced
        }
    }

    pub(super) fn is_partial(&self, rng: &mut Rng) -> bool {
        let drawn = rng.chance(self.rates.unknown.max(10) / 2);
        drawn && self.features.has(Feature::Partial) && !self.fair.load(Ordering::Relaxed)
    }

    pub(super) fn fate(&self, who: Who, op: Op, rng: &mut Rng) -> Fate {
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
        if lock(&self.cut_off).remove(&who.host) {
            return Fate::Outage { after };
        }
        if self.fair.load(Ordering::Relaxed) {
            return if after == 0 {
                Fate::Instant
            } else {
                Fate::Clean { there, back }
            };
        }
        if self.away.load(Ordering::Relaxed) {
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
