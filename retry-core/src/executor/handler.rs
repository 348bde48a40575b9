//! Typed async functions as executors.

use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{Ctx, Executor, Final, FromCtx, HandlerError, Outcome, Requirement};
use crate::draft::{DecodeError, TaskPayload, decode};
use crate::payload::Payload;

/// An async function `async fn(P, …) -> Result<impl Into<Outcome>, impl Into<HandlerError>>` with up to six arguments
/// behind the payload, each a [`FromCtx`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a task handler",
    note = "a handler is `async fn(P, …) -> Result<impl Into<Outcome>, impl Into<HandlerError>>` \
            where `P: TaskPayload` and the other arguments are `Ctx` or `State<S>`"
)]
pub trait Handler<P, Args>: Clone + Send + Sync + 'static {
    /// Calls it.
    fn call(self, payload: P, ctx: &Ctx) -> BoxFuture<'static, Result<Outcome, HandlerError>>;

    /// The shared states it needs.
    #[must_use]
    fn requires() -> Vec<Requirement>;
}

macro_rules! handler {
    ($($arg:ident),*) => {
        #[allow(non_snake_case, unused_variables, reason = "the macro names values after their types")]
        impl<P, F, Fut, R, E, $($arg,)*> Handler<P, ($($arg,)*)> for F
        where
            P: TaskPayload,
            F: Fn(P, $($arg),*) -> Fut + Clone + Send + Sync + 'static,
            Fut: Future<Output = Result<R, E>> + Send + 'static,
            R: Into<Outcome>,
            E: Into<HandlerError>,
            $($arg: FromCtx + 'static,)*
        {
            fn call(self, payload: P, ctx: &Ctx) -> BoxFuture<'static, Result<Outcome, HandlerError>> {
                $(let Some($arg) = $arg::from_ctx(ctx) else { return missing(); };)*
                let future = self(payload, $($arg),*);
                Box::pin(async move {
                    match future.await {
                        Ok(outcome) => Ok(outcome.into()),
                        Err(error) => Err(error.into()),
                    }
                })
            }

            fn requires() -> Vec<Requirement> {
                let needs: [Option<Requirement>; _] = [$($arg::requires()),*];
                needs.into_iter().flatten().collect()
            }
        }
    };
}

fn missing() -> BoxFuture<'static, Result<Outcome, HandlerError>> {
    Box::pin(std::future::ready(Err("a shared state is missing".into())))
}

handler!();
handler!(A);
handler!(A, B);
handler!(A, B, C);
handler!(A, B, C, D);
handler!(A, B, C, D, G);
handler!(A, B, C, D, G, H);

struct Typed<P, Args, H> {
    handler: H,
    marker: PhantomData<fn(P, Args)>,
}

impl<P, Args, H> Executor for Typed<P, Args, H>
where
    P: TaskPayload,
    Args: 'static,
    H: Handler<P, Args>,
{
    fn execute(&self, payload: Payload, ctx: Ctx) -> BoxFuture<'static, Result<Outcome, HandlerError>> {
        match decode::<P>(&payload, ctx.headers()) {
            Ok(payload) => self.handler.clone().call(payload, &ctx),
            // A program that knows the version may come to the task yet: during a deploy there are both.
            Err(error @ DecodeError::Newer { .. }) => Box::pin(std::future::ready(Err(error.into()))),
            Err(error) => Box::pin(std::future::ready(Err(Final::new(error).into()))),
        }
    }

    fn requires(&self) -> Vec<Requirement> {
        H::requires()
    }
}

/// The executor of a typed function.
pub fn typed<P, Args, H>(handler: H) -> Arc<dyn Executor>
where
    P: TaskPayload,
    Args: 'static,
    H: Handler<P, Args>,
{
    Arc::new(Typed {
        handler,
        marker: PhantomData,
    })
}
