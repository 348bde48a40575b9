//! What a store whose tasks are spread over several parts does otherwise, case by case.

use crate::harness::Difference;

/// Why: the order of law 5 is that of a part, and a claim takes part after part.
const ORDER: &str = "the order of claims (law 5) holds within a part; a worker serves its parts side by side";

const fn order(case: &'static str) -> Difference {
    Difference {
        case,
        why: ORDER,
        always: true,
    }
}

/// Nothing else may differ.
pub(super) const SPREAD: &[Difference] = &[
    order("claim::claims_of_one_call_share_nothing"),
    order("order::levels_come_first"),
    order("order::a_lane_is_ordered_by_time_then_id"),
    order("order::lanes_are_drained_in_the_order_of_their_heads"),
    order("order::suspects_are_a_lane_of_their_own"),
    order("order::a_long_backlog_is_claimed"),
    order("order::small_claims_keep_the_order"),
    order("order::marks_start_where_the_claim_ended"),
    order("order::marks_bind_their_own_lane"),
    order("edges::times_are_kept"),
    order("damage::a_damaged_row_takes_none_along"),
    Difference {
        case: "dropped::a_dropped_insert_is_all_or_nothing",
        why: "an insert (law 1) is atomic within a part: the one part may have written when the other has not",
        always: false,
    },
    Difference {
        case: "race_settle::a_renewal_and_a_mark_agree",
        why: "sessions belong to the parts: one of the case's is one in each part here, which are renewed and marked one by one",
        always: false,
    },
];
