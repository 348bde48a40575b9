//! Redis Streams.

use std::sync::Arc;

use libtest_mimic::Trial;
use retry_sinks::{RedisStreamsSink, TASK_ID_HEADER};
use test_servers::{Kind, Reach as _, Shared, start, unique};

use crate::stream::{Received, Stream, blocking, judge, with_kills};
use crate::{on_each, with};

pub(crate) fn trials() -> Vec<Trial> {
    let alone = [
        with(Kind::Redis, "killed_in_the_middle", killed),
        with(
            Kind::Redis,
            "a_connection_to_a_former_primary_is_given_up",
            demoted,
        ),
    ];
    let shared = on_each(Kind::Redis, "max_len_cuts", cut);
    shared.into_iter().chain(alone).collect()
}

/// An entry: its id, and its fields with their values.
type Entry = (String, Vec<(String, Vec<u8>)>);

/// What a reader of the stream sees.
pub(crate) fn read(url: &str, stream: &str) -> Vec<Received> {
    let mut connection = redis::Client::open(url).unwrap().get_connection().unwrap();
    let mut range = redis::cmd("XRANGE");
    let entries: Vec<Entry> = range
        .arg(stream)
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
    let received = blocking(move || read(&server.url(), "orders")).await;
    judge(&received, enqueued);
}

async fn cut(server: Arc<Shared>) {
    let name = unique("orders");
    let sink = RedisStreamsSink::builder(server.url())
        .max_len(10)
        .build()
        .unwrap();
    let mut stream = Stream::to(sink, &name).await;
    stream.enqueue(500).await;
    stream.finish().await;
    let left = blocking(move || {
        let left = read(&server.url(), &name).len();
        let client = redis::Client::open(server.url()).unwrap();
        let mut connection = client.get_connection().unwrap();
        redis::cmd("DEL").arg(&name).exec(&mut connection).unwrap();
        left
    })
    .await;
    // The server cuts whole nodes of a hundred.
    assert!(left < 250, "{left}");
}

/// Connections that the server has taken so far.
fn connections(admin: &mut redis::Connection) -> u64 {
    let info: String = redis::cmd("INFO").arg("stats").query(admin).unwrap();
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("total_connections_received:"));
    line.unwrap().trim().parse().unwrap()
}

fn replica_of(admin: &mut redis::Connection, host: &str, port: &str) {
    redis::cmd("REPLICAOF").arg(host).arg(port).exec(admin).unwrap();
}

/// Behind an address that moves with the primary a connection to the former one would never succeed again.
async fn demoted() {
    let server = Arc::new(blocking(|| start(Kind::Redis).unwrap()).await);
    let mut admin = redis::Client::open(server.url())
        .unwrap()
        .get_connection()
        .unwrap();
    let sink = RedisStreamsSink::builder(server.url()).build().unwrap();
    let mut stream = Stream::to(sink, "orders").await;
    stream.enqueue(20).await;
    stream.acked(20).await;
    // Of a primary that does not answer: it takes no writes.
    replica_of(&mut admin, "127.0.0.1", "1");
    stream.enqueue(20).await;
    stream.fails().await;
    // Calls that were under way together fail on one connection; those after them are made on a new one.
    let before = connections(&mut admin);
    while connections(&mut admin) == before {
        stream.fails().await;
    }
    replica_of(&mut admin, "NO", "ONE");
    stream.finish().await;
    let received = blocking(move || read(&server.url(), "orders")).await;
    judge(&received, 40);
}
