//! Tests on servers, for programs without the compiler's harness: where a server is missing, they are shown as ignored, with the reason.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use libtest_mimic::{Completion, Trial};

use crate::error::Error;
use crate::given::{given, required};
use crate::kind::Kind;
use crate::packages::installed;
use crate::server::{Server, start_with};

/// What [`ignore`] unwinds with.
struct Ignored(String);

/// A test. It fails by a panic, and [`ignore`] ends it as ignored.
pub fn trial(name: impl Into<String>, test: impl FnOnce() + Send + 'static) -> Trial {
    Trial::ignorable_test(name, || match catch_unwind(AssertUnwindSafe(test)) {
        Ok(()) => Ok(Completion::Completed),
        Err(thrown) => match thrown.downcast::<Ignored>() {
            Ok(ignored) => Ok(Completion::ignored_with(ignored.0)),
            Err(panic) => resume_unwind(panic),
        },
    })
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
