//! The list of mutants, each with the law it breaks, the case that must reject it, and the generated histories that do.

use super::broken::NoFault;
use super::odd;
use super::{
    Joined, Mutant, RIGHT, Reopened, broken, claims, crash, elsewhere, gifts, inserts, overlap, presence,
    reads, sessions, settles, texts,
};
use crate::model::Sort;

/// Rows of `fault: name breaks law in case, [histories]`.
macro_rules! mutants {
    ($($fault:path: $name:literal breaks $law:literal in $killer:literal, [$($sort:ident)*];)*) => {
        &[$(Mutant {
            name: $name,
            law: $law,
            killer: $killer,
            found_by: &[$(Sort::$sort),*],
            make: broken::<$fault>,
            reopened: Reopened::Right,
            joined: Joined::Right,
        },)* FORGETFUL, UNPAUSED, JOINS_AT_ONCE, JOINS_BEHIND_SAVEPOINTS, JOINS_NEVER]
    };
}

/// Loses what it held when it is opened again.
const FORGETFUL: Mutant = Mutant {
    name: "forgets_on_reopen",
    law: "L1",
    killer: "reopen::inserts_survive",
    found_by: &[Sort::Sequential, Sort::Concurrent],
    make: broken::<NoFault>,
    reopened: Reopened::Empty,
    joined: Joined::Right,
};

/// Loses the pauses of queues when it is opened again.
const UNPAUSED: Mutant = Mutant {
    name: "forgets_pauses_on_reopen",
    law: "L15",
    killer: "reopen::settings_survive",
    found_by: &[Sort::Sequential],
    make: broken::<NoFault>,
    reopened: Reopened::Unpaused,
    joined: Joined::Right,
};

/// Inserts outside the transaction that it was given.
const JOINS_AT_ONCE: Mutant = Mutant {
    name: "inserts_beside_the_transaction",
    law: "L1",
    killer: "transactions::a_rollback_leaves_nothing",
    joined: Joined::AtOnce,
    ..RIGHT
};

/// Remembers tasks for the commit, whatever savepoint was rolled back meanwhile.
const JOINS_BEHIND_SAVEPOINTS: Mutant = Mutant {
    name: "ignores_savepoints",
    law: "L1",
    killer: "transactions::a_rollback_leaves_nothing",
    joined: Joined::Unsaved,
    ..RIGHT
};

/// Answers inside the transaction and writes nothing.
const JOINS_NEVER: Mutant = Mutant {
    name: "forgets_the_transaction",
    law: "L1",
    killer: "transactions::a_commit_brings_the_tasks",
    joined: Joined::Never,
    ..RIGHT
};

/// All mutants.
pub const MUTANTS: &[Mutant] = mutants! {
    inserts::Drops: "drops_every_third_task" breaks "L1" in "insert::a_full_batch_is_stored", [Sequential];
    inserts::Trims: "trims_payloads" breaks "L12" in "insert::texts_come_back_byte_for_byte", [Sequential];
    inserts::Refuses: "duplicate_is_an_error" breaks "L2" in "unique::a_duplicate_names_the_holder", [Sequential];
    inserts::Overwrites: "a_repeat_overwrites" breaks "L1" in "insert::a_repeated_id_is_the_same_task", [Sequential];
    inserts::LooksThenInserts: "looks_then_inserts" breaks "L2" in "race::one_insert_wins_a_key", [];
    inserts::Half: "writes_half_a_batch" breaks "L1" in "bounds::an_insert_over_a_bound_writes_nothing", [];
    inserts::Sorts: "answers_in_id_order" breaks "L1" in "insert::answers_follow_the_input", [Sequential];
    inserts::FoldsKeys: "keys_ignore_case" breaks "L2" in "unique::keys_are_compared_byte_for_byte", [];
    claims::Early: "claims_early" breaks "L4" in "claim::nothing_is_claimed_early", [Sequential];
    claims::Twice: "claims_twice" breaks "L3" in "claim::a_task_is_given_once", [Sequential];
    claims::ById: "orders_by_id" breaks "L5" in "order::levels_come_first", [Sequential];
    claims::NoLimit: "ignores_the_limit" breaks "L3" in "claim::limits_hold", [Sequential];
    claims::AllSuspects: "ignores_suspects" breaks "L5" in "claim::suspects_are_limited", [Sequential];
    claims::NoPause: "ignores_the_pause" breaks "L15" in "queues::a_paused_queue_yields_nothing", [Sequential];
    claims::FewRows: "looks_at_few_rows" breaks "L5" in "order::nothing_hides_a_due_task", [];
    claims::NoNextDue: "forgets_next_due" breaks "L5" in "order::next_due_tells_when_to_come_again", [Sequential];
    claims::Lends: "lends_sessions" breaks "L9" in "claim::a_lost_session_claims_nothing", [Sequential];
    settles::NoGuard: "ignores_versions" breaks "L6" in "settle::an_old_version_writes_nothing", [Sequential];
    settles::NoNonce: "forgets_nonces" breaks "L10" in "settle::a_repeated_edit_is_recognised", [Sequential];
    settles::ResetsAttempts: "resets_attempts" breaks "L7" in "claim::every_claim_counts_an_attempt", [Sequential];
    settles::NoHistoryInPlace: "forgets_attempts_in_place" breaks "L6" in "table::retry_in_place_and_put_back", [Sequential];
    settles::LosesPlaces: "loses_places" breaks "L6" in "table::retry_in_place_and_put_back", [Sequential];
    settles::StaleStops: "stale_stops_the_batch" breaks "L6" in "exchange::edits_are_independent", [Sequential];
    settles::InsertsAnyway: "inserts_despite_stale" breaks "L8" in "exchange::a_stale_edit_inserts_nothing", [Sequential];
    settles::LosesCancels: "loses_cancels" breaks "L6" in "settle::a_cancel_request_flags_a_running_task", [Sequential];
    settles::NoCompletion: "ignores_early_completions" breaks "L6" in "completion::an_early_completion_is_found_by_the_wait", [Sequential];
    settles::NeverNoneOpen: "ignores_ended_children" breaks "L8" in "children::children_may_end_before_the_split", [Sequential];
    settles::SilentSplit: "a_split_rings_for_nobody" breaks "L8" in "chunks::a_split_behind_the_last_end_rings", [];
    settles::SplitLosesCheckpoint: "a_split_loses_its_checkpoint" breaks "L12" in "chunks::a_split_keeps_its_checkpoint", [];
    settles::ChunksWithoutParent: "chunks_are_not_counted" breaks "L8" in "chunks::chunks_while_children_end", [Sequential];
    settles::ReopensAsRerun: "a_reopened_parent_does_not_wait" breaks "L8" in "chunks::a_reopened_parent_waits_again", [];
    settles::Sorts: "edits_in_id_order" breaks "L6" in "exchange::edits_are_independent", [Sequential];
    settles::LooksOnce: "edits_miss_inserts_of_their_call" breaks "L6" in "exchange::an_edit_follows_the_insert_of_its_task", [];
    settles::RefusesLate: "refuses_late_settles" breaks "L6" in "settle::a_late_settle_is_accepted_before_the_rescue", [Sequential];
    sessions::Resurrects: "renew_resurrects" breaks "L9" in "sessions::a_late_renewal_succeeds_until_marked", [Sequential];
    sessions::Strict: "renew_is_strict" breaks "L9" in "sessions::a_late_renewal_succeeds_until_marked", [Sequential];
    sessions::Once: "reports_once" breaks "L9" in "expired::lost_tasks_are_reported_until_settled", [Sequential];
    sessions::EndsEarly: "lease_ends_early" breaks "L9" in "expired::a_lease_lasts_to_its_end", [];
    sessions::SkipsAtPages: "a_round_skips_at_pages" breaks "L13" in "alarms::a_round_in_pages_is_complete", [Sequential];
    sessions::MarksAlways: "marks_without_asking" breaks "L9" in "expired::a_lease_lasts_to_its_end", [Sequential];
    reads::CountsOneMore: "counts_one_more" breaks "L11" in "read::counts_are_right", [Sequential];
    reads::SkipsAtPages: "list_skips_at_pages" breaks "L11" in "read::pages_have_every_row_once", [Sequential];
    reads::FoldsFilter: "filters_ignore_case" breaks "L11" in "list::texts_are_found_exactly", [];
    reads::Miscounts: "miscounts_children" breaks "L8" in "children::the_last_child_ends_the_wait", [Sequential];
    reads::PurgesChildren: "purge_ignores_parents" breaks "L8" in "purge::a_child_waits_for_its_parent", [Sequential];
    reads::PurgesAll: "purge_ignores_its_limit" breaks "L13" in "purge::a_purge_keeps_its_limit", [];
    texts::WholeSeconds: "keeps_whole_seconds" breaks "L4" in "claim::nothing_is_claimed_early", [Sequential];
    texts::NothingNegative: "keeps_nothing_before_1970" breaks "L12" in "edges::times_are_kept", [Sequential];
    texts::EndsIn2038: "ends_in_2038" breaks "L12" in "edges::times_are_kept", [Sequential];
    texts::ThreeLevels: "has_three_levels" breaks "L5" in "order::levels_come_first", [Sequential];
    texts::CutsPayloads: "cuts_large_payloads" breaks "L12" in "insert::the_largest_payload_fits", [];
    texts::ThreeBytes: "keeps_three_bytes_a_character" breaks "L12" in "insert::texts_come_back_byte_for_byte", [Sequential];
    texts::FoldsHeaders: "headers_ignore_case" breaks "L12" in "insert::texts_come_back_byte_for_byte", [Sequential];
    texts::NeverReplaces: "never_replaces" breaks "L2" in "unique::a_replace_updates_a_pending_holder", [Sequential];
    texts::NeverLeased: "lets_nothing_be_born_leased" breaks "L1" in "born_leased::a_due_task_of_a_live_session_is_running", [Sequential];
    texts::NeverExpires: "forgets_start_deadlines" breaks "L1" in "insert::every_setting_is_kept", [Sequential];
    texts::OneRetention: "keeps_all_equally_long" breaks "L1" in "insert::every_setting_is_kept", [Sequential];
    texts::HolderIsPending: "takes_every_holder_for_pending" breaks "L2" in "unique::a_lasting_key_is_held_until_the_purge", [Sequential];
    texts::KeyBeforeId: "looks_at_the_key_before_the_id" breaks "L1" in "unique::a_repeat_comes_before_the_key", [Sequential];
    texts::CutsErrors: "cuts_errors" breaks "L12" in "edges::the_longest_error_is_kept", [];
    texts::LastFailureOnly: "keeps_the_last_failure_only" breaks "L12" in "settle::the_history_keeps_the_last_twenty", [Sequential];
    gifts::KindsUnlimited: "ignores_the_limits_of_kinds" breaks "L3" in "claim::limits_hold", [Sequential];
    gifts::NoWindow: "ignores_the_window" breaks "L4" in "claim::the_window_holds", [Sequential];
    gifts::WindowIsOpen: "the_window_ends_early" breaks "L4" in "claim::the_window_holds", [Sequential];
    gifts::ForgetsIds: "claims_by_id_as_by_lane" breaks "L3" in "claim::a_claim_by_ids_gives_no_others", [Sequential];
    gifts::FirstKind: "asks_for_one_kind_only" breaks "L3" in "claim::limits_hold", [Sequential];
    gifts::MarksAreForAll: "marks_count_for_all_lanes" breaks "L5" in "order::marks_bind_their_own_lane", [];
    gifts::HalfABatch: "fails_on_large_batches" breaks "L13" in "exchange::a_full_batch_of_edits_is_applied", [];
    gifts::ClaimsFirst: "claims_before_it_edits" breaks "L3" in "claim::claims_see_the_edits_of_their_call", [Sequential];
    gifts::OldRecord: "hands_out_the_old_record" breaks "L7" in "claim::a_claim_is_written_before_it_returns", [Sequential];
    gifts::NoCheckpoint: "leaves_the_checkpoint_behind" breaks "L12" in "claim::a_claim_carries_what_the_handler_needs", [Sequential];
    gifts::NoDelivery: "leaves_the_completion_behind" breaks "L6" in "completion::a_completion_is_delivered", [Sequential];
    gifts::LateNextDue: "tells_the_next_due_late" breaks "L5" in "order::next_due_tells_when_to_come_again", [Sequential];
    gifts::LastFirst: "gives_the_last_first" breaks "L5" in "order::a_lane_is_ordered_by_time_then_id", [Sequential];
    gifts::FarMarks: "marks_what_it_has_not_reached" breaks "L5" in "order::marks_start_where_the_claim_ended", [Sequential];
    gifts::OneAnswer: "one_claim_speaks_for_all" breaks "L9" in "claim::each_claim_has_its_own_session", [Sequential];
    gifts::CancelsNothing: "cancels_what_does_not_run" breaks "L6" in "settle::a_cancel_request_flags_a_running_task", [Sequential];
    gifts::MissingIsStale: "missing_is_stale" breaks "L6" in "settle::a_missing_task_is_an_answer", [Sequential];
    presence::HidesCancels: "renewals_bring_no_cancels" breaks "L9" in "sessions::a_renewal_brings_cancel_requests", [Sequential];
    presence::CountsNoHeld: "renewals_count_nothing" breaks "L9" in "sessions::a_renewal_brings_cancel_requests", [Sequential];
    presence::RenewCreates: "renew_creates" breaks "L9" in "sessions::a_renewal_never_creates", [Sequential];
    presence::ShortRenewal: "renews_for_its_own_time" breaks "L9" in "sessions::a_renewal_extends", [Sequential];
    presence::OpensLost: "opens_lost_sessions" breaks "L9" in "sessions::a_lost_session_is_not_opened_again", [Sequential];
    presence::NeverCloses: "never_closes" breaks "L9" in "sessions::a_closed_session_is_gone_at_once", [Sequential];
    presence::HidesLost: "hides_lost_sessions" breaks "L9" in "sessions::a_session_closed_with_a_task_is_lost", [Sequential];
    presence::OneCause: "knows_one_cause" breaks "L9" in "expired::tasks_of_a_closed_session_are_reported_at_once", [Sequential];
    presence::NoExpiry: "reports_no_start_deadlines" breaks "L13" in "alarms::due_alarms_are_reported", [Sequential];
    presence::NoLimit: "a_round_ignores_its_limit" breaks "L13" in "alarms::a_round_in_pages_is_complete", [Sequential];
    presence::OnePage: "a_round_has_one_page" breaks "L13" in "alarms::a_round_in_pages_is_complete", [Sequential];
    presence::MarksHoldersOnly: "marks_only_when_something_runs" breaks "L9" in "sessions::an_idle_session_is_marked_too", [Sequential];
    presence::PausesKnownOnly: "pauses_known_queues_only" breaks "L15" in "queues::a_pause_shows_in_queues", [Sequential];
    presence::PausesAll: "pauses_all_queues" breaks "L15" in "queues::other_queues_go_on", [Sequential];
    presence::LookingResumes: "looking_resumes" breaks "L15" in "read::reading_changes_nothing", [Sequential];
    presence::HidesPaused: "hides_paused_queues" breaks "L15" in "queues::a_pause_shows_in_queues", [Sequential];
    presence::HeadsAreDue: "shows_heads_as_due" breaks "L11" in "queues::lanes_tell_their_heads", [Sequential];
    presence::RepeatsAtPages: "list_repeats_at_pages" breaks "L11" in "read::pages_have_every_row_once", [Sequential];
    presence::AlwaysOutputs: "lists_outputs_unasked" breaks "L11" in "read::outputs_come_when_asked_for", [Sequential];
    presence::KeysByPrefix: "finds_keys_by_prefix" breaks "L11" in "list::filters_are_exact", [];
    presence::CountsAll: "counts_all_queues" breaks "L11" in "read::counts_are_right", [Sequential];
    presence::CountsNoCancelled: "counts_no_cancelled" breaks "L11" in "read::every_state_is_counted", [Sequential];
    presence::PurgesEarly: "purges_early" breaks "L1" in "purge::an_ended_task_is_kept_for_its_time", [Sequential];
    presence::PurgesOne: "purges_one" breaks "L13" in "purge::a_purge_keeps_its_limit", [Sequential];
    presence::PurgeGuesses: "purge_guesses" breaks "L13" in "purge::a_purge_keeps_its_limit", [Sequential];
    overlap::NoRecheck: "claims_without_recheck" breaks "L3" in "race::claimers_share_no_task", [Concurrent];
    overlap::TwoSteps: "moves_in_two_steps" breaks "L11" in "overlap::a_moving_task_is_never_absent", [Concurrent];
    overlap::LocksAll: "one_claim_locks_all" breaks "L3" in "overlap::claimers_hide_nothing", [Concurrent];
    overlap::OneByOne: "inserts_one_by_one" breaks "L10" in "dropped::a_dropped_insert_is_all_or_nothing", [Sequential];
    overlap::Caches: "a_handle_caches_its_reads" breaks "L11" in "overlap::the_other_handle_sees_changes", [Concurrent];
    overlap::HintsFirst: "hints_before_the_write" breaks "L11" in "peers::a_hint_comes_after_its_task", [];
    overlap::HintsAtInserts: "hints_at_inserts_only" breaks "L11" in "hints::what_inserts_wake_settles_wake", [];
    overlap::PoisonsPool: "a_dropped_call_poisons" breaks "L10" in "dropped::a_dropped_insert_converges", [Sequential];
    overlap::SessionsFirst: "looks_at_sessions_before_holders" breaks "L9" in "overlap::a_new_session_is_not_missing", [];
    overlap::BusyButWritten: "busy_but_written" breaks "L10" in "race_settle::one_settle_wins", [Sequential];
    crash::RepeatCounts: "a_repeat_counts" breaks "L10" in "settle::a_repeated_edit_is_recognised", [Sequential];
    crash::RepeatInserts: "a_repeat_inserts" breaks "L10" in "settle::a_repeated_edit_inserts_nothing", [Sequential];
    crash::BadFailsClaim: "a_bad_row_fails_claims" breaks "L14" in "damage::a_damaged_row_blocks_no_claim", [Sequential];
    crash::BadIsSilent: "a_bad_row_is_not_told" breaks "L14" in "damage::a_damaged_row_is_put_aside", [];
    crash::BadTakesAll: "a_bad_row_takes_all_along" breaks "L14" in "damage::a_damaged_row_takes_none_along", [Sequential];
    crash::BadEndsListing: "a_bad_row_ends_listings" breaks "L14" in "damage::a_damaged_row_does_not_end_a_listing", [Sequential];
    crash::BadIsAbsent: "a_bad_row_is_absent" breaks "L14" in "damage::a_damaged_row_is_not_absent", [];
    crash::BadEndsRound: "a_bad_row_ends_rounds" breaks "L14" in "damage::a_damaged_row_hides_no_lost_task", [];
    crash::BadAgainAndAgain: "a_bad_row_is_told_again" breaks "L14" in "damage::a_damaged_row_is_put_aside", [Sequential];
    crash::CutsBatches: "cuts_batches" breaks "L1" in "bounds::an_insert_over_a_bound_writes_nothing", [];
    crash::WritesLater: "answers_before_it_writes" breaks "L1" in "reopen::crashes_between_writes_lose_nothing", [];
    odd::SessionsWithoutKinds: "keeps_no_kinds_of_sessions" breaks "L9" in "sessions::an_open_session_is_listed", [Sequential];
    odd::FirstState: "filters_by_the_first_state" breaks "L11" in "list::filters_are_exact", [];
    odd::FirstFilterKind: "filters_by_the_first_kind" breaks "L11" in "list::filters_are_exact", [Sequential];
    odd::DueBeforeIncludes: "due_before_includes_its_time" breaks "L11" in "list::ranges_are_exact", [Sequential];
    odd::CreatedFromExcludes: "created_from_excludes_its_time" breaks "L11" in "list::ranges_are_exact", [];
    odd::CursorMustExist: "a_cursor_must_exist" breaks "L11" in "read::paging_is_steady_when_its_cursor_goes", [Sequential];
    odd::NeverExact: "is_never_exact" breaks "L11" in "read::counts_are_right", [];
    odd::NeverComplete: "counts_are_never_complete" breaks "L11" in "read::every_state_is_counted", [];
    odd::LateAlarms: "alarms_are_late" breaks "L13" in "alarms::due_alarms_are_reported", [Sequential];
    odd::RoundBackwards: "a_round_runs_backwards" breaks "L13" in "alarms::due_alarms_are_reported", [Sequential];
    odd::KeysWithinBatch: "keys_clash_across_calls_only" breaks "L2" in "unique::the_first_of_a_batch_wins", [Sequential Concurrent];
    odd::KeysForAllKinds: "keys_clash_across_kinds" breaks "L12" in "unique::keys_are_compared_byte_for_byte", [Sequential Concurrent];
    odd::CheckpointStopsDeadline: "a_checkpoint_stops_the_deadline" breaks "L6" in "table::checkpoint", [Sequential Concurrent];
    odd::OverlooksCancels: "overlooks_cancels" breaks "L6" in "settle::a_flag_turns_a_retry_into_an_end", [Sequential Concurrent];
    odd::FollowUpsWithoutHeaders: "follow_ups_have_no_headers" breaks "L8" in "exchange::inserts_come_with_their_edit", [Sequential];
    odd::DeletesInsertNothing: "deletes_insert_nothing" breaks "L8" in "table::succeed_and_forget", [Sequential];
    odd::RerunKeepsFlag: "a_rerun_keeps_the_flag" breaks "L6" in "settle::a_rerun_starts_clean", [Sequential];
    odd::RerunForgetsHistory: "a_rerun_forgets_the_history" breaks "L6" in "settle::a_rerun_starts_clean", [Sequential];
    odd::SettleKeepsCrashes: "a_failed_attempt_is_a_crash" breaks "L6" in "table::retry", [Sequential Concurrent];
    odd::SharedLimit: "claims_share_a_limit" breaks "L3" in "claim::claims_of_one_call_share_nothing", [Sequential Concurrent];
    odd::PausesIgnoreCase: "pauses_ignore_case" breaks "L15" in "queues::other_queues_go_on", [Sequential Concurrent];
    odd::CloseHandsBack: "a_close_hands_back" breaks "L9" in "sessions::a_session_closed_with_a_task_is_lost", [Sequential Concurrent];
    elsewhere::FailsOnBacklogs: "fails_on_backlogs" breaks "L13" in "order::a_long_backlog_is_claimed", [];
    elsewhere::TakesAll: "takes_all_then_picks" breaks "L5" in "order::small_claims_keep_the_order", [Sequential Concurrent];
    elsewhere::Pops: "pops_what_it_gives" breaks "L11" in "claim::a_claim_is_written_before_it_returns", [Sequential Concurrent];
    elsewhere::MarksHandBack: "a_mark_hands_back" breaks "L9" in "expired::lost_tasks_are_reported_until_settled", [Sequential];
    elsewhere::OneNumberOfAttempts: "knows_one_number_of_attempts" breaks "L1" in "insert::every_setting_is_kept", [Sequential];
    odd::RemembersNonces: "remembers_all_nonces" breaks "L6" in "settle::the_state_is_part_of_the_guard", [Sequential Concurrent];
};
