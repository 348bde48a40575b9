//! A connection that several calls share: made when one needs it, made anew when one has lost it.

use std::fmt;

use tokio::sync::Mutex;

/// A place for a connection.
pub(crate) struct Slot<C>(Mutex<State<C>>);

struct State<C> {
    connection: Option<C>,
    number: u64,
}

impl<C> Default for Slot<C> {
    fn default() -> Self {
        Self(Mutex::new(State {
            connection: None,
            number: 0,
        }))
    }
}

impl<C> fmt::Debug for Slot<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Slot")
    }
}

impl<C: Clone> Slot<C> {
    /// The connection and its number; `connect` makes one if there is none. One caller connects at a time.
    pub(crate) async fn get<E>(&self, connect: impl Future<Output = Result<C, E>>) -> Result<(C, u64), E> {
        let mut state = self.0.lock().await;
        if let Some(connection) = &state.connection {
            return Ok((connection.clone(), state.number));
        }
        let connection = connect.await?;
        state.number += 1;
        state.connection = Some(connection.clone());
        Ok((connection, state.number))
    }

    /// Forgets the connection of this number, if it is still the one in use.
    pub(crate) async fn lose(&self, number: u64) {
        let mut state = self.0.lock().await;
        if state.number == number {
            state.connection = None;
        }
    }
}
