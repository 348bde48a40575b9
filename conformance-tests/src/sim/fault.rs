//! What went wrong, and in which call: each kind of fault must have met each kind of call.

use std::collections::BTreeMap;

use super::cover::Sometimes;
use super::fact::Op;

/// What goes wrong in a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    Slow,
    Rejected,
    Away,
    UnknownUnwritten,
    UnknownWritten,
    HungUnwritten,
    HungWritten,
    Late,
    /// Some edits of an exchange were written.
    Partial,
}

impl Fault {
    const ALL: [Self; 9] = [
        Self::Slow,
        Self::Rejected,
        Self::Away,
        Self::UnknownUnwritten,
        Self::UnknownWritten,
        Self::HungUnwritten,
        Self::HungWritten,
        Self::Late,
        Self::Partial,
    ];

    /// Whether a call of this kind can meet it.
    const fn meets(self, op: Op) -> bool {
        match self {
            // A pause that lands after its resume is the operator's own loss.
            Self::Late => !matches!(op, Op::SetQueue),
            Self::Partial => matches!(op, Op::Exchange),
            _ => true,
        }
    }
}

/// What goes wrong outside of calls.
const OUTSIDE: [Sometimes; 12] = [
    Sometimes::PowerCut,
    Sometimes::ConnectionCut,
    Sometimes::ClockStep,
    Sometimes::ClockStepFar,
    Sometimes::HintLost,
    Sometimes::HintDoubled,
    Sometimes::Crash,
    Sometimes::Frozen,
    Sometimes::FrozenPastLease,
    Sometimes::Restarted,
    Sometimes::Skewed,
    Sometimes::Slept,
];

/// How often each fault met each kind of call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Faults(BTreeMap<(Fault, Op), u64>);

impl Faults {
    pub(super) fn hit(&mut self, fault: Fault, op: Op) {
        *self.0.entry((fault, op)).or_default() += 1;
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (pair, n) in &other.0 {
            *self.0.entry(*pair).or_default() += n;
        }
    }

    /// Those that never met.
    pub(super) fn missing(&self) -> Vec<String> {
        let pairs = Fault::ALL
            .into_iter()
            .flat_map(|fault| Op::ALL.into_iter().map(move |op| (fault, op)));
        let missing = pairs.filter(|(fault, op)| fault.meets(*op) && !self.0.contains_key(&(*fault, *op)));
        missing
            .map(|(fault, op)| format!("{fault:?} in {op:?}"))
            .collect()
    }

    /// Faults in calls and outside of them, kinds of both, pairs of fault and call.
    pub(super) fn counts(&self, of: impl Fn(Sometimes) -> u64) -> (u64, usize, usize) {
        let outside = OUTSIDE.into_iter().map(of);
        let (events, kinds) = outside.fold((0, 0), |(events, kinds), n| {
            (events + n, kinds + usize::from(n > 0))
        });
        let of_calls = self.0.iter().filter(|((fault, _), _)| *fault != Fault::Slow);
        let in_calls: u64 = of_calls.map(|(_, n)| n).sum();
        let met = |fault: &Fault| self.0.keys().any(|(other, _)| other == fault);
        let kinds = kinds + Fault::ALL.iter().filter(|fault| met(fault)).count();
        (events + in_calls, kinds, self.0.len())
    }
}
