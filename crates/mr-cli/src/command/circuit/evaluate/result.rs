//! What came out of `mr circuit evaluate`, for records, programs and people.

use std::path::PathBuf;

use anyhow::Result;
use mr_circuits::{Circuit, Curve, Faithful, Incompleteness};
use mr_metrics::stats::mean;
use mr_metrics::{ExperimentRecord, Series, Short, Table};
use serde_json::{Value, json};

use super::worst::{DRAWS, Worst};
use crate::console::{Console, Outcome};
use crate::layout::Listing;
use crate::opened::{Begun, Told};

/// Name of the plot of faithfulness by size that lies beside a record.
const PLOT: &str = "faithfulness.svg";
/// Name of the plot of random circuits there.
const RANDOM: &str = "random.svg";

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
    /// By how much faithfulness changes without each edge, the least needed first, if that is asked for.
    pub(super) needs: Vec<(String, f64)>,
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
        if !self.needs.is_empty() {
            let row = |(edge, change): &(String, f64)| vec![edge.as_str().into(), (*change).into()];
            let table = Table {
                columns: ["edge", "change without it"].map(String::from).into(),
                rows: self.needs.iter().map(row).collect(),
            };
            record.tables.insert("minimality".into(), table);
        }
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
        if let (Some(least), Some(most)) = (self.needs.first(), self.needs.last()) {
            for (what, (edge, change)) in [("least needed edge", least), ("most needed", most)] {
                listing.line(what, format!("{edge} ({})", short(*change)));
            }
        }
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
        let needs = self.needs.iter();
        let needs = needs.map(|(edge, change)| json!({ "edge": edge, "change": change }));
        if !self.needs.is_empty() {
            object["minimality"] = needs.collect();
        }
        if let Some(worst) = &self.worst {
            for (name, values) in worst.named() {
                object["ball"][name] = crate::subject::json(&values)?;
            }
        }
        Ok(object)
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
