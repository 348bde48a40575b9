//! The carrier's side: a real HTTP server on a real socket, which fails as its faults say.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{HeaderMap, RETRY_AFTER};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use task_retry::clock::{Clock as _, SystemClock};
use tokio::net::TcpListener;

use crate::book::{Book, RECEIPT};
use crate::deliver::{IDEMPOTENCY_KEY, TASK_VERSION};
use crate::faults::{Behaviour, Faults};

/// The route of the fallback.
const FALLBACK: &str = "/by-hand";

/// A running receiver; it lives as long as the process.
#[derive(Debug)]
pub(crate) struct Receiver {
    address: SocketAddr,
}

#[derive(Debug, Clone)]
struct Desk {
    book: Book,
    faults: Faults,
    clock: SystemClock,
}

/// Who sends: the delivery and its attempt.
#[derive(Debug, Clone)]
struct Sender {
    key: String,
    version: i64,
}

/// What the receiver reads of an order.
#[derive(Deserialize)]
struct Parcel {
    id: String,
}

impl Receiver {
    /// Listens on a free port of this machine.
    pub(crate) async fn start(book: Book, faults: Faults) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .context("no free port")?;
        let address = listener.local_addr()?;
        let desk = Desk {
            book,
            faults,
            clock: SystemClock::new(),
        };
        tokio::spawn(serve(listener, desk));
        Ok(Self { address })
    }

    /// Where orders go.
    pub(crate) fn primary(&self) -> anyhow::Result<Uri> {
        Ok(format!("http://{}/orders", self.address).parse()?)
    }

    /// Where they go when the primary route fails over and over.
    pub(crate) fn fallback(&self) -> anyhow::Result<Uri> {
        Ok(format!("http://{}{FALLBACK}", self.address).parse()?)
    }
}

async fn serve(listener: TcpListener, desk: Desk) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue; // this connection failed before it began
        };
        let desk = desk.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let desk = desk.clone();
                async move { desk.answer(request).await }
            });
            // An error ends the connection, which is how the receiver drops one.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

impl Desk {
    /// Answers a request; an error breaks the connection.
    async fn answer(&self, request: Request<Incoming>) -> anyhow::Result<Response<Full<Bytes>>> {
        let (head, body) = request.into_parts();
        if head.method != Method::POST {
            return plain(StatusCode::METHOD_NOT_ALLOWED, "only POST");
        }
        let body = body.collect().await?.to_bytes();
        let Ok(parcel) = serde_json::from_slice::<Parcel>(&body) else {
            return plain(StatusCode::BAD_REQUEST, "this is not an order");
        };
        let Some(sender) = Sender::of(&head.headers) else {
            return plain(StatusCode::BAD_REQUEST, "no idempotency key, or no version");
        };
        let Some(nth) = self.note(&sender).await? else {
            return superseded();
        };
        let by_fallback = head.uri.path() == FALLBACK;
        match self.faults.behaviour(&parcel.id, nth, by_fallback) {
            Behaviour::Reject => plain(StatusCode::BAD_REQUEST, "no carrier delivers to this address"),
            Behaviour::Busy(after) => busy(StatusCode::SERVICE_UNAVAILABLE, after),
            Behaviour::TooMany(after) => busy(StatusCode::TOO_MANY_REQUESTS, Some(after)),
            Behaviour::Break => bail!("broken on purpose, before"),
            Behaviour::Accept(after) => {
                self.clock.sleep_until(self.clock.monotonic() + after).await;
                if self.accept(sender, false).await? {
                    plain(StatusCode::ACCEPTED, RECEIPT)
                } else {
                    superseded()
                }
            }
            Behaviour::AcceptAndHang => {
                self.accept(sender, true).await?;
                std::future::pending().await
            }
            Behaviour::AcceptAndBreak => {
                self.accept(sender, true).await?;
                bail!("broken on purpose, after")
            }
        }
    }

    async fn note(&self, sender: &Sender) -> anyhow::Result<Option<u32>> {
        let (book, sender) = (self.book.clone(), sender.clone());
        let noted = tokio::task::spawn_blocking(move || book.request(&sender.key, sender.version));
        Ok(noted.await??)
    }

    async fn accept(&self, sender: Sender, loses_answer: bool) -> anyhow::Result<bool> {
        let book = self.book.clone();
        let accepted =
            tokio::task::spawn_blocking(move || book.accept(&sender.key, sender.version, loses_answer));
        Ok(accepted.await??)
    }
}

impl Sender {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let text = |name| headers.get(name)?.to_str().ok();
        Some(Self {
            key: text(IDEMPOTENCY_KEY)?.to_owned(),
            version: text(TASK_VERSION)?.parse().ok()?,
        })
    }
}

fn superseded() -> anyhow::Result<Response<Full<Bytes>>> {
    plain(StatusCode::CONFLICT, "a later attempt was here before")
}

fn plain(status: StatusCode, text: &'static str) -> anyhow::Result<Response<Full<Bytes>>> {
    Ok(Response::builder().status(status).body(Full::from(text))?)
}

fn busy(status: StatusCode, after: Option<Duration>) -> anyhow::Result<Response<Full<Bytes>>> {
    let mut response = plain(status, "come back later")?;
    if let Some(after) = after {
        response.headers_mut().insert(RETRY_AFTER, after.as_secs().into());
    }
    Ok(response)
}
