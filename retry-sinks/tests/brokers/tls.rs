//! TLS with real servers: a broker is believed only with the right certificate for its name, and one without TLS is not spoken
//! to where TLS is asked for.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use async_nats::jetstream;
use libtest_mimic::Trial;
use retry_sinks::{MessageSink, NatsSink, RabbitSink, RedisStreamsSink};
use test_servers::{Kind, Server, start, start_with};

use crate::stream::{Stream, blocking, judge};
use crate::{nats, rabbitmq, redis_streams, with};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        with(Kind::Nats, "certificate_and_name_are_checked", on_nats),
        with(Kind::RabbitMq, "certificate_and_name_are_checked", on_rabbitmq),
        with(Kind::Redis, "certificate_and_name_are_checked", on_redis),
    ]
}

fn openssl(folder: &Path, arguments: &str) {
    let done = Command::new("openssl")
        .args(arguments.split(' '))
        .current_dir(folder)
        .output();
    let done = done.expect("openssl is installed (apt-get install openssl)");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// Two authorities, `ca.pem` and `other.pem`, and a certificate of the first for `localhost`, readable for servers that run
/// as somebody else.
struct Certificates(tempfile::TempDir);

impl Certificates {
    fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        for name in ["ca", "other"] {
            let new = "req -x509 -newkey rsa:2048 -nodes -days 2";
            openssl(
                path,
                &format!("{new} -keyout {name}.key -out {name}.pem -subj /CN={name}"),
            );
        }
        let request = "req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=localhost";
        openssl(path, request);
        std::fs::write(path.join("names"), "subjectAltName=DNS:localhost").unwrap();
        let sign = "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2";
        openssl(path, &format!("{sign} -extfile names -out server.pem"));
        open_to_all(path, 0o755);
        for name in ["ca.pem", "server.pem", "server.key"] {
            open_to_all(&path.join(name), 0o644);
        }
        Self(folder)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.at(name).display().to_string()
    }
}

fn open_to_all(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Why a message does not reach the broker.
async fn refusal(sink: impl MessageSink) -> String {
    let mut stream = Stream::to(sink, "orders").await;
    stream.enqueue(1).await;
    stream.fails().await
}

/// `sink` makes one of a host, a port, and a file of root certificates, with TLS: one on the port `secure` is believed by its certificate
/// and its name alone, the one on `plain` has no TLS.
async fn only_the_right_one<S: MessageSink>(
    certificates: &Certificates,
    secure: u16,
    plain: u16,
    sink: impl Fn(&str, u16, Option<PathBuf>) -> S,
) {
    let (ca, other) = (
        Some(certificates.at("ca.pem")),
        Some(certificates.at("other.pem")),
    );
    for (host, port, roots, why) in [
        ("127.0.0.1", secure, &ca, "another name"),
        ("localhost", secure, &other, "another authority"),
        (
            "localhost",
            secure,
            &None,
            "an authority that the system does not know",
        ),
    ] {
        let told = refusal(sink(host, port, roots.clone())).await;
        assert!(told.contains("certificate"), "{why}: {told}");
    }
    // Whatever it tells: nothing was sent to it.
    refusal(sink("localhost", plain, ca.clone())).await;
    let mut stream = Stream::to(sink("localhost", secure, ca), "orders").await;
    stream.enqueue(30).await;
    stream.finish().await;
}

async fn on_nats() {
    let certificates = blocking(Certificates::make).await;
    let settings = certificates.at("nats.conf");
    let (cert, key) = (certificates.text("server.pem"), certificates.text("server.key"));
    let text = format!("tls {{ cert_file: \"{cert}\", key_file: \"{key}\" }}\n");
    std::fs::write(&settings, text).unwrap();
    open_to_all(&settings, 0o644);
    let settings = settings.display().to_string();
    let secure = blocking(move || start_with(Kind::Nats, &[("config", &settings)]).unwrap()).await;
    let plain = blocking(|| start(Kind::Nats).unwrap()).await;
    let client = |secure: &Server| {
        let options = async_nats::ConnectOptions::new().add_root_certificates(certificates.at("ca.pem"));
        options.connect(format!("tls://localhost:{}", secure.ports()[0]))
    };
    let context = jetstream::new(client(&secure).await.unwrap());
    context.create_stream(nats::config("orders")).await.unwrap();
    let other = jetstream::new(async_nats::connect(plain.url()).await.unwrap());
    other.create_stream(nats::config("orders")).await.unwrap();
    let (port, without) = (secure.ports()[0], plain.ports()[0]);
    only_the_right_one(&certificates, port, without, |host, port, roots| {
        let builder = NatsSink::builder(format!("tls://{host}:{port}"));
        match roots {
            Some(file) => builder.root_certificates(file).build().unwrap(),
            None => builder.build().unwrap(),
        }
    })
    .await;
    judge(&nats::read(&context, "orders").await, 30);
    assert!(nats::read(&other, "orders").await.is_empty());
}

async fn on_rabbitmq() {
    let certificates = blocking(Certificates::make).await;
    let server = Arc::new(blocking(|| start(Kind::RabbitMq).unwrap()).await);
    rabbitmq::declare(&server.url(), "orders", true).await;
    let port = free_port();
    let (ca, cert, key) = (
        certificates.text("ca.pem"),
        certificates.text("server.pem"),
        certificates.text("server.key"),
    );
    let code = format!(
        "{{ok, _}} = application:ensure_all_started(ssl), \
         rabbit_networking:start_ssl_listener({{\"127.0.0.1\", {port}}}, \
         [{{cacertfile, \"{ca}\"}}, {{certfile, \"{cert}\"}}, {{keyfile, \"{key}\"}}], 2)."
    );
    let listening = Arc::clone(&server);
    blocking(move || rabbitmq::eval(&listening, &code)).await;
    only_the_right_one(&certificates, port, server.ports()[1], |host, port, roots| {
        let builder = RabbitSink::builder(format!("amqps://guest:guest@{host}:{port}/%2f"));
        match roots {
            Some(file) => builder.root_certificates(file).build().unwrap(),
            None => builder.build().unwrap(),
        }
    })
    .await;
    judge(&rabbitmq::read(&server.url(), "orders").await, 30);
}

async fn on_redis() {
    let certificates = blocking(Certificates::make).await;
    let server = Arc::new(blocking(|| start(Kind::Redis).unwrap()).await);
    let mut admin = redis::Client::open(server.url())
        .unwrap()
        .get_connection()
        .unwrap();
    let port = free_port();
    for (name, value) in [
        ("tls-cert-file", certificates.text("server.pem")),
        ("tls-key-file", certificates.text("server.key")),
        ("tls-ca-cert-file", certificates.text("ca.pem")),
        ("tls-auth-clients", "no".to_owned()),
        ("tls-port", port.to_string()),
    ] {
        redis::cmd("CONFIG")
            .arg("SET")
            .arg(name)
            .arg(value)
            .exec(&mut admin)
            .unwrap();
    }
    only_the_right_one(&certificates, port, server.ports()[0], |host, port, roots| {
        let builder = RedisStreamsSink::builder(format!("rediss://{host}:{port}"));
        match roots {
            Some(file) => builder.root_certificates(file).build().unwrap(),
            None => builder.build().unwrap(),
        }
    })
    .await;
    judge(
        &blocking(move || redis_streams::read(&server.url(), "orders")).await,
        30,
    );
}
