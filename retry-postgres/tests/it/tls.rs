//! TLS: a server is believed only with the right certificate for its name.

use std::process::{Command, Stdio};

use retry_core::store::StoreErrorKind;
use retry_postgres::{OpenError, PostgresStore};
use test_servers::{Kind, own};

use crate::Alone;
use crate::support::block_on;

pub(crate) const ALONE: &[(&str, Alone)] = &[(
    "tls::only_the_right_certificate_is_believed",
    only_the_right_certificate_is_believed,
)];

/// A certificate for `localhost` and its key, signed by itself.
fn certificate(folder: &std::path::Path, name: &str) {
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
        ])
        .args(["-addext", "subjectAltName=DNS:localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(folder.join(format!("{name}.key")))
        .arg("-out")
        .arg(folder.join(format!("{name}.crt")))
        .stderr(Stdio::null())
        .status();
    assert!(made.expect("openssl is installed").success());
}

fn only_the_right_certificate_is_believed() {
    let server = own(Kind::Postgres);
    let data = server.folder().join("data");
    let keys = tempfile::tempdir().unwrap();
    certificate(keys.path(), "server");
    certificate(keys.path(), "other");
    block_on(async {
        // The server reads both through its own functions, so that its files have the right owner.
        let mut conn = <sqlx::PgConnection as sqlx::Connection>::connect(&server.url())
            .await
            .unwrap();
        for (file, mode) in [("server.crt", "644"), ("server.key", "600")] {
            let text = std::fs::read_to_string(keys.path().join(file)).unwrap();
            let path = data.join(file);
            let sql = format!(
                "COPY (SELECT unnest(string_to_array('{}', E'\\n'))) TO PROGRAM 'cat > {path} && chmod {mode} {path}'",
                text.trim_end(),
                path = path.display()
            );
            crate::support::execute(&mut conn, sql).await;
        }
        crate::support::execute(&mut conn, "ALTER SYSTEM SET ssl = on").await;
        crate::support::execute(&mut conn, "SELECT pg_reload_conf()").await;
        let is_on = "SELECT count(*) FROM pg_settings WHERE name = 'ssl' AND setting = 'on'";
        crate::support::until(&mut conn, is_on, |on| on > 0).await;
        let url = |host: &str, root: &str| {
            let plain = server.url().replace("127.0.0.1", host);
            let root = keys.path().join(root);
            format!("{plain}?sslmode=verify-full&sslrootcert={}", root.display())
        };
        PostgresStore::connect(&url("localhost", "server.crt"))
            .await
            .expect("the right one");
        for (host, root) in [("127.0.0.1", "server.crt"), ("localhost", "other.crt")] {
            let Err(OpenError::Store(error)) = PostgresStore::connect(&url(host, root)).await else {
                panic!("{host} with {root} was believed");
            };
            assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
            assert!(error.to_string().contains("certificate"), "{error}");
        }
    });
}
