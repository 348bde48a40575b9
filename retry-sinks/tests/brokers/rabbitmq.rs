//! RabbitMQ.

use std::sync::Arc;

use lapin::options::{BasicGetOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ConnectionProperties};
use libtest_mimic::Trial;
use retry_sinks::{RabbitSink, TASK_ID_HEADER};
use test_servers::{Kind, start};

use crate::stream::{Received, Stream, blocking, judge, with_kills};
use crate::with;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        with(Kind::RabbitMq, "killed_in_the_middle", killed),
        with(Kind::RabbitMq, "an_unroutable_message_waits_for_its_queue", later),
    ]
}

async fn channel(url: &str) -> (Connection, Channel) {
    let connection = Connection::connect(url, ConnectionProperties::default())
        .await
        .unwrap();
    let channel = connection.create_channel().await.unwrap();
    (connection, channel)
}

async fn declare(url: &str) {
    let (_connection, channel) = channel(url).await;
    let options = QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    };
    channel
        .queue_declare("orders".into(), options, FieldTable::default())
        .await
        .unwrap();
}

async fn read(url: &str) -> Vec<Received> {
    let (_connection, channel) = channel(url).await;
    let mut received = Vec::new();
    let options = BasicGetOptions { no_ack: true };
    while let Some(message) = channel.basic_get("orders".into(), options).await.unwrap() {
        let delivery = message.delivery;
        let headers = delivery.properties.headers().clone().unwrap();
        let header = |name: &str| match headers.inner().get(name) {
            Some(AMQPValue::LongString(text)) => Some(text.to_string()),
            _ => None,
        };
        let id = header(TASK_ID_HEADER).unwrap();
        assert_eq!(
            delivery.properties.message_id().as_ref().map(|id| id.as_str()),
            Some(id.as_str())
        );
        received.push(Received {
            id,
            key: header("retry-key"),
            header: header("colour"),
            body: delivery.data,
        });
    }
    received
}

async fn killed() {
    let server = Arc::new(blocking(|| start(Kind::RabbitMq).unwrap()).await);
    declare(&server.url()).await;
    let sink = RabbitSink::builder(server.url()).build().unwrap();
    let stream = Stream::to(sink, "orders").await;
    let enqueued = with_kills(stream, &server).await;
    judge(&read(&server.url()).await, enqueued);
}

async fn later() {
    let server = Arc::new(blocking(|| start(Kind::RabbitMq).unwrap()).await);
    let sink = RabbitSink::builder(server.url()).build().unwrap();
    let mut stream = Stream::to(sink, "orders").await;
    stream.enqueue(30).await;
    stream.fails().await;
    declare(&server.url()).await;
    stream.finish().await;
    judge(&read(&server.url()).await, 30);
}
