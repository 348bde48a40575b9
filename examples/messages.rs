//! A business write and its messages in one transaction, and a relay that hands the messages over to a bad receiver: each is sent
//! until it is taken, and those of a customer arrive in order.
//!
//! ```sh
//! cargo run --example messages --features sinks-http
//! ```
#![expect(
    clippy::print_stdout,
    reason = "a program for the command line shows its result there"
)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use task_retry::Client;
use task_retry::sinks::{HttpSink, Message, Relay, SinkQueue};
use task_retry::sqlite::SqliteStore;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

type Anything = Box<dyn std::error::Error + Send + Sync>;

/// What a receiver has to do: drop what it knows by its id.
#[derive(Default)]
struct Inbox {
    requests: u32,
    known: BTreeMap<String, ()>,
    by_customer: BTreeMap<String, Vec<String>>,
}

/// Answers every third request with 503, and every fourth that it takes not at all.
async fn receive(stream: TcpStream, inbox: Arc<Mutex<Inbox>>) -> Result<(), Anything> {
    let mut stream = BufReader::new(stream);
    let (mut line, mut headers) = (String::new(), BTreeMap::new());
    stream.read_line(&mut line).await?;
    loop {
        line.clear();
        stream.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.insert(name.to_owned(), value.to_owned());
    }
    let mut body = vec![0; headers["content-length"].parse()?];
    stream.read_exact(&mut body).await?;
    let answer = {
        let mut inbox = inbox.lock().map_err(|_| "poisoned")?;
        inbox.requests += 1;
        if inbox.requests.is_multiple_of(3) {
            Some("503 Service Unavailable")
        } else {
            if inbox.known.insert(headers["retry-task-id"].clone(), ()).is_none() {
                let of_customer = inbox.by_customer.entry(headers["retry-key"].clone()).or_default();
                of_customer.push(String::from_utf8(body)?);
            }
            (!inbox.requests.is_multiple_of(4)).then_some("204 No Content")
        }
    };
    if let Some(status) = answer {
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).await?;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Anything> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/events", listener.local_addr()?);
    let inbox = Arc::new(Mutex::new(Inbox::default()));
    let receiver = Arc::clone(&inbox);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(receive(stream, Arc::clone(&receiver)));
        }
    });

    let client = Client::new(SqliteStore::open("messages.db")?);
    let events = SinkQueue::new("events")?;
    for step in ["ordered", "paid", "packed", "sent"] {
        for customer in ["ada", "bob", "eve"] {
            let message = Message::text(step).topic("orders").key(customer);
            client.enqueue(events.draft(message)?).await?; // `.in_tx(&tx)?` beside the business write
        }
    }

    let relay = Relay::builder(&client, events, HttpSink::builder(url).build()?).build()?;
    let relay = relay.start().await?;
    while relay.counts().acked < 12 {
        tokio::task::yield_now().await;
    }
    println!("{:?}", relay.counts());
    relay.shutdown().await;

    let inbox = inbox.lock().map_err(|_| "poisoned")?;
    for (customer, steps) in &inbox.by_customer {
        println!("{customer}: {}", steps.join(", "));
        assert_eq!(*steps, ["ordered", "paid", "packed", "sent"]);
    }
    assert_eq!(inbox.by_customer.len(), 3);
    Ok(())
}
