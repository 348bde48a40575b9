//! Real servers start, are killed, come back, and leave nothing.

use std::env;
use std::net::TcpStream;
use std::process::{Command, ExitCode, Stdio};

use libtest_mimic::{Arguments, Trial};
use test_servers::{Kind, needs, start, start_in, start_with};

/// Set in the child that this program starts of itself to be killed.
const VICTIM: &str = "TEST_SERVERS_VICTIM";

fn main() -> ExitCode {
    if env::var_os(VICTIM).is_some() {
        victim();
    }
    let mut trials: Vec<_> = Kind::ALL.iter().map(|kind| lives_and_dies(*kind)).collect();
    trials.push(trial(
        "one_process",
        Kind::RedisCluster,
        one_process_is_killed_alone,
    ));
    trials.push(trial("own_place", Kind::Postgres, a_place_of_the_callers));
    trials.push(trial("refused_setting", Kind::Redis, a_refused_setting_is_told));
    trials.push(trial("owner_killed", Kind::Redis, nothing_survives_its_owner));
    let mut arguments = Arguments::from_args();
    // One at a time: a port that is free again may be the next server's.
    arguments.test_threads = Some(1);
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// A test that starts servers of a kind.
fn trial(name: &str, kind: Kind, test: impl FnOnce() + Send + 'static) -> Trial {
    test_servers::trial(name, move || {
        needs(kind);
        test();
    })
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

fn one_process_is_killed_alone() {
    let server = start(Kind::RedisCluster).expect("it starts");
    let alive = || {
        server
            .ports()
            .iter()
            .map(|port| answers(*port))
            .collect::<Vec<_>>()
    };
    server.kill_process(1);
    assert_eq!(alive(), [true, false, true]);
    server.kill_process(1);
    server.kill_process(9);
    assert_eq!(alive(), [true, false, true], "there is nothing to be killed");
    server.revive().expect("it comes back");
    assert_eq!(alive(), [true; 3]);
}

fn a_place_of_the_callers() {
    // Not the temporary folder itself, which is where the others are.
    let home = env::temp_dir().join(format!("test-servers-own-{}", std::process::id()));
    let server = start_in(&home, Kind::Postgres, &[]).expect("it starts");
    assert!(server.folder().starts_with(&home) && answers(server.ports()[0]));
    let running = test_servers::running().expect("the folder of servers");
    assert!(
        !running.iter().any(|other| other.url() == server.url()),
        "it is the caller's alone"
    );
    server.restart().expect("the same data");
    drop(server);
    std::fs::remove_dir(&home).expect("it is empty");
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
