//! RabbitMQ.

use std::collections::BTreeSet;
use std::io::{Read as _, Seek as _};
use std::path::Path;
use std::pin::pin;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use lapin::options::{BasicGetOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ConnectionProperties};
use libtest_mimic::Trial;
use retry_core::client::Client;
use retry_core::clock::{Clock as _, SystemClock};
use retry_core::store::MemoryStore;
use retry_sinks::{Message, RabbitSink, Relay, SinkQueue, TASK_ID_HEADER};
use test_servers::{Kind, Reach as _, Server, Shared, start, unique};

use crate::stream::{Received, Stream, blocking, judge, with_kills};
use crate::{on_each, with};

pub(crate) fn trials() -> Vec<Trial> {
    let alone = [
        with(Kind::RabbitMq, "killed_in_the_middle", killed),
        with(
            Kind::RabbitMq,
            "what_is_returned_is_told_from_what_is_taken",
            mixed,
        ),
        with(
            Kind::RabbitMq,
            "a_queue_that_hangs_holds_up_its_own_messages_alone",
            hangs,
        ),
    ];
    let shared = on_each(Kind::RabbitMq, "an_unroutable_message_waits_for_its_queue", later);
    shared.into_iter().chain(alone).collect()
}

/// How long the driver, and the broker's own tool, may take for what a test asks of them, and how often they are asked. The driver
/// never tells of a connection that ends while it is opened, and the tool is a chain of programs that has to end as a whole.
const LIMIT: Duration = Duration::from_secs(30);
const TRIES: usize = 3;

async fn channel(url: &str) -> (Connection, Channel) {
    let clock = SystemClock::new();
    for _ in 0..TRIES {
        let opening = async {
            let connection = Connection::connect(url, ConnectionProperties::default()).await?;
            let channel = connection.create_channel().await?;
            lapin::Result::Ok((connection, channel))
        };
        let over = clock.sleep_until(clock.monotonic() + LIMIT);
        if let Either::Left((opened, _)) = select(pin!(opening), over).await {
            return opened.unwrap();
        }
    }
    panic!("the broker at {url} opens no connection");
}

pub(crate) async fn declare(url: &str, queue: &str, durable: bool) {
    let (_connection, channel) = channel(url).await;
    let options = QueueDeclareOptions {
        durable,
        ..QueueDeclareOptions::default()
    };
    channel
        .queue_declare(queue.into(), options, FieldTable::default())
        .await
        .unwrap();
}

pub(crate) async fn read(url: &str, queue: &str) -> Vec<Received> {
    let (_connection, channel) = channel(url).await;
    let mut received = Vec::new();
    let options = BasicGetOptions { no_ack: true };
    while let Some(message) = channel.basic_get(queue.into(), options).await.unwrap() {
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

/// The broker writes a new queue to its files seconds after it has answered: killed before that, it comes back without the
/// queue, and without what it has acknowledged of it.
fn written_down(folder: &Path, queue: &str) {
    let data = folder.join("data");
    let is_there = || {
        let nodes = std::fs::read_dir(&data).unwrap();
        let mut logs = nodes.filter_map(|node| std::fs::read(node.ok()?.path().join("LATEST.LOG")).ok());
        logs.any(|log| log.windows(queue.len()).any(|text| text == queue.as_bytes()))
    };
    assert!(
        (0..1_000_000).any(|_| is_there()),
        "`{queue}` is in no log of {data:?}"
    );
}

async fn killed() {
    let server = Arc::new(blocking(|| start(Kind::RabbitMq).unwrap()).await);
    declare(&server.url(), "orders", true).await;
    written_down(server.folder(), "orders");
    let sink = RabbitSink::builder(server.url()).build().unwrap();
    let stream = Stream::to(sink, "orders").await;
    let enqueued = with_kills(stream, &server).await;
    judge(&read(&server.url(), "orders").await, enqueued);
}

async fn later(server: Arc<Shared>) {
    let name = unique("orders");
    let sink = RabbitSink::builder(server.url()).build().unwrap();
    let mut stream = Stream::to(sink, &name).await;
    stream.enqueue(30).await;
    stream.fails().await;
    declare(&server.url(), &name, true).await;
    stream.finish().await;
    judge(&read(&server.url(), &name).await, 30);
    let (_connection, channel) = channel(&server.url()).await;
    let options = QueueDeleteOptions::default();
    channel.queue_delete(name.as_str().into(), options).await.unwrap();
}

/// Every second message has no queue, those with a key in one call, those without in calls at the same time.
async fn mixed() {
    const EACH: u64 = 400;
    let server = Arc::new(blocking(|| start(Kind::RabbitMq).unwrap()).await);
    // It confirms at once, so that confirms of both sorts go out together.
    declare(&server.url(), "orders", false).await;
    let client = Client::new(MemoryStore::new());
    let events = SinkQueue::new("events").unwrap().partitions(2).unwrap();
    let mut drafts = Vec::new();
    for n in 0..EACH {
        for topic in ["orders", "nowhere"] {
            let mut message = Message::text(format!("{topic} {n}")).topic(topic);
            if n % 4 != 0 {
                message = message.key(format!("{topic} {n}"));
            }
            drafts.push(events.draft(message).unwrap());
        }
    }
    client.enqueue_many(drafts).await.unwrap();
    let sink = RabbitSink::builder(server.url()).build().unwrap();
    let relay = Relay::builder(&client, events, sink);
    let relay = relay.build().unwrap().start().await.unwrap();
    while relay.counts().acked < EACH || relay.counts().retried < EACH {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        relay.counts().acked,
        EACH,
        "what no queue takes is not acknowledged"
    );
    declare(&server.url(), "nowhere", true).await;
    while relay.counts().acked < 2 * EACH {
        tokio::task::yield_now().await;
    }
    relay.shutdown().await;
    for queue in ["orders", "nowhere"] {
        has_all(&server.url(), queue, EACH).await;
    }
}

/// The queue has every message that was meant for it, and no other.
async fn has_all(url: &str, queue: &str, messages: u64) {
    let received = read(url, queue).await;
    let bodies: BTreeSet<String> = received
        .iter()
        .map(|message| String::from_utf8(message.body.clone()).unwrap())
        .collect();
    let wanted: BTreeSet<String> = (0..messages).map(|n| format!("{queue} {n}")).collect();
    assert_eq!(bodies, wanted);
}

/// Has the process of a queue stop its work, or go on.
fn tell(server: &Server, queue: &str, what: &str) {
    let code = format!(
        "{{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<\"/\">>, queue, <<\"{queue}\">>)), \
         sys:{what}(amqqueue:get_pid(Q))."
    );
    eval(server, &code);
}

/// Has the node of a server evaluate some Erlang.
pub(crate) fn eval(server: &Server, code: &str) {
    let cookie = std::fs::read_to_string(server.folder().join(".erlang.cookie")).unwrap();
    let (mapper, port) = (server.ports()[0], server.ports()[1]);
    // Debian's program on the path changes the user and writes its arguments anew.
    let own = Path::new("/usr/lib/rabbitmq/bin/rabbitmqctl");
    let tool = if own.is_file() {
        own
    } else {
        Path::new("rabbitmqctl")
    };
    let mut said = String::new();
    for _ in 0..TRIES {
        // A file, not a pipe, which whatever the tool leaves behind would hold open.
        let mut told = tempfile::tempfile().unwrap();
        let done = Command::new("timeout")
            .args(["-k", "5", &LIMIT.as_secs().to_string()])
            .arg(tool)
            .env("ERL_EPMD_PORT", mapper.to_string())
            .args(["--node", &format!("retry-{port}@localhost")])
            .args(["--erlang-cookie", cookie.trim(), "eval", code])
            .stdin(Stdio::null())
            .stdout(told.try_clone().unwrap())
            .stderr(told.try_clone().unwrap())
            .status();
        if done.unwrap().success() {
            return;
        }
        told.rewind().unwrap();
        told.read_to_string(&mut said).unwrap();
    }
    panic!("{said}");
}

async fn hangs() {
    const EACH: u64 = 20;
    let server = Arc::new(blocking(|| start(Kind::RabbitMq).unwrap()).await);
    for queue in ["orders", "stuck"] {
        declare(&server.url(), queue, true).await;
    }
    let order = |what: &'static str| {
        let server = Arc::clone(&server);
        blocking(move || tell(&server, "stuck", what))
    };
    order("suspend").await;
    let client = Client::new(MemoryStore::new());
    let events = SinkQueue::new("events").unwrap().partitions(1).unwrap();
    let mut drafts = Vec::new();
    for n in 0..EACH {
        for topic in ["orders", "stuck"] {
            let text = format!("{topic} {n}");
            drafts.push(
                events
                    .draft(Message::text(text.clone()).topic(topic).key(text))
                    .unwrap(),
            );
        }
    }
    client.enqueue_many(drafts).await.unwrap();
    let sink = RabbitSink::builder(server.url())
        // Also for connecting, which each attempt does that hears nothing of any of its messages.
        .confirm_timeout(Duration::from_secs(2))
        .build()
        .unwrap();
    let relay = Relay::builder(&client, events, sink);
    let relay = relay.build().unwrap().start().await.unwrap();
    while relay.counts().acked < EACH || relay.counts().retried < EACH {
        tokio::task::yield_now().await;
    }
    assert_eq!(relay.counts().acked, EACH, "those of the other queue");
    order("resume").await;
    while relay.counts().acked < 2 * EACH {
        tokio::task::yield_now().await;
    }
    relay.shutdown().await;
    for queue in ["orders", "stuck"] {
        has_all(&server.url(), queue, EACH).await;
    }
}
