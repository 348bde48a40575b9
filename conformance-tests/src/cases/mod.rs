//! The one list of cases: each a plain async function on a fresh store, with the laws it tests.

pub mod alarms;
pub mod born_leased;
pub mod bounds;
pub mod children;
pub mod chunks;
pub mod claim;
pub mod completion;
pub mod damage;
pub mod dropped;
pub mod edges;
pub mod exchange;
pub mod expired;
pub mod hints;
pub mod insert;
pub(crate) mod isolation;
pub mod list;
pub mod order;
pub mod overlap;
pub mod parents;
pub mod peers;
pub mod purge;
pub mod queues;
pub mod race;
pub mod race_settle;
pub mod read;
pub mod reopen;
pub mod sessions;
pub mod settle;
pub mod table;
pub mod table_admin;
pub mod transactions;
pub mod unique;

use futures_util::future::BoxFuture;

use crate::fixture::Fixture;
use crate::verdict::Verdict;

/// A case.
#[derive(Debug)]
pub struct Case {
    /// The part of the contract: its file.
    pub area: &'static str,
    /// What it shows: its function.
    pub name: &'static str,
    /// The laws it tests.
    pub laws: &'static [&'static str],
    /// What it needs.
    pub needs: Needs,
    /// Runs it.
    pub run: for<'a> fn(&'a mut Fixture) -> BoxFuture<'a, Verdict>,
}

impl Case {
    /// `area::name`.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}::{}", self.area, self.name)
    }

    /// The case with this path.
    #[must_use]
    pub fn find(path: &str) -> Option<&'static Self> {
        CASES.iter().find(|case| case.path() == path)
    }
}

/// What a case needs besides a fresh store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing.
    Store,
    /// To reopen it.
    Reopen,
    /// To damage a row.
    Damage,
    /// A second handle to its data.
    Peer,
    /// To join a user's transaction.
    Transactions,
}

/// Rows of `name: laws`, by area, as cases. What a case needs stands behind its name.
macro_rules! cases {
    ($($area:ident { $($name:ident $(($needs:ident))?: $($law:literal)+,)* })*) => {
        &[$($(Case {
            area: stringify!($area),
            name: stringify!($name),
            laws: &[$($law),+],
            needs: cases!(@needs $($needs)?),
            run: |fixture| Box::pin($area::$name(fixture)),
        },)*)*]
    };
    (@needs) => { Needs::Store };
    (@needs $needs:ident) => { Needs::$needs };
}

/// All cases.
pub const CASES: &[Case] = cases! {
    insert {
        a_new_task_is_stored_as_sent: "L1" "L12",
        every_setting_is_kept: "L1" "L12",
        texts_come_back_byte_for_byte: "L12",
        the_largest_payload_fits: "L12",
        case_matters_in_names: "L12",
        a_repeated_id_is_the_same_task: "L1" "L10",
        an_id_twice_in_one_call_is_one_task: "L1" "L10",
        a_repeat_after_the_end_changes_nothing: "L1" "L10",
        answers_follow_the_input: "L1",
        an_empty_insert_is_ok: "L1",
        a_full_batch_is_stored: "L1" "L11",
    }
    born_leased {
        a_due_task_of_a_live_session_is_running: "L1" "L7",
        it_is_exclusive: "L3",
        one_that_is_not_due_is_pending: "L4",
        a_session_that_is_not_live_gets_none: "L9",
        a_paused_queue_makes_it_pending: "L15",
        a_repeat_changes_nothing: "L1" "L10",
    }
    claim {
        a_claim_is_written_before_it_returns: "L7" "L11",
        a_claim_carries_what_the_handler_needs: "L12",
        a_task_is_given_once: "L3",
        claims_of_one_call_share_nothing: "L3",
        nothing_is_claimed_early: "L4",
        a_moved_task_is_not_claimed_early: "L4",
        limits_hold: "L3",
        suspects_are_limited: "L5",
        the_window_holds: "L4",
        a_claim_by_ids_gives_no_others: "L3" "L4",
        a_lost_session_claims_nothing: "L9",
        every_claim_counts_an_attempt: "L7",
        claims_see_the_edits_of_their_call: "L3" "L6",
        each_claim_has_its_own_session: "L9",
    }
    order {
        levels_come_first: "L5",
        a_lane_is_ordered_by_time_then_id: "L5",
        lanes_are_drained_in_the_order_of_their_heads: "L5",
        suspects_are_a_lane_of_their_own: "L5",
        nothing_hides_a_due_task: "L5" "L13",
        a_long_backlog_is_claimed: "L13" "L5",
        small_claims_keep_the_order: "L5",
        next_due_tells_when_to_come_again: "L5",
        marks_start_where_the_claim_ended: "L5",
        marks_bind_their_own_lane: "L5",
    }
    settle {
        an_old_version_writes_nothing: "L6",
        a_future_version_writes_nothing: "L6",
        the_state_is_part_of_the_guard: "L6",
        a_zombie_writes_nothing: "L6",
        a_missing_task_is_an_answer: "L6",
        a_repeated_edit_is_recognised: "L10",
        a_repeat_after_a_claim_is_settled_too: "L10",
        a_repeated_edit_inserts_nothing: "L10",
        a_final_state_is_final: "L6",
        a_cancel_request_flags_a_running_task: "L6",
        a_flag_turns_a_retry_into_an_end: "L6" "L8",
        a_flag_does_not_undo_a_success: "L6",
        the_history_keeps_the_last_twenty: "L12",
        a_rerun_starts_clean: "L6",
        a_late_settle_is_accepted_before_the_rescue: "L6",
    }
    exchange {
        edits_are_independent: "L6",
        edits_of_one_task_follow_each_other: "L6",
        inserts_come_with_their_edit: "L8",
        a_stale_edit_inserts_nothing: "L8",
        a_duplicate_among_the_inserts_is_an_answer: "L2" "L8",
        a_freed_key_goes_to_the_edits_own_insert: "L2" "L8",
        one_insert_of_two_edits_is_one_task: "L8",
        an_edit_follows_the_insert_of_its_task: "L6" "L8",
        a_child_may_end_in_the_call_that_makes_it: "L8",
        a_full_batch_of_edits_is_applied: "L8" "L13",
        an_empty_exchange_is_ok: "L10",
        a_change_keeps_what_it_does_not_name: "L7",
    }
    table {
        succeed: "L6",
        succeed_and_forget: "L6" "L8",
        retry: "L6" "L7",
        fail: "L6",
        snooze_and_continue: "L6" "L7",
        checkpoint: "L6",
        retry_in_place_and_put_back: "L6" "L7",
        wait_and_complete: "L6",
        wait_deadline: "L6",
    }
    table_admin {
        lease_lost: "L6",
        deadline_passed: "L6",
        expire: "L6",
        cancel: "L6",
        rerun: "L6" "L7",
        reschedule_and_edit: "L6",
        split_and_release: "L8",
        delete: "L6",
    }
    sessions {
        an_open_session_is_listed: "L9",
        opening_again_is_ok: "L9" "L10",
        a_renewal_extends: "L9",
        a_renewal_brings_cancel_requests: "L9",
        a_renewal_never_creates: "L9",
        a_late_renewal_succeeds_until_marked: "L9",
        a_lost_session_is_not_opened_again: "L9",
        an_idle_session_is_marked_too: "L9",
        a_closed_session_is_gone_at_once: "L9",
        a_session_closed_with_a_task_is_lost: "L9",
    }
    expired {
        a_lease_lasts_to_its_end: "L9",
        lost_tasks_are_reported_until_settled: "L9",
        tasks_of_a_closed_session_are_reported_at_once: "L9",
        a_task_is_rescued_once: "L9" "L6",
        a_settle_before_the_rescue_wins: "L6",
        a_renewed_session_keeps_its_tasks: "L9",
        the_crash_budget_ends_a_task: "L9",
    }
    alarms {
        due_alarms_are_reported: "L13",
        a_lost_task_is_not_reported_twice: "L9",
        a_round_in_pages_is_complete: "L13",
        a_limit_loses_no_task: "L9" "L13",
        a_round_cut_by_marking_has_a_next: "L9" "L13",
    }
    children {
        the_last_child_ends_the_wait: "L8",
        children_settled_together_are_all_counted: "L8",
        a_child_is_counted_once: "L8" "L10",
        children_may_end_before_the_split: "L8",
        a_child_outlives_its_parents_life: "L8",
        child_and_parent_in_one_call: "L8",
    }
    chunks {
        chunks_while_children_end: "L8",
        an_old_chunk_changes_nothing: "L8" "L10",
        a_split_keeps_its_checkpoint: "L8" "L12",
        a_split_behind_the_last_end_rings: "L8",
        a_thousand_ends_in_one_call: "L8",
        a_rerun_races_with_the_last_end: "L8",
        a_reopened_parent_waits_again: "L8",
        a_reopened_child_is_open_again: "L8",
    }
    parents {
        failed_children_follow_the_policy: "L8",
        an_end_goes_one_level_up: "L8",
        a_rerun_before_the_rescuer_wins: "L8",
        a_child_is_rerun_while_its_parent_waits: "L8",
        a_cancelled_parent_waits_for_its_children: "L8",
        a_late_cancel_sees_the_last_end: "L8",
        an_ended_parent_is_reported_for_its_children: "L8",
    }
    completion {
        a_completion_is_delivered: "L6" "L12",
        an_early_completion_is_found_by_the_wait: "L6",
        the_first_early_completion_wins: "L6" "L10",
        an_early_completion_fits_step_and_state: "L6",
        every_outcome_is_stored_early: "L6",
        a_wait_ignores_a_completion_of_another_step: "L6",
        a_second_completion_is_stale: "L6",
    }
    unique {
        a_duplicate_names_the_holder: "L2",
        the_first_of_a_batch_wins: "L2",
        keys_are_compared_byte_for_byte: "L2" "L12",
        a_repeat_comes_before_the_key: "L1" "L2",
        an_active_key_is_free_at_the_end: "L2",
        a_lasting_key_is_held_until_the_purge: "L2",
        a_replace_updates_a_pending_holder: "L2",
        a_replace_makes_older_edits_stale: "L2" "L6",
        a_replace_leaves_a_running_holder: "L2",
        a_rerun_retakes_its_key: "L2",
    }
    read {
        an_unknown_task_is_none: "L11",
        pages_have_every_row_once: "L11",
        paging_is_steady_under_writes: "L11",
        paging_is_steady_when_its_cursor_goes: "L11",
        rows_are_the_stored_records: "L11" "L12",
        counts_are_right: "L11",
        reading_changes_nothing: "L11" "L15",
        outputs_come_when_asked_for: "L11",
        every_state_is_counted: "L11",
        a_big_store_is_counted_and_listed: "L13",
    }
    list {
        filters_are_exact: "L11" "L12",
        ranges_are_exact: "L11",
        texts_are_found_exactly: "L11" "L12",
        filters_find_children_and_errors: "L11",
    }
    purge {
        an_ended_task_is_kept_for_its_time: "L1",
        the_resend_window_is_kept: "L1" "L10",
        live_tasks_are_never_purged: "L1",
        a_purge_keeps_its_limit: "L13",
        a_child_waits_for_its_parent: "L8",
        a_child_put_off_blocks_nothing: "L8",
    }
    queues {
        a_paused_queue_yields_nothing: "L15",
        other_queues_go_on: "L15",
        running_tasks_go_on: "L15",
        settings_are_idempotent: "L15" "L10",
        lanes_tell_their_heads: "L11",
        a_pause_shows_in_queues: "L15",
    }
    bounds {
        an_insert_over_a_bound_writes_nothing: "L1" "L13",
        an_exchange_over_a_bound_writes_nothing: "L8" "L13",
        a_claim_over_a_bound_takes_nothing: "L3" "L13",
        pages_have_bounds: "L13",
        migrating_again_is_ok: "L10",
    }
    dropped {
        a_dropped_insert_converges: "L10",
        a_dropped_settle_converges: "L10",
        a_dropped_claim_locks_nothing: "L10",
        a_dropped_insert_is_all_or_nothing: "L10" "L1",
        a_dropped_insert_holds_no_key_alone: "L2" "L10",
    }
    edges {
        times_are_kept: "L12",
        the_longest_error_is_kept: "L12",
        a_clock_that_steps_back_breaks_nothing: "L4" "L9" "L6",
    }
    race {
        claimers_share_no_task: "L3",
        claimers_on_two_handles_share_no_task (Peer): "L3",
        one_insert_wins_a_key: "L2",
        one_id_is_one_task: "L1" "L10",
        a_pause_stops_concurrent_claims: "L15",
    }
    race_settle {
        one_settle_wins: "L6" "L10",
        children_end_at_once: "L8",
        a_renewal_and_a_mark_agree: "L9",
        a_cancel_and_a_claim_agree: "L6",
    }
    overlap {
        claimers_hide_nothing: "L3",
        a_moving_task_is_never_absent: "L11" "L7",
        a_purge_and_a_rerun_agree: "L6" "L1",
        a_new_session_is_not_missing: "L9",
        the_other_handle_sees_changes (Peer): "L11",
    }
    hints {
        what_inserts_wake_settles_wake: "L11",
    }
    peers {
        a_hint_comes_after_its_task: "L11",
        the_other_handle_sees_writes (Peer): "L11",
        two_handles_migrate_at_once (Peer): "L10",
    }
    reopen {
        inserts_survive (Reopen): "L1",
        claims_survive (Reopen): "L7",
        settles_survive (Reopen): "L10",
        everything_kept_survives (Reopen): "L8" "L12",
        settings_survive (Reopen): "L15" "L9",
        the_forgotten_stays_forgotten (Reopen): "L1",
        crashes_between_writes_lose_nothing (Reopen): "L1",
    }
    transactions {
        a_commit_brings_the_tasks (Transactions): "L1" "L12",
        a_rollback_leaves_nothing (Transactions): "L1" "L2",
        answers_are_those_of_an_insert (Transactions): "L2",
        a_refused_call_writes_nothing (Transactions): "L1",
    }
    damage {
        a_damaged_row_blocks_no_claim (Damage): "L14",
        a_damaged_row_is_put_aside (Damage): "L14",
        a_damaged_row_does_not_end_a_listing (Damage): "L14",
        a_damaged_row_is_not_absent (Damage): "L14",
        a_damaged_row_hides_no_lost_task (Damage): "L14",
        a_damaged_row_takes_none_along (Damage): "L14",
    }
};
