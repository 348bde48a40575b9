//! The one process of a store that one process at a time can open: worker and enqueuer in one, and who tells what is left.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;

use crate::args::Child;
use crate::clock::Watch;
use crate::drain::{self, Left};
use crate::enqueuer::{self, Wish};
use crate::log::Log;
use crate::place::Place;
use crate::worker;

/// How often it tells.
const TELL: Duration = Duration::from_millis(250);

pub(crate) async fn run(child: &Child) -> Result<()> {
    let place = child.place()?;
    let name = child.name("alone");
    let log = Log::create(&place.log(&name))?;
    let client = place.connect().await?;
    let running = worker::start(&place, &name, Arc::clone(client.store()), &log)?;
    let wish = Wish::listen();
    let telling = async {
        let watch = Watch::start();
        while !wish.is_end() {
            // While it enqueues, nothing it says is the last word.
            if wish.is_quiet() {
                tell(
                    &place,
                    &drain::look(&client, &BTreeSet::from([name.clone()])).await?,
                    &name,
                )?;
            }
            watch.pause(TELL).await;
        }
        anyhow::Ok(())
    };
    let enqueuing = enqueuer::enqueue(child, &place, Arc::clone(client.store()), &log, &wish);
    let (told, enqueued) = tokio::join!(telling, enqueuing);
    running.shutdown().await;
    told.and(enqueued)
}

/// Says what is left, whole or not at all.
fn tell(place: &Place, left: &Left, name: &str) -> Result<()> {
    let draft = place.left().with_extension("draft");
    std::fs::write(&draft, serde_json::to_string(&(name, left))?)?;
    Ok(std::fs::rename(&draft, place.left())?)
}

/// What the process that lives now said last.
pub(crate) fn told(place: &Place, living: &BTreeSet<String>) -> Option<Left> {
    let text = std::fs::read_to_string(place.left()).ok()?;
    let (name, left): (String, Left) = serde_json::from_str(&text).ok()?;
    living.contains(&name).then_some(left)
}
