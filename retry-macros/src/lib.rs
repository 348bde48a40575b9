//! The attribute `#[task]` of task-retry.
//!
//! It is used through the crate `task-retry` with its feature `macros`; the paths it writes are that crate's.

mod duration;
mod expand;
mod function;
mod options;
mod retry;

use proc_macro::TokenStream;

/// Makes a task of an async function.
///
/// The function stays as it is and can be called directly. Beside it comes a struct, named like the function in camel case,
/// whose fields are the function's arguments: the payload. Arguments of type `Ctx` and `State<S>`, and those marked
/// `#[extract]`, are no fields: the worker gives them.
///
/// ```no_run
/// use task_retry::store::MemoryStore;
/// use task_retry::{Client, Ctx, State, Worker, task};
///
/// #[derive(Clone)]
/// struct Mailer;
/// # impl Mailer {
/// #     async fn send(&self, _: &str, _: task_retry::TaskId) -> std::io::Result<()> { Ok(()) }
/// # }
///
/// #[task(queue = "mail", max_attempts = 5, retry = exponential("1s", "1h"), timeout = "30s", unique = "{email}")]
/// async fn welcome(email: String, ctx: Ctx, State(mailer): State<Mailer>) -> std::io::Result<()> {
///     mailer.send(&email, ctx.id()).await
/// }
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::new(MemoryStore::new());
/// Welcome { email: "ada@example.com".into() }.enqueue(&client).await?;
/// let worker = Worker::builder(&client).task::<Welcome>().state(Mailer).build()?;
/// # Ok(())
/// # }
/// ```
///
/// | option | meaning | without it |
/// |---|---|---|
/// | `kind = "…"` | the kind's name, kept in the store: changing it orphans stored tasks, unless the old one becomes an alias | the function's name |
/// | `aliases("…", "…")` | kinds under which tasks were enqueued before | none |
/// | `version = 2` | the version of the payload's form | 1 |
/// | `migrate = path` | `fn(from: u32, Value) -> Result<Value, Box<dyn Error + Send + Sync>>`, for payloads of older versions | they are decoded as they are |
/// | `name = Ident` | the struct's name | the function's name in camel case |
/// | `derive(…)` | more traits for the struct | `Serialize` and `Deserialize` only |
/// | `queue = "…"` | the queue | `default` |
/// | `priority = urgent` | `urgent`, `high`, `normal` or `low` | `normal` |
/// | `delay = "10s"` | how long after enqueueing it is due | at once |
/// | `expires_after = "1h"` | it is cancelled if it has not begun by then | never |
/// | `unique = "{field}"` | a unique key, with the fields as in `format!` | none |
/// | `max_attempts = 5` | attempts in all, or `endless` | the policy's |
/// | `give_up_after = "2d"` | no retry once it is this old | never |
/// | `retry = …` | `fixed("5s")`, `linear("20s")`, `linear_from_double("20s")`, `exponential("1s", "1h")` (first delay, cap; doubling), `tenfold`, `once`, or an expression of type `RetryPolicy` | the default policy |
/// | `timeout = "30s"` | how long an attempt may take | no limit |
/// | `crash_budget = 5` | lost leases in a row until it fails, or `none` | 3 |
/// | `concurrency = 4` | how many a worker runs at once | the worker's limit |
/// | `quick_retries(3, "50ms", "2s")` | how many runs may follow a failed one inside its attempt, the pause before the first, which doubles, and the time within which the last begins | none |
/// | `fallback = path` | a handler `async fn(Welcome, …)` for an attempt whose function failed | none |
/// | `fallback_after = 2` | attempts that do without it | 0 |
/// | `alert = "attempts > 1"` | which failed attempts are told to the worker's alert sinks; a wrong rule is an error of the worker's `build()` | the worker's rules |
/// | `crate = path` | where `task_retry` is | `::task_retry` |
///
/// Durations are written as `"250ms"`, `"30s"`, `"5m"`, `"1h30m"`, `"2d"`, or as an expression of type `Duration`.
#[proc_macro_attribute]
pub fn task(options: TokenStream, item: TokenStream) -> TokenStream {
    expand::task(options.into(), item.into())
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
