//! Samples, medians and percentiles.

/// What a sample counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    PerSecond,
    Millis,
    Bytes,
    /// A quotient of two rates or two times.
    Ratio,
    Instructions,
}

impl Unit {
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::PerSecond => "tasks/s",
            Self::Millis => "ms",
            Self::Bytes => "bytes",
            Self::Ratio => "ratio",
            Self::Instructions => "instructions/task",
        }
    }
}

/// One measured figure of one repetition.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    /// The workload, and behind a dot the variant.
    pub(crate) name: String,
    /// How many tasks it is measured over.
    pub(crate) n: usize,
    pub(crate) value: f64,
    pub(crate) unit: Unit,
}

impl Sample {
    pub(crate) fn new(name: impl Into<String>, n: usize, value: f64, unit: Unit) -> Self {
        Self {
            name: name.into(),
            n,
            value,
            unit,
        }
    }

    pub(crate) fn rate(name: impl Into<String>, n: usize, value: f64) -> Self {
        Self::new(name, n, value, Unit::PerSecond)
    }
}

/// The same figure of all repetitions.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) n: usize,
    pub(crate) unit: Unit,
    values: Vec<f64>,
}

impl Series {
    /// A figure that was measured once.
    pub(crate) fn single(name: &str, n: usize, unit: Unit, value: f64) -> Self {
        Self {
            name: name.to_owned(),
            n,
            unit,
            values: vec![value],
        }
    }

    pub(crate) fn median(&self) -> f64 {
        percentile(&self.values, 50)
    }

    /// The median of this ÷ another, repetition by repetition: both halves of a quotient met the same machine.
    pub(crate) fn over(&self, other: &Self) -> f64 {
        let pairs = self.values.iter().zip(&other.values);
        let quotients: Vec<f64> = pairs.map(|(this, other)| this / other).collect();
        percentile(&quotients, 50)
    }

    pub(crate) fn min(&self) -> f64 {
        percentile(&self.values, 0)
    }

    pub(crate) fn max(&self) -> f64 {
        percentile(&self.values, 100)
    }
}

/// Samples of several repetitions, gathered by name in the order in which the names first came.
#[derive(Debug, Default)]
pub(crate) struct Table(Vec<Series>);

impl Table {
    pub(crate) fn add(&mut self, sample: Sample) {
        match self.0.iter_mut().find(|series| series.name == sample.name) {
            Some(series) => series.values.push(sample.value),
            None => self.0.push(Series {
                name: sample.name,
                n: sample.n,
                unit: sample.unit,
                values: vec![sample.value],
            }),
        }
    }

    pub(crate) fn series(&self) -> &[Series] {
        &self.0
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Series> {
        self.0.iter().find(|series| series.name == name)
    }
}

/// The value below which `percent` of the values are: the nearest rank, for an even number's middle the mean.
pub(crate) fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    let rank = last * percent;
    if percent == 50 && !rank.is_multiple_of(100) {
        return f64::midpoint(sorted[rank / 100], sorted[rank / 100 + 1]);
    }
    sorted[rank.div_ceil(100)]
}

/// `a ÷ b` of counts.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts here are far below 2⁵², where a float is exact"
)]
pub(crate) fn ratio(a: usize, b: usize) -> f64 {
    a as f64 / b as f64
}

/// A figure with as many digits as it deserves.
pub(crate) fn figure(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_ranks() {
        let values = [4.0, 1.0, 3.0, 2.0];
        assert_eq!(percentile(&values, 0), 1.0);
        assert_eq!(percentile(&values, 50), 2.5);
        assert_eq!(percentile(&values, 99), 4.0);
        assert_eq!(percentile(&[7.0, 5.0, 6.0], 50), 6.0);
        assert!(percentile(&[], 50).is_nan());
    }

    #[test]
    fn repetitions_are_gathered_by_name() {
        let mut table = Table::default();
        for (name, value) in [("D", 3.0), ("M", 8.0), ("D", 1.0), ("D", 2.0)] {
            table.add(Sample::rate(name, 10, value));
        }
        let names: Vec<_> = table.series().iter().map(|series| series.name.as_str()).collect();
        assert_eq!(names, ["D", "M"]);
        let drain = table.get("D").unwrap();
        assert_eq!((drain.min(), drain.median(), drain.max()), (1.0, 2.0, 3.0));
    }

    #[test]
    fn a_quotient_is_taken_repetition_by_repetition() {
        let mut table = Table::default();
        // The machine is three times slower in the second repetition.
        for (bare, full) in [(90.0, 30.0), (30.0, 10.0), (60.0, 20.0)] {
            table.add(Sample::rate("bare", 1, bare));
            table.add(Sample::rate("full", 1, full));
        }
        let quotient = table.get("full").unwrap().over(table.get("bare").unwrap());
        assert!((quotient - 1.0 / 3.0).abs() < 1e-9);
    }

    #[test]
    fn figures_are_short() {
        let shown: Vec<_> = [123_456.7, 12.34, 0.123_45].map(figure).into();
        assert_eq!(shown, ["123457", "12.3", "0.123"]);
    }
}
