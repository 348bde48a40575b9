//! Redis Streams.

use std::sync::Arc;

use libtest_mimic::Trial;
use retry_sinks::{RedisStreamsSink, TASK_ID_HEADER};
use test_servers::{Kind, start};

use crate::stream::{Received, Stream, blocking, judge, with_kills};
use crate::with;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        with(Kind::Redis, "killed_in_the_middle", killed),
        with(Kind::Redis, "max_len_cuts", cut),
    ]
}

/// An entry: its id, and its fields with their values.
type Entry = (String, Vec<(String, Vec<u8>)>);

/// What a reader of the stream sees.
fn read(url: &str) -> Vec<Received> {
    let mut connection = redis::Client::open(url).unwrap().get_connection().unwrap();
    let mut range = redis::cmd("XRANGE");
    let entries: Vec<Entry> = range
        .arg("orders")
        .arg("-")
        .arg("+")
        .query(&mut connection)
        .unwrap();
    let received = |(_, fields): Entry| {
        let field = |wanted: &str| {
            let found = fields.iter().find(|(name, _)| name == wanted);
            found.map(|(_, value)| value.clone())
        };
        let text = |wanted: &str| field(wanted).map(|value| String::from_utf8(value).unwrap());
        Received {
            id: text(TASK_ID_HEADER).unwrap(),
            key: text("retry-key"),
            header: text("colour"),
            body: field("body").unwrap(),
        }
    };
    entries.into_iter().map(received).collect()
}

async fn killed() {
    let server = Arc::new(blocking(|| start(Kind::Redis).unwrap()).await);
    let sink = RedisStreamsSink::builder(server.url()).build().unwrap();
    let stream = Stream::to(sink, "orders").await;
    let enqueued = with_kills(stream, &server).await;
    let received = blocking(move || read(&server.url())).await;
    judge(&received, enqueued);
}

async fn cut() {
    let server = Arc::new(blocking(|| start(Kind::Redis).unwrap()).await);
    let sink = RedisStreamsSink::builder(server.url())
        .max_len(10)
        .build()
        .unwrap();
    let mut stream = Stream::to(sink, "orders").await;
    stream.enqueue(500).await;
    stream.finish().await;
    let left = blocking(move || read(&server.url()).len()).await;
    // The server cuts whole nodes of a hundred.
    assert!(left < 250, "{left}");
}
