//! A batch as a kind: its split, what runs one shard, and its reduce.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::shards::Shards;
use crate::draft::{DecodeError, TaskOptions, TaskPayload, decode};
use crate::engine::KindOptions;
use crate::executor::{Ctx, Executor, Final, FromCtx, Handler, HandlerError, Outcome, Requirement, typed};
use crate::payload::Payload;

/// An async function `async fn(P, …) -> Result<Shards<S>, impl Into<HandlerError>>` with up to six arguments behind the
/// payload, each a [`FromCtx`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not split a batch",
    note = "a split is `async fn(P, …) -> Result<Shards<S>, impl Into<HandlerError>>` where `P: TaskPayload` and the \
            other arguments are `Ctx` or `State<S>`"
)]
pub trait Splitter<P, S, Args>: Clone + Send + Sync + 'static {
    /// Calls it.
    fn call(self, payload: P, ctx: &Ctx) -> BoxFuture<'static, Result<Shards<S>, HandlerError>>;

    /// The shared states it needs.
    #[must_use]
    fn requires() -> Vec<Requirement>;
}

macro_rules! splitter {
    ($($arg:ident),*) => {
        #[allow(non_snake_case, unused_variables, reason = "the macro names values after their types")]
        impl<P, S: 'static, F, Fut, E, $($arg,)*> Splitter<P, S, ($($arg,)*)> for F
        where
            P: TaskPayload,
            F: Fn(P, $($arg),*) -> Fut + Clone + Send + Sync + 'static,
            Fut: Future<Output = Result<Shards<S>, E>> + Send + 'static,
            E: Into<HandlerError>,
            $($arg: FromCtx + 'static,)*
        {
            fn call(self, payload: P, ctx: &Ctx) -> BoxFuture<'static, Result<Shards<S>, HandlerError>> {
                $(let Some($arg) = $arg::from_ctx(ctx) else { return missing(); };)*
                let future = self(payload, $($arg),*);
                Box::pin(async move { future.await.map_err(Into::into) })
            }

            fn requires() -> Vec<Requirement> {
                let needs: [Option<Requirement>; _] = [$($arg::requires()),*];
                needs.into_iter().flatten().collect()
            }
        }
    };
}

fn missing<S: 'static>() -> BoxFuture<'static, Result<Shards<S>, HandlerError>> {
    Box::pin(std::future::ready(Err("a shared state is missing".into())))
}

splitter!();
splitter!(A);
splitter!(A, B);
splitter!(A, B, C);
splitter!(A, B, C, D);
splitter!(A, B, C, D, G);
splitter!(A, B, C, D, G, H);

/// A batch: a task of kind `P` that is split into shards of kind `S`, which run as any task does, on any worker, and is
/// reduced when all have ended. Given to a worker by [`WorkerBuilder::batch`](crate::engine::WorkerBuilder::batch).
///
/// Enqueueing a `P` inserts one task. Its first step calls `split` and inserts the shards ([`Ctx::split`] says how); `execute`
/// runs each of them; when the last has ended, the next step calls `reduce`, under a lease, with retries, like any other
/// handler. What happens when shards fail, the task's option
/// [`on_failed_children`](crate::draft::TaskOptions::on_failed_children) says. A reduce may split or wait again; then it
/// is called in that next step as well.
///
/// ```
/// # use retry_core as task_retry;
/// # use serde::{Deserialize, Serialize};
/// use futures_util::TryStreamExt as _;
/// use task_retry::batch::{Batch, ReduceError, Reduced, Shards};
/// use task_retry::draft::{InvalidTask, TaskPayload};
/// use task_retry::engine::Worker;
/// use task_retry::executor::Outcome;
///
/// #[derive(Serialize, Deserialize)]
/// struct Squares {
///     below: u64,
/// }
///
/// #[derive(Serialize, Deserialize)]
/// struct Square(u64);
///
/// # impl TaskPayload for Squares { const KIND: &'static str = "squares"; }
/// # impl TaskPayload for Square { const KIND: &'static str = "square"; }
/// async fn split(squares: Squares) -> anyhow::Result<Shards<Square>> {
///     Ok(Shards::new((0..squares.below).map(Square)))
/// }
///
/// async fn square(Square(n): Square) -> Result<Outcome, InvalidTask> {
///     Outcome::output(&(n * n))
/// }
///
/// async fn sum(_: Squares, shards: Reduced) -> anyhow::Result<Outcome> {
///     let add = async |sum: u64, square: u64| Ok::<_, ReduceError>(sum + square);
///     let sum = shards.outputs::<u64>().try_fold(0, add).await?;
///     Ok(Outcome::output(&sum)?)
/// }
///
/// # use task_retry::{client::Client, store::MemoryStore, task::State};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let client = Client::new(MemoryStore::new());
/// let worker = Worker::builder(&client).batch(Batch::new(split, square, sum)).build()?.start();
/// let id = client.enqueue(Squares { below: 4 }).await?.id;
/// # loop {
/// #     let done = client.get(id).await?.unwrap();
/// #     if done.task.state.is_final() {
/// #         assert_eq!(done.output.unwrap().as_json(), "14");
/// #         break;
/// #     }
/// #     tokio::task::yield_now().await;
/// # }
/// # worker.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct Batch<P, S> {
    pub(crate) executor: Arc<dyn Executor>,
    pub(crate) shard: Option<ShardKind>,
    pub(crate) options: KindOptions,
    pub(crate) shard_options: KindOptions,
    marker: PhantomData<fn(P, S)>,
}

/// How shards are run by the worker of their batch.
pub(crate) struct ShardKind {
    pub(crate) kind: &'static str,
    pub(crate) aliases: &'static [&'static str],
    pub(crate) defaults: TaskOptions,
    pub(crate) executor: Arc<dyn Executor>,
}

impl<P: TaskPayload, S: TaskPayload> Batch<P, S> {
    /// A batch whose shards this worker runs as well.
    pub fn new<A1, A2, A3, F, E, R>(split: F, execute: E, reduce: R) -> Self
    where
        F: Splitter<P, S, A1>,
        E: Handler<S, A2>,
        R: Handler<P, A3>,
        A1: 'static,
        A2: 'static,
        A3: 'static,
    {
        Self {
            shard: Some(ShardKind {
                kind: S::KIND,
                aliases: S::ALIASES,
                defaults: S::options(),
                executor: typed(execute),
            }),
            ..Self::of_others(split, reduce)
        }
    }
}

impl<P: TaskPayload, S: 'static> Batch<P, S> {
    /// A batch whose shards are run by others: by another worker, or by a handler or a batch that is given to this one
    /// apart.
    pub fn of_others<A1, A3, F, R>(split: F, reduce: R) -> Self
    where
        F: Splitter<P, S, A1>,
        R: Handler<P, A3>,
        A1: 'static,
        A3: 'static,
    {
        Self {
            executor: Arc::new(SplitAndReduce {
                split,
                reduce: typed(reduce),
                marker: PhantomData,
            }),
            shard: None,
            options: KindOptions::new(),
            shard_options: KindOptions::new(),
            marker: PhantomData,
        }
    }

    /// How the worker runs the batch's own steps. A timeout counts for each of them, and for each 50,000 shards of a split;
    /// not for shards that are passed over because they are stored.
    pub fn options(mut self, options: impl FnOnce(KindOptions) -> KindOptions) -> Self {
        self.options = options(self.options);
        self
    }

    /// How the worker runs the shards.
    pub fn shard_options(mut self, options: impl FnOnce(KindOptions) -> KindOptions) -> Self {
        self.shard_options = options(self.shard_options);
        self
    }
}

impl<P, S> fmt::Debug for Batch<P, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("options", &self.options)
            .field("shard_options", &self.shard_options)
            .finish_non_exhaustive()
    }
}

/// The first step splits, every later one reduces.
struct SplitAndReduce<P, S, Args, F> {
    split: F,
    reduce: Arc<dyn Executor>,
    marker: PhantomData<fn(P, S, Args)>,
}

impl<P, S, Args, F> Executor for SplitAndReduce<P, S, Args, F>
where
    P: TaskPayload,
    S: 'static,
    Args: 'static,
    F: Splitter<P, S, Args>,
{
    fn execute(&self, payload: Payload, ctx: Ctx) -> BoxFuture<'static, Result<Outcome, HandlerError>> {
        if ctx.step() > 0 {
            return self.reduce.execute(payload, ctx);
        }
        let split = self.split.clone();
        Box::pin(async move {
            let payload = match decode::<P>(&payload, ctx.headers()) {
                Ok(payload) => payload,
                // As with any handler: a program that knows the version may come to it yet.
                Err(error @ DecodeError::Newer { .. }) => return Err(error.into()),
                Err(error) => return Err(Final::new(error).into()),
            };
            let shards = split.call(payload, &ctx).await?;
            ctx.split(shards).await
        })
    }

    fn requires(&self) -> Vec<Requirement> {
        let mut requires = F::requires();
        requires.extend(self.reduce.requires());
        requires
    }
}
