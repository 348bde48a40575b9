//! The reading threads: reads keep the caller's async threads free, and neither wait for writes nor hold them up for long.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// A read on its way: it brings what it reads from, and sends its answer itself.
pub(crate) type Read = Box<dyn FnOnce() + Send>;

/// The threads. Dropping them waits for the reads that were sent.
#[derive(Debug)]
pub(crate) struct Readers {
    inbox: Option<Sender<Read>>,
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    pub(crate) fn start(count: usize) -> io::Result<Self> {
        let (inbox, reads) = channel();
        let reads = Arc::new(Mutex::new(reads));
        let threads = (0..count).map(|_| {
            let reads = Arc::clone(&reads);
            thread::Builder::new()
                .name("retry-sled-reader".to_owned())
                .spawn(move || run(&reads))
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
        let current = thread::current().id();
        for thread in self
            .threads
            .drain(..)
            .filter(|thread| thread.thread().id() != current)
        {
            // It ends itself; a panic was answered where it came from.
            let _ = thread.join();
        }
    }
}

fn run(reads: &Mutex<Receiver<Read>>) {
    loop {
        // Whoever waits holds the lock; the others wait for it.
        let next = reads.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(read) = next else { return };
        // A panic drops the answer's sender, which the caller notices.
        if catch_unwind(AssertUnwindSafe(read)).is_err() {
            tracing::error!("a read panicked");
        }
    }
}
