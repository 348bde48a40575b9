//! What users' data is and what errors say stays out of the log above debug level.

use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use super::harness::{SECOND, WithKind as _, World, done, job, script};
use crate::draft::Draft;
use crate::engine::KindOptions;
use crate::executor::Outcome;
use crate::payload::Payload;

/// Writes down everything at info level and above.
#[derive(Debug, Clone, Default)]
pub(super) struct Log(pub(super) Arc<Mutex<String>>);

struct Writer<'l>(&'l mut String);

impl Visit for Writer<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut Writer(&mut self.0.lock().unwrap()));
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut Writer(&mut self.0.lock().unwrap()));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut Writer(&mut self.0.lock().unwrap()));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[test]
fn payloads_and_error_texts_are_not_logged_above_debug() {
    let log = Log::default();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    tracing::subscriber::with_default(log.clone(), || {
        runtime.block_on(async {
            let world = World::new();
            let store = world.store();
            let payload = Payload::encode("secret").unwrap();
            let fails = script(|ctx| async move {
                ctx.save_checkpoint("secret").await?;
                match ctx.attempt() {
                    1 => Err("secret".into()),
                    2 => Ok(Outcome::Stop("secret".into())),
                    _ => panic!("secret"),
                }
            });
            let fallback = script(|_| async { Err("secret".into()) });
            let options = KindOptions::new().fallback_executor(0, fallback);
            let draft = Draft::raw("a", payload.clone())
                .header("secret", "secret")
                .unique("secret");
            let id = world.enqueue(draft).await;
            let refused = world.enqueue(Draft::raw("b", payload)).await;
            store.refuse(|edit| edit.insert.iter().any(|task| task.kind.as_str() == "next"));
            let outputs = script(|ctx| async move {
                ctx.enqueue_on_success(job("next"));
                Ok(Outcome::output("secret")?)
            });
            let worker = world
                .worker_on(&store)
                .kind_with("a", fails, options)
                .kind("b", outputs);
            let handle = worker.kind("next", done()).build().unwrap().start();
            world.until_final(id).await;
            world.until_final(refused).await;
            world.pass(SECOND * 10).await;
            world.shut_down(handle).await;
        });
    });
    let log = log.0.lock().unwrap();
    assert!(
        log.contains("the attempt failed") && log.contains("session opened"),
        "{log}"
    );
    assert!(!log.contains("secret"), "{log}");
}
