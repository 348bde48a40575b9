//! Two ways to run futures at once: polled in turns on one thread, or spread over the threads of the runtime.

use std::future::poll_fn;
use std::task::Poll;

use futures_util::future::{BoxFuture, join_all};

/// Polls the futures in an order that the seed decides, so that an in-process store meets the same interleaving again;
/// now and then one has to wait although it could go on.
pub(super) async fn in_turns<T>(mut futures: Vec<BoxFuture<'static, T>>, seed: u64) -> Vec<T> {
    let mut ended: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    let mut random = seed;
    poll_fn(|context| {
        let mut waits = false;
        let first = draw(&mut random) % futures.len().max(1);
        for step in 0..futures.len() {
            let index = (first + step) % futures.len();
            if ended[index].is_some() {
                continue;
            }
            if draw(&mut random).is_multiple_of(3) {
                waits = true;
                continue;
            }
            if let Poll::Ready(answer) = futures[index].as_mut().poll(context) {
                ended[index] = Some(answer);
            }
        }
        if ended.iter().all(Option::is_some) {
            return Poll::Ready(());
        }
        if waits {
            context.waker().wake_by_ref();
        }
        Poll::Pending
    })
    .await;
    ended.into_iter().flatten().collect()
}

/// Runs each future as a task of its own.
pub(super) async fn on_threads<T: Send + 'static>(futures: Vec<BoxFuture<'static, T>>) -> Vec<T> {
    let tasks = join_all(futures.into_iter().map(tokio::spawn)).await;
    tasks
        .into_iter()
        .map(|ended| ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic())))
        .collect()
}

/// The next number of a sequence (SplitMix64).
pub(super) fn draw(state: &mut u64) -> usize {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    usize::try_from((mixed ^ (mixed >> 31)) >> 33).unwrap_or(0)
}
