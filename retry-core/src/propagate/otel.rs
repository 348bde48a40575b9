//! OpenTelemetry through `tracing`: an attempt's span continues the trace of the span that enqueued its task.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::TraceContextExt as _;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::Propagator;
use crate::headers::Headers;

/// Carries OpenTelemetry's context, in the format of a text map propagator.
///
/// The program sets up `tracing_opentelemetry::layer()` with its tracer; spans that the subscriber filters out carry
/// nothing. What travels is the propagator's choice: `TraceContextPropagator` of the SDK writes `traceparent` and
/// `tracestate`, `BaggagePropagator` writes `baggage`, a `TextMapCompositePropagator` of both writes all three.
#[derive(Clone)]
pub struct OpenTelemetry {
    format: Option<Arc<dyn TextMapPropagator + Send + Sync>>,
    links: bool,
}

impl OpenTelemetry {
    /// The format that the program set by `opentelemetry::global::set_text_map_propagator`; until it sets one, nothing
    /// travels.
    #[must_use]
    pub fn global() -> Self {
        Self {
            format: None,
            links: false,
        }
    }

    /// A format of its own.
    #[must_use]
    pub fn new(format: impl TextMapPropagator + Send + Sync + 'static) -> Self {
        Self {
            format: Some(Arc::new(format)),
            links: false,
        }
    }

    /// Links an attempt's span to the enqueuer's instead of making it a child: each attempt is a trace of its own. For
    /// tasks that run days after they were enqueued, when the enqueuer's trace is long complete.
    #[must_use]
    pub fn linked(mut self) -> Self {
        self.links = true;
        self
    }

    fn with<T>(&self, mut act: impl FnMut(&dyn TextMapPropagator) -> T) -> T {
        match &self.format {
            Some(format) => act(format.as_ref()),
            None => opentelemetry::global::get_text_map_propagator(|format| act(format)),
        }
    }
}

impl fmt::Debug for OpenTelemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenTelemetry")
            .field("global", &self.format.is_none())
            .field("links", &self.links)
            .finish()
    }
}

impl Propagator for OpenTelemetry {
    fn inject(&self) -> Vec<(String, String)> {
        let span = tracing::Span::current();
        let context = span.context();
        // Outside every span of `tracing` there may still be a context of OpenTelemetry's own.
        let context = if context.span().span_context().is_valid() {
            context
        } else {
            Context::current()
        };
        let mut carrier = HashMap::new();
        self.with(|format| format.inject_context(&context, &mut carrier));
        carrier
            .into_iter()
            .filter(|(_, value): &(_, String)| !value.is_empty())
            .collect()
    }

    fn extract(&self, headers: &Headers, span: &tracing::Span) {
        let context = self.with(|format| format.extract_with_context(&Context::new(), &Carrier(headers)));
        let enqueuer = context.span().span_context().clone();
        if !enqueuer.is_valid() {
            return;
        }
        if self.links {
            span.add_link(enqueuer);
        } else if let Err(error) = span.set_parent(context) {
            tracing::debug!(%error, "the attempt's span does not continue its task's trace");
        }
    }
}

struct Carrier<'h>(&'h Headers);

impl Extractor for Carrier<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.iter().map(|(key, _)| key).collect()
    }
}
