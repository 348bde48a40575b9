//! How a call travels: to the writer or to a reader, and its answer back.

use std::sync::Arc;

use retry_core::store::{Result, StoreError, StoreErrorKind};
use tokio::sync::oneshot;

use crate::disk::Disk;
use crate::error::{During, Outcome, store_error};
use crate::files::{Files, closed};
use crate::job::{Desk, StoreJob, not_run};
use crate::store::SledStore;

impl SledStore {
    /// Does `work` on the writer thread.
    pub(crate) async fn write<T, F>(&self, bytes: usize, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(Desk<'_, '_>) -> Outcome<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let files = Arc::clone(&self.inner.files);
        let work = move |desk: Desk<'_, '_>| {
            work(desk).map_err(|fault| store_error(fault, During::Call, &files.dir))
        };
        let inbox = self.inner.inbox.as_ref();
        let job = Box::new(StoreJob::new(bytes, work, reply));
        let sent = inbox.is_some_and(|inbox| inbox.send(job).is_ok());
        if !sent {
            return Err(not_run());
        }
        let waiting = self.inner.dropped.wait();
        let answer = answer.await;
        waiting.answered();
        // The writer ended without an answer, which it never does.
        answer.unwrap_or_else(|_| {
            Err(StoreError::unknown(
                StoreErrorKind::Other,
                "the writer gave no answer",
            ))
        })
    }

    /// Does `work` on a reader thread, between two batches of writes.
    pub(crate) async fn read<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Disk) -> Outcome<T> + Send + 'static,
    {
        self.read_in_parts(move |files| with_disk(files, work)).await
    }

    /// Does `work` on a reader thread; it may let writes in between.
    pub(crate) async fn read_in_parts<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Files) -> Outcome<T> + Send + 'static,
    {
        self.before_read().await?;
        let (reply, answer) = oneshot::channel();
        let files = Arc::clone(&self.inner.files);
        let read = Box::new(move || {
            let result = work(&files);
            // The caller may be gone.
            let _ = reply.send(result.map_err(|fault| store_error(fault, During::Call, &files.dir)));
        });
        let readers = self.inner.readers.as_ref();
        if !readers.is_some_and(|readers| readers.send(read)) {
            return Err(not_run());
        }
        let panicked = |_| Err(StoreError::rejected(StoreErrorKind::Other, "the read panicked"));
        answer.await.unwrap_or_else(panicked)
    }

    /// The first read after a dropped call, or after an error that closed the files, goes past the writer once.
    async fn before_read(&self) -> Result<()> {
        if let Some(calls) = self.inner.dropped.undecided() {
            self.write(0, |_| Ok(())).await?;
            self.inner.dropped.decide(calls);
        }
        if self.inner.files.read().disk().is_none() {
            self.write(0, |_| Ok(())).await?;
        }
        Ok(())
    }
}

/// Does `work` on the open files.
pub(crate) fn with_disk<T>(files: &Files, work: impl FnOnce(&Disk) -> Outcome<T>) -> Outcome<T> {
    match files.read().disk() {
        Some(disk) => work(disk),
        None => Err(closed().into()),
    }
}
