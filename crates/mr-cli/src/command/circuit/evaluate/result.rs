//! What came out of `mr circuit evaluate`, for records, programs and people.

use std::path::PathBuf;

use anyhow::Result;
use mr_circuits::{Circuit, Curve, Faithful, Incompleteness};
use mr_metrics::finding::{PlotData, PlotGroup, PlotKind, Scale};
use mr_metrics::stats::mean;
use mr_metrics::{ExperimentRecord, Series, Short, Table};
use serde_json::{Value, json};

use super::worst::{DRAWS, Worst};
use crate::console::{Console, Outcome};
use crate::layout::Listing;
use crate::opened::{Begun, Told};
use crate::report::lines;

/// Name of the plot of faithfulness by size that lies beside a record.
const PLOT: &str = "faithfulness.svg";
/// Name of the plot of random circuits there.
const RANDOM: &str = "random.svg";
/// Bars of that.
const BINS: usize = 20;

pub(super) struct Found {
    pub(super) title: String,
    pub(super) objective: String,
    pub(super) ablation: &'static str,
    pub(super) circuit: Circuit,
    pub(super) own: Faithful,
    /// Faithfulness of random circuits.
    pub(super) random: Vec<f64>,
    pub(super) sizes: Curve,
    pub(super) lacks: Incompleteness,
    pub(super) worst: Option<Worst>,
}

impl Found {
    /// Writes and says what came out.
    pub(super) fn tell(
        &self,
        mut begun: Begun<'_>,
        plot: Option<&PathBuf>,
        console: &Console,
    ) -> Result<Outcome> {
        self.fill(&mut begun.record)?;
        begun.draw(PLOT, &self.by_size(), plot)?;
        if !self.random.is_empty() {
            begun.keep("random", RANDOM, self.among_random().as_bytes())?;
        }
        let told = Told {
            listing: self.listing()?,
            examples: None,
            object: self.object()?,
        };
        begun.finish(told, console)
    }

    /// How many random circuits it is above.
    fn below(&self) -> usize {
        let own = self.own.faithfulness;
        self.random.iter().filter(|&&other| other < own).count()
    }

    fn fill(&self, record: &mut ExperimentRecord) -> Result<()> {
        for (name, value) in [
            ("kept", self.circuit.len() as f64),
            ("edges", self.circuit.edges() as f64),
            ("faithfulness", self.own.faithfulness),
            ("faithfulness.worst", self.own.tail(0.0)),
            ("faithfulness.worst_tenth", self.own.tail(0.1)),
            ("divergence.worst", self.own.divergence(1.0)),
            ("cpr", self.sizes.cpr),
            ("cmd", self.sizes.cmd),
            ("incompleteness", self.lacks.score),
        ] {
            // Examples without a difference have no faithfulness of their own.
            if value.is_finite() {
                record.number(name, value);
            }
        }
        if !self.random.is_empty() {
            let share = self.below() as f64 / self.random.len() as f64;
            record.number("random.below", share);
            record.number("random.mean", mean(&self.random)?);
        }
        let points = &self.sizes.points;
        let series = Series::new(
            "share of the network's edges",
            points.iter().map(|point| point.fraction).collect(),
            points.iter().map(|point| point.faithfulness).collect(),
        );
        record.curve("faithfulness", series)?;
        if let Some(worst) = &self.worst {
            for (name, values) in worst.named() {
                record.number(&format!("ball.{name}"), average(values));
            }
            let columns = std::iter::once("example").chain(worst.named().map(|(name, _)| name));
            let row = |example: usize| {
                let values = worst.named().map(|(_, values)| values[example].into());
                std::iter::once(example.into()).chain(values).collect()
            };
            let table = Table {
                columns: columns.map(String::from).collect(),
                rows: (0..worst.clean.len()).map(row).collect(),
            };
            record.tables.insert("divergence in the ball".into(), table);
        }
        Ok(())
    }

    fn listing(&self) -> Result<Listing> {
        let short = |value: f64| Short(value).to_string();
        let mut listing = Listing::new(format!(
            "{}, {} of {} edges",
            self.title,
            self.circuit.len(),
            self.circuit.edges()
        ));
        listing.line("faithfulness", short(self.own.faithfulness));
        listing.line("of the worst input", short(self.own.tail(0.0)));
        listing.line("of the worst tenth", short(self.own.tail(0.1)));
        listing.line("KL of the worst input", short(self.own.divergence(1.0)));
        if !self.random.is_empty() {
            let all = self.random.len();
            listing.line(
                "random circuits below it",
                format!("{} of {all}", self.below()),
            );
            listing.line("faithfulness of these", short(mean(&self.random)?));
        }
        listing.line("CPR", short(self.sizes.cpr));
        listing.line("CMD", short(self.sizes.cmd));
        let without = if self.lacks.nodes.is_empty() {
            "as it is".into()
        } else {
            format!("without {}", self.lacks.nodes.join(", "))
        };
        listing.line(
            "incompleteness",
            format!("{} ({without})", short(self.lacks.score)),
        );
        if let Some(worst) = &self.worst {
            let most = |values: &[f32]| values.iter().copied().fold(0.0, f32::max);
            for (name, values) in worst.named() {
                let what = match name {
                    "random" => format!("KL at the worst of {DRAWS} random points"),
                    "attacked" => "KL at the worst point that was found".into(),
                    name => format!("KL at the {name} input"),
                };
                let (usual, most) = (average(values), f64::from(most(values)));
                let values = format!("{} on average, {} at most", short(usual), short(most));
                listing.line(what, values);
            }
        }
        Ok(listing)
    }

    fn object(&self) -> Result<Value> {
        let points = self.sizes.points.iter().map(|point| {
            json!({
                "fraction": point.fraction,
                "edges": point.edges,
                "faithfulness": point.faithfulness,
            })
        });
        let points: Vec<Value> = points.collect();
        let mut object = json!({
            "kept": self.circuit.len(),
            "edges": self.circuit.edges(),
            "objective": self.objective,
            "ablation": self.ablation,
            "faithfulness": self.own.faithfulness,
            "worst": self.own.tail(0.0),
            "worst_tenth": self.own.tail(0.1),
            "divergence": self.own.divergence(1.0),
            "random": {
                "draws": self.random.len(),
                "below": self.below() as f64 / self.random.len().max(1) as f64,
            },
            "curve": points,
            "cpr": self.sizes.cpr,
            "cmd": self.sizes.cmd,
            "incompleteness": { "score": self.lacks.score, "without": self.lacks.nodes },
        });
        if let Some(worst) = &self.worst {
            for (name, values) in worst.named() {
                object["ball"][name] = crate::subject::json(&values)?;
            }
        }
        Ok(object)
    }

    /// Faithfulness of circuits of growing size, and where this one is.
    fn by_size(&self) -> String {
        let points = &self.sizes.points;
        let share = self.circuit.len() as f64 / self.circuit.edges().max(1) as f64;
        let line = |name: &str, x: Vec<f64>, y: Vec<f64>| PlotGroup {
            name: name.into(),
            n: vec![1; x.len()],
            low: vec![None; x.len()],
            high: vec![None; x.len()],
            x,
            y,
        };
        let percent = |share: f64| 100.0 * share;
        let first = points.first().map_or(1.0, |point| point.fraction);
        let groups = vec![
            line(
                "the strongest edges",
                points.iter().map(|point| percent(point.fraction)).collect(),
                points.iter().map(|point| point.faithfulness).collect(),
            ),
            line(
                "this circuit",
                vec![percent(share.max(first))],
                vec![self.own.faithfulness],
            ),
        ];
        lines(PlotData {
            title: format!("Faithfulness by size: {}", self.title),
            kind: PlotKind::Line,
            x_scale: Scale::Log,
            x_label: "edges chosen (%)".into(),
            y_label: "faithfulness".into(),
            groups,
        })
    }

    /// How many random circuits are how faithful, and where this one is.
    fn among_random(&self) -> String {
        let own = self.own.faithfulness;
        let all = self.random.iter().chain([&own]);
        let (low, high) = all.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &value| {
            (low.min(value), high.max(value))
        });
        let wide = ((high - low) / BINS as f64).max(1e-6);
        let mut counts = [0.0_f64; BINS];
        for &value in &self.random {
            counts[(((value - low) / wide) as usize).min(BINS - 1)] += 1.0;
        }
        let most = counts.iter().copied().fold(1.0, f64::max);
        // The outline of the bars.
        let (mut x, mut y) = (vec![low], vec![0.0]);
        for (bin, &count) in counts.iter().enumerate() {
            x.extend([low + wide * bin as f64, low + wide * (bin + 1) as f64]);
            y.extend([count; 2]);
        }
        x.push(low + wide * BINS as f64);
        y.push(0.0);
        let group = |name: String, x: Vec<f64>, y: Vec<f64>| PlotGroup {
            name,
            n: vec![1; x.len()],
            low: vec![None; x.len()],
            high: vec![None; x.len()],
            x,
            y,
        };
        let random = format!("{} random circuits", self.random.len());
        lines(PlotData {
            title: format!("Among random circuits of its size: {}", self.title),
            kind: PlotKind::Line,
            x_scale: Scale::Linear,
            x_label: "faithfulness".into(),
            y_label: "circuits".into(),
            groups: vec![
                group(random, x, y),
                group("this circuit".into(), vec![own; 2], vec![0.0, most]),
            ],
        })
    }
}

impl Worst {
    /// Where, and the divergence of each example there.
    fn named(&self) -> [(&'static str, &[f32]); 4] {
        [
            ("clean", &self.clean),
            ("corrupt", &self.corrupt),
            ("random", &self.random),
            ("attacked", &self.attacked),
        ]
    }
}

fn average(values: &[f32]) -> f64 {
    values.iter().copied().map(f64::from).sum::<f64>() / values.len().max(1) as f64
}
