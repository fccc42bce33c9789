//! What `mr probe` says of what it found.

use anyhow::Result;
use mr_circuits::SavedProbe;
use mr_metrics::{ExperimentRecord, Interval, Series, Short, Table};
use serde_json::{Map, Value};

use super::data::Probed;
use crate::layout::{Listing, Percent};
use crate::opened::Opened;
use crate::report::{Row, shares};

/// What was found at every site.
pub(super) struct Found {
    /// What was fitted.
    pub(super) kind: &'static str,
    /// What its accuracy is called in records.
    pub(super) measured: &'static str,
    /// What was read.
    pub(super) what: String,
    /// Accuracy of whoever reads nothing.
    pub(super) chance: f64,
    pub(super) lines: Vec<Line>,
    /// The probes, fitted to all examples.
    pub(super) probes: Vec<SavedProbe>,
}

/// What was found at one site.
pub(super) struct Line {
    pub(super) site: String,
    pub(super) features: usize,
    pub(super) accuracy: Interval,
    pub(super) control: Interval,
    pub(super) selectivity: Interval,
    /// Of logistic probes.
    pub(super) log_loss: Option<f64>,
    /// Of structural probes, with that of the control task.
    pub(super) spearman: Option<[f64; 2]>,
    pub(super) converged: bool,
    /// Of a concept activation vector.
    pub(super) raised: Vec<Raised>,
}

/// How often a concept raises the logit of a class, on its examples.
pub(super) struct Raised {
    pub(super) class: String,
    pub(super) score: Interval,
    /// The same of a direction that was fitted to the control task.
    pub(super) control: Interval,
}

impl Line {
    /// What a file of the probe says of it.
    pub(super) fn about(&self) -> Map<String, Value> {
        let mut about = Map::new();
        about.insert("held_out_accuracy".into(), self.accuracy.value.into());
        about.insert("selectivity".into(), self.selectivity.value.into());
        about
    }
}

impl Found {
    /// Puts the numbers into a record.
    pub(super) fn fill(&self, record: &mut ExperimentRecord) -> Result<()> {
        record.number("chance", self.chance);
        let control = format!("control_{}", self.measured);
        let names = [self.measured, control.as_str(), "selectivity"];
        let last = ["log_loss", "spearman", "control_spearman"];
        let ends = |name: &str| ["", ".low", ".high"].map(|end| format!("{name}{end}"));
        let mut table = Table::default();
        table.columns.extend(["site", "features"].map(String::from));
        table.columns.extend(names.into_iter().flat_map(ends));
        table.columns.extend(last.map(String::from));
        let mut raised = Table::default();
        let columns = ["site", "class", "score", "control"];
        raised.columns.extend(columns.map(String::from));
        for line in &self.lines {
            let mut row: Vec<Value> = vec![line.site.as_str().into(), line.features.into()];
            let intervals = [line.accuracy, line.control, line.selectivity];
            for (name, interval) in names.into_iter().zip(intervals) {
                record.number(&format!("{}.{name}", line.site), interval);
                row.extend([Some(interval.value), interval.low, interval.high].map(Value::from));
            }
            let [own, by_chance] = line.spearman.map_or([None; 2], |both| both.map(Some));
            for (name, value) in last.into_iter().zip([line.log_loss, own, by_chance]) {
                if let Some(value) = value {
                    record.number(&format!("{}.{name}", line.site), value);
                }
                row.push(value.filter(|value| value.is_finite()).into());
            }
            table.rows.push(row);
            for one in &line.raised {
                let name = format!("{}.tcav.{}", line.site, one.class);
                record.number(&name, one.score);
                let mut row: Vec<Value> =
                    vec![line.site.as_str().into(), one.class.as_str().into()];
                row.extend([one.score.value, one.control.value].map(Value::from));
                raised.rows.push(row);
            }
            if !line.converged {
                record.warnings.push(format!(
                    "{}: a fit did not end by its tolerance; a larger lambda makes it easier",
                    line.site
                ));
            }
        }
        record.tables.insert("probes".into(), table);
        if !raised.rows.is_empty() {
            record.tables.insert("tcav".into(), raised);
        }
        // A report draws curves: the sites are numbered in the order of the table.
        let x: Vec<f64> = (0..self.lines.len()).map(|at| at as f64).collect();
        let of: [fn(&Line) -> Interval; 2] = [|line| line.accuracy, |line| line.control];
        for (name, of) in names.into_iter().zip(of) {
            let all = || self.lines.iter().map(of);
            let label = "site, as numbered in the table of probes";
            let mut curve = Series::new(label, x.clone(), all().map(|i| i.value).collect());
            curve.low = Some(all().map(|interval| interval.low).collect());
            curve.high = Some(all().map(|interval| interval.high).collect());
            record.curve(name, curve)?;
        }
        Ok(())
    }

    fn title(&self, opened: &Opened<Probed>) -> String {
        format!("{}, {} probe of {}", opened.title(), self.kind, self.what)
    }

    /// Accuracy by site, with that of the control task.
    pub(super) fn plot(&self, opened: &Opened<Probed>) -> String {
        let row = |name: String, interval: Interval, series| Row {
            name,
            low: interval.low.unwrap_or(interval.value),
            middle: interval.value,
            high: interval.high.unwrap_or(interval.value),
            series,
        };
        let of = |line: &Line| {
            [
                row(line.site.clone(), line.accuracy, 0),
                row("control task".into(), line.control, 1),
            ]
        };
        let rows: Vec<Row> = self.lines.iter().flat_map(of).collect();
        let about = format!(
            "held-out {} with its interval over examples; the line is chance",
            self.measured.replace('_', " ")
        );
        shares(&self.title(opened), &about, &rows, self.chance)
    }

    /// For a person.
    pub(super) fn listing(&self, opened: &Opened<Probed>) -> Listing {
        let mut listing = Listing::new(self.title(opened));
        let measured = self.measured.replace('_', " ");
        let mut headings = vec!["site", "features", &measured, "control task", "selectivity"];
        let first = self.lines.first();
        if first.is_some_and(|line| line.log_loss.is_some()) {
            headings.push("log loss");
        }
        if first.is_some_and(|line| line.spearman.is_some()) {
            headings.extend(["spearman", "control task"]);
        }
        listing.row(headings.into_iter().map(ToString::to_string));
        for line in &self.lines {
            let mut cells = vec![line.site.clone(), line.features.to_string()];
            let percents = [line.accuracy, line.control, line.selectivity];
            cells.extend(percents.map(|interval| Percent(interval).to_string()));
            let numbers = line
                .log_loss
                .into_iter()
                .chain(line.spearman.into_iter().flatten());
            cells.extend(numbers.map(|value| Short(value).to_string()));
            listing.row(cells);
        }
        listing.line("chance", format!("{:.2} %", 100.0 * self.chance));
        for line in &self.lines {
            for one in &line.raised {
                let (score, control) = (Percent(one.score), Percent(one.control));
                let what = format!("{} raises {}", line.site, one.class);
                listing.row([what, String::new(), score.to_string(), control.to_string()]);
            }
        }
        listing
    }
}
