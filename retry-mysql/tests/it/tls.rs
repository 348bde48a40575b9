//! TLS with a real server: the certificate and the host's name are checked, unless that is given up by name.

use std::path::Path;
use std::process::Command;

use retry_core::store::StoreErrorKind;
use retry_mysql::{MySqlBuilder, MySqlStore, OpenError, Tls};
use sqlx::Connection as _;
use sqlx::mysql::MySqlConnection;
use test_servers::{Kind, own, own_with};

use crate::support::{number, run};

fn openssl(folder: &Path, arguments: &[&str]) {
    let made = Command::new("openssl")
        .current_dir(folder)
        .args(arguments)
        .output();
    let made = made.expect("openssl is installed (apt-get install openssl)");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// An authority, and a certificate of it for `localhost`.
fn certificates(folder: &Path) {
    let key = ["-newkey", "rsa:2048", "-nodes"];
    let authority = [
        "-subj",
        "/CN=authority",
        "-x509",
        "-days",
        "2",
        "-keyout",
        "ca.key",
        "-out",
        "ca.pem",
    ];
    openssl(folder, &[&["req"], &key[..], &authority[..]].concat());
    let server = [
        "-subj",
        "/CN=localhost",
        "-keyout",
        "server.key",
        "-out",
        "server.csr",
    ];
    openssl(folder, &[&["req"], &key[..], &server[..]].concat());
    std::fs::write(folder.join("names"), "subjectAltName = DNS:localhost\n").unwrap();
    let sign = "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem";
    openssl(folder, &sign.split(' ').collect::<Vec<_>>());
    // The server runs as somebody else.
    for name in ["server.key", "server.pem", "ca.pem"] {
        open_to_all(&folder.join(name), 0o644);
    }
    open_to_all(folder, 0o755);
}

fn open_to_all(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

async fn refused(builder: MySqlBuilder, what: &str) {
    match builder.connect().await {
        Err(OpenError::Store(error)) => assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}"),
        other => panic!("{what}: {other:?}"),
    }
}

pub(crate) async fn certificate_and_name_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let at = |name: &str| folder.path().join(name).display().to_string();
    let settings = [
        ("ssl-ca", at("ca.pem")),
        ("ssl-cert", at("server.pem")),
        ("ssl-key", at("server.key")),
    ];
    let settings: Vec<(&str, &str)> = settings
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let server = own_with(Kind::MySql, &settings);
    let builder =
        |host: &str| MySqlStore::builder(&format!("mysql://retry:retry@{host}:{}/retry", server.ports()[0]));
    builder("localhost")
        .tls(Tls::Verify)
        .tls_ca(at("ca.pem"))
        .connect()
        .await
        .unwrap();
    refused(
        builder("127.0.0.1").tls(Tls::Verify).tls_ca(at("ca.pem")),
        "a name that is not the certificate's",
    )
    .await;
    refused(
        builder("localhost").tls(Tls::Verify),
        "an authority that nobody trusts",
    )
    .await;
    builder("127.0.0.1").tls(Tls::Unverified).connect().await.unwrap();
    builder("127.0.0.1").tls(Tls::Plaintext).connect().await.unwrap();
    builder("localhost").connect().await.unwrap();
}

pub(crate) async fn a_server_without_tls_is_refused_where_it_is_asked_for() {
    let server = own(Kind::MySql);
    let mut admin = MySqlConnection::connect(&server.url()).await.unwrap();
    let is_mariadb = "SELECT CAST(VERSION() LIKE '%MariaDB%' AS SIGNED)";
    // MySQL, and MariaDB from 11.4 on, have TLS by themselves.
    let server = if number(&mut admin, is_mariadb).await == 1 {
        own_with(Kind::MySql, &[("ssl", "0")])
    } else {
        // Its passwords need TLS, or to be known already: so it is taken away from a server that runs. There is no word for that
        // but a setting with which TLS cannot be had.
        run(&mut admin, "SET GLOBAL tls_version = ''").await;
        run(&mut admin, "ALTER INSTANCE RELOAD TLS NO ROLLBACK ON ERROR").await;
        server
    };
    let builder = || MySqlStore::builder(&server.url());
    refused(builder().tls(Tls::Verify), "no TLS, but it must be verified").await;
    refused(builder().tls(Tls::Unverified), "no TLS, but it must be encrypted").await;
}
