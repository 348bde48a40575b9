//! The promises that every history is held to, one file each, checked at every fact.

use super::fact::Fact;
use super::facts::Facts;
use super::shared::Violation;

mod attempts_exact;
mod born_runs_here;
mod brought_along;
mod cancel_delivered;
mod cancel_in_time;
mod cancel_respected;
mod checkpoint_stored;
mod children_exact;
mod claimed_in_time;
mod claims_bounded;
mod claims_under_lease;
mod clean_shutdown;
mod completion_kept;
mod fallback_in_turn;
mod final_is_final;
mod last_life_alone;
mod limits_hold;
mod marked_in_time;
mod memory_bounded;
mod never_early;
mod no_busy_loop;
mod no_start_when_stopping;
mod nothing_lost;
mod one_run_at_a_time;
mod one_run_per_version;
mod orphans_called;
mod outbox_drained;
mod outbox_once;
mod outbox_order;
mod outcome_kept;
mod policy_kept;
mod quick_in_turn;
mod refused_is_absent;
mod refused_rightly;
mod rescue_clock;
mod rescue_grace;
mod sessions_in_turn;
mod settle_after_end;
mod single_execution;
mod split_complete;
mod started_in_time;
mod stored_once;
mod time_limits;
mod told_in_turn;
mod told_once;
mod unknown_without_claims;
mod version_monotonic;

type Check = fn(&Fact<'_>, &Facts) -> Result<(), String>;

/// Name, promise, check.
const TABLE: &[(&str, &str, Check)] = &[
    (
        "one_run_per_version",
        "the version is a fencing token: a claim is run once",
        one_run_per_version::check,
    ),
    (
        "one_run_at_a_time",
        "a worker never runs a task twice at the same time",
        one_run_at_a_time::check,
    ),
    (
        "single_execution",
        "a task runs twice at once only after its earlier lease ended",
        single_execution::check,
    ),
    (
        "settle_after_end",
        "an outcome is recorded after its handler has ended",
        settle_after_end::check,
    ),
    (
        "outcome_kept",
        "what is recorded is what the handler did",
        outcome_kept::check,
    ),
    (
        "attempts_exact",
        "attempts are the claims less those given back",
        attempts_exact::check,
    ),
    (
        "version_monotonic",
        "a claim and every set raise the version by one, nothing else does",
        version_monotonic::check,
    ),
    (
        "final_is_final",
        "an ended task changes by rerun and delete only",
        final_is_final::check,
    ),
    (
        "children_exact",
        "a parent's counters are those of its children",
        children_exact::check,
    ),
    (
        "split_complete",
        "a parent waits for each of its shards, and for each once",
        split_complete::check,
    ),
    (
        "policy_kept",
        "a parent with failed children goes on as its policy says",
        policy_kept::check,
    ),
    (
        "orphans_called",
        "a parent that ends while children are open calls a rescuer for them",
        orphans_called::check,
    ),
    (
        "limits_hold",
        "no more attempts run at once than allowed",
        limits_hold::check,
    ),
    (
        "no_start_when_stopping",
        "nothing starts after a shutdown began",
        no_start_when_stopping::check,
    ),
    (
        "cancel_in_time",
        "handlers are cancelled when the lease ends locally, not later",
        cancel_in_time::check,
    ),
    (
        "cancel_delivered",
        "a beat delivers a requested cancel",
        cancel_delivered::check,
    ),
    (
        "cancel_respected",
        "a task whose cancel was requested does not run again",
        cancel_respected::check,
    ),
    (
        "claims_under_lease",
        "a worker claims under a current lease only",
        claims_under_lease::check,
    ),
    (
        "born_runs_here",
        "what a worker was told to run once it was born, it runs and does not give back first",
        born_runs_here::check,
    ),
    (
        "claims_bounded",
        "a worker holds no more tasks than it may run and prefetch",
        claims_bounded::check,
    ),
    (
        "claimed_in_time",
        "an idle worker claims what is due within its idle poll and a bound",
        claimed_in_time::check,
    ),
    (
        "sessions_in_turn",
        "a new session is opened after the store said that the old one is lost",
        sessions_in_turn::check,
    ),
    (
        "rescue_grace",
        "sessions are marked lost after three good seconds of the store",
        rescue_grace::check,
    ),
    (
        "rescue_clock",
        "a rescuer reads the store's clock before it marks, and pauses when it stepped",
        rescue_clock::check,
    ),
    (
        "marked_in_time",
        "a session is marked lost when its lease is over",
        marked_in_time::check,
    ),
    (
        "unknown_without_claims",
        "an exchange of unknown outcome is repeated without its claims",
        unknown_without_claims::check,
    ),
    (
        "nothing_lost",
        "an acknowledged task stays until it is deleted or purged by right",
        nothing_lost::check,
    ),
    (
        "refused_is_absent",
        "a task whose enqueue was certainly refused is not there",
        refused_is_absent::check,
    ),
    (
        "never_early",
        "nothing is claimed before it is due",
        never_early::check,
    ),
    (
        "checkpoint_stored",
        "progress that a handler was told is stored is stored",
        checkpoint_stored::check,
    ),
    (
        "completion_kept",
        "an acknowledged completion ends the wait",
        completion_kept::check,
    ),
    (
        "fallback_in_turn",
        "a fallback runs above its threshold, after the primary failed",
        fallback_in_turn::check,
    ),
    (
        "quick_in_turn",
        "a run is repeated inside its attempt after it failed, soon and a few times",
        quick_in_turn::check,
    ),
    (
        "told_once",
        "a failed attempt is told at most once",
        told_once::check,
    ),
    (
        "told_in_turn",
        "what failed is told after its fallback failed too, never after that succeeded",
        told_in_turn::check,
    ),
    (
        "clean_shutdown",
        "a graceful shutdown leaves nothing behind in its session",
        clean_shutdown::check,
    ),
    (
        "time_limits",
        "time-outs and graces end what runs beyond them",
        time_limits::check,
    ),
    (
        "brought_along",
        "the tasks that an outcome brings are written with it",
        brought_along::check,
    ),
    (
        "stored_once",
        "what is enqueued once is one task",
        stored_once::check,
    ),
    (
        "refused_rightly",
        "progress is refused only when the lease is gone",
        refused_rightly::check,
    ),
    (
        "last_life_alone",
        "a worker runs at most one task on its last life",
        last_life_alone::check,
    ),
    (
        "started_in_time",
        "nothing starts after its start deadline",
        started_in_time::check,
    ),
    (
        "no_busy_loop",
        "an idle worker calls the store a few times a second",
        no_busy_loop::check,
    ),
    (
        "outbox_once",
        "what is committed in an outbox is handed over once, and nothing else",
        outbox_once::check,
    ),
    (
        "outbox_order",
        "a row of an outbox is handed over behind those that were committed when it was written",
        outbox_order::check,
    ),
    (
        "outbox_drained",
        "everything that was committed in an outbox is handed over",
        outbox_drained::check,
    ),
    (
        "memory_bounded",
        "a worker has a bounded number of futures",
        memory_bounded::check,
    ),
];

/// The first promise that `fact` breaks.
pub(super) fn check(fact: &Fact<'_>, facts: &Facts) -> Option<Violation> {
    TABLE.iter().find_map(|(invariant, promise, check)| {
        let text = check(fact, facts).err()?;
        Some(Violation {
            invariant,
            text: format!("{text} (promised: {promise})"),
        })
    })
}
