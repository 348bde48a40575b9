//! Context that travels with a task: from the span that enqueues it to the span of each attempt.

#[cfg(feature = "opentelemetry")]
mod otel;

use std::fmt;

#[cfg(feature = "opentelemetry")]
pub use otel::OpenTelemetry;

use crate::draft::Draft;
use crate::headers::Headers;

/// The headers of the W3C recommendations Trace Context and Baggage.
pub const TRACE_HEADERS: [&str; 3] = ["traceparent", "tracestate", "baggage"];

/// Carries the context of the code that enqueues a task in the task's headers to its attempts.
///
/// Given to the client it is asked for headers in each enqueue; given to the worker it joins each attempt's span to the
/// context in the headers, and is asked for headers of the children and follow-ups that an attempt makes, inside the
/// attempt's span. A header that is set on the task by hand wins. Headers that do not fit beside the task's own are left
/// out: context is never a reason to refuse a task.
///
/// Without one, nothing is added at enqueue, and children and follow-ups still inherit the
/// [trace headers](TRACE_HEADERS) of their task, so that a context set by hand travels on.
pub trait Propagator: fmt::Debug + Send + Sync + 'static {
    /// The headers of the current context: that of the caller's span.
    fn inject(&self) -> Vec<(String, String)>;

    /// Joins an attempt's span, which was not entered yet, to the context in the headers of its task.
    fn extract(&self, headers: &Headers, span: &tracing::Span);
}

/// The draft with the current context in its headers.
pub(crate) fn in_context(draft: Draft, propagator: Option<&dyn Propagator>) -> Draft {
    match propagator {
        Some(propagator) => draft.inherit(propagator.inject()),
        None => draft,
    }
}

/// The draft of a task that an attempt makes: with the current context, else that of its own task, and with those of its
/// task's headers that are handed down.
pub(crate) fn handed_down(
    draft: Draft,
    headers: &Headers,
    inherited: &[String],
    propagator: Option<&dyn Propagator>,
) -> Draft {
    let injected = propagator.map(Propagator::inject).unwrap_or_default();
    // A nearer context replaces the whole of the farther one: half of each would be neither.
    let is_replaced = |key: &str| !injected.is_empty() && TRACE_HEADERS.contains(&key);
    let inherited = inherited
        .iter()
        .filter(|key| !is_replaced(key))
        .filter_map(|key| Some((key.clone(), headers.get(key)?.to_owned())))
        .collect::<Vec<_>>();
    draft.inherit(injected).inherit(inherited)
}

#[cfg(test)]
fn _object_safe(_: &dyn Propagator) {}
