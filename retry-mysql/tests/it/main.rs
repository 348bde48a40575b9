//! Tests on a real server that each starts for itself: locks, plans, faults, refusals, transactions of the user's own.

mod claims;
mod dropped;
mod engine;
mod faults;
mod full;
mod gate;
mod in_tx;
mod innodb;
mod large;
mod leased;
mod locks;
mod outbox;
mod parents;
mod plans;
mod refusals;
mod rights;
mod support;
mod tls;
mod wake;

use std::future::Future;
use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use test_servers::{Error, Kind, Server};

use support::Servers;

/// Which server a test needs.
#[derive(Clone, Copy)]
enum Needs {
    /// One that others use at the same time.
    Shared,
    /// One of its own, with these settings.
    Own(&'static [(&'static str, &'static str)]),
}

/// A test by its name.
fn test<F>(servers: &Arc<Servers>, name: &str, needs: Needs, body: fn(Arc<Server>) -> F) -> Trial
where
    F: Future<Output = ()> + Send + 'static,
{
    let servers = Arc::clone(servers);
    Trial::ignorable_test(name, move || {
        let server = match needs {
            Needs::Shared => servers.shared(),
            Needs::Own(settings) => test_servers::start_with(Kind::MySql, settings).map(Arc::new),
        };
        match server {
            Ok(server) => {
                let runtime = tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(2)
                    .enable_all()
                    .build();
                let runtime = runtime.map_err(|error| Failed::from(error.to_string()))?;
                runtime.block_on(body(server));
                Ok(Completion::Completed)
            }
            Err(error) => missing(&error),
        }
    })
}

/// A server that is not installed is reported, or fails where it is required.
fn missing(error: &Error) -> Result<Completion, Failed> {
    let required = std::env::var("RETRY_REQUIRE").unwrap_or_default();
    let is_required = required
        .split(',')
        .map(str::trim)
        .any(|store| store == "all" || store == "mysql");
    match error {
        Error::Missing { .. } if !is_required => Ok(Completion::ignored_with(error.to_string())),
        _ => Err(Failed::from(error.to_string())),
    }
}

macro_rules! tests {
    ($servers:ident, $($needs:expr => $($module:ident :: $name:ident),+;)+) => {
        vec![$($(test(
            &$servers,
            concat!("mysql::", stringify!($module), "::", stringify!($name)),
            $needs,
            $module::$name,
        ),)+)+]
    };
}

fn main() -> ExitCode {
    let servers = Arc::new(Servers::default());
    let mut trials = tests! { servers,
        Needs::Shared =>
            claims::all_claims_of_a_call_see_one_pause,
            dropped::no_transaction_is_left_open,
            dropped::a_dropped_in_tx_leaves_the_pool_clean,
            engine::tasks_are_done,
            faults::a_lock_held_for_ever_stops_nobody_else,
            faults::a_storm_of_deadlocks_settles_everything,
            faults::killed_connections_are_replaced,
            faults::lost_replies_converge,
            faults::a_silent_server_costs_no_connection,
            faults::a_busy_store_still_renews,
            faults::tasks_of_live_sessions_are_never_reported,
            in_tx::tasks_exist_when_the_transaction_commits,
            in_tx::tasks_go_with_a_rollback_also_to_a_savepoint,
            in_tx::duplicates_are_answers_and_leave_the_transaction_usable,
            in_tx::an_uncommitted_holder_is_waited_for,
            in_tx::every_kind_of_connection_enlists,
            in_tx::a_connection_without_a_transaction_is_refused,
            in_tx::another_character_set_changes_nothing,
            large::a_claim_gives_no_more_bytes_than_a_call_may_carry,
            large::a_transaction_of_the_users_takes_a_whole_call,
            leased::a_commit_that_stores_nothing_is_an_error,
            leased::a_transaction_of_the_client_runs_what_it_commits,
            leased::an_open_transaction_keeps_nobody_from_its_session,
            locks::a_claim_locks_what_it_takes,
            locks::a_call_locks_the_rows_it_names,
            locks::an_edit_that_ends_stale_locks_no_holder,
            locks::a_claim_leaves_the_neighbours_of_its_lane_alone,
            outbox::every_form_of_a_connection_writes,
            outbox::a_connection_without_a_transaction_is_refused,
            outbox::a_failed_write_leaves_the_transaction_usable,
            outbox::the_last_id_stays_the_users,
            outbox::other_tables_are_refused,
            outbox::an_oversized_row_is_cut,
            outbox::its_own_statement_makes_the_table,
            outbox::the_documented_rights_are_enough,
            outbox::lost_and_cut_answers_converge,
            outbox::a_removal_locks_its_rows_alone,
            outbox::a_full_table_is_read_from_its_head,
            parents::a_parent_is_written_once_for_all_ends_of_a_call,
            rights::the_documented_rights_are_enough,
            rights::migrations_need_more,
            refusals::wrong_options_are_refused_before_connecting,
            refusals::secrets_are_never_shown,
            refusals::a_schema_that_is_missing_newer_or_foreign_is_refused,
            refusals::prefixes_do_not_meet,
            tls::certificate_and_name_are_checked,
            tls::a_server_without_tls_is_refused_where_it_is_asked_for,
            wake::inserts_of_this_process_wake_at_once,
            wake::inserts_of_another_process_wake_within_the_interval;
        Needs::Own(&[("general-log", "1"), ("log-output", "TABLE")]) =>
            plans::no_statement_scans_or_sorts;
        Needs::Own(&[]) =>
            refusals::a_server_that_cannot_keep_the_promises_is_refused,
            refusals::logs_tell_no_password,
            faults::a_deadlock_passes_over_no_session,
            faults::a_server_that_is_read_only_now_is_left,
            faults::a_killed_server_loses_nothing_and_is_used_again;
    };
    trials.push(full::trial());
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
