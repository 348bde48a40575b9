//! Options that are refused, and what is done about TLS.

use super::*;

fn builder(url: &str) -> PostgresBuilder {
    PostgresBuilder::new(url)
}

fn refusal(builder: PostgresBuilder) -> ConfigError {
    match builder.check() {
        Ok(_) => panic!("an option that must be refused passed"),
        Err(error) => error,
    }
}

fn mode(url: &str) -> Result<String, ConfigError> {
    builder(url)
        .check()
        .map(|config| format!("{:?}", config.options.get_ssl_mode()))
}

#[test]
fn wrong_options_are_named_before_a_connection_is_opened() {
    let local = || builder("postgres://localhost/db");
    assert_eq!(
        refusal(local().max_connections(0)),
        ConfigError::MaxConnections(0)
    );
    assert_eq!(
        refusal(local().max_connections(1_001)),
        ConfigError::MaxConnections(1_001)
    );
    assert_eq!(refusal(local().schema("Shop; DROP")), ConfigError::Schema);
    assert_eq!(
        refusal(local().lock_timeout(Duration::ZERO)),
        ConfigError::Timeout(Duration::ZERO)
    );
    assert_eq!(
        refusal(local().statement_timeout(Duration::from_secs(30))),
        ConfigError::TimeoutOrder
    );
    assert_eq!(
        refusal(local().lock_timeout(Duration::from_secs(21))),
        ConfigError::TimeoutOrder
    );
    for url in ["", "mysql://localhost/db", "postgres://[", "host=localhost"] {
        assert_eq!(refusal(builder(url)), ConfigError::Url, "{url}");
    }
    for connections in [1, 1_000] {
        assert!(local().max_connections(connections).check().is_ok());
    }
}

#[test]
fn a_remote_server_is_verified_unless_the_user_says_otherwise() {
    for url in [
        "postgres://db.example/x",
        "postgres://10.0.0.1/x",
        "postgres://db.example/x?sslmode=prefer",
    ] {
        assert_eq!(mode(url).as_deref(), Ok("VerifyFull"), "{url}");
    }
    for url in [
        "postgres://db.example/x?sslmode=disable",
        "postgres://db.example/x?sslmode=allow",
    ] {
        assert_eq!(mode(url), Err(ConfigError::Plaintext), "{url}");
    }
    assert_eq!(
        mode("postgres://db.example/x?sslmode=require").as_deref(),
        Ok("Require")
    );
    for url in [
        "postgres://localhost/x",
        "postgres://127.0.0.9/x",
        "postgres://[::1]/x",
        "postgres:///x?host=/run/postgresql",
    ] {
        assert_eq!(mode(url).as_deref(), Ok("Prefer"), "{url}");
    }
    let allowed = builder("postgres://db.example/x?sslmode=disable").allow_plaintext(true);
    assert!(allowed.check().is_ok());
}

#[test]
fn no_form_shows_the_password() {
    let url = "postgres://me:s3cret@localhost/db?password=s3cret";
    let shown = format!("{:?}", builder(url));
    assert!(!shown.contains("s3cret"), "{shown}");
    let config = builder(url).check();
    let place = config.map(|config| config.place()).unwrap_or_default();
    assert_eq!(place, "localhost:5432/db schema task_retry");
    let error = refusal(builder("mysql://me:s3cret@localhost/db"));
    assert!(!format!("{error} {error:?}").contains("s3cret"));
}
