//! Bare, raw and full in turns, and their ratios beside the aims.

use anyhow::Result;

use crate::aims::{Aim, Beside, OF_ALL};
use crate::args::{Run, Workload};
use crate::disk;
use crate::layer::Layer;
use crate::row;
use crate::stats::{Series, Table, Unit, figure};

/// Figures of the three layers.
#[derive(Debug, Default)]
struct Layers {
    /// What one sync of the disk took, measured before each repetition.
    sync: Table,
    bare: Table,
    raw: Table,
    full: Table,
}

/// Measures and prints.
pub(crate) async fn run(run: &Run) -> Result<()> {
    let mut layers = Layers::default();
    for _ in 0..run.reps.max(1) {
        if run.store.is_on_disk() {
            layers.sync.add(disk::sync(run)?);
        }
        for workload in run.workloads() {
            layers.measure(workload, run).await?;
        }
    }
    row::line(
        "store\tworkload\tbare\traw\tfull\tunit\tfull/bare\taim now\taim later\tfull/raw\taim now\traw/bare\tverdict",
    );
    for sync in layers.sync.series() {
        let cells = [run.store.name(), &sync.name, &figure(sync.median())];
        let range = format!(
            "{}..{} {}",
            figure(sync.min()),
            figure(sync.max()),
            sync.unit.text()
        );
        row::line(&format!("{}\t\t\t{range}", cells.join("\t")));
    }
    let aims: Vec<Aim> = run.store.aims().into_iter().chain(OF_ALL).collect();
    for full in layers.full.series() {
        row::line(&layers.compared(run.store.name(), full, &aims));
    }
    Ok(())
}

impl Layers {
    async fn measure(&mut self, workload: Workload, run: &Run) -> Result<()> {
        add(&mut self.bare, Layer::Bare, workload, run).await?;
        add(&mut self.raw, Layer::Raw, workload, run).await?;
        add(&mut self.full, Layer::Full, workload, run).await
    }

    fn compared(&self, store: &str, full: &Series, aims: &[Aim]) -> String {
        let (bare, raw) = (self.bare.get(&full.name), self.raw.get(&full.name));
        let of_bare = bare.map(|bare| full.over(bare));
        let of_raw = raw.map(|raw| full.over(raw));
        let aim = |beside| {
            aims.iter()
                .find(|aim| aim.name == full.name && aim.beside == beside)
        };
        let (bare_aim, raw_aim, own_aim) = (aim(Beside::Bare), aim(Beside::Raw), aim(Beside::Itself));
        let own = (full.unit == Unit::Ratio).then(|| full.median());
        let pairs = [(of_bare, bare_aim), (of_raw, raw_aim), (own, own_aim)];
        let checks = pairs.map(|(value, aim)| value.zip(aim).map(|(value, aim)| aim.is_met(value)));
        let verdict = match (checks.contains(&Some(false)), checks.contains(&Some(true))) {
            (true, _) => "below",
            (false, true) => "met",
            (false, false) => "-",
        };
        let shown = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), figure);
        let first_aim = bare_aim.or(own_aim);
        [
            store.to_owned(),
            full.name.clone(),
            shown(bare.map(Series::median)),
            shown(raw.map(Series::median)),
            shown(Some(full.median())),
            full.unit.text().to_owned(),
            shown(of_bare),
            shown(first_aim.map(|aim| aim.now)),
            shown(first_aim.map(|aim| aim.later)),
            shown(of_raw),
            shown(raw_aim.map(|aim| aim.now)),
            shown(raw.zip(bare).map(|(raw, bare)| raw.over(bare))),
            verdict.to_owned(),
        ]
        .join("\t")
    }
}

async fn add(table: &mut Table, layer: Layer, workload: Workload, run: &Run) -> Result<()> {
    for sample in layer.run(workload, run).await? {
        table.add(sample);
    }
    Ok(())
}
