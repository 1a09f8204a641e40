//! The result as a Markdown table, and its verdict. A ratio of medians over the aim is a miss. A ratio far over it is a
//! failure if the best runs have it too.

use std::fmt;

use anyhow::{Result, bail};

use super::measure::Measured;

/// The unit of a measured value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unit {
    /// In seconds.
    Time,
    /// In bytes.
    Memory,
}

impl Unit {
    /// The tolerance over the aim before a run fails: a shared machine's clock is noisy, its memory is not.
    fn noise(self) -> f64 {
        match self {
            Unit::Time => 1.5,
            Unit::Memory => 1.1,
        }
    }

    fn show(self, value: f64) -> String {
        match self {
            Unit::Time => format!("{:.1} ms", value * 1000.0),
            Unit::Memory => format!("{:.1} MiB", value / (1024.0 * 1024.0)),
        }
    }
}

/// One comparison.
#[derive(Debug)]
pub(super) struct Row {
    work: String,
    peer: String,
    ours: Measured,
    theirs: Measured,
    unit: Unit,
    /// The ratio to reach, ours by theirs.
    reach: f64,
    /// The ratio that fails the run where the aim is still far, so that the figure gets no worse.
    guard: Option<f64>,
}

impl Row {
    pub(super) fn new(work: &str, peer: &str, ours: Measured, theirs: Measured, unit: Unit, reach: f64) -> Row {
        Row { work: work.to_owned(), peer: peer.to_owned(), ours, theirs, unit, reach, guard: None }
    }

    /// Sets the ratio that fails the run.
    pub(super) fn guarded(self, guard: f64) -> Row {
        Row { guard: Some(guard), ..self }
    }

    fn ratio(&self) -> f64 {
        self.ours.median / self.theirs.median
    }

    fn fails(&self) -> bool {
        let far = self.guard.unwrap_or(self.reach * self.unit.noise());
        self.ratio() > far && self.ours.best / self.theirs.best > far
    }

    fn verdict(&self) -> &'static str {
        match self.ratio() {
            ratio if ratio <= self.reach => "reached",
            _ if self.fails() => "FAILED",
            _ => "missed",
        }
    }
}

/// All comparisons of a run.
#[derive(Debug, Default)]
pub(super) struct Table(Vec<Row>);

impl Table {
    pub(super) fn push(&mut self, row: Row) {
        self.0.push(row);
    }

    pub(super) fn append(&mut self, other: Table) {
        self.0.extend(other.0);
    }

    /// Fails if a ratio is far over its aim.
    pub(super) fn judge(&self) -> Result<()> {
        let failed = self.0.iter().filter(|row| row.fails());
        let failed: Vec<_> =
            failed.map(|row| format!("{} against {}: {:.2}", row.work, row.peer, row.ratio())).collect();
        if failed.is_empty() { Ok(()) } else { bail!("far from the reach: {}", failed.join("; ")) }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| work | cargo rootfs | peer | | ratio | reach | verdict |")?;
        writeln!(f, "| --- | ---: | --- | ---: | ---: | ---: | --- |")?;
        for row in &self.0 {
            let (ours, theirs) = (row.unit.show(row.ours.median), row.unit.show(row.theirs.median));
            let (work, peer, ratio, reach, verdict) = (&row.work, &row.peer, row.ratio(), row.reach, row.verdict());
            writeln!(f, "| {work} | {ours} | {peer} | {theirs} | {ratio:.2} | {reach:.2} | {verdict} |")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Measured, Row, Table, Unit};

    fn ratio(ours: f64) -> Row {
        row(ours, ours)
    }

    fn row(median: f64, best: f64) -> Row {
        Row::new("w", "p", Measured { median, best }, Measured::exactly(1.0), Unit::Time, 1.0)
    }

    #[test]
    fn a_miss_is_told_and_a_wide_miss_fails() {
        assert_eq!(ratio(1.0).verdict(), "reached");
        assert_eq!(ratio(1.2).verdict(), "missed");
        assert_eq!(ratio(1.6).verdict(), "FAILED");
        assert_eq!(row(1.6, 1.1).verdict(), "missed", "the machine was busy");
        assert_eq!(ratio(1.6).guarded(2.0).verdict(), "missed");
        assert_eq!(ratio(2.1).guarded(2.0).verdict(), "FAILED");
        assert!(Table(vec![ratio(1.2)]).judge().is_ok());
        assert!(Table(vec![ratio(1.2), ratio(1.6)]).judge().is_err());
    }
}
