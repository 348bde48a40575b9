//! What concurrent histories are made of.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::model::op::{self, ClaimSpec, EditSpec, Op, ReadSpec};

/// One client after the other, or all at once.
#[derive(Debug, Clone)]
pub(crate) enum Part {
    Alone(Vec<Op>),
    Together(Round),
}

/// What each client does, one act after the other, while the others do theirs.
#[derive(Debug, Clone)]
pub(crate) struct Round {
    /// Decides how the calls are interleaved and how the clients' clocks differ.
    pub(crate) schedule: u64,
    pub(crate) clients: Vec<Vec<Act>>,
}

/// One act of a client.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Decided before the round.
    Op(Op),
    /// Claims, then settles what it got: decided in the round.
    ClaimAndSettle(ClaimSpec, Vec<EditSpec>),
}

/// Calls in all clients of one round, about: the search for a witness grows with them.
const ACTS: usize = 20;

/// Histories of about 30 to 60 calls.
pub(crate) fn histories() -> impl Strategy<Value = Vec<Part>> {
    let start = vec(op::new_task(), 2..6);
    let middle = (vec(between(), 0..4), round());
    (start, vec(middle, 2..5)).prop_map(|(tasks, rounds)| {
        let start = Part::Alone(vec![Op::Open, Op::Open, Op::Insert(tasks)]);
        let rounds = rounds.into_iter();
        let parts = rounds.flat_map(|(alone, round)| [Part::Alone(alone), Part::Together(round)]);
        std::iter::once(start).chain(parts).collect()
    })
}

fn round() -> impl Strategy<Value = Round> {
    (2..=8_usize).prop_flat_map(|clients| {
        let acts = vec(act(), 1..=(ACTS / clients).max(2));
        (any::<u64>(), vec(acts, clients)).prop_map(|(schedule, clients)| Round { schedule, clients })
    })
}

/// What happens between rounds: more work, time, crashes.
fn between() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => vec(op::new_task(), 1..4).prop_map(Op::Insert),
        3 => any::<u8>().prop_map(|session| Op::Exchange(Vec::new(), vec![ClaimSpec::all(session)])),
        2 => op::edit().prop_map(|edit| Op::Exchange(vec![edit], Vec::new())),
        2 => any::<u8>().prop_map(Op::Pass),
        1 => op::edit().prop_map(Op::Decide),
        1 => Just(Op::Open),
        1 => Just(Op::Crash),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    let byte = any::<u8>;
    let op = prop_oneof![
        4 => vec(op::new_task(), 1..3).prop_map(Op::Insert),
        10 => (vec(op::edit(), 1..3), vec(op::claim(), 0..2)).prop_map(|(edits, claims)| Op::Exchange(edits, claims)),
        5 => vec(op::claim(), 1..3).prop_map(|claims| Op::Exchange(Vec::new(), claims)),
        3 => byte().prop_map(|session| Op::Exchange(Vec::new(), vec![ClaimSpec::all(session)])),
        1 => byte().prop_map(Op::SendDecided),
        2 => byte().prop_map(Op::SendAgain),
        1 => byte().prop_map(Op::InsertAgain),
        1 => Just(Op::Open),
        1 => (byte(), byte()).prop_map(|(pick, by)| Op::Renew(pick, by)),
        1 => byte().prop_map(Op::Close),
        1 => Just(Op::Mark),
        2 => Just(Op::Rescue),
        3 => (byte(), byte()).prop_map(|(pick, well)| Op::RunChildren(pick, well)),
        3 => byte().prop_map(|pick| Op::Read(ReadSpec::Get(pick))),
        1 => op::read().prop_map(Op::Read),
        1 => (byte(), any::<bool>()).prop_map(|(queue, pause)| Op::SetQueue(queue, pause)),
    ];
    prop_oneof![
        5 => op.prop_map(Act::Op),
        1 => (op::claim(), vec(op::edit(), 1..3)).prop_map(|(claim, edits)| Act::ClaimAndSettle(claim, edits)),
    ]
}
