//! Builds a worker and refuses what cannot work.

use std::any::{Any, TypeId};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::alerts::AlertConfig;
use super::build_error::BuildError;
use super::config::{Config, WorkerConfig, named};
use super::kind::{KindEntry, KindOptions};
use super::quick::QuickRetries;
use super::window::ScanWindow;
use super::worker::{Setup, Worker};
use crate::alert::{AlertOptions, AlertRule, AlertSink, InvalidRule};
use crate::batch::Batch;
use crate::client::Client;
use crate::clock::{Clock, SystemClock};
use crate::draft::{TaskOptions, TaskPayload};
use crate::executor::{Executor, Handler, States, typed};
use crate::meters::Meters;
use crate::name::{Kind, Queue, WorkerName};
use crate::propagate::Propagator;
use crate::seams::{Random, Spawn, SystemRandom, TokioSpawn};
use crate::store::TaskStore;

/// Anything a worker can take as its store: the store itself, an `Arc` of it, or a client.
pub trait IntoStore {
    /// The store.
    fn into_store(self) -> Arc<dyn TaskStore>;
}

impl<S: TaskStore> IntoStore for S {
    fn into_store(self) -> Arc<dyn TaskStore> {
        Arc::new(self)
    }
}

impl<S: TaskStore> IntoStore for Arc<S> {
    fn into_store(self) -> Arc<dyn TaskStore> {
        self
    }
}

impl IntoStore for Arc<dyn TaskStore> {
    fn into_store(self) -> Arc<dyn TaskStore> {
        self
    }
}

impl<S: TaskStore + ?Sized> IntoStore for &Client<S> {
    fn into_store(self) -> Arc<dyn TaskStore> {
        self.erased_store()
    }
}

/// A payload that brings its handler along, as the attribute `#[task]` makes it.
pub trait HandledTask: TaskPayload {
    /// Registers the handler and its options.
    fn register(builder: WorkerBuilder) -> WorkerBuilder;
}

/// Builds a [`Worker`]. Mistakes are reported by [`build`](Self::build).
#[derive(Debug)]
#[must_use]
pub struct WorkerBuilder {
    store: Arc<dyn TaskStore>,
    /// What code set, which wins over `given`.
    code: WorkerConfig,
    given: WorkerConfig,
    window: ScanWindow,
    propagator: Option<Arc<dyn Propagator>>,
    alerts: AlertConfig,
    kinds: HashMap<Kind, Arc<KindEntry>>,
    queues: BTreeSet<Queue>,
    default_queues: BTreeSet<Queue>,
    states: HashMap<TypeId, Arc<dyn Any + Send + Sync>>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    spawn: Arc<dyn Spawn>,
    dry_run: bool,
    invalid: Option<BuildError>,
}

impl WorkerBuilder {
    pub(super) fn new(store: Arc<dyn TaskStore>) -> Self {
        Self {
            store,
            code: WorkerConfig::new(),
            given: WorkerConfig::new(),
            window: ScanWindow::new(),
            propagator: None,
            alerts: AlertConfig::default(),
            kinds: HashMap::new(),
            queues: BTreeSet::new(),
            default_queues: BTreeSet::new(),
            states: HashMap::new(),
            clock: Arc::new(SystemClock::new()),
            random: Arc::new(SystemRandom::new()),
            spawn: Arc::new(TokioSpawn),
            dry_run: false,
            invalid: None,
        }
    }

    fn refuse(mut self, error: BuildError) -> Self {
        self.invalid.get_or_insert(error);
        self
    }

    /// Runs tasks of the kind of `P` with an async function.
    pub fn handler<P, Args, H>(self, handler: H) -> Self
    where
        P: TaskPayload,
        Args: 'static,
        H: Handler<P, Args>,
    {
        self.handler_with(handler, |options| options)
    }

    /// Runs tasks of type `T` with the handler that comes with it.
    pub fn task<T: HandledTask>(self) -> Self {
        T::register(self)
    }

    /// As [`handler`](Self::handler), with options for the kind.
    pub fn handler_with<P, Args, H>(
        self,
        handler: H,
        options: impl FnOnce(KindOptions) -> KindOptions,
    ) -> Self
    where
        P: TaskPayload,
        Args: 'static,
        H: Handler<P, Args>,
    {
        let options = P::ALIASES
            .iter()
            .fold(options(KindOptions::new()), |options, kind| options.alias(*kind));
        self.register(P::KIND, typed(handler), P::options(), options)
    }

    /// Runs tasks of `kind` with an executor of one's own. `defaults` are the options its tasks are enqueued with, as
    /// far as the worker needs them: queue and retry policy.
    pub fn executor(
        self,
        kind: impl AsRef<str>,
        executor: Arc<dyn Executor>,
        defaults: TaskOptions,
        options: KindOptions,
    ) -> Self {
        self.register(kind.as_ref(), executor, defaults, options)
    }

    fn register(
        mut self,
        kind: &str,
        executor: Arc<dyn Executor>,
        defaults: TaskOptions,
        options: KindOptions,
    ) -> Self {
        let kinds = std::iter::once(kind).chain(options.aliases.iter().map(String::as_str));
        let kinds: Vec<Kind> = match kinds.map(|kind| named("kind", kind)).collect() {
            Ok(kinds) => kinds,
            Err(error) => return self.refuse(error),
        };
        if options.concurrency == Some(0) || options.timeout.is_some_and(|timeout| timeout.is_zero()) {
            return self.refuse(BuildError::Zero("a kind's concurrency or timeout"));
        }
        let never = |quick: QuickRetries| quick.times == 0 || quick.within.is_zero();
        if options.quick.is_some_and(never) {
            return self.refuse(BuildError::Zero("a kind's quick retries and their time"));
        }
        if let Some(Err(error)) = &options.alert {
            let (kind, error) = (Some(kinds[0].clone()), error.clone());
            return self.refuse(BuildError::AlertRule { kind, error });
        }
        let retry = options.retry.clone().unwrap_or_else(|| defaults.retry.clone());
        let prefetch = defaults.retry.max_attempts() != Some(1);
        let entry = Arc::new(KindEntry {
            name: kinds[0].clone(),
            executor,
            retry,
            options,
            prefetch,
        });
        for kind in kinds {
            if self.kinds.insert(kind.clone(), Arc::clone(&entry)).is_some() {
                return self.refuse(BuildError::DuplicateKind(kind));
            }
        }
        self.default_queues.insert(defaults.queue.unwrap_or_default());
        self
    }

    /// Runs batches: the steps of `P`, and the shards unless others run them.
    pub fn batch<P: TaskPayload, S>(self, batch: Batch<P, S>) -> Self {
        let aliased = |options: KindOptions, aliases: &[&str]| {
            aliases.iter().fold(options, |options, kind| options.alias(*kind))
        };
        let defaults = P::options();
        let queue = defaults.queue.clone().unwrap_or_default();
        let options = aliased(batch.options, P::ALIASES);
        let builder = self.register(P::KIND, batch.executor, defaults, options);
        let Some(shard) = batch.shard else {
            return builder;
        };
        // Shards that name no queue are in their parent's.
        let mut defaults = shard.defaults;
        defaults.queue.get_or_insert(queue);
        let options = aliased(batch.shard_options, shard.aliases);
        builder.register(shard.kind, shard.executor, defaults, options)
    }

    /// Shares a value with handlers that take [`State`](crate::executor::State)`<S>`.
    pub fn state<S: Clone + Send + Sync + 'static>(mut self, state: S) -> Self {
        self.states.insert(TypeId::of::<S>(), Arc::new(state));
        self
    }

    /// Claims from this queue, and only from those named so. Without it the worker claims from the queues that its
    /// kinds' payloads name.
    pub fn queue(mut self, queue: impl AsRef<str>) -> Self {
        match named::<Queue>("queue", queue.as_ref()) {
            Ok(queue) => {
                self.queues.insert(queue);
                self
            }
            Err(error) => self.refuse(error),
        }
    }

    /// Claims from this queue and runs at most `limit` of its tasks at once.
    pub fn queue_with_limit(self, queue: impl AsRef<str>, limit: usize) -> Self {
        let mut builder = self.queue(queue.as_ref());
        builder.code.queue_limits.insert(queue.as_ref().to_owned(), limit);
        builder
    }

    /// Settings from a file, the environment or elsewhere, for all that code does not set; a second configuration fills
    /// in what the first one left open.
    pub fn config(mut self, config: WorkerConfig) -> Self {
        self.given = self.given.or(config);
        self
    }

    /// Claims only tasks that are due in this window. Without one the oldest due task comes first, however old.
    pub fn scan_window(mut self, window: ScanWindow) -> Self {
        self.window = window;
        self
    }

    /// Joins the span of each attempt to the context in which its task was enqueued.
    pub fn propagator(mut self, propagator: impl Propagator) -> Self {
        self.propagator = Some(Arc::new(propagator));
        self
    }

    /// Children and follow-ups get these headers from the task that makes them, unless they set them themselves;
    /// `traceparent`, `tracestate` and `baggage` unless told otherwise.
    pub fn inherit_headers(mut self, keys: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.code.inherit_headers = Some(keys.into_iter().map(Into::into).collect());
        self
    }

    /// How many attempts run at once; 64 unless told otherwise.
    pub fn concurrency(mut self, limit: usize) -> Self {
        self.code.concurrency = Some(limit);
        self
    }

    /// How many claimed tasks may wait for a permit; as many as run at once unless told otherwise, at most 1,000.
    pub fn prefetch(mut self, tasks: usize) -> Self {
        self.code.prefetch = Some(tasks);
        self
    }

    /// How long the store keeps this worker's tasks for it without a heartbeat, which comes three times as often; 15 s
    /// unless told otherwise, at least 1 s.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.code.lease = Some(lease);
        self
    }

    /// How long an idle worker sleeps at most when no hint comes; 1 s unless told otherwise.
    pub fn idle_poll(mut self, interval: Duration) -> Self {
        self.code.idle_poll = Some(interval);
        self
    }

    /// How often it looks for expired tasks of any worker; 1 s unless told otherwise.
    pub fn rescue_interval(mut self, interval: Duration) -> Self {
        self.code.rescue_interval = Some(interval);
        self
    }

    /// How often it purges ended tasks; 5 s unless told otherwise.
    pub fn purge_interval(mut self, interval: Duration) -> Self {
        self.code.purge_interval = Some(interval);
        self
    }

    /// How many ended tasks one call purges at most; at most 1,000, which it is unless told otherwise. While a call
    /// finds as many, the next follows at once.
    pub fn purge_batch(mut self, tasks: usize) -> Self {
        self.code.purge_batch = Some(tasks);
        self
    }

    /// How long handlers may go on after a shutdown began before they are cancelled; 10 s unless told otherwise.
    pub fn shutdown_grace(mut self, grace: Duration) -> Self {
        self.code.shutdown_grace = Some(grace);
        self
    }

    /// How long a cancelled handler may take to end by itself before its future is dropped; 2 s unless told otherwise.
    pub fn cancel_grace(mut self, grace: Duration) -> Self {
        self.code.cancel_grace = Some(grace);
        self
    }

    /// Tells failed attempts that fit this rule to the [sinks](Self::alert_sink): a rule, or its text such as
    /// `attempts > 1 && attempts < 5`, which is also the default. Of several rules one that fits is enough. Kinds with a
    /// rule of their own ([`KindOptions::alert`]) go by that alone.
    pub fn alert<R>(mut self, rule: R) -> Self
    where
        R: TryInto<AlertRule>,
        R::Error: Into<InvalidRule>,
    {
        match rule.try_into() {
            Ok(rule) => {
                self.alerts.rules.push(rule);
                self
            }
            Err(error) => {
                let (kind, error) = (None, error.into());
                self.refuse(BuildError::AlertRule { kind, error })
            }
        }
    }

    /// Tells alerts to this sink; several each get every alert. Without a sink nothing is judged, looked for or told.
    pub fn alert_sink(mut self, sink: impl AlertSink) -> Self {
        self.alerts.sinks.push(Arc::new(sink));
        self
    }

    /// How alerts are raised and delivered.
    pub fn alert_options(mut self, options: AlertOptions) -> Self {
        self.alerts.options = options;
        self
    }

    /// The worker's name, shown to operators; host and process id unless told otherwise.
    pub fn name(mut self, name: impl AsRef<str>) -> Self {
        match named::<WorkerName>("worker name", name.as_ref()) {
            Ok(name) => {
                self.code.name = Some(name.into());
                self
            }
            Err(error) => self.refuse(error),
        }
    }

    /// The clock.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The source of randomness.
    pub fn random(mut self, random: Arc<dyn Random>) -> Self {
        self.random = random;
        self
    }

    /// What runs the loops and the attempts.
    pub fn spawn(mut self, spawn: Arc<dyn Spawn>) -> Self {
        self.spawn = spawn;
        self
    }

    /// Handlers are told that the run is dry. Only for workers of a store whose tasks are nobody's.
    pub(crate) fn dry_run(mut self) -> Self {
        self.dry_run = true;
        self
    }

    /// Puts `wrap(…)` in place of each executor registered so far, fallbacks included.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn wrap_executors(mut self, wrap: impl Fn(Arc<dyn Executor>) -> Arc<dyn Executor>) -> Self {
        for entry in self.kinds.values_mut() {
            *entry = Arc::new(entry.wrapped(&wrap));
        }
        self
    }

    /// The worker.
    ///
    /// # Errors
    /// The first mistake that was made.
    pub fn build(self) -> Result<Worker, BuildError> {
        if let Some(error) = self.invalid {
            return Err(error);
        }
        if self.kinds.is_empty() {
            return Err(BuildError::NoHandlers);
        }
        let settings = self.code.or(self.given);
        let host = host();
        let config = Config::resolve(&settings, default_name(&host), host, self.window)?;
        let alerts = self.alerts.checked()?;
        let states = States::new(self.states);
        for (kind, entry) in &self.kinds {
            if let Some(missing) = entry.requires().iter().find(|need| !states.contains(need.id)) {
                return Err(BuildError::MissingState {
                    kind: kind.clone(),
                    state: missing.name,
                });
            }
        }
        let origins = &settings.origins;
        if self.queues.is_empty() && settings.queues.as_ref().is_some_and(Vec::is_empty) {
            return Err(origins.blame(&["queues"], BuildError::NoQueues));
        }
        let told = settings.queues.iter().flatten();
        let told = told
            .map(|queue| named("queue", queue).map_err(|error| origins.blame(&["queues"], error)))
            .collect::<Result<_, _>>()?;
        let sources: [BTreeSet<Queue>; 3] = [self.queues, told, self.default_queues];
        let queues = sources
            .into_iter()
            .find(|queues| !queues.is_empty())
            .unwrap_or_default();
        config.check_queues(&queues, origins)?;
        Ok(Worker::new(Setup {
            store: self.store,
            config,
            alerts,
            meters: Meters::new(),
            kinds: self.kinds,
            queues: queues.into_iter().collect(),
            states,
            propagator: self.propagator,
            clock: self.clock,
            random: self.random,
            spawn: self.spawn,
            dry_run: self.dry_run,
        }))
    }
}

fn host() -> String {
    let told = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let told = told
        .or_else(|| std::env::var("HOSTNAME").ok())
        .or_else(|| std::env::var("COMPUTERNAME").ok());
    told.map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "unknown".to_owned())
}

fn default_name(host: &str) -> WorkerName {
    let allowed = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let host: String = host.chars().filter(allowed).take(100).collect();
    let name = format!("{host}:{}", std::process::id());
    WorkerName::new(&name).unwrap_or_else(|_| unreachable!("{name} has allowed characters only"))
}
