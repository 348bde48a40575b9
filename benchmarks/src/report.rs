//! Bare, raw and full in turns, and their ratios beside the aims.

use anyhow::Result;

use crate::args::{Run, StoreName, Workload};
use crate::disk;
use crate::layer::Layer;
use crate::row;
use crate::stats::{Series, Table, Unit, figure};

/// An aim of one figure: the full result ÷ the bare one, now and later.
struct Aim {
    store: StoreName,
    name: &'static str,
    now: f64,
    later: f64,
}

const fn sqlite(name: &'static str, now: f64, later: f64) -> Aim {
    Aim {
        store: StoreName::Sqlite,
        name,
        now,
        later,
    }
}

/// The aims as shares of the bare figures they were set beside. Latencies are multiples: less is better.
const AIMS: &[Aim] = &[
    sqlite("E1", 5.5 / 8.6, 7.5 / 8.6),
    sqlite("E32", 60.0 / 161.0, 110.0 / 161.0),
    sqlite("EB", 150.0 / 783.0, 250.0 / 783.0),
    sqlite("D.keep", 100.0 / 436.0, 200.0 / 436.0),
    sqlite("D.delete", 100.0 / 619.0, 200.0 / 619.0),
    sqlite("M", 30.0 / 131.0, 70.0 / 131.0),
    sqlite("MB", 60.0 / 364.0, 130.0 / 364.0),
    sqlite("L.p50", 1.0 / 0.24, 0.6 / 0.24),
    sqlite("L.p99", 3.0 / 0.24, 1.5 / 0.24),
];

/// The aim of D and MB as a share of raw, on every store.
const OF_RAW: (f64, f64) = (0.6, 0.8);

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
        if run.store != StoreName::Memory {
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
        let cells = [run.store.text(), &sync.name, &figure(sync.median())];
        let range = format!(
            "{}..{} {}",
            figure(sync.min()),
            figure(sync.max()),
            sync.unit.text()
        );
        row::line(&format!("{}\t\t\t{range}", cells.join("\t")));
    }
    for full in layers.full.series() {
        row::line(&layers.compared(run.store, full));
    }
    Ok(())
}

impl Layers {
    async fn measure(&mut self, workload: Workload, run: &Run) -> Result<()> {
        if run.store != StoreName::Memory {
            add(&mut self.bare, Layer::Bare, workload, run).await?;
        }
        add(&mut self.raw, Layer::Raw, workload, run).await?;
        add(&mut self.full, Layer::Full, workload, run).await
    }

    fn compared(&self, store: StoreName, full: &Series) -> String {
        let (bare, raw) = (self.bare.get(&full.name), self.raw.get(&full.name));
        let of_bare = bare.map(|bare| full.over(bare));
        let of_raw = raw.map(|raw| full.over(raw));
        let aim = AIMS
            .iter()
            .find(|aim| aim.store == store && aim.name == full.name);
        let raw_aim = (full.name.starts_with('D') || full.name == "MB").then_some(OF_RAW.0);
        let less_is_better = full.unit == Unit::Millis;
        let checks = [
            of_bare
                .zip(aim.map(|aim| aim.now))
                .map(|(is, aim)| (is < aim) == less_is_better),
            of_raw.zip(raw_aim).map(|(is, aim)| is >= aim),
        ];
        let verdict = match (checks.contains(&Some(false)), checks.contains(&Some(true))) {
            (true, _) => "below",
            (false, true) => "met",
            (false, false) => "-",
        };
        let shown = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), figure);
        [
            store.text().to_owned(),
            full.name.clone(),
            shown(bare.map(Series::median)),
            shown(raw.map(Series::median)),
            shown(Some(full.median())),
            full.unit.text().to_owned(),
            shown(of_bare),
            shown(aim.map(|aim| aim.now)),
            shown(aim.map(|aim| aim.later)),
            shown(of_raw),
            shown(raw_aim),
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
