//! What `mr probe` says of what it found.

use anyhow::Result;
use mr_circuits::{ProbeKind, SavedProbe};
use mr_metrics::{ExperimentRecord, Interval, Series, Short, Table};
use serde_json::{Map, Value};

use crate::layout::{Listing, Percent};
use crate::opened::Opened;
use crate::report::{Row, shares};

/// What was found at every site.
pub(super) struct Found {
    pub(super) kind: ProbeKind,
    pub(super) outputs: Vec<String>,
    /// Accuracy of always naming the most frequent output.
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
    pub(super) log_loss: f64,
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
    /// Whether scores are logits, of which the log loss means something.
    fn has_log_loss(&self) -> bool {
        matches!(self.kind, ProbeKind::Logistic | ProbeKind::Cav)
    }

    /// Puts the numbers into a record.
    pub(super) fn fill(&self, record: &mut ExperimentRecord) -> Result<()> {
        record.number("chance", self.chance);
        let mut table = Table::default();
        let ends = |name: &str| ["", ".low", ".high"].map(|end| format!("{name}{end}"));
        table.columns = vec!["site".into(), "features".into()];
        for name in ["accuracy", "control_accuracy", "selectivity"] {
            table.columns.extend(ends(name));
        }
        table.columns.push("log_loss".into());
        let mut raised = Table {
            columns: ["site", "class", "score", "control"]
                .map(String::from)
                .to_vec(),
            ..Table::default()
        };
        for line in &self.lines {
            let mut row: Vec<Value> = vec![line.site.as_str().into(), line.features.into()];
            for (name, interval) in [
                ("accuracy", line.accuracy),
                ("control_accuracy", line.control),
                ("selectivity", line.selectivity),
            ] {
                record.number(&format!("{}.{name}", line.site), interval);
                row.extend([Some(interval.value), interval.low, interval.high].map(Value::from));
            }
            if self.has_log_loss() {
                record.number(&format!("{}.log_loss", line.site), line.log_loss);
                row.push(line.log_loss.into());
            } else {
                row.push(Value::Null);
            }
            table.rows.push(row);
            for one in &line.raised {
                let name = format!("{}.tcav.{}", line.site, one.class);
                record.number(&name, one.score);
                let scores = [one.score.value, one.control.value].map(Value::from);
                let mut row = vec![line.site.as_str().into(), one.class.as_str().into()];
                row.extend(scores);
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
        for (name, of) in [
            ("accuracy", (|line| line.accuracy) as fn(&Line) -> Interval),
            ("control_accuracy", |line| line.control),
        ] {
            let all = || self.lines.iter().map(of);
            let label = "site, as numbered in the table of probes";
            let mut curve = Series::new(label, x.clone(), all().map(|i| i.value).collect());
            curve.low = Some(all().map(|interval| interval.low).collect());
            curve.high = Some(all().map(|interval| interval.high).collect());
            record.curve(name, curve)?;
        }
        Ok(())
    }

    fn title(&self, opened: &Opened) -> String {
        let what = match self.outputs.as_slice() {
            [_, concept] if !opened.settings.probe.concept.is_empty() => concept.clone(),
            outputs => format!("{} classes", outputs.len()),
        };
        format!("{}, {} probe of {what}", opened.title(), self.kind.name())
    }

    /// Accuracy by site, with that of the control task.
    pub(super) fn plot(&self, opened: &Opened) -> String {
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
        let about = "held-out accuracy with its interval over examples; the line is chance";
        shares(&self.title(opened), about, &rows, self.chance)
    }

    /// For a person.
    pub(super) fn listing(&self, opened: &Opened) -> Listing {
        let mut listing = Listing::new(self.title(opened));
        let headings = [
            "site",
            "features",
            "accuracy",
            "control task",
            "selectivity",
        ];
        let with_loss = self.has_log_loss();
        let last = with_loss.then_some("log loss");
        let headings = headings.into_iter().chain(last);
        listing.row(headings.map(ToString::to_string));
        for line in &self.lines {
            let mut cells = vec![line.site.clone(), line.features.to_string()];
            let percents = [line.accuracy, line.control, line.selectivity];
            cells.extend(percents.map(|interval| Percent(interval).to_string()));
            if with_loss {
                cells.push(Short(line.log_loss).to_string());
            }
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
