//! Settings read, put together and refused: each one documented, each one used.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use super::options::Place;
use super::*;
use crate::draft::TaskOptions;
use crate::engine::window::ScanWindow;
use crate::engine::{KindOptions, Worker};
use crate::name::WorkerName;
use crate::store::MemoryStore;

fn resolved(config: &WorkerConfig) -> Config {
    let name = WorkerName::new("host:1").unwrap();
    Config::resolve(config, name, "host".to_owned(), ScanWindow::new()).unwrap()
}

/// A value that is not the default, as a file has it and as a variable has it.
fn sample(option: &ConfigOption) -> (&'static str, &'static str) {
    match option.place {
        Place::Text(_) => ("\"mine\"", "mine"),
        Place::Texts(_) => ("[\"a\", \"b\"]", " a, b"),
        Place::Number(_) => ("7", "7"),
        Place::Span(_) if option.key == "rescue_interval" => ("\"1500ms\"", "1s500ms"),
        Place::Span(_) => ("\"1m\"", "60s"),
        Place::Numbers(_) => ("{ a = 2, \"b.c\" = 3 }", "a=2, b.c=3"),
    }
}

fn variable(name: &str, value: &str) -> Result<WorkerConfig, ConfigError> {
    WorkerConfig::from_vars([(name, value), ("HOME", "/root"), ("TASK_RETRY_URL", "x")])
}

#[test]
fn every_setting_is_read_from_both_and_used() {
    let default = resolved(&WorkerConfig::new());
    for option in OPTIONS {
        let (toml, text) = sample(option);
        let key = option.key;
        let from_file = WorkerConfig::from_toml(&format!("{key} = {toml}")).unwrap();
        let from_env = variable(&option.variable(), text).unwrap();
        assert_eq!(from_file, from_env, "{key}");
        assert_ne!(from_file, WorkerConfig::new(), "{key}");
        let used = resolved(&from_file) != default;
        // The queues are the builder's; their own test is with it.
        assert!(used || key == "queues", "{key} is documented and changes nothing");
    }
}

#[test]
fn every_documented_default_is_the_default() {
    let default = resolved(&WorkerConfig::new());
    for option in OPTIONS {
        let (key, written) = (option.key, option.default);
        if matches!(option.place, Place::Numbers(_)) || !written.starts_with(|c: char| c.is_ascii_digit()) {
            continue;
        }
        let config = variable(&option.variable(), written).unwrap();
        assert_eq!(resolved(&config), default, "{key}");
    }
    let trace = variable(
        "TASK_RETRY_WORKER_INHERIT_HEADERS",
        "traceparent, tracestate, baggage",
    );
    assert_eq!(resolved(&trace.unwrap()), default);
    assert_eq!(default.prefetch(), 64);
    assert!(OPTIONS.is_sorted_by_key(|option| option.key));
}

#[test]
fn a_mistake_in_a_file_names_its_place_and_what_was_meant() {
    let file = |text: &str| WorkerConfig::from_toml(text).unwrap_err().to_string();
    for (text, told) in [
        (
            "leese = \"15s\"",
            "the settings: there is no setting `leese`; did you mean `lease`?",
        ),
        ("idle-poll = \"1s\"", "did you mean `idle_poll`?"),
        ("Lease = \"1s\"", "did you mean `lease`?"),
        (
            "colour = 1",
            "there is no setting `colour`; there are cancel_grace, concurrency",
        ),
        (
            "lease = 15",
            "`lease`: a duration with its unit such as \"15s\" is expected, not integer",
        ),
        ("lease = \"15\"", "`lease`: \"15\" is no duration: a unit"),
        ("lease = \"1.5s\"", "as in \"1s500ms\" or \"1500ms\"; write"),
        (
            "concurrency = \"4\"",
            "`concurrency`: a whole number from 0 on is expected, not string",
        ),
        ("concurrency = -4", "not -4"),
        (
            "queues = \"mail\"",
            "`queues`: a list of texts is expected, not string",
        ),
        ("queues = [1]", "a text is expected in the list, not integer"),
        ("name = 1", "a text is expected, not integer"),
        (
            "[queue_limits]\nmail = \"many\"",
            "`queue_limits`: mail: a whole number",
        ),
        ("lease = ", "the settings: TOML parse error at line 1"),
    ] {
        let error = file(text);
        assert!(error.contains(told), "{text}: {error}");
    }
}

#[test]
fn a_mistake_in_a_variable_names_it_and_what_was_meant() {
    for (name, value, told) in [
        (
            "LEESE",
            "15s",
            "the environment: there is no setting `TASK_RETRY_WORKER_LEESE`; did you mean `TASK_RETRY_WORKER_LEASE`?",
        ),
        (
            "CONCURRENCY",
            "-1",
            "`TASK_RETRY_WORKER_CONCURRENCY`: \"-1\" is no whole number",
        ),
        (
            "QUEUE_LIMITS",
            "mail:2",
            "\"mail:2\" is not written as name=number",
        ),
        ("QUEUE_LIMITS", "mail=x", "\"x\" is no whole number"),
        ("LEASE", "soon", "is no duration"),
        (
            "lease",
            "15s",
            "`TASK_RETRY_WORKER_lease`; did you mean `TASK_RETRY_WORKER_LEASE`?",
        ),
        (
            "COLOUR",
            "x",
            "there are TASK_RETRY_WORKER_CANCEL_GRACE, TASK_RETRY_WORKER_CONCURRENCY",
        ),
    ] {
        let error = variable(&format!("TASK_RETRY_WORKER_{name}"), value)
            .unwrap_err()
            .to_string();
        assert!(error.contains(told), "{name}: {error}");
    }
}

#[test]
fn a_variable_that_is_nearly_a_workers_is_refused_and_others_are_not() {
    for name in [
        "TASK_RETRY_WORKR_LEASE",
        "task_retry_worker_lease",
        "TASK-RETRY-WORKER-LEASE",
        "TASKRETRY_WORKER_LEASE",
    ] {
        let error = variable(name, "15s").unwrap_err().to_string();
        let meant = "did you mean `TASK_RETRY_WORKER_LEASE`?";
        assert!(error.contains(meant) && error.contains(name), "{error}");
    }
    for name in ["TASK_RETRY_LEASE", "WORKER_LEASE", "TASK_RETRY_URL", "LEASE", ""] {
        assert_eq!(variable(name, "15s").unwrap(), WorkerConfig::new(), "{name}");
    }
}

/// What `build` says of these settings.
fn refused(config: WorkerConfig) -> String {
    let worker = Worker::builder(MemoryStore::new()).config(config);
    let executor = crate::engine::tests::harness::done();
    let worker = worker.executor("a", executor, TaskOptions::new(), KindOptions::new());
    worker.build().unwrap_err().to_string()
}

#[test]
fn what_build_refuses_is_named_by_its_file() {
    for (toml, told) in [
        (
            "lease = \"10ms\"",
            "the settings: `lease`: a lease of 10ms is too short",
        ),
        ("lease = \"2h\"", "the settings: `lease`: the lease of 7200s"),
        (
            "concurrency = 0",
            "the settings: `concurrency`: the concurrency must be",
        ),
        (
            "prefetch = 2000",
            "the settings: `prefetch`: the prefetch of 2000",
        ),
        (
            "idle_poll = \"0s\"",
            "the settings: `idle_poll`: the idle poll must be",
        ),
        (
            "purge_batch = 1001",
            "the settings: `purge_batch`: the purge batch of 1001",
        ),
        (
            "purge_interval = \"0s\"",
            "the settings: `purge_interval`: the purge interval",
        ),
        (
            "rescue_interval = \"30s\"",
            "the settings: `rescue_interval`: the rescue interval of 30s is longer",
        ),
        (
            "lease = \"1s\"\nrescue_interval = \"2s\"",
            "the settings: `rescue_interval`: the rescue interval of 2s",
        ),
        ("name = \"a b\"", "the settings: `name`: invalid worker name"),
        ("queues = [\"a b\"]", "the settings: `queues`: invalid queue"),
        (
            "queues = []",
            "the settings: `queues`: the list of queues is empty; name one, or leave it out",
        ),
        (
            "[queue_limits]\nmail = 1",
            "the settings: `queue_limits`: the queue mail has a limit",
        ),
        (
            "[queue_limits]\ndefault = 0",
            "the settings: `queue_limits`: the limit of a queue must be",
        ),
        (
            "scan_max_age = \"1s\"\nscan_min_age = \"2s\"",
            "the settings: `scan_min_age`: the scan window",
        ),
    ] {
        let error = refused(WorkerConfig::from_toml(toml).unwrap());
        assert!(error.starts_with(told), "{toml}: {error}");
    }
}

#[test]
fn what_build_refuses_is_named_by_its_variable() {
    for (name, value, told) in [
        (
            "LEASE",
            "10ms",
            "the environment: `TASK_RETRY_WORKER_LEASE`: a lease of 10ms",
        ),
        (
            "QUEUES",
            "",
            "the environment: `TASK_RETRY_WORKER_QUEUES`: the list of queues is empty",
        ),
        (
            "QUEUE_LIMITS",
            "mail=1",
            "the environment: `TASK_RETRY_WORKER_QUEUE_LIMITS`: the queue mail",
        ),
    ] {
        let error = refused(variable(&format!("TASK_RETRY_WORKER_{name}"), value).unwrap());
        assert!(error.starts_with(told), "{name}: {error}");
    }
}

#[test]
fn what_wins_is_what_is_named() {
    let file = || WorkerConfig::from_toml("lease = \"10ms\"\nqueue_limits = { mail = 1 }").unwrap();
    let env = variable("TASK_RETRY_WORKER_LEASE", "20ms").unwrap();
    let error = refused(env.or(file()));
    assert!(
        error.starts_with("the environment: `TASK_RETRY_WORKER_LEASE`: a lease of 20ms"),
        "{error}"
    );
    let code = WorkerConfig {
        lease: Some(Duration::from_millis(30)),
        ..WorkerConfig::new()
    };
    let error = refused(code.or(file()));
    assert!(error.starts_with("a lease of 30ms"), "{error}");
    let mut code = WorkerConfig {
        lease: Some(Duration::from_secs(30)),
        ..WorkerConfig::new()
    };
    code.queue_limits.insert("sms".to_owned(), 0);
    let error = refused(code.or(WorkerConfig::from_toml("queue_limits = { default = 1 }").unwrap()));
    assert!(error.starts_with("the limit of a queue"), "{error}");
    for option in OPTIONS.iter().filter(|option| option.key != "queue_limits") {
        let config = variable(&option.variable(), sample(option).1).unwrap();
        assert!(config.has(option.key), "{}", option.key);
    }
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_no_text_is_refused() {
    use std::os::unix::ffi::OsStringExt as _;
    let value = OsString::from_vec(vec![0x66, 0xff]);
    let error = WorkerConfig::from_vars([("TASK_RETRY_WORKER_NAME", value)]).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("`TASK_RETRY_WORKER_NAME`: it is not UTF-8"),
        "{error}"
    );
}

#[test]
fn the_environment_wins_over_the_file_setting_by_setting() {
    let folder = std::env::temp_dir().join(format!("task-retry-config-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("worker.toml");
    std::fs::write(
        &path,
        "lease = \"20s\"\nconcurrency = 8\nqueue_limits = { mail = 2, sms = 3 }\n",
    )
    .unwrap();
    let file = WorkerConfig::from_file(&path).unwrap();
    let env = WorkerConfig::from_vars([
        ("TASK_RETRY_WORKER_LEASE", "30s"),
        ("TASK_RETRY_WORKER_QUEUE_LIMITS", "mail=1"),
    ]);
    let both = env.unwrap().or(file);
    assert_eq!(
        (both.lease, both.concurrency),
        (Some(Duration::from_secs(30)), Some(8))
    );
    assert_eq!(
        both.queue_limits,
        BTreeMap::from([("mail".to_owned(), 1), ("sms".to_owned(), 3)])
    );
    std::fs::remove_dir_all(&folder).unwrap();
    let missing = WorkerConfig::load(Some(Path::new("/nowhere/worker.toml"))).unwrap_err();
    assert!(
        missing.to_string().starts_with("/nowhere/worker.toml: "),
        "{missing}"
    );
}
