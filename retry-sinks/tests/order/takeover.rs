//! A former owner that still holds a live session, at the two places where only the order of the steps of a takeover helps.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use retry_core::clock::{Clock as _, ManualClock};
use retry_core::id::SessionId;
use retry_core::seams::SeededRandom;
use retry_core::store::{MemoryStore, TaskStore as _};
use retry_sinks::{Answer, Message, MessageSink, Outgoing, Relay, RelayHandle, SinkQueue};
use tokio_util::sync::CancellationToken;

use crate::exec::{Exec, Host, OnHost, lock};
use crate::store::Link;
use crate::world::now;

const CLIENT: Host = 9;

/// Takes messages when its gate is open.
#[derive(Debug, Clone)]
struct Gated {
    gate: CancellationToken,
    log: Arc<Mutex<Vec<String>>>,
    /// What was brought to the gate, open or not.
    brought: Arc<Mutex<Vec<String>>>,
}

#[async_trait]
impl MessageSink for Gated {
    async fn publish(&self, messages: &[Outgoing]) -> Vec<Answer> {
        let text = |message: &Outgoing| String::from_utf8(message.body.to_vec()).unwrap();
        lock(&self.brought).extend(messages.iter().map(text));
        self.gate.cancelled().await;
        lock(&self.log).extend(messages.iter().map(text));
        vec![Answer::Acked; messages.len()]
    }
}

pub(crate) struct Scene {
    pub(crate) exec: Exec,
    clock: ManualClock,
    pub(crate) memory: MemoryStore,
    pub(crate) log: Arc<Mutex<Vec<String>>>,
    pub(crate) brought: Arc<Mutex<Vec<String>>>,
    /// The gate of the successor's sink.
    takes: CancellationToken,
    handles: Vec<Arc<Mutex<Option<RelayHandle>>>>,
}

pub(crate) fn queue() -> SinkQueue {
    SinkQueue::new("events").unwrap().partitions(1).unwrap()
}

impl Scene {
    pub(crate) fn new() -> Self {
        let clock = ManualClock::new();
        Self {
            exec: Exec::new(7),
            memory: MemoryStore::with_clock(Arc::new(clock.clone())),
            clock,
            log: Arc::default(),
            brought: Arc::default(),
            takes: CancellationToken::new(),
            handles: Vec::new(),
        }
    }

    /// Starts a relay. Sessions of its partition are opened when `opens` is cancelled, messages taken when `takes` is.
    pub(crate) fn start(&mut self, host: Host, opens: &CancellationToken, takes: &CancellationToken) -> Link {
        let link =
            Link::new(self.memory.clone(), self.clock.clone(), self.exec.clone(), 1).gated(opens.clone());
        let sink = Gated {
            gate: takes.clone(),
            log: Arc::clone(&self.log),
            brought: Arc::clone(&self.brought),
        };
        let relay = Relay::builder(link.clone(), queue(), sink)
            .clock(Arc::new(self.clock.clone()))
            .random(Arc::new(SeededRandom::new(host as u64)))
            .spawn(Arc::new(OnHost(self.exec.clone(), host)))
            // No beat tells it meanwhile what has happened.
            .lease(Duration::from_mins(1))
            .turn(Duration::from_mins(10))
            .build()
            .unwrap();
        let handle: Arc<Mutex<Option<RelayHandle>>> = Arc::default();
        self.handles.push(Arc::clone(&handle));
        let started = async move { *lock(&handle) = Some(relay.start().await.unwrap()) };
        self.exec.spawn(host, Box::pin(started));
        link
    }

    /// Lets this much time pass.
    pub(crate) fn pass(&self, span: Duration) {
        pass(&self.exec, &self.clock, span);
    }

    /// Does what is ready, and moves no clock.
    fn quiet(&self) {
        while self.exec.turn() {}
    }

    pub(crate) fn enqueue(&self, text: &str) {
        let client = retry_core::client::Client::builder(self.memory.clone())
            .clock(Arc::new(self.clock.clone()))
            .random(Arc::new(SeededRandom::new(
                self.clock.now().as_millis().unsigned_abs(),
            )))
            .spawn(Arc::new(OnHost(self.exec.clone(), CLIENT)))
            .build();
        let draft = queue().draft(Message::text(text).key("k")).unwrap();
        let sent = async move { assert!(client.enqueue(draft).await.unwrap().is_new()) };
        self.exec.spawn(CLIENT, Box::pin(sent));
        self.quiet();
        // The next one is due later.
        self.clock.advance(Duration::from_millis(1));
    }

    /// The session of the only worker there is.
    pub(crate) fn worker(&self) -> SessionId {
        let sessions = now(self.memory.sessions());
        let workers = sessions.iter().filter(|session| session.info.queues.len() > 1);
        let ids: Vec<_> = workers.map(|session| session.info.id).collect();
        assert_eq!(ids.len(), 1);
        ids[0]
    }
}

/// Lets this much time pass.
pub(crate) fn pass(exec: &Exec, clock: &ManualClock, span: Duration) {
    let end = clock.monotonic() + span;
    loop {
        while exec.turn() {}
        match clock.next_deadline().filter(|next| *next <= end) {
            Some(_) => drop(clock.advance_to_next()),
            None => break clock.advance(end.saturating_since(clock.monotonic())),
        }
    }
    while exec.turn() {}
}

pub(crate) fn opened() -> CancellationToken {
    let gate = CancellationToken::new();
    gate.cancel();
    gate
}

/// The former owner's worker has lost its session and does not know; its partition's session is live.
#[test]
fn a_former_owner_claims_nothing_behind_its_successor() {
    let mut scene = Scene::new();
    let link = scene.start(0, &opened(), &opened());
    scene.pass(Duration::from_millis(1_500));
    succeeded_while_a_is_sent(&mut scene, &link);
    scene.exec.pause(0, false);
    ends_in_order(&scene);
}

/// The former owner is stuck in opening the session of its partition while another one takes it over.
#[test]
fn an_owner_that_opens_its_session_late_claims_nothing() {
    let mut scene = Scene::new();
    let opens = CancellationToken::new();
    let link = scene.start(0, &opens, &opened());
    scene.pass(Duration::from_millis(1_500));
    succeeded_while_a_is_sent(&mut scene, &link);
    opens.cancel();
    scene.exec.pause(0, false);
    ends_in_order(&scene);
}

/// Host 1 takes over from host 0, whose worker hangs, and has `a` at its sink. Then both stand still.
fn succeeded_while_a_is_sent(scene: &mut Scene, link: &Link) {
    link.hang();
    scene.pass(Duration::from_millis(2_500));
    scene.exec.pause(0, true);
    now(scene.memory.close_session(scene.worker()));
    scene.start(1, &opened(), &scene.takes.clone());
    scene.pass(Duration::from_secs(4));
    scene.enqueue("a");
    assert_eq!(*lock(&scene.brought), ["a"], "the successor has it");
    scene.exec.pause(1, true);
}

/// Host 0 goes on alone and must not send `b`; then host 1 goes on.
fn ends_in_order(scene: &Scene) {
    scene.enqueue("b");
    scene.quiet();
    scene.exec.pause(1, false);
    scene.takes.cancel();
    scene.pass(Duration::from_mins(2));
    assert_eq!(*lock(&scene.log), ["a", "b"]);
}
