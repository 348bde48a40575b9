//! Power cuts under load: whatever was answered is there, and the indexes fit the rows.

use std::collections::BTreeMap;

use retry_core::store::TaskStore as _;
use retry_core::task::State;
use retry_sled::SledStore;

use super::disk::Disk;
use super::work::{Worker, task_id};

/// After how many answers the power is cut, one time after the other on the same store: early cuts meet a young file, late ones a
/// long one. `RETRY_POWER_CUTS` asks for more cuts; each round of them begins with a fresh store, because the disk is small.
const ANSWERS: [usize; 5] = [1, 1_300, 5_700, 10_100, 14_000];

pub(crate) fn cuts(disk: &Disk) {
    let cuts = std::env::var("RETRY_POWER_CUTS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(ANSWERS.len());
    let dir = disk.path().join("tasks");
    // Each task with whether its end was answered.
    let mut told: BTreeMap<u64, bool> = BTreeMap::new();
    for (cut, answers) in ANSWERS.into_iter().cycle().take(cuts).enumerate() {
        if cut % ANSWERS.len() == 0 && dir.exists() {
            std::fs::remove_dir_all(&dir).expect("the old store goes");
            told.clear();
        }
        let mut worker = Worker::start(&dir);
        for _ in 0..answers {
            hear(&mut told, &worker.says().expect("the child works"));
        }
        disk.cut().expect("the power is cut");
        worker.kill();
        while let Some(line) = worker.says() {
            hear(&mut told, &line);
        }
        drop(worker);
        disk.remount().expect("the disk comes back");
        verify(disk, &told);
        let (cut, tasks) = (cut + 1, told.len());
        // What `--nocapture` shows of a long run.
        #[expect(clippy::print_stdout, reason = "a test tells how far it is")]
        {
            println!("cut {cut} after {answers} answers: {tasks} tasks, all there");
        }
    }
}

fn hear(told: &mut BTreeMap<u64, bool>, line: &str) {
    let (what, n) = line.split_once(' ').expect("what and a number");
    let ended = told.entry(n.parse().expect("a number")).or_default();
    *ended |= what == "ended";
}

fn verify(disk: &Disk, told: &BTreeMap<u64, bool>) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let store = SledStore::open(disk.path().join("tasks")).expect("the store opens after a power cut");
        let audit = store.audit().await.expect("the store is read");
        assert!(audit.is_sound(), "{:#?}", audit.told);
        for (n, ended) in told {
            let detail = store.get(task_id(*n)).await.expect("a read");
            let detail = detail.unwrap_or_else(|| panic!("task {n} was answered and is gone"));
            assert!(
                !ended || detail.task.state == State::Succeeded,
                "the end of task {n} is gone"
            );
        }
    });
}
