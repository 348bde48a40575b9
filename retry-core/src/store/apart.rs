//! A driver's call that comes to its end, whatever becomes of its caller: a driver's future that is dropped half-way may leave a
//! transaction open, or an answer that nobody reads.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;

/// Runs a call of a driver to its end on a task of its own, so that it goes on while its caller does something else. None: its
/// runtime ended before the call. A panic goes on in the caller.
pub async fn apart<T: Send + 'static>(call: impl Future<Output = T> + Send + 'static) -> Option<T> {
    match tokio::spawn(call).await {
        Ok(answer) => Some(answer),
        Err(ended) => match ended.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => None,
        },
    }
}

/// Runs a call of a driver to its end in its caller, and on a task of its own from where the caller goes away. That saves the way to
/// another thread and back. A caller that stops to poll without going away stops the call, so a call must hold nothing that others
/// wait for: no transaction of several statements, and none of the last connections of a pool.
pub async fn here<F>(call: F) -> F::Output
where
    F: Future<Output: Send> + Send + 'static,
{
    Here(Some((Box::pin(call), Handle::current()))).await
}

/// The call, until it has ended, and where the rest of it would run.
struct Here<F>(Option<(Pin<Box<F>>, Handle)>)
where
    F: Future<Output: Send> + Send + 'static;

impl<F> Future for Here<F>
where
    F: Future<Output: Send> + Send + 'static,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // Taken out, so that a call that panics is gone.
        let Some((mut call, rest)) = self.0.take() else {
            unreachable!("it has ended, or panicked");
        };
        let polled = call.as_mut().poll(context);
        if polled.is_pending() {
            self.0 = Some((call, rest));
        }
        polled
    }
}

impl<F> Drop for Here<F>
where
    F: Future<Output: Send> + Send + 'static,
{
    fn drop(&mut self) {
        if let Some((call, rest)) = self.0.take() {
            rest.spawn(call);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_dropped_caller_leaves_the_call_to_its_end() {
        for is_here in [false, true] {
            let (begin, begun) = oneshot::channel();
            let (end, ended) = oneshot::channel();
            let call = async move {
                begun.await.unwrap();
                end.send(7).unwrap();
            };
            let mut caller = if is_here {
                here(call).boxed()
            } else {
                apart(call).map(|_| ()).boxed()
            };
            assert!((&mut caller).now_or_never().is_none(), "it runs");
            drop(caller);
            begin.send(()).unwrap();
            assert_eq!(ended.await, Ok(7));
        }
    }

    #[test]
    fn a_caller_that_outlives_its_runtime_leaves_nothing() {
        let (begin, begun) = oneshot::channel::<()>();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut caller = here(async { drop(begun.await) }).boxed();
        runtime.block_on(async { assert!((&mut caller).now_or_never().is_none(), "it runs") });
        drop(runtime);
        assert!((&mut caller).now_or_never().is_none(), "it can be polled");
        drop(caller);
        assert!(begin.is_closed(), "its call is gone");
    }

    #[tokio::test]
    #[should_panic(expected = "in the driver")]
    async fn a_panic_here_is_the_callers() {
        here(async { panic!("in the driver") }).await
    }

    #[tokio::test]
    #[should_panic(expected = "in the driver")]
    async fn a_panic_goes_on_in_the_caller() {
        apart(async { panic!("in the driver") }).await.unwrap_or(());
    }
}
