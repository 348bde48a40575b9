//! sled: a folder of its own.

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use retry_sled::SledStore;

use super::Subject;
use super::sled_toy::Toy;
use crate::aims::Aim;
use crate::args::Run;
use crate::bare;
use crate::job::After;
use crate::place::{Place, folder};

#[derive(Debug)]
pub(super) struct Sled;

#[async_trait]
impl Subject for Sled {
    fn name(&self) -> &'static str {
        "sled"
    }

    async fn fresh(&self, run: &Run) -> Result<Place> {
        let folder = folder(run)?;
        let store = SledStore::open(folder.path()).context("the sled store cannot be opened")?;
        Place::open(store, folder, run).await
    }

    async fn toy(&self, run: &Run, after: After) -> Result<Option<Box<dyn bare::Toy>>> {
        Ok(Some(Box::new(Toy::fresh(run, after)?)))
    }

    fn is_on_disk(&self) -> bool {
        true
    }

    fn aims(&self) -> Vec<Aim> {
        vec![
            Aim::of_bare("E32", 30.0 / 67.0, 50.0 / 67.0),
            Aim::of_bare("EB", 50.0 / 121.0, 80.0 / 121.0),
            Aim::of_bare("D.keep", 30.0 / 79.0, 50.0 / 79.0),
            Aim::of_bare("MB", 20.0 / 58.0, 35.0 / 58.0),
        ]
    }
}
