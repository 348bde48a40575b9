//! Tries every place where a handler can be cut off, and checks that running it again does no harm.

use std::any::Any;
use std::fmt;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;

use super::TestKit;
use super::desk::{Run, RunEnd};
use super::fault::Fault;
use crate::draft::Draft;

/// Places of one kind that are tried at most. A handler with more await points is better tested by its parts.
const MAX_PLACES: u32 = 1_000;

/// The kinds of faults that are tried, each at every place.
const FAULTS: [fn(u32) -> Fault; 5] = [
    Fault::CrashAtAwait,
    Fault::CrashBeforeSettle,
    Fault::OverlapAtAwait,
    Fault::DeliverTwice,
    Fault::LoseReply,
];

/// What held.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Idempotent {
    /// The faults that struck, each in a world of its own; the check passed after every one.
    pub tried: Vec<Fault>,
}

/// What did not hold.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NotIdempotent {
    /// The fault after which the check failed; none: it failed without any.
    pub fault: Option<Fault>,
    /// What the check, or the drain before it, said.
    pub message: String,
    /// The runs of handlers up to then.
    pub runs: Vec<Run>,
}

impl fmt::Display for NotIdempotent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.fault {
            Some(fault) => write!(f, "not idempotent, after {fault}: {}", self.message)?,
            None => write!(f, "the check fails without any fault: {}", self.message)?,
        }
        f.write_str("\nruns of handlers:")?;
        for run in &self.runs {
            let end = match run.end {
                RunEnd::Running => "runs",
                RunEnd::Returned => "returned",
                RunEnd::Dropped => "cut off",
            };
            write!(
                f,
                "\n  {} attempt {} under version {}: {end} after {} await points",
                run.kind, run.attempt, run.version, run.awaits
            )?;
        }
        match &self.fault {
            Some(fault) => write!(
                f,
                "\nto repeat just this one: `assert_idempotent_at(Fault::{fault:?}, …)` with the same arguments"
            ),
            None => Ok(()),
        }
    }
}

impl std::error::Error for NotIdempotent {}

/// Asserts that a task may be cut off and delivered again anywhere without harm.
///
/// It runs the task in a fresh world without a fault, then again and again in fresh worlds: with a crash at each await
/// point in turn and before each outcome is recorded; with a worker that stands still at each await point, or before
/// its outcome is recorded, while another does the task; with each reply to a write of outcomes lost. After each run
/// is drained, `check` looks at the world and panics if it is not as it should be.
///
/// `setup` makes the world: it gets a new [`TestKit`], gives it handlers and states, and returns it with whatever `check` wants to
/// see. Children, follow-ups and retries belong to the run; a task that waits for a completion is drained as far as it goes.
///
/// A lost lease counts as an attempt and as a crash: with `max_attempts` 1 a cut-off task ends as failed, and `check` has
/// to allow that.
///
/// ```
/// # use retry_core as task_retry;
/// # use task_retry::draft::TaskPayload;
/// # use serde::{Deserialize, Serialize};
/// use task_retry::executor::{Ctx, State};
/// use task_retry::testing::{TestKit, assert_idempotent};
/// use std::collections::BTreeMap;
/// use std::sync::{Arc, Mutex};
///
/// #[derive(Clone, Serialize, Deserialize)]
/// struct Charge { cents: u64 }
/// # impl TaskPayload for Charge { const KIND: &'static str = "charge"; }
/// /// Charges by idempotency key: one key, one charge.
/// type Bank = Arc<Mutex<BTreeMap<String, u64>>>;
///
/// async fn charge(task: Charge, ctx: Ctx, State(bank): State<Bank>) -> Result<(), std::io::Error> {
///     tokio::task::yield_now().await; // speaks to the bank
///     bank.lock().unwrap().insert(ctx.id().to_string(), task.cents);
///     tokio::task::yield_now().await; // hears from it
///     Ok(())
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// assert_idempotent(
///     async |kit: TestKit| {
///         let bank = Bank::default();
///         (kit.handler(charge).state(bank.clone()), bank)
///     },
///     Charge { cents: 990 },
///     async |_: &TestKit, bank: &Bank| {
///         assert_eq!(bank.lock().unwrap().values().sum::<u64>(), 990);
///     },
/// )
/// .await;
/// # }
/// ```
///
/// # Panics
/// `check` panics after a run; the message names the fault and how to repeat just it. Or a run does not come to an end, or
/// has more than 1,000 places of one kind.
pub async fn assert_idempotent<D, W, S, C>(setup: S, task: D, check: C)
where
    D: Into<Draft> + Clone,
    S: AsyncFn(TestKit) -> (TestKit, W),
    C: AsyncFn(&TestKit, &W),
{
    if let Err(error) = check_idempotent(setup, task, check).await {
        panic!("{error}");
    }
}

/// One run of [`assert_idempotent`], with this fault.
///
/// # Panics
/// As `assert_idempotent`; and if the fault does not strike.
pub async fn assert_idempotent_at<D, W, S, C>(fault: Fault, setup: S, task: D, check: C)
where
    D: Into<Draft> + Clone,
    S: AsyncFn(TestKit) -> (TestKit, W),
    C: AsyncFn(&TestKit, &W),
{
    match run(Some(fault), &setup, task, &check).await {
        Ok(true) => {}
        Ok(false) => panic!("{fault} does not come: there are fewer places"),
        Err(error) => panic!("{error}"),
    }
}

/// As [`assert_idempotent`], with the answer as a value. What `check` says still goes through the panic hook.
///
/// # Errors
/// The first fault after which `check` fails.
pub async fn check_idempotent<D, W, S, C>(setup: S, task: D, check: C) -> Result<Idempotent, NotIdempotent>
where
    D: Into<Draft> + Clone,
    S: AsyncFn(TestKit) -> (TestKit, W),
    C: AsyncFn(&TestKit, &W),
{
    search(&setup, task, &check, MAX_PLACES).await
}

/// Tries place after place of each kind, until a fault does not strike any more.
pub(super) async fn search<D, W, S, C>(
    setup: &S,
    task: D,
    check: &C,
    max_places: u32,
) -> Result<Idempotent, NotIdempotent>
where
    D: Into<Draft> + Clone,
    S: AsyncFn(TestKit) -> (TestKit, W),
    C: AsyncFn(&TestKit, &W),
{
    run(None, setup, task.clone(), check).await?;
    let mut tried = Vec::new();
    for fault in FAULTS {
        for number in 1.. {
            let fault = fault(number);
            if !run(Some(fault), setup, task.clone(), check).await? {
                break;
            }
            if number > max_places {
                return Err(NotIdempotent {
                    fault: Some(fault),
                    message: format!(
                        "there are more than {max_places} such places; test the handler by its parts"
                    ),
                    runs: Vec::new(),
                });
            }
            tried.push(fault);
        }
    }
    Ok(Idempotent { tried })
}

/// Runs the task in a fresh world; answers whether the fault struck.
async fn run<D, W, S, C>(fault: Option<Fault>, setup: &S, task: D, check: &C) -> Result<bool, NotIdempotent>
where
    D: Into<Draft>,
    S: AsyncFn(TestKit) -> (TestKit, W),
    C: AsyncFn(&TestKit, &W),
{
    let (kit, world) = setup(TestKit::new()).await;
    if let Some(fault) = fault {
        kit.fault(fault);
    }
    kit.enqueue(task).await;
    let drained = kit.drain().await;
    let fails = |message: String| NotIdempotent {
        fault,
        message,
        runs: kit.runs(),
    };
    if drained.stopped != super::Stopped::Idle {
        return Err(fails(drained.to_string()));
    }
    let struck = kit.outstanding().is_empty();
    if fault.is_some() && !struck {
        return Ok(false);
    }
    let checked = AssertUnwindSafe(check(&kit, &world)).catch_unwind().await;
    match checked {
        Ok(()) => Ok(struck),
        Err(panic) => Err(fails(message(panic.as_ref()))),
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("the check panicked without a message").to_owned()
}
