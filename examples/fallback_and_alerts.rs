//! Fallbacks and alerts: a payment whose card is refused goes by invoice, and nobody is told; a parcel without an address
//! fails three times, which a webhook is told, ends as a dead letter and is rerun when somebody has found the address.
#![expect(
    clippy::print_stdout,
    reason = "a program for the command line shows its result there"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use task_retry::sqlite::SqliteStore;
use task_retry::{AlertOptions, Client, State, TracingSink, Webhook, Worker, task};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// Whether somebody has found the parcel's address.
type Address = Arc<AtomicBool>;

#[task(fallback = invoice, max_attempts = 3)]
async fn charge(order: u64) -> anyhow::Result<()> {
    anyhow::bail!("order {order}: the card is refused")
}

async fn invoice(task: Charge) -> anyhow::Result<()> {
    println!("order {}: paid by invoice", task.order);
    Ok(())
}

#[task(alert = "error.contains('address')", max_attempts = 3, retry = fixed("50ms"))]
async fn ship(order: u64, State(address): State<Address>) -> anyhow::Result<()> {
    anyhow::ensure!(address.load(Ordering::Acquire), "order {order}: no such address");
    println!("order {order}: shipped");
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (url, mut alerts) = receiver().await?;
    let client = Client::new(SqliteStore::open("alerts.db")?);
    Charge { order: 1 }.enqueue(&client).await?;
    let parcel = Ship { order: 1 }.enqueue(&client).await?;

    let address = Address::default();
    let running = Worker::builder(&client)
        .task::<Charge>()
        .task::<Ship>()
        .state(Arc::clone(&address))
        .alert_sink(Webhook::new(url)?)
        .alert_sink(TracingSink)
        .alert_options(AlertOptions::new().cool_down(Duration::ZERO))
        .build()?
        .start();

    let mut reasons = Vec::new();
    while reasons.last().is_none_or(|last| last != "task_failed") {
        let alert = alerts.recv().await.context("the receiver is gone")?;
        println!(
            "told: {} in attempt {}",
            alert["reason"], alert["task"]["attempt"]
        );
        anyhow::ensure!(alert["kind"] == "ship", "the invoice was a success");
        reasons.push(alert["reason"].as_str().unwrap_or_default().to_owned());
    }
    anyhow::ensure!(reasons == ["attempt_failed", "attempt_failed", "task_failed"]);

    address.store(true, Ordering::Release);
    client.rerun(parcel.id).await?;
    while !client
        .get(parcel.id)
        .await?
        .is_some_and(|it| it.task.state.is_final())
    {
        tokio::task::yield_now().await;
    }
    println!("{:?}", running.alerts());
    running.shutdown().await;
    Ok(())
}

/// A server that takes alerts, as a chat or a pager would; its URL and what it is told.
async fn receiver() -> anyhow::Result<(String, mpsc::UnboundedReceiver<Value>)> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let url = format!("http://{}/alerts", listener.local_addr()?);
    let (sender, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let sender = sender.clone();
            let service = service_fn(move |request| take(request, sender.clone()));
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    Ok((url, told))
}

async fn take(
    request: Request<Incoming>,
    sender: mpsc::UnboundedSender<Value>,
) -> anyhow::Result<Response<Empty<Bytes>>> {
    let body = request.into_body().collect().await?.to_bytes();
    sender.send(serde_json::from_slice(&body)?)?;
    Ok(Response::new(Empty::new()))
}
