//! NATS JetStream.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::stream::{Config, StorageType};
use async_nats::jetstream::{self, Context};
use libtest_mimic::Trial;
use retry_sinks::{NatsSink, TASK_ID_HEADER};
use test_servers::{Kind, Reach as _, Shared, start, unique};

use crate::stream::{Received, Stream, blocking, judge, with_kills};
use crate::{on_each, with};

pub(crate) fn trials() -> Vec<Trial> {
    let mut all = on_each(Kind::Nats, "a_stream_may_come_later", later);
    all.push(with(Kind::Nats, "killed_in_the_middle", killed));
    all
}

pub(crate) fn config(name: &str) -> Config {
    Config {
        name: name.to_owned(),
        subjects: vec![name.to_owned(), format!("{name}.>")],
        storage: StorageType::File,
        duplicate_window: Duration::from_mins(10),
        ..Config::default()
    }
}

pub(crate) async fn read(context: &Context, name: &str) -> Vec<Received> {
    let stream = context.get_stream(name).await.unwrap();
    let mut received = Vec::new();
    for sequence in 1..=stream.cached_info().state.last_sequence {
        let message = stream.get_raw_message(sequence).await.unwrap();
        let header = |name: &str| message.headers.get(name).map(|value| value.as_str().to_owned());
        let id = header(TASK_ID_HEADER).unwrap();
        assert_eq!(header("Nats-Msg-Id").as_ref(), Some(&id));
        received.push(Received {
            id,
            key: header("retry-key"),
            header: header("colour"),
            body: message.payload.to_vec(),
        });
    }
    received
}

async fn killed() {
    let server = Arc::new(blocking(|| start(Kind::Nats).unwrap()).await);
    let context = jetstream::new(async_nats::connect(server.url()).await.unwrap());
    context.create_stream(config("orders")).await.unwrap();
    let sink = NatsSink::builder(server.url())
        .ack_timeout(Duration::from_secs(2))
        .build()
        .unwrap();
    let stream = Stream::to(sink, "orders.new").await;
    let enqueued = with_kills(stream, &server).await;
    // The broker was restarted.
    let context = jetstream::new(async_nats::connect(server.url()).await.unwrap());
    let received = read(&context, "orders").await;
    // The server knows a repetition by its id.
    assert_eq!(received.len(), usize::try_from(enqueued).unwrap());
    judge(&received, enqueued);
}

async fn later(server: Arc<Shared>) {
    let name = unique("orders");
    let sink = NatsSink::builder(server.url()).build().unwrap();
    let mut stream = Stream::to(sink, &format!("{name}.new")).await;
    stream.enqueue(30).await;
    stream.fails().await;
    let context = jetstream::new(async_nats::connect(server.url()).await.unwrap());
    context.create_stream(config(&name)).await.unwrap();
    stream.finish().await;
    judge(&read(&context, &name).await, 30);
    context.delete_stream(&name).await.unwrap();
}
