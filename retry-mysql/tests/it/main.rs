//! Tests on real servers: locks, plans, faults, refusals, transactions of the user's own.

mod claims;
mod crowded;
mod dropped;
mod engine;
mod faults;
mod full;
mod gate;
mod held_keys;
mod in_tx;
mod innodb;
mod killed;
mod large;
mod leased;
mod locks;
mod many;
mod outbox;
mod parents;
mod place;
mod plans;
mod refusals;
mod rights;
mod support;
mod tls;
mod wake;

use std::future::Future;
use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Trial};
use test_servers::{Kind, Server, Shared, own_with, shared, trial};

/// A test on a server that others use as well.
fn on<F>(server: &Arc<Shared>, name: &str, body: fn(Arc<Shared>) -> F) -> Trial
where
    F: Future<Output = ()> + 'static,
{
    let server = Arc::clone(server);
    let name = format!("{}::{name}", server.name());
    trial(name, move || block_on(body(server)))
}

/// A test on a server of its own, with these settings.
fn alone<F>(settings: &'static [(&str, &str)], name: &str, body: fn(Arc<Server>) -> F) -> Trial
where
    F: Future<Output = ()> + 'static,
{
    trial(format!("mysql::{name}"), move || {
        block_on(body(Arc::new(own_with(Kind::MySql, settings))));
    })
}

/// A test that starts what it needs.
fn bare<F>(first: &str, name: &str, body: fn() -> F) -> Trial
where
    F: Future<Output = ()> + 'static,
{
    trial(format!("{first}::{name}"), move || block_on(body()))
}

fn block_on(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(test);
}

/// The trials that a function makes of tests, each by its name.
macro_rules! tests {
    ($make:ident($with:expr) => $($module:ident :: $name:ident),+ $(,)?) => {
        vec![$($make(
            $with,
            concat!(stringify!($module), "::", stringify!($name)),
            $module::$name,
        ),)+]
    };
}

fn main() -> ExitCode {
    let mut trials = tests! { bare("mysql") =>
        crowded::a_server_that_does_not_answer_a_connect_is_unavailable,
        refusals::wrong_options_are_refused_before_connecting,
        tls::certificate_and_name_are_checked,
        tls::a_server_without_tls_is_refused_where_it_is_asked_for,
    };
    for server in shared(Kind::MySql) {
        trials.extend(on_a_server(&server));
    }
    let logged = &[("general-log", "1"), ("log-output", "TABLE")];
    trials.extend(tests! { alone(logged) => plans::no_statement_scans_or_sorts });
    let torn = &[("innodb-doublewrite", "0")];
    trials.extend(tests! { alone(torn) => refusals::a_server_that_cannot_repair_torn_pages_is_refused });
    let few = &[("max-connections", "12")];
    trials.extend(tests! { alone(few) => crowded::a_server_without_a_connection_left_is_busy });
    trials.extend(tests! { alone(&[]) =>
        refusals::a_server_that_cannot_keep_the_promises_is_refused,
        refusals::logs_tell_no_secret,
        faults::a_deadlock_passes_over_no_session,
        faults::a_server_that_is_read_only_now_is_left,
        faults::a_killed_server_loses_nothing_and_is_used_again,
    });
    trials.extend(tests! { alone(&[("completion-type", "CHAIN")]) =>
        faults::the_servers_way_to_end_transactions_changes_nothing,
    });
    trials.extend(tests! { alone(&[("max-connections", "151")]) =>
        many::five_hundred_callers_share_a_store,
        many::five_hundred_enqueue_through_a_client,
        many::five_hundred_stores_share_a_server,
        many::a_server_without_connections_left_says_so,
    });
    trials.push(full::on_a_small_disk());
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn on_a_server(server: &Arc<Shared>) -> Vec<Trial> {
    tests! { on(server) =>
        refusals::what_a_table_refuses_is_certain,
        claims::all_claims_of_a_call_see_one_pause,
        crowded::a_call_without_a_free_connection_is_busy,
        crowded::a_pool_of_the_users_that_is_in_use_is_busy,
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
        faults::a_task_that_is_forgotten_meanwhile_is_not_listed,
        held_keys::outcomes_that_need_none_are_recorded,
        held_keys::a_holder_that_was_met_holds_up_nobody,
        in_tx::tasks_exist_when_the_transaction_commits,
        in_tx::tasks_go_with_a_rollback_also_to_a_savepoint,
        in_tx::duplicates_are_answers_and_leave_the_transaction_usable,
        in_tx::an_uncommitted_holder_is_waited_for,
        in_tx::every_kind_of_connection_enlists,
        in_tx::a_connection_without_a_database_enlists,
        in_tx::a_connection_without_a_transaction_is_refused,
        in_tx::another_character_set_changes_nothing,
        killed::connections_that_end_under_load_lose_nothing,
        large::a_claim_gives_no_more_bytes_than_a_call_may_carry,
        large::a_payload_moves_to_where_it_fits,
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
        refusals::secrets_are_never_shown,
        refusals::a_schema_that_is_missing_newer_or_foreign_is_refused,
        refusals::prefixes_do_not_meet,
        wake::inserts_of_this_process_wake_at_once,
        wake::inserts_of_another_process_wake_within_the_interval,
    }
}
