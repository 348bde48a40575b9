//! The webhook against real servers on real sockets: taken, refused, silent, gone.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::{AlertOptions, InvalidWebhook, Webhook};
use crate::client::Client;
use crate::draft::{Draft, TaskOptions};
use crate::engine::{KindOptions, Worker};
use crate::executor::{Ctx, Executor, Final, HandlerError, Outcome};
use crate::payload::Payload;
use crate::store::MemoryStore;

/// Fails for good.
struct Fails;

impl Executor for Fails {
    fn execute(
        &self,
        _: Payload,
        _: Ctx,
    ) -> futures_util::future::BoxFuture<'static, Result<Outcome, HandlerError>> {
        Box::pin(async { Err(Final::new("no such customer").into()) })
    }
}

/// A request as it came over the socket.
struct Received {
    head: String,
    body: String,
}

async fn read(stream: &mut TcpStream) -> Option<Received> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                line.to_ascii_lowercase()
                    .strip_prefix("content-length: ")?
                    .parse()
                    .ok()
            });
            if body.len() >= length.unwrap_or(0) {
                let (head, body) = (head.to_owned(), body.to_owned());
                return Some(Received { head, body });
            }
        }
        let mut more = [0; 4096];
        let count = stream.read(&mut more).await.ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&more[..count]);
    }
}

/// A server that gives each connection the same answer, or none.
async fn server(answer: Option<&'static str>) -> (String, mpsc::UnboundedReceiver<Received>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hooks/secret?team=7", listener.local_addr().unwrap());
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let Some(received) = read(&mut stream).await else {
                continue;
            };
            let _ = sender.send(received);
            match answer {
                Some(answer) => drop(stream.write_all(answer.as_bytes()).await),
                // The connection stays open and nothing comes.
                None => std::mem::forget(stream),
            }
        }
    });
    (url, receiver)
}

/// A worker with one dead letter and a webhook; how many alerts were delivered and how many failed.
async fn tell(url: &str) -> (u64, u64) {
    let client = Client::new(MemoryStore::new());
    let enqueued = client
        .enqueue(Draft::raw("order", Payload::null()))
        .await
        .unwrap();
    let webhook = Webhook::new(url)
        .unwrap()
        .header("Authorization", "Bearer t0ken")
        .unwrap();
    let handle = Worker::builder(&client)
        .executor("order", Arc::new(Fails), TaskOptions::new(), KindOptions::new())
        .alert_sink(webhook)
        .alert_options(AlertOptions::new().timeout(Duration::from_millis(300)))
        .build()
        .unwrap()
        .start();
    loop {
        let counts = handle.alerts();
        if counts.delivered + counts.failed > 0 {
            let stored = client.get(enqueued.id).await.unwrap().unwrap();
            assert!(stored.task.state.is_final());
            handle.shutdown().await;
            return (counts.delivered, counts.failed);
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_alert_is_posted_as_json() {
    let (url, mut received) = server(Some("HTTP/1.1 204 No Content\r\n\r\n")).await;
    assert_eq!(tell(&url).await, (1, 0));
    let request = received.recv().await.unwrap();
    let head = request.head.to_ascii_lowercase();
    assert!(
        head.starts_with("post /hooks/secret?team=7 http/1.1\r\n"),
        "{head}"
    );
    assert!(head.contains("content-type: application/json"), "{head}");
    assert!(head.contains("authorization: bearer t0ken"), "{head}");
    assert!(head.contains("host: 127.0.0.1:"), "{head}");
    let json: serde_json::Value = serde_json::from_str(&request.body).unwrap();
    assert_eq!(json["reason"], "task_failed");
    assert_eq!(json["kind"], "order");
    assert_eq!(json["error"], "no such customer");
}

#[tokio::test]
async fn an_answer_that_closes_the_connection_counts() {
    let (url, _received) = server(Some("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok")).await;
    assert_eq!(tell(&url).await, (1, 0));
}

#[tokio::test]
async fn a_refusal_and_a_redirect_are_failures() {
    for answer in [
        "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n",
        "no HTTP at all\r\n\r\n",
        "",
    ] {
        let (url, mut received) = server(Some(answer)).await;
        assert_eq!(tell(&url).await, (0, 1), "{answer}");
        assert!(received.recv().await.is_some());
        assert!(received.try_recv().is_err(), "posted once");
    }
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up_after_the_timeout() {
    let (url, mut received) = server(None).await;
    assert_eq!(tell(&url).await, (0, 1));
    assert!(received.recv().await.is_some(), "it had the request");
}

#[tokio::test]
async fn a_port_where_nobody_listens_and_a_server_without_tls_are_failures() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    assert_eq!(tell(&format!("http://{address}/")).await, (0, 1));
    let (url, _received) = server(Some("HTTP/1.1 204 No Content\r\n\r\n")).await;
    assert_eq!(tell(&url.replace("http:", "https:")).await, (0, 1));
}

#[test]
fn what_cannot_be_a_webhook_is_refused_and_secrets_stay_out_of_debug() {
    for url in [
        "",
        "example.com/hook",
        "/hook",
        "ftp://example.com/",
        "http://",
        "http://a b/",
    ] {
        assert_eq!(Webhook::new(url).unwrap_err(), InvalidWebhook::Url, "{url:?}");
    }
    let error = Webhook::new("http://user:secret@example.com/").unwrap_err();
    assert_eq!(error, InvalidWebhook::Credentials);
    let webhook = Webhook::new("http://[::1]:8080/hooks/secret").unwrap();
    let error = webhook.clone().header("x", "a\nb").unwrap_err();
    assert_eq!(error, InvalidWebhook::Header { name: "x".to_owned() });
    let webhook = webhook.header("authorization", "secret").unwrap();
    let debug = format!("{webhook:?}");
    assert!(
        debug.contains("::1") && debug.contains("8080") && !debug.contains("secret"),
        "{debug}"
    );
}
