//! Settings read, put together and refused: each one documented, each one used.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use super::options::Place;
use super::*;
use crate::engine::window::ScanWindow;
use crate::name::WorkerName;

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
fn a_mistake_names_its_place_and_what_was_meant() {
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
    ] {
        let error = variable(&format!("TASK_RETRY_WORKER_{name}"), value)
            .unwrap_err()
            .to_string();
        assert!(error.contains(told), "{name}: {error}");
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
