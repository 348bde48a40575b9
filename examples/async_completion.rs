//! A handler hands work to a service that answers much later, by an HTTP callback: meanwhile the task waits in the store,
//! holding no worker, through restarts, until its deadline.
//!
//! ```sh
//! cargo run --example async_completion
//! ```
//!
//! Both sides are real HTTP over real sockets: the print shop takes an order and a callback URL, and posts the result there;
//! our server completes the waiting task by the token in the URL. A second callback is told that it came too late.
#![expect(
    clippy::print_stdout,
    reason = "a program for the command line shows its result there"
)]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::client::legacy::Client as Http;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde::{Deserialize, Serialize};
use task_retry::sqlite::SqliteStore;
use task_retry::task::WaitToken;
use task_retry::{Client, Ctx, Outcome, State, TaskPayload, Worker, client};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

#[derive(Serialize, Deserialize)]
struct Print {
    document: String,
}

impl TaskPayload for Print {
    const KIND: &'static str = "print";
}

/// Where things are.
#[derive(Clone)]
struct Addresses {
    shop: SocketAddr,
    callbacks: SocketAddr,
}

async fn print(task: Print, ctx: Ctx, State(at): State<Addresses>) -> anyhow::Result<Outcome> {
    if ctx.step() == 0 {
        // The token completes this wait and nothing else. The callback may even come before the wait begins.
        let callback = format!("http://{}/done/{}", at.callbacks, ctx.wait_token());
        let status = post(at.shop, &task.document, &callback).await?;
        ensure!(status == StatusCode::ACCEPTED, "the shop says {status}"); // an error is retried
        println!(
            "handler: handed {:?} to the print shop; now the task waits",
            task.document
        );
        return Ok(Outcome::Wait(Duration::from_hours(24)));
    }
    match ctx.completion::<u32>()? {
        Some(pages) => println!("handler: the shop printed {pages} pages"),
        None => println!("handler: no answer within a day; ask the shop"),
    }
    Ok(Outcome::Done)
}

/// Our side of the callback: `POST /done/TOKEN` with the number of pages.
async fn callback(
    request: Request<Incoming>,
    client: Client<SqliteStore>,
) -> anyhow::Result<(StatusCode, &'static str)> {
    let token = request
        .uri()
        .path()
        .strip_prefix("/done/")
        .map(str::parse::<WaitToken>);
    let Some(Ok(token)) = token else {
        return Ok((StatusCode::NOT_FOUND, "no such callback"));
    };
    let body = request.into_body().collect().await?.to_bytes();
    let pages: u32 = serde_json::from_slice(&body)?;
    match client.complete(token, &pages).await {
        Ok(()) => Ok((StatusCode::OK, "thank you")),
        Err(client::Error::AlreadyDone) => Ok((StatusCode::CONFLICT, "told before")),
        Err(client::Error::NotFound(_)) => Ok((StatusCode::NOT_FOUND, "no such wait")),
        Err(error) => Err(error.into()), // 500: the shop calls again
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let client = Client::new(SqliteStore::open(folder.path().join("tasks.db"))?);
    let ours = client.clone();
    let callbacks = serve(move |request| callback(request, ours.clone())).await?;
    let (orders, mut taken) = mpsc::unbounded_channel();
    let shop = serve(move |request| take_order(request, orders.clone())).await?;

    let worker = Worker::builder(&client)
        .handler(print)
        .state(Addresses { shop, callbacks })
        .build()?;
    let document = "thesis.pdf".to_owned();
    let id = client.enqueue(Print { document }).await?.id;
    worker.tick(Duration::from_secs(10)).await?; // ends: nothing is due while it waits
    let waiting = client.get(id).await?.context("the task is kept")?;
    println!("-- the task is {}, no worker runs", waiting.task.state);

    let url = taken.recv().await.context("the shop has an order")?;
    for _ in 0..2 {
        let (status, text) = answer(&url, "312").await?;
        println!("print shop: told {url:.40}…: {status}, {text:?}");
    }
    worker.tick(Duration::from_secs(10)).await?;
    let ended = client.get(id).await?.context("the task is kept")?;
    println!("-- the task has {}", ended.task.state);
    ensure!(
        ended.task.state.is_final() && ended.task.step == 1,
        "it is {}",
        ended.task.state
    );
    Ok(())
}

/// The other side: takes an order with a callback URL, at once.
async fn take_order(
    request: Request<Incoming>,
    orders: mpsc::UnboundedSender<String>,
) -> anyhow::Result<(StatusCode, &'static str)> {
    let callback = request.headers().get("callback").context("no callback")?;
    orders.send(callback.to_str()?.to_owned())?;
    Ok((StatusCode::ACCEPTED, "it will be printed"))
}

fn http() -> Http<HttpConnector, Full<Bytes>> {
    Http::builder(TokioExecutor::new()).build_http()
}

async fn post(shop: SocketAddr, document: &str, callback: &str) -> anyhow::Result<StatusCode> {
    let request = Request::post(format!("http://{shop}/print"))
        .header("callback", callback)
        .body(Full::from(document.to_owned()))?;
    Ok(http().request(request).await?.status())
}

async fn answer(url: &str, pages: &str) -> anyhow::Result<(StatusCode, String)> {
    let request = Request::post(url).body(Full::from(pages.to_owned()))?;
    let (head, body) = http().request(request).await?.into_parts();
    let text = body.collect().await?.to_bytes();
    Ok((head.status, String::from_utf8_lossy(&text).into_owned()))
}

/// An HTTP server on a free port of this machine, for as long as the process lives.
async fn serve<F, Fut>(answer: F) -> anyhow::Result<SocketAddr>
where
    F: Fn(Request<Incoming>) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = anyhow::Result<(StatusCode, &'static str)>> + Send + 'static,
{
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = answer.clone();
            let service = service_fn(move |request| {
                let answered = answer(request);
                async move {
                    let (status, text) = answered.await.unwrap_or_else(|error| {
                        eprintln!("server: {error:#}");
                        (StatusCode::INTERNAL_SERVER_ERROR, "call again")
                    });
                    let mut response = Response::new(Full::<Bytes>::from(text));
                    *response.status_mut() = status;
                    Ok::<_, Infallible>(response)
                }
            });
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            // A broken connection is the other side's to notice.
            tokio::spawn(async move { drop(connection.await) });
        }
    });
    Ok(address)
}
