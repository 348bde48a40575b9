//! Real servers start, are killed, come back, and leave nothing.

use std::env;
use std::net::TcpStream;
use std::process::{Command, ExitCode, Stdio};

use libtest_mimic::{Arguments, Failed, Trial};
use test_servers::{Kind, installed, start, start_with};

/// Set in the child that this program starts of itself to be killed.
const VICTIM: &str = "TEST_SERVERS_VICTIM";

fn main() -> ExitCode {
    if env::var_os(VICTIM).is_some() {
        victim();
    }
    let mut trials: Vec<_> = Kind::ALL.iter().map(|kind| lives_and_dies(*kind)).collect();
    trials.push(trial("refused_setting", Kind::Redis, a_refused_setting_is_told));
    trials.push(trial("owner_killed", Kind::Redis, nothing_survives_its_owner));
    let mut arguments = Arguments::from_args();
    // One at a time: a port that is free again may be the next server's.
    arguments.test_threads = Some(1);
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// A test that is ignored where its server is not installed, unless everything is required.
fn trial(name: &str, kind: Kind, test: impl FnOnce() + Send + 'static) -> Trial {
    let missing = installed(kind).is_err();
    let required = env::var("RETRY_REQUIRE").is_ok_and(|required| required == "all");
    let run = move || -> Result<(), Failed> {
        installed(kind)?;
        test();
        Ok(())
    };
    Trial::test(name, run).with_ignored_flag(missing && !required)
}

fn answers(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

fn lives_and_dies(kind: Kind) -> Trial {
    trial(kind.name(), kind, move || {
        let server = start(kind).expect("it starts");
        let ports = server.ports().to_vec();
        let folder = server.folder().to_owned();
        let url = server.url();
        assert!(ports.iter().all(|port| answers(*port)), "{url}");

        server.kill();
        assert!(!ports.iter().any(|port| answers(*port)), "killed means dead");

        server.restart().expect("it comes back");
        assert_eq!(server.url(), url);
        assert!(ports.iter().all(|port| answers(*port)));

        let running = test_servers::running().expect("the folder of servers");
        let other = running.iter().find(|other| other.url() == url).expect("itself");
        other.restart().expect("anybody may restart it");
        assert!(ports.iter().all(|port| answers(*port)));

        drop(server);
        assert!(!ports.iter().any(|port| answers(*port)), "nothing listens");
        assert!(!folder.exists(), "no data is left");
    })
}

fn a_refused_setting_is_told() {
    let error = start_with(Kind::Redis, &[("appendfsync", "sometimes")]).expect_err("refused");
    assert!(error.to_string().contains("appendfsync"), "{error}");
}

/// Starts a server, tells its port and waits to be killed.
#[expect(clippy::print_stdout, reason = "the parent reads it")]
fn victim() -> ! {
    let server = start(Kind::Redis).expect("it starts");
    println!("{}", server.ports()[0]);
    loop {
        std::thread::park();
    }
}

fn nothing_survives_its_owner() {
    let mut child = Command::new(env::current_exe().expect("this program"))
        .env(VICTIM, "1")
        .stdout(Stdio::piped())
        .spawn()
        .expect("a child");
    let out = child.stdout.take().expect("its output");
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line).expect("a line");
    let port: u16 = line.trim().parse().expect("a port");
    let mine = |port: u16| {
        let running = test_servers::running().expect("the folder of servers");
        running.iter().any(|server| server.ports() == [port])
    };
    assert!(answers(port) && mine(port));

    child.kill().and_then(|()| child.wait()).expect("killed");
    // The guardian sees the end of its input; a busy machine lets it wait for its turn.
    while mine(port) {
        std::thread::yield_now();
    }
    assert!(!answers(port), "the guardian ended it");
}
