//! What the figures are to be.

/// What a figure is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beside {
    /// The same workload on the driver alone.
    Bare,
    /// The same workload on the store alone.
    Raw,
    /// Nothing: it is a quotient already.
    Itself,
}

/// An aim, now and later.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Aim {
    pub(crate) name: &'static str,
    pub(crate) beside: Beside,
    pub(crate) now: f64,
    pub(crate) later: f64,
    pub(crate) less_is_better: bool,
}

impl Aim {
    /// A share of the figure of `bare`; for a latency, named `L.…`, the multiple of it that may not be exceeded.
    pub(crate) fn of_bare(name: &'static str, now: f64, later: f64) -> Self {
        Self {
            name,
            beside: Beside::Bare,
            now,
            later,
            less_is_better: name.starts_with('L'),
        }
    }

    pub(crate) fn is_met(&self, value: f64) -> bool {
        if self.less_is_better {
            value <= self.now
        } else {
            value >= self.now
        }
    }
}

const fn aim(name: &'static str, beside: Beside, now: f64, later: f64, less_is_better: bool) -> Aim {
    Aim {
        name,
        beside,
        now,
        later,
        less_is_better,
    }
}

/// The aims that every store has.
pub(crate) const OF_ALL: [Aim; 11] = [
    aim("D.keep", Beside::Raw, 0.6, 0.8, false),
    aim("D.delete", Beside::Raw, 0.6, 0.8, false),
    aim("MB", Beside::Raw, 0.6, 0.8, false),
    aim("S.200k", Beside::Itself, 0.9, 0.9, false),
    aim("S.1M", Beside::Itself, 0.9, 0.9, false),
    aim("S.1M-finished", Beside::Itself, 0.9, 0.9, false),
    aim("F.full", Beside::Itself, 1.2, 1.2, true),
    aim("F.empty", Beside::Itself, 1.2, 1.2, true),
    aim("U.full", Beside::Itself, 2.0, 2.0, true),
    aim("U.empty", Beside::Itself, 2.0, 2.0, true),
    aim("P", Beside::Itself, 0.5, 0.5, false),
];
