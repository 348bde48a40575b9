//! What a store whose tasks are spread over several parts does otherwise, case by case.

use crate::harness::Difference;

/// Why: the order of law 5 is that of a part, and a claim takes part after part.
const ORDER: &str = "the order of claims (law 5) holds within a part; a worker serves its parts side by side";

const fn order(case: &'static str) -> Difference {
    Difference { case, why: ORDER }
}

/// Nothing else may differ.
pub(super) const SPREAD: &[Difference] = &[
    order("claim::claims_of_one_call_share_nothing"),
    order("order::levels_come_first"),
    order("order::a_lane_is_ordered_by_time_then_id"),
    order("order::lanes_are_drained_in_the_order_of_their_heads"),
    order("order::suspects_are_a_lane_of_their_own"),
    order("order::small_claims_keep_the_order"),
    order("order::marks_start_where_the_claim_ended"),
    order("order::marks_bind_their_own_lane"),
    order("edges::times_are_kept"),
    order("damage::a_damaged_row_takes_none_along"),
];
