//! The reading threads, each with a connection of its own: reads neither wait for writes nor hold them up.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use rusqlite::Connection;

use crate::memo::Memo;

/// A read on its way: it keeps and sends its answer itself.
pub(crate) type Read = Box<dyn FnOnce(&Connection, &mut Memo) + Send>;

/// The threads. Dropping them waits for the reads that were sent.
#[derive(Debug)]
pub(crate) struct Readers {
    inbox: Option<Sender<Read>>,
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    pub(crate) fn start(connections: Vec<Connection>) -> io::Result<Self> {
        let (inbox, reads) = channel();
        let reads = Arc::new(Mutex::new(reads));
        let threads = connections.into_iter().map(|conn| {
            let reads = Arc::clone(&reads);
            thread::Builder::new()
                .name("retry-sqlite-reader".to_owned())
                .spawn(move || run(&conn, &reads))
        });
        Ok(Self {
            threads: threads.collect::<io::Result<_>>()?,
            inbox: Some(inbox),
        })
    }

    /// Sends a read; false: the threads are gone.
    pub(crate) fn send(&self, read: Read) -> bool {
        self.inbox.as_ref().is_some_and(|inbox| inbox.send(read).is_ok())
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        drop(self.inbox.take());
        for thread in self.threads.drain(..) {
            // It ends itself; a panic was answered where it came from.
            let _ = thread.join();
        }
    }
}

fn run(conn: &Connection, reads: &Mutex<Receiver<Read>>) {
    let mut memo = Memo::default();
    loop {
        // Whoever waits holds the lock; the others wait for it.
        let next = reads.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(read) = next else { return };
        // A panic drops the answer's sender, which the caller notices.
        if catch_unwind(AssertUnwindSafe(|| read(conn, &mut memo))).is_err() {
            tracing::error!("a read panicked");
        }
        if !conn.is_autocommit() && conn.execute_batch("ROLLBACK").is_err() {
            tracing::error!("a read could not be ended; its connection is given up");
            return;
        }
    }
}
