//! Concurrent histories: rounds in which several clients call at once, each checked for a sequential witness.
//!
//! All calls of a round are decided on what the model held before it, so that clients want the same tasks. Afterwards a
//! search looks for an order of the calls that explains every answer and everything that is stored, in which no call comes
//! before one that had returned before it began.

mod clients;
mod excuse;
mod interleave;
mod order;
mod plan;
mod round;
mod witness;

pub(super) use self::plan::histories;
pub(super) use self::round::run;

use retry_core::time::Timestamp;

use super::call::{Answer, Call};
use super::reference::Reference;
use crate::verdict::Verdict;

/// Compares one answer with every excuse: claims may leave out anything, but give nothing wrong.
pub(super) fn loosely(call: &Call, given: Answer, model: &mut Reference, now: Timestamp) -> Verdict {
    witness::beside_others(call, &given, &excuse::Excuse::everything(), model, now)
}
