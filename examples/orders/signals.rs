//! Ctrl-C and SIGTERM: the first asks to stop, a second one ends the program on the spot.

use std::io;
use std::time::Duration;

use task_retry::clock::{Clock as _, SystemClock};
use tokio_util::sync::CancellationToken;

/// A second signal within this time is the same one: wrappers such as `timeout` send it to the program and its group.
const ECHO: Duration = Duration::from_secs(1);

/// A token that is cancelled by the first signal.
pub(crate) fn stop_token() -> io::Result<CancellationToken> {
    let mut signals = Signals::new()?;
    let stop = CancellationToken::new();
    let told = stop.clone();
    tokio::spawn(async move {
        signals.next().await;
        told.cancel();
        let clock = SystemClock::new();
        clock.sleep_until(clock.monotonic() + ECHO).await;
        if let Ok(mut signals) = Signals::new() {
            signals.next().await;
            // As safe as any kill: the next run finds everything.
            std::process::exit(crate::INTERRUPTED.into());
        }
    });
    Ok(stop)
}

#[cfg(unix)]
struct Signals(tokio::signal::unix::Signal, tokio::signal::unix::Signal);

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self(
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
        ))
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.0.recv() => {}
            _ = self.1.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}
