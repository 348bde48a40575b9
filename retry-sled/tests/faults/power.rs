//! Power cuts under load: whatever was answered is there, and the indexes fit the rows.

use std::collections::BTreeMap;

use retry_core::store::TaskStore as _;
use retry_core::task::State;
use retry_sled::SledStore;

use super::disk::Disk;
use super::work::{Worker, task_id};

/// Cuts of one store; `RETRY_POWER_CUTS` asks for more, each eight on a fresh one, because the disk is small.
const CUTS: u64 = 8;

pub(crate) fn cuts(disk: &Disk) {
    let cuts = std::env::var("RETRY_POWER_CUTS")
        .ok()
        .and_then(|text| text.parse().ok());
    let dir = disk.path().join("tasks");
    // Each task with whether its end was answered.
    let mut told: BTreeMap<u64, bool> = BTreeMap::new();
    for cut in 0..cuts.unwrap_or(CUTS) {
        let age = cut % CUTS;
        if age == 0 && dir.exists() {
            std::fs::remove_dir_all(&dir).expect("the old store goes");
            told.clear();
        }
        let mut worker = Worker::start(&dir);
        // Cuts at other moments each time: early ones meet a young file, late ones a long one.
        for _ in 0..2_000 + age * 1_700 {
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
