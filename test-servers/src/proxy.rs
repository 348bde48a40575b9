//! A TCP proxy before a server that fails on demand, as a network does.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// What the proxy does with bytes that arrive from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Fault {
    /// Passes everything on.
    None,
    /// Passes requests on; where an answer arrives, drops it and closes the connection. What was asked for has been done.
    LoseReplies,
    /// Drops what a client sends and closes the connection. What was asked for has not been done.
    LoseRequests,
    /// Closes new connections at once and those in use at their next byte.
    Refuse,
}

impl Fault {
    const ALL: [Self; 4] = [Self::None, Self::LoseReplies, Self::LoseRequests, Self::Refuse];
}

/// A proxy on a port of its own. Dropping it closes every connection.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    target: Mutex<SocketAddr>,
    fault: AtomicU8,
    lost: AtomicUsize,
    closed: AtomicBool,
    /// Counts the connections.
    number: AtomicU64,
    /// Both ends of those that are open.
    streams: Mutex<HashMap<u64, [TcpStream; 2]>>,
}

/// Which way bytes go.
#[derive(Debug, Clone, Copy)]
enum Way {
    Request,
    Reply,
}

impl Proxy {
    /// Listens before the server at `port` of the loopback address.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn start(port: u16) -> io::Result<Self> {
        Self::before((Ipv4Addr::LOCALHOST, port).into())
    }

    /// Listens before a server anywhere.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn before(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let state = Arc::new(State {
            target: Mutex::new(target),
            fault: AtomicU8::new(Fault::None as u8),
            lost: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            number: AtomicU64::new(0),
            streams: Mutex::default(),
        });
        let port = listener.local_addr()?.port();
        let shared = Arc::clone(&state);
        thread::Builder::new()
            .name("proxy".to_owned())
            .spawn(move || shared.serve(&listener))?;
        Ok(Self { port, state })
    }

    /// Where clients connect to.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Changes what becomes of bytes that arrive from now on.
    pub fn set(&self, fault: Fault) {
        self.state.fault.store(fault as u8, Ordering::SeqCst);
    }

    /// Leads new connections to another port of the loopback address, as a name does that was given to another server. Open ones stay.
    pub fn lead_to(&self, port: u16) {
        *self.state.target() = (Ipv4Addr::LOCALHOST, port).into();
    }

    /// Closes every connection now; new ones are served.
    pub fn cut(&self) {
        for (_, ends) in self.state.open().drain() {
            for stream in ends {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
    }

    /// How many requests or replies were dropped so far.
    #[must_use]
    pub fn lost(&self) -> usize {
        self.state.lost.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.closed.store(true, Ordering::SeqCst);
        self.cut();
        // Wakes the thread that waits for connections, so that it sees the end.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

impl State {
    fn serve(self: Arc<Self>, listener: &TcpListener) {
        for client in listener.incoming() {
            if self.closed.load(Ordering::SeqCst) {
                return;
            }
            // A client that went away, or a server that is down: both look like a closed connection.
            let _ = client.and_then(|client| self.connect(client));
        }
    }

    fn connect(self: &Arc<Self>, client: TcpStream) -> io::Result<()> {
        if self.fault() == Fault::Refuse {
            return client.shutdown(Shutdown::Both);
        }
        let target = *self.target();
        let server = TcpStream::connect(target)?;
        // Small messages must not wait for one another, or the proxy would change what it measures.
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let number = self.number.fetch_add(1, Ordering::SeqCst);
        let ends = [client.try_clone()?, server.try_clone()?];
        self.open().insert(number, ends);
        let requests = self.pump(number, client.try_clone()?, server.try_clone()?, Way::Request);
        requests.and_then(|()| self.pump(number, server, client, Way::Reply))
    }

    fn open(&self) -> MutexGuard<'_, HashMap<u64, [TcpStream; 2]>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pump(self: &Arc<Self>, number: u64, from: TcpStream, to: TcpStream, way: Way) -> io::Result<()> {
        let state = Arc::clone(self);
        let pump = move || {
            let _ = state.copy(&from, &to, way);
            let _ = from.shutdown(Shutdown::Both);
            let _ = to.shutdown(Shutdown::Both);
            // Else its sockets stayed until the next cut.
            state.open().remove(&number);
        };
        thread::Builder::new()
            .name("proxy-pump".to_owned())
            .spawn(pump)
            .map(drop)
    }

    fn copy(&self, mut from: &TcpStream, mut to: &TcpStream, way: Way) -> io::Result<()> {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let length = from.read(&mut buffer)?;
            if length == 0 {
                return Ok(());
            }
            match (self.fault(), way) {
                (Fault::None, _) | (Fault::LoseReplies, Way::Request) | (Fault::LoseRequests, Way::Reply) => {
                    to.write_all(&buffer[..length])?;
                }
                _ => {
                    self.lost.fetch_add(1, Ordering::SeqCst);
                    return Ok(());
                }
            }
        }
    }

    fn target(&self) -> MutexGuard<'_, SocketAddr> {
        self.target.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fault(&self) -> Fault {
        let number = usize::from(self.fault.load(Ordering::SeqCst));
        Fault::ALL[number]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers every byte with itself, for ever.
    fn echo() -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("its address").port();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a connection");
                let mut back = stream.try_clone().expect("its other half");
                thread::spawn(move || io::copy(&mut stream, &mut back));
            }
        });
        port
    }

    fn said(port: u16) -> Option<u8> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
        stream.write_all(b"x").ok()?;
        let mut answer = [0];
        stream.read_exact(&mut answer).ok().map(|()| answer[0])
    }

    #[test]
    fn each_fault_closes_and_none_passes() {
        let proxy = Proxy::start(echo()).expect("a proxy");
        assert_eq!(said(proxy.port()), Some(b'x'));
        for fault in [Fault::LoseReplies, Fault::LoseRequests, Fault::Refuse] {
            proxy.set(fault);
            assert_eq!(said(proxy.port()), None, "{fault:?}");
        }
        assert_eq!(proxy.lost(), 2, "a reply and a request");
        proxy.set(Fault::None);
        assert_eq!(said(proxy.port()), Some(b'x'));
    }

    #[test]
    fn a_cut_ends_connections_in_use() {
        let proxy = Proxy::start(echo()).expect("a proxy");
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).expect("a connection");
        stream.write_all(b"x").expect("sent");
        let mut answer = [0];
        stream.read_exact(&mut answer).expect("answered");
        proxy.cut();
        assert!(matches!(stream.read(&mut answer), Ok(0) | Err(_)), "closed");
    }

    #[test]
    fn a_connection_that_ended_is_forgotten() {
        let proxy = Proxy::start(echo()).expect("a proxy");
        for _ in 0..20 {
            assert_eq!(said(proxy.port()), Some(b'x'));
        }
        // Its ends notice one after the other.
        while !proxy.state.open().is_empty() {
            thread::yield_now();
        }
    }
}
