//! A connection that several calls share: made when one needs it, made anew when one has lost it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Mutex;

/// A place for a connection.
pub(crate) struct Slot<C> {
    state: Mutex<State<C>>,
    /// Connections up to this number are not used any more.
    lost: AtomicU64,
}

struct State<C> {
    connection: Option<C>,
    /// Of the connection, from 1.
    number: u64,
}

impl<C> Default for Slot<C> {
    fn default() -> Self {
        let (connection, number) = (None, 0);
        Self {
            state: Mutex::new(State { connection, number }),
            lost: AtomicU64::new(0),
        }
    }
}

impl<C> fmt::Debug for Slot<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Slot")
    }
}

impl<C: Clone> Slot<C> {
    /// The connection; `connect` makes one if there is none. One caller connects at a time.
    pub(crate) async fn get<E>(
        &self,
        connect: impl Future<Output = Result<C, E>>,
    ) -> Result<Borrowed<'_, C>, E> {
        let mut state = self.state.lock().await;
        let usable = state.number > self.lost.load(Ordering::Acquire);
        let connection = match state.connection.clone().filter(|_| usable) {
            Some(connection) => connection,
            None => {
                // The old one is let go before, and also when this fails.
                state.connection = None;
                let made = connect.await?;
                state.number += 1;
                state.connection = Some(made.clone());
                made
            }
        };
        Ok(Borrowed {
            connection,
            number: state.number,
            lost: &self.lost,
            good: false,
        })
    }
}

/// A connection during a call. Unless the call says that it is good at the end, the next call makes another one: also when
/// this one is dropped because it took too long, on a dead connection say.
pub(crate) struct Borrowed<'a, C> {
    pub(crate) connection: C,
    number: u64,
    lost: &'a AtomicU64,
    good: bool,
}

impl<C> Borrowed<'_, C> {
    /// The call has ended; whether the connection can be used on.
    pub(crate) fn end(mut self, good: bool) {
        self.good = good;
    }
}

impl<C> Drop for Borrowed<'_, C> {
    fn drop(&mut self) {
        if !self.good {
            self.lost.fetch_max(self.number, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    #[tokio::test]
    async fn a_connection_is_shared_until_a_call_ends_badly_or_is_dropped() {
        let slot = Slot::<u32>::default();
        let connect = |n: u32| async move { Ok::<_, Infallible>(n) };
        let first = slot.get(connect(1)).await.unwrap();
        let second = slot.get(connect(2)).await.unwrap();
        assert_eq!((first.connection, second.connection), (1, 1));
        first.end(true);
        drop(second);
        let third = slot.get(connect(3)).await.unwrap();
        assert_eq!(third.connection, 3);
        third.end(false);
        assert_eq!(slot.get(connect(4)).await.unwrap().connection, 4);
        let refused = slot.get(async { Err("refused") }).await.map(|_| ());
        assert_eq!(refused, Err("refused"));
    }
}
