//! The workload `outbox`: writers commit and roll back rows with a task beside them in one database, relays hand the tasks over to a
//! store in another, workers run them, and whoever ends well is deleted at once. Everybody is killed and stopped at random, both
//! servers are killed and cut off. Then each committed row has one task, created once, which ran; no other task ever was.

mod audit;
mod runs;
mod servers;
mod source;
mod worker;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use retry_core::client::Client;
use retry_core::seams::SeededRandom;
use retry_core::store::CountScope;
use retry_core::task::State;

use crate::args::Run;
use crate::chaos;
use crate::crew::{Crew, Errand};
use crate::place::Place;
use crate::report::line;
use servers::Between;
use source::Source;

pub(crate) use worker::run as work;
pub(crate) use writer::run as write;

/// How often the end is looked for.
const LOOK: Duration = Duration::from_millis(250);
/// Nothing may be left for so long: a writer that was about to commit when it was told to be quiet is through by then.
const QUIET: Duration = Duration::from_secs(2);
/// Without any progress for so long it hangs: many leases.
const STUCK: Duration = Duration::from_secs(40);
/// How long a process may take to shut down.
const SHUTDOWN: Duration = Duration::from_secs(40);

const OPEN: [State; 4] = [State::Pending, State::Running, State::Waiting, State::Joining];

/// Whether all went well.
pub(crate) async fn torture(place: &Place, home: &Path, run: &Run, seed: u64) -> Result<bool> {
    ensure!(
        !place.subject.is_alone(),
        "the workload `outbox` needs a store that several processes can open"
    );
    let source = source::by_url(&run.source, home)?;
    source.prepare().await?;
    let place = Place {
        subject: Arc::new(Between::new(&place.subject, &source)),
        ..place.clone()
    };
    line(&format!("from {} to {}", run.source, run.store));
    let errand = Errand::Outbox {
        source: source.url().to_owned(),
    };
    let mut crew = Crew::new(&place, run.workers, run.enqueuers, seed)?.on(errand);
    chaos::harm(&mut crew, run, &SeededRandom::new(seed)).await?;
    drain(&mut crew, &*source).await?;
    let took = crew.watch.elapsed();
    let (faults, mut wrong) = (crew.faults, std::mem::take(&mut crew.problems));
    drop(crew);
    let found = audit::audit(&place, &*source).await?;
    line(&format!(
        "{} rows committed, {} tasks ran {} times; {} kills, {} stops, {} server kills, {} cuts, {} by the servers, {:.0} s",
        found.committed,
        found.ran,
        found.runs,
        faults.kills(),
        faults.stops,
        faults.servers_killed,
        faults.links_cut,
        faults.disconnects,
        took.as_secs_f64()
    ));
    wrong.extend(found.wrong);
    wrong.extend(place.subject.damage().await?);
    wrong.iter().for_each(|what| line(&format!("VIOLATION: {what}")));
    if wrong.is_empty() {
        line("no violation");
        return Ok(true);
    }
    if let Some(server) = place.subject.server() {
        server.keep(&place.folder)?;
    }
    line(&format!("the seed was {seed}"));
    Ok(false)
}

/// Ends the faults, and lets everything be handed over and done.
async fn drain(crew: &mut Crew, source: &dyn Source) -> Result<()> {
    crew.heal().await?;
    crew.quiet()?;
    let client = crew.place.connect().await?;
    let (mut least, mut since) = (u64::MAX, crew.watch.elapsed());
    loop {
        crew.live(LOOK).await?;
        let left = source.waiting().await? + open(&client).await?;
        let now = crew.watch.elapsed();
        if left == 0 && least == 0 && now > since + QUIET {
            break;
        }
        // More than before was written by those that had not noticed yet.
        if left != least && (left < least || least == 0) {
            (least, since) = (left, now);
        }
        if now > since + STUCK {
            crew.problems.push(format!(
                "for {STUCK:?} nothing went on, with {left} rows and tasks left"
            ));
            break;
        }
    }
    drop(client);
    crew.end(SHUTDOWN).await
}

/// Tasks that have not ended. The relay's own never does.
async fn open(client: &Client) -> Result<u64> {
    let scope = CountScope {
        queue: Some(retry_core::name::Queue::default()),
        exact: true,
    };
    let counts = client.count(&scope).await?;
    Ok(OPEN.iter().map(|state| counts.of(*state)).sum())
}
