//! A handler's failure, retryable unless marked final.

use std::error::Error;
use std::fmt;

use crate::draft::InvalidTask;
use crate::task::ErrorText;

type BoxError = Box<dyn Error + Send + Sync>;

/// Why an attempt failed. Anything that converts into a boxed error converts into it, so `?` works in handlers with
/// `anyhow`, `eyre` and own types alike. It is not an `Error` itself (like `anyhow::Error`).
pub struct HandlerError {
    error: BoxError,
}

impl HandlerError {
    /// Whether a [`Final`] is anywhere in the chain of causes: never retry.
    #[must_use]
    pub fn is_final(&self) -> bool {
        chain(self.error.as_ref()).any(|error| error.is::<Marker>() || error.is::<Final>())
    }

    /// The whole chain of causes as one text, as it is kept.
    #[must_use]
    pub fn to_text(&self) -> ErrorText {
        let mut text = String::new();
        for error in chain(self.error.as_ref()) {
            if error.is::<Marker>() {
                continue;
            }
            let part = error.to_string();
            // Wrappers that show their cause as themselves would say everything twice.
            if part.is_empty() || text.ends_with(&part) {
                continue;
            }
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&part);
        }
        ErrorText::new(text)
    }

    /// The error.
    #[must_use]
    pub fn as_error(&self) -> &(dyn Error + Send + Sync + 'static) {
        self.error.as_ref()
    }
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| (*error).source())
}

impl<E: Into<BoxError>> From<E> for HandlerError {
    fn from(error: E) -> Self {
        Self { error: error.into() }
    }
}

impl fmt::Debug for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.error, f)
    }
}

/// Marks an error as final: the task fails at once, whatever attempts are left. Found anywhere in the chain of causes,
/// also below `anyhow` or `eyre` context.
///
/// ```
/// # use retry_core as task_retry;
/// use task_retry::executor::{Final, HandlerError};
///
/// fn check(amount: i64) -> Result<(), Final> {
///     if amount < 0 { Err(Final::new("a negative amount will never be right")) } else { Ok(()) }
/// }
/// let error: HandlerError = check(-1).unwrap_err().into();
/// assert!(error.is_final());
/// ```
#[derive(Debug)]
pub struct Final(Marker);

/// What `Final` shows as its cause: wrappers hide the type of an error, but not of its causes.
#[derive(Debug)]
struct Marker(BoxError);

impl Final {
    /// Marks `error` as final.
    pub fn new(error: impl Into<BoxError>) -> Self {
        Self(Marker(error.into()))
    }
}

impl fmt::Display for Final {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.0, f)
    }
}

impl Error for Final {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is final and not retried")
    }
}

impl Error for Marker {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

impl From<InvalidTask> for Final {
    fn from(error: InvalidTask) -> Self {
        Self::new(error)
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    fn refused() -> std::io::Error {
        std::io::Error::other("refused")
    }

    #[test]
    fn final_is_found_below_every_wrapper() {
        let plain: HandlerError = Final::new(refused()).into();
        let anyhow: HandlerError = anyhow::Error::new(Final::new(refused())).into();
        let context: HandlerError = Err::<(), _>(Final::new(refused()))
            .context("sending")
            .context("the mail")
            .unwrap_err()
            .into();
        let eyre: HandlerError = eyre::Report::new(Final::new(refused())).into();
        let wrapped: HandlerError = eyre::Report::new(Final::new(refused()))
            .wrap_err("sending")
            .into();
        let around: HandlerError = Final::new(anyhow::Error::new(refused()).context("sending")).into();
        for error in [plain, anyhow, context, eyre, wrapped, around] {
            assert!(error.is_final(), "{error:?}");
            assert!(
                error.to_text().as_str().ends_with("refused"),
                "{}",
                error.to_text()
            );
        }
    }

    #[test]
    fn other_errors_are_retryable() {
        let text: HandlerError = "busy".into();
        let anyhow: HandlerError = anyhow::Error::new(refused()).context("sending").into();
        let eyre: HandlerError = eyre::eyre!("no").into();
        for error in [text, anyhow, eyre] {
            assert!(!error.is_final(), "{error:?}");
        }
    }

    #[test]
    fn the_text_is_the_chain_of_causes_each_once() {
        let error: HandlerError = Err::<(), _>(Final::new(refused()))
            .context("sending")
            .unwrap_err()
            .into();
        assert_eq!(error.to_text().as_str(), "sending: refused");
    }
}
