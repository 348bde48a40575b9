//! A full disk: told as such, nothing answered is lost, and the store goes on by itself when there is room.

use retry_core::payload::Payload;
use retry_core::store::{Certainty, StoreErrorKind, TaskStore as _, TaskStoreExt as _};
use retry_core::task::NewTask;
use retry_sled::SledStore;

use super::disk::Disk;
use super::work::{NOW, task, task_id};

fn large(n: u64) -> NewTask {
    NewTask {
        payload: Payload::encode(&"x".repeat(100_000)).expect("a text"),
        ..task(n)
    }
}

pub(crate) fn fill_and_free(disk: &Disk) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let dir = disk.path().join("tasks");
        let ballast = disk.path().join("ballast");
        std::fs::write(&ballast, vec![1; 40 * 1024 * 1024]).expect("room for the ballast");
        let store = SledStore::open(&dir).expect("the store opens");
        let mut kept = 0;
        let error = loop {
            match store.insert_one(large(kept), NOW).await {
                Ok(_) => kept += 1,
                Err(error) => break error,
            }
        };
        assert!(kept > 50, "{kept} tasks fit");
        assert_eq!(
            (error.kind(), error.certainty()),
            (StoreErrorKind::Full, Certainty::Unknown),
            "{error}"
        );
        // Still full: nothing is lost, nothing panics.
        for n in kept..kept + 20 {
            if let Err(error) = store.insert_one(large(n), NOW).await {
                let kind = error.kind();
                assert!(
                    matches!(kind, StoreErrorKind::Full | StoreErrorKind::Unavailable),
                    "{error:?}"
                );
            }
        }
        std::fs::remove_file(&ballast).expect("the ballast goes");
        for n in 1_000..1_050 {
            store
                .insert_one(large(n), NOW)
                .await
                .expect("there is room again");
        }
        let found = async |store: &SledStore| {
            for n in (0..kept).chain(1_000..1_050) {
                let detail = store.get(task_id(n)).await.expect("a read");
                assert!(detail.is_some(), "task {n} was answered and is gone");
            }
            let audit = store.audit().await.expect("the store is read");
            assert!(audit.is_sound(), "{:#?}", audit.told);
        };
        found(&store).await;
        drop(store);
        found(&SledStore::open(&dir).expect("the store opens again")).await;
    });
}
