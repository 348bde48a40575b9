//! The one place that waits for a server in real time.

use std::thread;
use std::time::{Duration, Instant};

/// How long a server may take to answer; a slow machine under load needs many seconds to create a database.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks until the answer is yes; false when patience is at an end.
#[expect(
    clippy::disallowed_methods,
    reason = "a server outside this process is ready in real time only"
)]
pub(crate) fn until(mut ready: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if ready() {
            return true;
        }
        thread::sleep(Duration::from_millis(20));
    }
    false
}
