//! A door before the server that stops a client where it sends a certain statement. It reads what passes, so clients come without
//! TLS (`Place::url_in_clear_at`).

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// A statement of its own in the text protocol: one byte of kind, the text.
pub(crate) const COMMIT: &[u8] = b"\x03COMMIT";

/// Clients connect to `port`; each statement they send with the watched bytes in it waits until it is let pass.
pub(crate) struct Gate {
    pub(crate) port: u16,
    arrived: UnboundedReceiver<Sender<()>>,
}

impl Gate {
    pub(crate) fn before(server: SocketAddr, watched: &'static [u8]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tell, arrived) = unbounded_channel();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let server = TcpStream::connect(server).unwrap();
                let (back, answers) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let tell = tell.clone();
                thread::spawn(move || pass(client, server, Some((&tell, watched))));
                thread::spawn(move || pass(answers, back, None));
            }
        });
        Self { port, arrived }
    }

    /// Waits for such a statement, and gives what lets it pass.
    pub(crate) async fn stopped(&mut self) -> Sender<()> {
        self.arrived.recv().await.unwrap()
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, tell: Option<(&UnboundedSender<Sender<()>>, &[u8])>) {
    let mut buffer = [0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        let sent = &buffer[..read];
        if let Some((tell, _)) =
            tell.filter(|(_, bytes)| sent.windows(bytes.len()).any(|part| part == *bytes))
        {
            let (open, opened): (Sender<()>, Receiver<()>) = channel();
            if tell.send(open).is_ok() {
                let _ = opened.recv();
            }
        }
        if to.write_all(&buffer[..read]).is_err() {
            return;
        }
    }
}
