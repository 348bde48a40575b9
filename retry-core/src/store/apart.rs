//! A driver's call on a task of its own.

/// Runs a call of a driver to its end on a task of its own, whatever becomes of its caller: a driver's future that is dropped half-way
/// may leave a transaction open, or an answer that nobody reads. None: its runtime ended before the call. A panic goes on in
/// the caller.
pub async fn apart<T: Send + 'static>(call: impl Future<Output = T> + Send + 'static) -> Option<T> {
    match tokio::spawn(call).await {
        Ok(answer) => Some(answer),
        Err(ended) => match ended.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_dropped_caller_leaves_the_call_to_its_end() {
        let (begin, begun) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let mut caller = Box::pin(apart(async move {
            begun.await.unwrap();
            end.send(7).unwrap();
        }));
        assert!(caller.as_mut().now_or_never().is_none(), "it runs");
        drop(caller);
        begin.send(()).unwrap();
        assert_eq!(ended.await, Ok(7));
    }

    #[tokio::test]
    #[should_panic(expected = "in the driver")]
    async fn a_panic_goes_on_in_the_caller() {
        apart(async { panic!("in the driver") }).await.unwrap_or(());
    }
}
