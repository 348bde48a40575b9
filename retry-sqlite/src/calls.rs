//! How a call travels: to the writer or to a reader, and its answer back.

use std::path::PathBuf;

use retry_core::store::{Result, StoreError, StoreErrorKind};
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::error::{During, Outcome, store_error};
use crate::job::{Desk, Job, StoreJob, not_run};
use crate::memo::Memo;
use crate::store::SqliteStore;
use crate::writer::Message;

impl SqliteStore {
    pub(crate) fn send(&self, job: Box<dyn Job>) -> Result<()> {
        if self.is_writer_thread() {
            return Err(StoreError::invalid(
                "a call of the store from inside one of its transactions would wait for itself; enqueue with `in_tx`",
            ));
        }
        let inbox = self.inner.inbox.as_ref();
        let sent = inbox.is_some_and(|inbox| inbox.send(Message::Write(job)).is_ok());
        if sent { Ok(()) } else { Err(not_run()) }
    }

    /// Waits for what the writer answers; none if it never will.
    pub(crate) async fn answer<T>(&self, answer: oneshot::Receiver<T>) -> Option<T> {
        let waiting = self.inner.dropped.wait();
        let answer = answer.await;
        waiting.answered();
        answer.ok()
    }

    /// Does `work` on the writer thread.
    pub(crate) async fn write<T, F>(&self, bytes: usize, mut work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(Desk<'_>) -> Outcome<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let path = self.path().to_owned();
        let work = move |desk: Desk<'_>| work(desk).map_err(|fault| store_error(fault, During::Call, &path));
        self.send(Box::new(StoreJob::new(bytes, work, reply)))?;
        self.answer(answer).await.unwrap_or_else(|| Err(lost_answer()))
    }

    /// Does `work` on a reader thread, in one snapshot.
    pub(crate) async fn read<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, &mut Memo) -> Outcome<T> + Send + 'static,
    {
        if let Some(calls) = self.inner.dropped.undecided() {
            self.write(0, |_| Ok(())).await?;
            self.inner.dropped.decide(calls);
        }
        let (reply, answer) = oneshot::channel();
        let path: PathBuf = self.path().to_owned();
        let read = Box::new(move |conn: &Connection, memo: &mut Memo| {
            let result = in_snapshot(conn, |conn| work(conn, memo));
            // The caller may be gone.
            let _ = reply.send(result.map_err(|fault| store_error(fault, During::Call, &path)));
        });
        if !self
            .inner
            .readers
            .as_ref()
            .is_some_and(|readers| readers.send(read))
        {
            return Err(not_run());
        }
        let panicked = |_| Err(StoreError::rejected(StoreErrorKind::Other, "the read panicked"));
        answer.await.unwrap_or_else(panicked)
    }
}

fn in_snapshot<T>(conn: &Connection, work: impl FnOnce(&Connection) -> Outcome<T>) -> Outcome<T> {
    conn.prepare_cached("BEGIN")?.execute([])?;
    let result = work(conn);
    // Nothing was written, so either end is right, and this one cannot fail.
    conn.prepare_cached("ROLLBACK")?.execute([])?;
    result
}

/// The writer ended without an answer, which it never does.
pub(crate) fn lost_answer() -> StoreError {
    StoreError::unknown(StoreErrorKind::Other, "the writer gave no answer")
}
