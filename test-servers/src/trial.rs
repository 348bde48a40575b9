//! Tests on servers, for programs without the compiler's harness: where a server is missing, they are shown as ignored, with the reason.

use std::panic::resume_unwind;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use libtest_mimic::{Completion, Failed, Trial};

use crate::error::Error;
use crate::given::{given, required};
use crate::kind::Kind;
use crate::packages::installed;
use crate::server::{Server, start_with};

/// What [`ignore`] unwinds with.
struct Ignored(String);

/// How long a trial may take: many times the longest on a slow machine.
const LIMIT: Duration = Duration::from_secs(600);

/// A test. It fails by a panic, and when it has not ended after ten minutes: a driver that waits for ever fails one test by its
/// name, not the whole run without a word. [`ignore`] ends it as ignored.
pub fn trial(name: impl Into<String>, test: impl FnOnce() + Send + 'static) -> Trial {
    trial_within(LIMIT, name, test)
}

/// A [`trial`] that may take longer, because it is told how much to do.
pub fn trial_within(limit: Duration, name: impl Into<String>, test: impl FnOnce() + Send + 'static) -> Trial {
    Trial::ignorable_test(name, move || within(limit, test))
}

/// Runs a test on a thread of its own, which is left behind when it does not end in time.
fn within(limit: Duration, test: impl FnOnce() + Send + 'static) -> Result<Completion, Failed> {
    let (send, receive) = sync_channel(1);
    let thread = thread::spawn(move || {
        test();
        // Nobody listens any more when the time is over.
        let _ = send.send(());
    });
    match receive.recv_timeout(limit) {
        Ok(()) => Ok(Completion::Completed),
        Err(RecvTimeoutError::Timeout) => Err(Failed::from(format!(
            "it has not ended after {} s",
            limit.as_secs()
        ))),
        Err(RecvTimeoutError::Disconnected) => match thread.join() {
            Ok(()) => unreachable!("it tells that it has ended"),
            Err(thrown) => match thrown.downcast::<Ignored>() {
                Ok(ignored) => Ok(Completion::ignored_with(ignored.0)),
                Err(panic) => resume_unwind(panic),
            },
        },
    }
}

/// Ends a [`trial`] that cannot be made here. Only on the test's own thread: another one that unwinds has failed.
pub fn ignore(reason: impl Into<String>) -> ! {
    resume_unwind(Box::new(Ignored(reason.into())))
}

/// A server of the test's own, which it may kill and change. One that was given by URL never is.
///
/// Where its programs are not installed, the [`trial`] ends: as ignored if a server is given by URL, or [required](required) of
/// nobody.
///
/// # Panics
/// The server does not start, or is required and there is none.
#[must_use]
pub fn own(kind: Kind) -> Server {
    own_with(kind, &[])
}

/// The same with settings, by the server's names.
///
/// # Panics
/// As [`own`].
#[must_use]
pub fn own_with(kind: Kind, settings: &[(&str, &str)]) -> Server {
    start_with(kind, settings).unwrap_or_else(|error| end(&error))
}

/// Ends a [`trial`] that starts servers of a kind, later or in another process, where they are not installed: as [`own`] does.
///
/// # Panics
/// As [`own`].
pub fn needs(kind: Kind) {
    installed(kind).unwrap_or_else(|error| end(&error));
}

/// Ends a trial for want of a server.
pub(crate) fn end(error: &Error) -> ! {
    match error {
        Error::Missing { kind, program } if !given(*kind).is_empty() => ignore(format!(
            "needs a {kind} of its own to stop and change: `{program}` is not installed, only a URL is given"
        )),
        Error::Missing { kind, .. } if !required(*kind) => ignore(error.to_string()),
        _ => panic!("{error}"),
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn one_that_hangs_fails() {
        let (send, receive) = sync_channel::<()>(0);
        let hanging = within(Duration::from_millis(10), move || receive.recv().unwrap());
        let failed = hanging.err().expect("it fails");
        assert_eq!(failed.message(), Some("it has not ended after 0 s"));
        drop(send);
    }

    #[test]
    fn an_end_is_told_as_it_was() {
        assert!(matches!(within(LONG, || ()), Ok(Completion::Completed)));
        assert!(matches!(
            within(LONG, || ignore("no server")),
            Ok(Completion::Ignored { .. })
        ));
        let failed = catch_unwind(AssertUnwindSafe(|| within(LONG, || panic!("as it was"))));
        assert_eq!(failed.err().unwrap().downcast_ref(), Some(&"as it was"));
    }
}
