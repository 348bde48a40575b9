//! Why a server hangs up. One that has as many connections as its `maxclients` allows says so and ends the connection at once. By
//! then the driver has sent commands, and all that it reports is their end; so the words are listened for on a connection over
//! which nothing is sent. A server says nothing over TLS, where it cannot before the greetings.

use std::io;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use redis::{ConnectionAddr, ConnectionInfo, RedisError, Value};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::error::Elapsed;

use crate::error::is_out_of_connections;

/// How often a server is dialled that has room again whenever it is asked.
const TRIES: usize = 3;
/// How long the words may take to come, at most. A server that has room says nothing.
const PATIENCE: Duration = Duration::from_secs(1);
/// No server says more.
const LONGEST: u64 = 512;

/// What was heard of a server that hung up.
enum Heard {
    Words(RedisError),
    /// It keeps the connection and waits: it has room again.
    Silence,
    Nothing,
}

/// Dials, and finds out why a server hangs up.
pub(crate) async fn dial<C, F>(nodes: &[ConnectionInfo], connect: impl Fn() -> F) -> Result<C, RedisError>
where
    F: Future<Output = Result<C, RedisError>>,
{
    let mut dialled = connect().await;
    for _ in 1..TRIES {
        if !dialled.as_ref().is_err_and(has_hung_up) {
            break;
        }
        match listen(nodes).await {
            Heard::Words(error) => return Err(error),
            Heard::Silence => dialled = connect().await,
            Heard::Nothing => break,
        }
    }
    dialled
}

/// Somebody took the connection and ended it before it was set up. Of a cluster's nodes the driver tells no more than that none
/// could be reached.
fn has_hung_up(error: &RedisError) -> bool {
    error.is_connection_dropped() && !error.is_connection_refusal()
}

/// Listens to all nodes, until one says something.
async fn listen(nodes: &[ConnectionInfo]) -> Heard {
    let mut heard = Heard::Nothing;
    let mut all: FuturesUnordered<_> = nodes.iter().map(|node| of_node(node.addr())).collect();
    while let Some(one) = all.next().await {
        match one {
            Heard::Words(_) => return one,
            Heard::Silence => heard = one,
            Heard::Nothing => {}
        }
    }
    heard
}

async fn of_node(address: &ConnectionAddr) -> Heard {
    match address {
        ConnectionAddr::Tcp(host, port) => of(TcpStream::connect((host.as_str(), *port))).await,
        #[cfg(unix)]
        ConnectionAddr::Unix(path) => of(tokio::net::UnixStream::connect(path)).await,
        _ => Heard::Nothing,
    }
}

async fn of<S: AsyncRead + Unpin>(connecting: impl Future<Output = io::Result<S>>) -> Heard {
    let Ok(Ok(stream)) = within(PATIENCE, connecting).await else {
        return Heard::Nothing;
    };
    let mut words = Vec::new();
    let mut stream = BufReader::new(stream.take(LONGEST));
    match within(PATIENCE, stream.read_until(b'\n', &mut words)).await {
        Err(_) => Heard::Silence,
        Ok(_) => understood(&words),
    }
}

fn understood(words: &[u8]) -> Heard {
    let said = redis::parse_redis_value(words).and_then(Value::extract_error);
    match said {
        Err(error) if is_out_of_connections(&error) => Heard::Words(error),
        _ => Heard::Nothing,
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "what a server does not say is noticed by real time only; no decision about a task depends on it"
)]
async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> Result<T, Elapsed> {
    tokio::time::timeout(limit, future).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_another_sort_are_none() {
        let crowded = b"-ERR max number of clients reached\r\n".as_slice();
        assert!(matches!(understood(crowded), Heard::Words(_)));
        for other in [
            "-DENIED Redis is running in protected mode\r\n",
            "+OK\r\n",
            "HTTP/1.1 400",
            "",
            "-ERR max num",
        ] {
            assert!(matches!(understood(other.as_bytes()), Heard::Nothing), "{other}");
        }
    }
}
