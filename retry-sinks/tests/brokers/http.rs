//! An HTTP server on a real socket that answers badly, hangs up behind a request, and goes away for a while.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use libtest_mimic::Trial;
use retry_sinks::{HttpSink, Message, Relay, SinkQueue, TASK_ID_HEADER};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::plain;
use crate::stream::{Received, Stream, judge};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        plain("http::killed_in_the_middle", killed),
        plain("http::a_refusal_is_final", refused),
        plain("http::what_hangs_holds_up_no_other_message", hangs),
    ]
}

#[derive(Debug, Default)]
struct Log {
    received: Mutex<Vec<Received>>,
    paths: Mutex<Vec<String>>,
    requests: AtomicU64,
}

/// Every fifth request is answered with 503 and not taken; of every seventh that is taken the answer is lost.
async fn serve(stream: TcpStream, log: Arc<Log>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = BTreeMap::new();
    loop {
        line.clear();
        stream.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = headers
        .get("content-length")
        .map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    assert_eq!(headers.get("idempotency-key"), headers.get(TASK_ID_HEADER));
    let n = log.requests.fetch_add(1, Ordering::Relaxed);
    if path.contains("/hang") {
        return std::future::pending().await;
    }
    let status = match () {
        () if path.contains("/refuse") => "422 Unprocessable Entity",
        () if n % 5 == 4 => "503 Service Unavailable",
        () => "204 No Content",
    };
    log.paths.lock().unwrap().push(path);
    if status.starts_with("204") {
        log.received.lock().unwrap().push(Received {
            id: headers[TASK_ID_HEADER].clone(),
            key: headers.get("retry-key").cloned(),
            header: headers.get("colour").cloned(),
            body,
        });
        if n % 7 == 6 {
            return Ok(());
        }
    }
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
    stream.write_all(answer.as_bytes()).await
}

fn listen(listener: TcpListener, log: Arc<Log>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let log = Arc::clone(&log);
            connections.spawn(async move { serve(stream, log).await });
        }
    })
}

async fn killed() {
    let log = Arc::new(Log::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = listen(listener, Arc::clone(&log));
    let sink = HttpSink::builder(format!("http://{address}/in")).build().unwrap();
    let mut stream = Stream::to(sink, "orders").await;
    stream.enqueue(150).await;
    stream.acked(40).await;
    // Its connections end with it.
    server.abort();
    assert!(server.await.unwrap_err().is_cancelled());
    stream.enqueue(50).await;
    stream.fails().await;
    let server = listen(TcpListener::bind(address).await.unwrap(), Arc::clone(&log));
    stream.enqueue(100).await;
    let enqueued = stream.enqueued();
    stream.finish().await;
    server.abort();
    let received = log.received.lock().unwrap().clone();
    assert!(
        received.len() > usize::try_from(enqueued).unwrap(),
        "some answers were lost"
    );
    judge(&received, enqueued);
}

async fn refused() {
    let log = Arc::new(Log::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = listen(listener, Arc::clone(&log));
    let client = retry_core::client::Client::new(retry_core::store::MemoryStore::new());
    let queue = SinkQueue::new("events").unwrap();
    let sink = HttpSink::builder(format!("http://{address}/in?a=b"))
        .topic_in_path()
        .build()
        .unwrap();
    let relay = Relay::builder(&client, queue.clone(), sink).topics(|topic| topic.replace("no", "refuse"));
    let relay = relay.build().unwrap().start().await.unwrap();
    let message = |topic: &str| queue.draft(Message::text("x").topic(topic).key("k")).unwrap();
    for topic in ["no", "yes", "no"] {
        client.enqueue(message(topic)).await.unwrap();
    }
    while relay.counts().refused < 2 || relay.counts().acked < 1 {
        tokio::task::yield_now().await;
    }
    relay.shutdown().await;
    server.abort();
    let paths = log.paths.lock().unwrap().clone();
    assert_eq!(
        paths.first().map(String::as_str),
        Some("/in/refuse?a=b"),
        "{paths:?}"
    );
    assert!(paths.contains(&"/in/yes?a=b".to_owned()));
}

/// The endpoint of one topic never answers.
async fn hangs() {
    let log = Arc::new(Log::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = listen(listener, Arc::clone(&log));
    let client = retry_core::client::Client::new(retry_core::store::MemoryStore::new());
    let queue = SinkQueue::new("events").unwrap().partitions(1).unwrap();
    let sink = HttpSink::builder(format!("http://{address}/in"))
        .topic_in_path()
        .response_timeout(Duration::from_millis(500))
        .build()
        .unwrap();
    let drafts =
        ["hang", "yes"].map(|topic| queue.draft(Message::text("x").topic(topic).key(topic)).unwrap());
    client.enqueue_many(drafts).await.unwrap();
    let relay = Relay::builder(&client, queue, sink)
        .build()
        .unwrap()
        .start()
        .await
        .unwrap();
    // The relay's own limit of half a minute would take the answers of both.
    while relay.counts().acked < 1 || relay.counts().retried < 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(relay.counts().acked, 1, "the other one of its call is settled");
    drop(relay);
    server.abort();
}
