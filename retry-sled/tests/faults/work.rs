//! A process that writes as fast as it can and says what was answered.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use retry_core::headers::Headers;
use retry_core::id::{Nonce, SessionId, TaskId};
use retry_core::machine::{Event, transition};
use retry_core::name::{Kind, Queue, WorkerName};
use retry_core::payload::Payload;
use retry_core::priority::Priority;
use retry_core::store::{ClaimRequest, SessionInfo, TaskStore as _};
use retry_core::task::{ClaimedTask, Edit, NewTask, Settings};
use retry_core::time::Timestamp;
use retry_sled::SledStore;

/// The variable that makes this program a child, with the store's directory.
pub(crate) const CHILD: &str = "RETRY_SLED_WORK";

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const FAR: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// One round in so many is a long one: a single write of more than a segment of sled's log, 512 KiB.
const LONG: u64 = 4;

/// The tasks of a long round.
const MANY: u64 = 1_000;

/// The bytes of a task of a long round; the others are a few bytes long.
const LARGE: usize = 3_000;

/// The child. It ends with the first error.
pub(crate) fn work_for_ever(dir: &Path) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let store = SledStore::open(dir).expect("the store opens");
        let pid = u64::from(std::process::id());
        let info = session(pid);
        store.open_session(&info, FAR, NOW).await.expect("a session");
        let mut out = std::io::stdout().lock();
        let (mut next, mut edits) = (pid * 1_000_000, Vec::new());
        for round in 0_u64.. {
            let is_long = round % LONG == LONG - 1;
            let (count, limit) = if is_long {
                (MANY, 1_000)
            } else {
                (1 + round % 30, 20)
            };
            let new: Vec<NewTask> = (next..next + count)
                .map(if is_long { large } else { task })
                .collect();
            next += count;
            let claims = [ClaimRequest::new(info.id, Queue::default(), [kind()], limit)];
            let (inserted, exchanged) =
                tokio::join!(store.insert(&new, NOW), store.exchange(&edits, &claims, NOW));
            let exchanged = match (inserted, exchanged) {
                (Ok(_), Ok(exchanged)) => exchanged,
                (Err(error), _) | (_, Err(error)) => {
                    eprintln!("the child ends: {error}");
                    return;
                }
            };
            let ended = edits.iter().map(|edit| format!("ended {}\n", number(edit.id)));
            let inserted = new.iter().map(|new| format!("inserted {}\n", number(new.id)));
            let said: String = inserted.chain(ended).collect();
            out.write_all(said.as_bytes())
                .and_then(|()| out.flush())
                .expect("the parent listens");
            edits = exchanged.claimed[0].tasks.iter().map(success).collect();
        }
    });
}

/// A child at work. Dropping it kills it.
pub(crate) struct Worker {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Worker {
    pub(crate) fn start(dir: &Path) -> Self {
        let program = std::env::current_exe().expect("the path of this program");
        let mut child = Command::new(program)
            .env(CHILD, dir)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the child starts");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        Self { child, output }
    }

    /// The next whole line that it says; none when it has ended. The last one of a killed child may be a part of one.
    pub(crate) fn says(&mut self) -> Option<String> {
        let mut line = String::new();
        self.output.read_line(&mut line).ok()?;
        line.strip_suffix('\n').map(str::to_owned)
    }

    pub(crate) fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn task_id(n: u64) -> TaskId {
    TaskId::from_bytes(u128::from(n).to_be_bytes())
}

fn number(id: TaskId) -> u128 {
    u128::from_be_bytes(id.to_bytes())
}

fn kind() -> Kind {
    Kind::new("work").expect("a name")
}

pub(crate) fn task(n: u64) -> NewTask {
    NewTask {
        id: task_id(n),
        kind: kind(),
        queue: Queue::default(),
        priority: Priority::Normal,
        payload: Payload::encode(&n).expect("a number"),
        headers: Headers::new(),
        run_at: NOW,
        unique: None,
        parent: None,
        settings: Settings::default(),
        wait_secret: n,
        leased_by: None,
    }
}

fn large(n: u64) -> NewTask {
    NewTask {
        payload: Payload::encode(&"x".repeat(LARGE)).expect("a text"),
        ..task(n)
    }
}

fn session(n: u64) -> SessionInfo {
    SessionInfo {
        id: SessionId::from_random(n, n),
        name: WorkerName::new("worker").expect("a name"),
        host: "here".to_owned(),
        queues: vec![Queue::default()],
        kinds: vec![kind()],
    }
}

fn success(claimed: &ClaimedTask) -> Edit {
    let event = Event::Succeed {
        output: None,
        via_fallback: false,
    };
    Edit {
        id: claimed.task.id,
        version: claimed.task.version,
        nonce: Nonce::from_random(claimed.task.version + 1),
        action: transition(&claimed.task, event, NOW, 0).expect("a running task can succeed"),
        insert: Vec::new(),
    }
}
