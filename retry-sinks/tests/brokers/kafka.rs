//! Kafka's protocol, spoken to the cluster in memory that librdkafka brings: `kcat` hosts it and shows what it consumes from it.
//! It keeps nothing when it dies, so it is not killed here.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use libtest_mimic::Trial;
use retry_sinks::{KafkaSink, TASK_ID_HEADER};

use crate::plain;
use crate::stream::{Received, Stream, blocking, judge};

/// What `kcat` says when its cluster listens.
const LISTENS: &str = "bootstrap.servers=";

pub(crate) fn trials() -> Vec<Trial> {
    // No package has Kafka itself, so nothing can be required.
    let there = Command::new("kcat").arg("-V").output().is_ok();
    vec![plain("kafka::a_cluster_in_memory", produced).with_ignored_flag(!there)]
}

/// A consumer that hosts the cluster it consumes from.
struct Kcat(Child);

impl Drop for Kcat {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Starts it; answers where it listens as well.
fn kcat() -> (Kcat, String) {
    let mut child = Command::new("kcat")
        .args([
            "-C",
            "-b",
            "none",
            "-t",
            "orders",
            "-o",
            "beginning",
            "-u",
            "-f",
            "%k|%h|%s\n",
        ])
        .args(["-X", "test.mock.num.brokers=1", "-d", "mock"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    let line = said
        .find_map(|line| line.ok().filter(|line| line.contains(LISTENS)))
        .unwrap();
    let (_, address) = line.split_once(LISTENS).unwrap();
    let address = address.trim().to_owned();
    // It must not stop because nobody reads.
    std::thread::spawn(move || said.for_each(drop));
    (Kcat(child), address)
}

/// Reads until so many messages came.
fn read(kcat: &mut Kcat, wanted: usize) -> Vec<Received> {
    let (mut known, mut received) = (BTreeSet::new(), Vec::new());
    for line in BufReader::new(kcat.0.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let mut fields = line.splitn(3, '|');
        let (key, headers, body) = (
            fields.next().unwrap(),
            fields.next().unwrap(),
            fields.next().unwrap(),
        );
        let header = |name: &str| {
            let of_name = |header: &str| header.strip_prefix(name)?.strip_prefix('=').map(str::to_owned);
            headers.split(',').find_map(of_name)
        };
        let id = header(TASK_ID_HEADER).unwrap();
        known.insert(id.clone());
        assert_eq!(header("retry-key").unwrap_or_default(), key);
        received.push(Received {
            id,
            key: header("retry-key"),
            header: header("colour"),
            body: body.as_bytes().to_vec(),
        });
        if known.len() == wanted {
            break;
        }
    }
    received
}

async fn produced() {
    let (mut kcat, address) = blocking(kcat).await;
    let sink = KafkaSink::builder([address]).build().unwrap();
    let mut stream = Stream::to(sink, "orders").await;
    stream.enqueue(300).await;
    stream.acked(100).await;
    stream.enqueue(300).await;
    let enqueued = stream.enqueued();
    stream.finish().await;
    let received = blocking(move || read(&mut kcat, usize::try_from(enqueued).unwrap())).await;
    judge(&received, enqueued);
}
