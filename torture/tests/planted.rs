//! The audit finds what is wrong: a short run is real and clean, then one lie at a time is planted in a copy of its files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

fn torture(words: &[&str], folder: &Path) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_torture"));
    let Output {
        status,
        stdout,
        stderr,
    } = command.args(words).arg("--folder").arg(folder).output().unwrap();
    let told = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
    (status.success(), told)
}

/// The files of a run, to be changed.
struct Files(TempDir);

impl Files {
    fn of(run: &Path) -> Self {
        let copy = tempfile::tempdir().unwrap();
        copy_all(run, copy.path());
        Self(copy)
    }

    fn sql(&self, sql: &str) {
        let conn = Connection::open(self.0.path().join("tasks.db")).unwrap();
        conn.execute_batch(sql)
            .unwrap_or_else(|error| panic!("{error}: {sql}"));
    }

    fn logs(&self, role: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.0.path().join("logs")).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        let of_role = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            name.starts_with(role) && name.ends_with(".log")
        };
        paths.filter(of_role).collect()
    }

    /// Changes the lines of all logs of a role.
    fn lines(&self, role: &str, mut change: impl FnMut(&mut Vec<Value>)) {
        for path in self.logs(role) {
            let text = fs::read_to_string(&path).unwrap();
            let lines = text.lines().filter_map(|line| serde_json::from_str(line).ok());
            let mut lines: Vec<Value> = lines.collect();
            change(&mut lines);
            let lines: Vec<String> = lines.iter().map(|line| line.to_string() + "\n").collect();
            fs::write(&path, lines.concat()).unwrap();
        }
    }

    /// Adds lines, as another process of a role would have written them.
    fn another(&self, role: &str, lines: &[Value]) {
        let text: Vec<String> = lines.iter().map(|line| line.to_string() + "\n").collect();
        let path = self.0.path().join(format!("logs/{role}-9-1.log"));
        fs::write(path, text.concat()).unwrap();
    }

    /// The first line with an event that fits.
    fn line(&self, role: &str, event: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let texts = self
            .logs(role)
            .into_iter()
            .map(|path| fs::read_to_string(path).unwrap());
        let lines = texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>());
        lines
            .filter_map(|line| serde_json::from_str::<Value>(&line).ok())
            .find(|line| line["event"].get(event).is_some_and(&fits))
            .unwrap_or_else(|| panic!("no {role} has logged {event}"))
    }

    /// The id of a task of a kind, as the logs spell it.
    fn task(&self, kind: &str) -> String {
        let conn = Connection::open(self.0.path().join("tasks.db")).unwrap();
        let sql = "SELECT lower(hex(t.id)) FROM retry_task t JOIN retry_lane l ON l.number = t.lane >> 3 WHERE l.kind = ?1";
        let hex: String = conn.query_row(sql, [kind], |row| row.get(0)).unwrap();
        [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
    }
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_all(&path, &target);
        } else {
            fs::copy(&path, target).unwrap();
        }
    }
}

/// The first task of a kind.
fn first(kind: &str) -> String {
    format!(
        "(SELECT min(t.number) FROM retry_task t JOIN retry_lane l ON l.number = t.lane >> 3 WHERE l.kind = '{kind}')"
    )
}

fn set(kind: &str, what: &str) -> String {
    format!("UPDATE retry_task SET {what} WHERE number = {}", first(kind))
}

fn gone(kind: &str) -> String {
    format!(
        "DELETE FROM retry_body WHERE number = {};
         DELETE FROM retry_task WHERE number NOT IN (SELECT number FROM retry_body);
         DELETE FROM retry_note WHERE number NOT IN (SELECT number FROM retry_body);
         DELETE FROM retry_failure WHERE body NOT IN (SELECT number FROM retry_body);",
        first(kind)
    )
}

fn copied(change: &str) -> String {
    format!(
        "CREATE TEMP TABLE t AS SELECT * FROM retry_task WHERE number = {};
         CREATE TEMP TABLE b AS SELECT * FROM retry_body WHERE number = (SELECT number FROM t);
         UPDATE t SET number = 1000000, id = randomblob(16);
         UPDATE b SET number = 1000000 {change};
         INSERT INTO retry_task SELECT * FROM t;
         INSERT INTO retry_body SELECT * FROM b;",
        first("quick")
    )
}

fn failure(text: &str) -> String {
    format!(
        "UPDATE retry_failure
            SET attempt = json_set(attempt, '$.worker', NULL, '$.error', '{text}',
                                   '$.started_at', json_extract(attempt, '$.started_at') - 1000)
          WHERE (body, number) = (SELECT body, number FROM retry_failure LIMIT 1)"
    )
}

/// Lies of the store: what is done to it, and what the audit must say.
fn in_the_store() -> Vec<(String, &'static str)> {
    vec![
        (gone("quick"), "LOST: "),
        (gone("kid"), "kids, or not its own"),
        (gone("follower"), "succeeded with followers"),
        (gone("leader"), "no leader that succeeded"),
        (copied(""), "is stored 2 times"),
        (copied(", payload = '{\"n\":1}'"), "nobody asked for it"),
        (set("quick", "state = 5"), "not succeeded"),
        (set("quick", "state = 0"), "is pending at the end"),
        (
            set("quick", &format!("lane = (SELECT lane FROM retry_task WHERE number = {})", first("order"))),
            "of another kind than was asked",
        ),
        (set("quick", "attempt = 9"), "ATTEMPTS"),
        (set("quick", "version = version - 1"), "LOST: task"),
        (set("quick", "version = version + 1"), "no run in the log did that"),
        (set("quick", "session = x'00112233445566778899aabbccddeeff'"), "cannot be read"),
        (set("single", "holds_key = 1"), "holds its key or a session"),
        (set("parent", "open = 1"), "counts"),
        (set("parent", "failed = 1"), "counts"),
        (set("kid", "parent = NULL"), "has no parent"),
        (set("waiter", "step = 2"), "is at step 2"),
        (
            format!("UPDATE retry_note SET output = '1' WHERE number = {}", first("slow")),
            "has output",
        ),
        (
            "DELETE FROM torture_order WHERE n = (SELECT min(n) FROM torture_order)".to_owned(),
            "a row or a task, not both",
        ),
        ("INSERT INTO torture_order VALUES (5)".to_owned(), "a row or a task, not both"),
        (
            "INSERT INTO retry_session VALUES (x'00112233445566778899aabbccddeeff', 0, 0, 0, 'w', 'h', '[]', '[]')"
                .to_owned(),
            "a session is left over",
        ),
        ("DELETE FROM retry_body WHERE number = 1".to_owned(), "retry_task WHERE"),
        (failure("its worker''s process died"), "CRASH"),
        (failure("its worker''s lease was lost"), "EARLY"),
    ]
}

type Lie = (&'static str, fn(&Files), &'static str);

/// Lies of the logs: they tell what a wrong store would have answered.
const IN_THE_LOGS: &[Lie] = &[
    (
        "an acknowledged task that is not stored",
        |files| {
            let id = "01a1f95b-4041-7000-8000-0045ec36b5ad";
            let asked = json!({"at": 1, "event": {"intent": {"n": 1, "kind": "quick", "key": null}}});
            let told = json!({"at": 2, "event": {"answer": {"n": 1, "id": id, "new": true}}});
            files.another("enqueuer", &[asked, told]);
        },
        "LOST: 1 (quick)",
    ),
    (
        "an answer with another's id",
        |files| {
            let (quick, slow) = (files.task("quick"), files.task("slow"));
            files.lines("enqueuer", |lines| {
                for line in lines {
                    if line["event"]["answer"]["id"] == quick {
                        let answer = &mut line["event"]["answer"];
                        answer["id"] = json!(slow);
                    }
                }
            });
        },
        "which carries",
    ),
    (
        "a duplicate that is none",
        |files| {
            let quick = files.task("quick");
            files.lines("enqueuer", |lines| {
                for line in lines {
                    if line["event"]["answer"]["id"] == quick {
                        let answer = &mut line["event"]["answer"];
                        answer["new"] = json!(false);
                    }
                }
            });
        },
        "is a duplicate of",
    ),
    (
        "a number used twice",
        |files| {
            let line = files.line("enqueuer", "intent", |_| true);
            files.another("enqueuer", &[line]);
        },
        "was used twice",
    ),
    (
        "a second run of one version",
        |files| {
            let line = files.line("worker", "run", |_| true);
            files.another("worker", &[line]);
        },
        "DOUBLE",
    ),
    (
        "a second claim of one version",
        |files| {
            let line = files.line("worker", "claim", |_| true);
            files.another("worker", &[line]);
        },
        "written over by",
    ),
    (
        "a second write of one version",
        |files| {
            let mut line = files.line("worker", "edit", |edit| {
                edit["raises"] == true && edit["done"] == true
            });
            line["event"]["edit"]["nonce"] = json!(1);
            files.another("worker", &[line]);
        },
        "written over by",
    ),
    (
        "a write that is forgotten",
        |files| {
            let mut line = files.line("worker", "edit", |edit| {
                edit["raises"] == true && edit["done"] == true
            });
            line["event"]["edit"]["version"] = json!(99);
            files.another("worker", &[line]);
        },
        "LOST: task",
    ),
    (
        "a success without a run",
        |files| {
            let quick = files.task("quick");
            files.lines("worker", |lines| {
                lines.retain(|line| line["event"]["ended"]["id"] != quick)
            });
        },
        "no run in the log did that",
    ),
    (
        "a task that never ran",
        |files| {
            let quick = files.task("quick");
            let events = ["claim", "edit", "run", "ended"];
            let tells = |line: &Value| events.iter().any(|event| line["event"][event]["id"] == quick);
            files.lines("worker", |lines| lines.retain(|line| !tells(line)));
        },
        "never ran",
    ),
    (
        "runs that overlap under a lease",
        |files| {
            const HOUR: i64 = 3_600_000;
            files.lines("worker", |lines| {
                for line in lines {
                    if let Some(until) = line["event"]["lease"]["until"].as_i64() {
                        line["event"]["lease"]["until"] = json!(until + HOUR);
                    }
                    if line["event"]["ended"]["how"] == "failed" {
                        line["at"] = json!(line["at"].as_i64().unwrap() + HOUR);
                    }
                }
            });
        },
        "OVERLAP",
    ),
    (
        "a handler's error that the log does not have",
        |files| {
            files.lines("worker", |lines| {
                for line in lines {
                    if line["event"]["ended"]["how"] == "failed" {
                        line["event"]["ended"]["how"] = json!("good");
                    }
                }
            });
        },
        "errors of handlers",
    ),
    (
        "a checkpoint that is forgotten",
        |files| {
            let saved = json!({"id": files.task("saver"), "version": 0, "progress": 99});
            files.another("worker", &[json!({"at": 1, "event": {"saved": saved}})]);
        },
        "after 99 was stored",
    ),
    (
        "a wait that was completed twice",
        |files| {
            let completed = json!({"id": files.task("waiter"), "mark": 1, "how": "done"});
            let line = json!({"at": 1, "event": {"completed": completed}});
            files.another("enqueuer", &[line.clone(), line]);
        },
        "and was completed",
    ),
    (
        "a wait that got another's data",
        |files| {
            files.lines("enqueuer", |lines| {
                for line in lines {
                    if line["event"]["completed"]["how"] == "done" {
                        line["event"]["completed"]["mark"] = json!(1);
                    }
                }
            });
        },
        "was completed with [1] and got",
    ),
    (
        "work on a task that is not stored",
        |files| {
            let mut line = files.line("worker", "run", |_| true);
            line["event"]["run"]["id"] = json!("01a1f95b-4041-7000-8000-0045ec36b5ad");
            files.another("worker", &[line]);
        },
        "was worked on and is not stored",
    ),
    (
        "a process that complained",
        |files| fs::write(files.0.path().join("logs/worker-0-1.err"), "thread panicked").unwrap(),
        "said: thread panicked",
    ),
    (
        "a lock file of the dead",
        |files| {
            let locks = files.0.path().join("tasks.db-locks");
            fs::write(locks.join("somebody"), "").unwrap();
        },
        "a lock file is left over",
    ),
];

#[test]
fn every_planted_violation_is_found() {
    let run = tempfile::tempdir().unwrap();
    // Long enough that every kind of task is there.
    let (good, told) = torture(&["--minutes", "0.07", "--seed", "5", "--keep"], run.path());
    assert!(good, "{told}");
    let (good, told) = torture(&["audit"], Files::of(run.path()).0.path());
    assert!(good && told.contains("no violation"), "{told}");

    let mut missed = Vec::new();
    let mut check = |what: &str, files: &Files, wanted: &str| {
        let (good, told) = torture(&["audit"], files.0.path());
        if good || !told.contains(wanted) {
            missed.push(format!("{what}: {wanted:?} is not in\n{told}"));
        }
    };
    for (sql, wanted) in in_the_store() {
        let files = Files::of(run.path());
        files.sql(&sql);
        check(&sql, &files, wanted);
    }
    for (what, lie, wanted) in IN_THE_LOGS {
        let files = Files::of(run.path());
        lie(&files);
        check(what, &files, wanted);
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn a_folder_without_a_run_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (good, told) = torture(&["audit"], dir.path());
    assert!(!good && told.contains("no run left its files here"), "{told}");
}

#[test]
fn what_does_not_go_together_is_refused() {
    for words in [["--power-cut", "--quick"], ["--clients", "9"]] {
        let dir = tempfile::tempdir().unwrap();
        let words = ["--workload", "outbox"].into_iter().chain(words);
        let (good, told) = torture(&words.collect::<Vec<_>>(), dir.path());
        assert!(!good && told.contains("are for the workload"), "{told}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is written");
    }
}
