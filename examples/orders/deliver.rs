//! The handlers: deliver an order as an HTTP POST, and tell final answers from those worth another try.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, RETRY_AFTER};
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use task_retry::{Ctx, Final, Outcome, State};

use crate::order::Order;

/// The same for every attempt of a delivery: by it the receiver knows an order it was sent before.
pub(crate) const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Greater in every later attempt: by it the receiver refuses a worker that has lost its lease.
pub(crate) const TASK_VERSION: &str = "task-version";

/// One attempt, the answer included.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(2);

/// Attempts over the ordinary route before the fallback is tried as well.
pub(crate) const FALLBACK_AFTER: u32 = 4;

/// The longest `Retry-After` that is obeyed.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// As much of an answer's text as is read.
const ANSWER_BYTES: usize = 4_096;

/// Where orders are sent, shared by all attempts.
#[derive(Debug, Clone)]
pub(crate) struct Carrier(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    http: Client<HttpConnector, Full<Bytes>>,
    primary: Uri,
    fallback: Option<Uri>,
    setbacks: AtomicU64,
    last_setback: Mutex<String>,
}

/// Delivers an order over the ordinary route.
pub(crate) async fn deliver(
    order: Order,
    ctx: Ctx,
    State(carrier): State<Carrier>,
) -> anyhow::Result<Outcome> {
    carrier.post(&carrier.0.primary, &order, &ctx).await
}

/// Delivers an order that the ordinary route has failed over and over.
pub(crate) async fn deliver_by_hand(
    order: Order,
    ctx: Ctx,
    State(carrier): State<Carrier>,
) -> anyhow::Result<Outcome> {
    let fallback = carrier.0.fallback.as_ref().context("there is no fallback")?;
    carrier.post(fallback, &order, &ctx).await
}

impl Carrier {
    pub(crate) fn new(primary: Uri, fallback: Option<Uri>) -> Self {
        Self(Arc::new(Inner {
            http: Client::builder(TokioExecutor::new()).build_http(),
            primary,
            fallback,
            setbacks: AtomicU64::new(0),
            last_setback: Mutex::default(),
        }))
    }

    pub(crate) fn has_fallback(&self) -> bool {
        self.0.fallback.is_some()
    }

    /// How many attempts did not deliver, and what the last one met.
    pub(crate) fn setbacks(&self) -> (u64, String) {
        let last = self.0.last_setback.lock().unwrap_or_else(PoisonError::into_inner);
        (self.0.setbacks.load(Ordering::Relaxed), last.clone())
    }

    async fn post(&self, to: &Uri, order: &Order, ctx: &Ctx) -> anyhow::Result<Outcome> {
        let result = tokio::select! {
            result = self.try_post(to, order, ctx) => result,
            // Its time is over, or the program stops. Ending here is quicker than waiting to be dropped.
            () = ctx.cancelled() => Err(anyhow!("told to stop before an answer came")),
        };
        let setback = match &result {
            Ok(Outcome::Snooze(pause)) => Some(format!("told to come back in {} s", pause.as_secs())),
            Ok(_) => None,
            Err(error) => Some(format!("{error:#}")),
        };
        if let Some(setback) = setback {
            self.0.setbacks.fetch_add(1, Ordering::Relaxed);
            *self.0.last_setback.lock().unwrap_or_else(PoisonError::into_inner) = setback;
        }
        result
    }

    async fn try_post(&self, to: &Uri, order: &Order, ctx: &Ctx) -> anyhow::Result<Outcome> {
        let request = Request::post(to)
            .header(CONTENT_TYPE, "application/json")
            .header(IDEMPOTENCY_KEY, ctx.id().to_string())
            .header(TASK_VERSION, ctx.version())
            .body(Full::from(serde_json::to_vec(order)?))?;
        let response = self.0.http.request(request).await.context("no answer")?;
        judge(response).await
    }
}

/// What an answer means for the order.
async fn judge(response: Response<Incoming>) -> anyhow::Result<Outcome> {
    let status = response.status();
    let pause = retry_after(&response);
    // Read to the end, or the connection cannot be used again.
    let text = text(response).await;
    let busy = matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    );
    match (status, pause) {
        // The receipt stays with the task.
        _ if status.is_success() => Ok(Outcome::output(&text)?),
        // The receiver names the time, and it is not the order's fault: this attempt does not count.
        (_, Some(pause)) if busy => Ok(Outcome::Snooze(pause.min(LONGEST_PAUSE))),
        (StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY, _) => Err(anyhow!("{status}: {text}")),
        // It will be wrong next time as well.
        _ if status.is_client_error() && !busy => Err(Final::new(format!("{status}: {text}")).into()),
        _ => Err(anyhow!("{status}: {text}")),
    }
}

/// The seconds of a `Retry-After`; a date in its place is left to the retry policy.
fn retry_after(response: &Response<Incoming>) -> Option<Duration> {
    let seconds = response
        .headers()
        .get(RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()?;
    Some(Duration::from_secs(seconds))
}

async fn text(response: Response<Incoming>) -> String {
    match Limited::new(response.into_body(), ANSWER_BYTES).collect().await {
        Ok(body) => String::from_utf8_lossy(&body.to_bytes())
            .trim()
            .chars()
            .take(200)
            .collect(),
        Err(_) => "the answer's text could not be read".to_owned(),
    }
}
