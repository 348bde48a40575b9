//! One trace from an enqueue to its attempts, children and follow-ups, over SQLite, seen by OpenTelemetry's own SDK.

use std::time::Duration;

use opentelemetry::trace::{SpanId, TraceId, TracerProvider as _};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use serde::{Deserialize, Serialize};
use task_retry::propagate::OpenTelemetry;
use task_retry::sqlite::SqliteStore;
use task_retry::{Client, Ctx, Draft, HandlerError, Outcome, TaskPayload, Worker};
use tracing::Instrument as _;
use tracing_subscriber::layer::SubscriberExt as _;

#[derive(Serialize, Deserialize)]
struct Order;

impl TaskPayload for Order {
    const KIND: &'static str = "order";
}

#[derive(Serialize, Deserialize)]
struct Item;

impl TaskPayload for Item {
    const KIND: &'static str = "item";
}

#[derive(Serialize, Deserialize)]
struct Invoice;

impl TaskPayload for Invoice {
    const KIND: &'static str = "invoice";
}

async fn order(_: Order, ctx: Ctx) -> Result<Outcome, HandlerError> {
    if ctx.step() == 0 {
        return Ok(Outcome::split([Item]));
    }
    ctx.enqueue_on_success(Invoice);
    Ok(Outcome::Done)
}

async fn item(_: Item) -> Result<(), HandlerError> {
    Ok(())
}

async fn invoice(_: Invoice) -> Result<(), HandlerError> {
    Ok(())
}

fn attribute(span: &SpanData, key: &str) -> String {
    let found = span
        .attributes
        .iter()
        .find(|attribute| attribute.key.as_str() == key);
    found
        .map(|attribute| attribute.value.to_string())
        .unwrap_or_default()
}

/// Runs an order to its end; answers the enqueuer's span and those of the attempts.
async fn run(
    client: &Client<SqliteStore>,
    propagator: OpenTelemetry,
    exporter: &InMemorySpanExporter,
) -> (SpanData, Vec<SpanData>) {
    exporter.reset();
    let client = client.clone().with_propagator(propagator.clone());
    let worker = Worker::builder(&client)
        .handler(order)
        .handler(item)
        .handler(invoice);
    let worker = worker.propagator(propagator).build().expect("it is valid");
    async {
        client.enqueue(Order).await.expect("it is stored");
    }
    .instrument(tracing::info_span!("request"))
    .await;
    let summary = worker
        .tick(Duration::from_secs(60))
        .await
        .expect("the store answers");
    assert_eq!((summary.succeeded, summary.waiting), (3, 1), "{summary:?}");
    let spans = exporter.get_finished_spans().expect("they were kept");
    let request = spans
        .iter()
        .find(|span| span.name == "request")
        .expect("it was sampled")
        .clone();
    let attempts = spans.into_iter().filter(|span| span.name == "attempt").collect();
    (request, attempts)
}

fn of_kind<'s>(attempts: &'s [SpanData], kind: &str) -> Vec<&'s SpanData> {
    attempts
        .iter()
        .filter(|span| attribute(span, "kind") == kind)
        .collect()
}

#[tokio::test]
async fn one_trace_leads_from_the_enqueue_to_every_attempt() {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(exporter.clone())
        .build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
    let folder = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::open(folder.path().join("tasks.db")).expect("it opens");
    let client = Client::new(store);

    let format = || OpenTelemetry::new(TraceContextPropagator::new());
    let (request, attempts) = run(&client, format(), &exporter).await;
    let trace = request.span_context.trace_id();
    assert_ne!(trace, TraceId::INVALID);
    assert_eq!(attempts.len(), 4);
    for attempt in &attempts {
        assert_eq!(attempt.span_context.trace_id(), trace, "{attempt:?}");
        assert_eq!(
            (attribute(attempt, "queue"), attribute(attempt, "attempt")),
            ("default".to_owned(), "1".to_owned())
        );
        assert!(!attribute(attempt, "task").is_empty());
    }
    let orders = of_kind(&attempts, "order");
    let parents: Vec<SpanId> = orders.iter().map(|span| span.parent_span_id).collect();
    assert_eq!(
        parents,
        [request.span_context.span_id(); 2],
        "both steps continue the request"
    );
    let made_by = |kind: &str| of_kind(&attempts, kind)[0].parent_span_id;
    let ids: Vec<SpanId> = orders.iter().map(|span| span.span_context.span_id()).collect();
    assert!(ids.contains(&made_by("item")) && ids.contains(&made_by("invoice")));
    assert_ne!(
        made_by("item"),
        made_by("invoice"),
        "each by the attempt that made it"
    );

    let (request, attempts) = run(&client, format().linked(), &exporter).await;
    for attempt in of_kind(&attempts, "order") {
        assert_ne!(attempt.span_context.trace_id(), request.span_context.trace_id());
        let (link, enqueuer) = (&attempt.links.links[0].span_context, &request.span_context);
        assert_eq!(
            (link.trace_id(), link.span_id()),
            (enqueuer.trace_id(), enqueuer.span_id())
        );
    }

    // Outside every span, and with a header set by hand that is no context at all: nothing is lost but the trace.
    exporter.reset();
    let plain = client.clone().with_propagator(format());
    let id = plain
        .enqueue(Draft::from(Item).header("traceparent", "nonsense"))
        .await
        .expect("it is stored")
        .id;
    let worker = Worker::builder(&client)
        .handler(item)
        .propagator(format())
        .build()
        .expect("it is valid");
    let summary = worker
        .tick(Duration::from_secs(60))
        .await
        .expect("the store answers");
    assert_eq!(summary.succeeded, 1);
    let detail = client
        .get(id)
        .await
        .expect("the store answers")
        .expect("it is kept");
    assert_eq!(detail.headers.get("traceparent"), Some("nonsense"));
    provider.shutdown().expect("it stops");
}
