//! TLS with an authority of one's own.

use std::path::Path;
use std::process::Command;

use libtest_mimic::Trial;
use retry_core::store::{Certainty, StoreError, StoreErrorKind, TaskStore};
use retry_redis::RedisStore;

use crate::support::{NOW, on_redis, server, task};

pub(crate) fn trials() -> Vec<Trial> {
    vec![on_redis("tls::an_authority_of_ones_own", own_authority)]
}

fn openssl(folder: &Path, arguments: &str) {
    let done = Command::new("openssl")
        .args(arguments.split(' '))
        .current_dir(folder)
        .output()
        .expect("openssl is installed");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

async fn own_authority() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    openssl(
        path,
        "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=ca",
    );
    openssl(
        path,
        "req -newkey rsa:2048 -nodes -keyout own.key -out own.csr -subj /CN=localhost",
    );
    std::fs::write(path.join("names"), "subjectAltName=DNS:localhost").expect("written");
    openssl(
        path,
        "x509 -req -in own.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out own.pem -days 2 -extfile names",
    );
    // The server runs as somebody else.
    open_to_all(path);

    let file = |name: &str| path.join(name).display().to_string();
    let (ca, own, key) = (file("ca.pem"), file("own.pem"), file("own.key"));
    let plain = server(&[]);
    let port = free_port();
    for (name, value) in [
        ("tls-cert-file", &own),
        ("tls-key-file", &key),
        ("tls-ca-cert-file", &ca),
    ] {
        crate::support::send(&plain, &["CONFIG", "SET", name, value]);
    }
    crate::support::send(&plain, &["CONFIG", "SET", "tls-port", &port.to_string()]);

    let url = format!("rediss://localhost:{port}");
    let read = |name: &str| std::fs::read(path.join(name)).expect("the file");
    let builder = || {
        RedisStore::builder(&url)
            .namespace("it")
            .root_certificate(read("ca.pem"))
    };
    let anonymous = builder().connect().await;
    let error = StoreError::from(anonymous.expect_err("the server asks for a certificate"));
    assert_eq!(error.certainty(), Certainty::Rejected, "{error}");

    let known = builder().client_certificate(read("own.pem"), read("own.key"));
    let store = known.clone().connect().await.expect("over TLS");
    let new = task();
    store
        .insert(std::slice::from_ref(&new), NOW)
        .await
        .expect("an insert");
    assert!(store.get(new.id).await.expect("a get").is_some());
    assert!(!format!("{known:?}").contains("PRIVATE"));

    // The certificate is that of `localhost`, whatever else leads there.
    let elsewhere = RedisStore::builder(format!("rediss://127.0.0.1:{port}"))
        .namespace("it")
        .root_certificate(read("ca.pem"))
        .client_certificate(read("own.pem"), read("own.key"));
    let error = StoreError::from(elsewhere.connect().await.expect_err("another host's certificate"));
    assert_eq!(
        (error.certainty(), error.kind()),
        (Certainty::Rejected, StoreErrorKind::Unavailable),
        "{error}"
    );
    let cause = std::error::Error::source(&error).map(ToString::to_string);
    assert!(
        cause.is_some_and(|cause| cause.contains("certificate")),
        "{error}"
    );

    let untrusting = RedisStore::builder(&url).namespace("it");
    let error = untrusting.connect().await.expect_err("an unknown authority");
    assert_eq!(StoreError::from(error).certainty(), Certainty::Rejected);
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address").port()
}

#[cfg(unix)]
fn open_to_all(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let open = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("opened");
    };
    open(folder, 0o755);
    for entry in std::fs::read_dir(folder).expect("its files") {
        open(&entry.expect("a file").path(), 0o644);
    }
}

#[cfg(not(unix))]
fn open_to_all(_folder: &Path) {}
