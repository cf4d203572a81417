//! The report: what was measured, on which machine, with which command.

use std::fmt::Write as _;

use serde::Serialize;

use crate::machine::Machine;
use crate::sample::Sample;

/// One run of one group of measurements.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    title: String,
    command: String,
    machine: Machine,
    rows: Vec<Row>,
}

/// One thing that was measured.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    unit: &'static str,
    ours: Sample,
    baseline: Option<Baseline>,
    goal: Option<&'static str>,
}

/// What it was measured beside, in the same run.
#[derive(Debug, Serialize)]
struct Baseline {
    name: String,
    values: Sample,
}

impl Report {
    /// An empty report of this machine.
    pub(crate) fn new(title: &str, command: &str) -> Self {
        Self { title: title.to_owned(), command: command.to_owned(), machine: Machine::detect(), rows: Vec::new() }
    }

    /// Adds a row without a baseline.
    pub(crate) fn row(&mut self, name: &str, unit: &'static str, ours: Sample, goal: Option<&'static str>) {
        eprintln!("  {name}: {} {unit}", number(ours.median()));
        self.rows.push(Row { name: name.to_owned(), unit, ours, baseline: None, goal });
    }

    /// Adds a row with what was measured beside it.
    pub(crate) fn row_beside(
        &mut self,
        name: &str,
        unit: &'static str,
        ours: Sample,
        (peer, values): (&str, Sample),
        goal: Option<&'static str>,
    ) {
        eprintln!("  {name}: {} {unit}, {peer} {}", number(ours.median()), number(values.median()));
        let baseline = Some(Baseline { name: peer.to_owned(), values });
        self.rows.push(Row { name: name.to_owned(), unit, ours, baseline, goal });
    }

    /// The report as a Markdown table.
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!("## {}\n\n`{}`\n\n{}\n\n", self.title, self.command, self.machine);
        text.push_str("| what | median | p5 - p95 | runs | beside | ratio | goal |\n|---|---|---|---|---|---|---|\n");
        for row in &self.rows {
            let (low, high) = (number(row.ours.quantile(0.05)), number(row.ours.quantile(0.95)));
            let (beside, ratio) = row.baseline.as_ref().map_or_else(Default::default, |baseline| {
                let median = baseline.values.median();
                (format!("{} {}", baseline.name, number(median)), format!("{:.2}", row.ours.median() / median))
            });
            let (name, unit, runs) = (&row.name, row.unit, row.ours.len());
            let (median, goal) = (number(row.ours.median()), row.goal.unwrap_or_default());
            let _ =
                writeln!(text, "| {name} | {median} {unit} | {low} - {high} | {runs} | {beside} | {ratio} | {goal} |");
        }
        text
    }
}

/// A number with as many digits as it is worth.
fn number(value: f64) -> String {
    if value >= 100.0 {
        format!("{value:.0}")
    } else if value >= 1.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.3}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_shows_its_ratio_to_its_baseline() {
        let mut report = Report::new("t", "c");
        report.row_beside(
            "puts",
            "1/s",
            Sample::from_iter([300.0]),
            ("etcd", Sample::from_iter([100.0])),
            Some(">= 1"),
        );
        assert!(report.markdown().contains("| puts | 300 1/s | 300 - 300 | 1 | etcd 100 | 3.00 | >= 1 |"));
    }
}
