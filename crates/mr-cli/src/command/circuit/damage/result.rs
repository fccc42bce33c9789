//! What came out of `mr circuit damage`, for records, programs and people.

use anyhow::Result;
use mr_circuits::description_length;
use mr_metrics::finding::{PlotData, PlotGroup, PlotKind, Scale};
use mr_metrics::stats::{mean, quantile, wilson};
use mr_metrics::{ExperimentRecord, Series, Short, Table};
use serde_json::Value;

use super::attacked::Attacked;
use super::compare::Compared;
use super::fronts::Split;
use crate::command::LEVEL;
use crate::layout::{Listing, Percent};
use crate::report::lines;

/// Parts of a front that a record holds.
const PARTS: usize = 30;
/// Parts of a front that a person is told.
const TOLD: usize = 5;

pub(super) struct Found<'a> {
    pub(super) title: String,
    pub(super) attacked: &'a Attacked<'a>,
    pub(super) splits: &'a [Split],
    pub(super) compared: Option<&'a Compared>,
}

/// A curve of accuracy by count, with its ends.
struct Curve {
    y: Vec<f64>,
    low: Vec<Option<f64>>,
    high: Vec<Option<f64>>,
}

impl Split {
    /// Accuracy with the worst parts restored, with Wilson intervals over examples.
    fn by_rank(&self) -> Result<Curve> {
        self.curve(&self.restored.ranked)
    }

    /// The same with the worst parts of each example itself; none of edges.
    fn by_own(&self) -> Result<Option<Curve>> {
        let own = (!self.own.is_empty()).then(|| self.curve(&self.own));
        own.transpose()
    }

    fn curve(&self, right: &[usize]) -> Result<Curve> {
        let intervals = right
            .iter()
            .map(|&right| wilson(right, self.restored.examples, LEVEL));
        let intervals = intervals.collect::<Result<Vec<_>, _>>()?;
        Ok(Curve {
            y: intervals.iter().map(|interval| interval.value).collect(),
            low: intervals.iter().map(|interval| interval.low).collect(),
            high: intervals.iter().map(|interval| interval.high).collect(),
        })
    }

    /// Mean accuracy with parts restored in random orders, and where 95 % of the orders lie.
    fn by_chance(&self) -> Result<Option<Curve>> {
        let orders = self.restored.random_accuracy();
        if orders.is_empty() {
            return Ok(None);
        }
        let mut curve = Curve {
            y: Vec::new(),
            low: Vec::new(),
            high: Vec::new(),
        };
        for at in 0..self.restored.counts.len() {
            let values: Vec<f64> = orders.iter().map(|order| order[at]).collect();
            curve.y.push(mean(&values)?);
            curve.low.push(Some(quantile(&values, 0.025)?));
            curve.high.push(Some(quantile(&values, 0.975)?));
        }
        Ok(Some(curve))
    }

    /// The smallest count that restores half of the examples.
    fn half(&self) -> Option<usize> {
        let accuracy = self.restored.accuracy();
        let found = accuracy.iter().position(|&accuracy| accuracy >= 0.5);
        found.map(|at| self.restored.counts[at])
    }

    /// Mean accuracy over the share of parts that are restored: 1 would be all of it from the first on.
    fn area(&self, accuracy: &[f64]) -> f64 {
        let counts = &self.restored.counts;
        let all = self.parts.len().max(1) as f64;
        let widths = counts
            .windows(2)
            .map(|pair| (pair[1] - pair[0]) as f64 / all);
        let heights = accuracy
            .windows(2)
            .map(|pair| f64::midpoint(pair[0], pair[1]));
        widths
            .zip(heights)
            .map(|(width, height)| width * height)
            .sum()
    }
}

impl Found<'_> {
    /// Puts the results into a record.
    pub(super) fn fill(&self, record: &mut ExperimentRecord) -> Result<()> {
        let data = self.attacked.opened.data.len();
        record.number("clean_accuracy", wilson(self.attacked.right, data, LEVEL)?);
        record.number("broken", self.attacked.broken.len() as f64);
        let mut table = Table {
            columns: ["front", "part", "share", "part_of_change"]
                .map(String::from)
                .into(),
            rows: Vec::new(),
        };
        for split in self.splits {
            let name = |what: &str| format!("{}.{what}", split.name);
            record.number(&name("change"), split.change);
            record.number(&name("completeness_error"), split.error);
            record.number(&name("parts"), split.parts.len() as f64);
            record.number(&name("area"), split.area(&split.restored.accuracy()));
            if let Some(half) = split.half() {
                record.number(&name("half"), half as f64);
                let bits = description_length(half, split.parts.len());
                record.number(
                    &name("half_bits"),
                    mr_metrics::Number::from(bits).with_unit("bit"),
                );
            }
            let series = |curve: Curve| Series {
                low: Some(curve.low),
                high: Some(curve.high),
                ..Series::new(
                    "parts restored",
                    split
                        .restored
                        .counts
                        .iter()
                        .map(|&count| count as f64)
                        .collect(),
                    curve.y,
                )
            };
            record.curve(&name("restored"), series(split.by_rank()?))?;
            if let Some(own) = split.by_own()? {
                record.number(&name("own_area"), split.area(&own.y));
                record.curve(&name("own"), series(own))?;
            }
            if let Some(foretold) = &split.foretold {
                let curve = split.curve(&foretold.right)?;
                record.number(&name("needed"), foretold.needed);
                record.number(&name("foretold_area"), split.area(&curve.y));
                record.curve(&name("foretold"), series(curve))?;
            }
            if let Some(random) = split.by_chance()? {
                record.number(&name("random_area"), split.area(&random.y));
                record.curve(&name("random"), series(random))?;
            }
            for &part in split.ranked().iter().take(PARTS) {
                let share = split.shares[part];
                let row: [Value; 4] = [
                    split.name.as_str().into(),
                    split.parts[part].as_str().into(),
                    share.into(),
                    (share / split.change).into(),
                ];
                table.rows.push(row.into());
            }
        }
        record.tables.insert("damage".into(), table);
        if let Some(compared) = self.compared {
            compared.fill(record);
        }
        for split in self.splits.iter().filter(|split| split.error > 0.01) {
            record.warnings.push(format!(
                "{}: shares miss the change by {:.1} %: either the path needs more steps (damage.path.most), \
                 or something goes around the site",
                split.name,
                100.0 * split.error
            ));
        }
        Ok(())
    }

    /// The results for a person.
    pub(super) fn listing(&self) -> Result<Listing> {
        let mut listing = Listing::new(format!(
            "{}: {} of {} that are right are broken",
            self.title,
            self.attacked.broken.len(),
            self.attacked.right
        ));
        let headings = [
            "front",
            "parts",
            "change",
            "missed",
            "half restored by own",
            "by rank",
            "at random",
            "to undo",
            "area foretold",
            "by own",
            "by rank",
            "at random",
            "most damaged",
        ];
        listing.row(headings.map(String::from));
        for split in self.splits {
            let short = |value: f64| Short(value).to_string();
            let random = split.by_chance()?;
            let own = split.by_own()?;
            let half = |accuracy: &[f64]| {
                let at = accuracy.iter().position(|&accuracy| accuracy >= 0.5);
                at.map_or("-".into(), |at| split.restored.counts[at].to_string())
            };
            let most = split.ranked();
            let most: Vec<&str> = most
                .iter()
                .take(TOLD)
                .map(|&at| split.parts[at].as_str())
                .collect();
            let accuracy = split.restored.accuracy();
            listing.row([
                split.name.clone(),
                split.parts.len().to_string(),
                short(split.change),
                format!("{:.2} %", 100.0 * split.error),
                own.as_ref().map_or("-".into(), |own| half(&own.y)),
                half(&accuracy),
                random.as_ref().map_or("-".into(), |random| half(&random.y)),
                match &split.foretold {
                    Some(foretold) => format!("{:.0} %", 100.0 * foretold.needed),
                    None => "-".into(),
                },
                match &split.foretold {
                    Some(foretold) => short(split.area(&split.curve(&foretold.right)?.y)),
                    None => "-".into(),
                },
                own.map_or("-".into(), |own| short(split.area(&own.y))),
                short(split.area(&accuracy)),
                random.map_or("-".into(), |random| short(split.area(&random.y))),
                most.join(" "),
            ]);
        }
        if let Some(compared) = self.compared {
            compared.tell(&mut listing);
        }
        let all = wilson(self.attacked.right, self.attacked.opened.data.len(), LEVEL)?;
        listing.line("clean accuracy", Percent(all));
        Ok(listing)
    }

    /// Accuracy by the share of parts restored, of the nodes or of the edges of each layer.
    pub(super) fn plot(&self, edges: bool) -> Result<String> {
        let mut groups = Vec::new();
        for split in self
            .splits
            .iter()
            .filter(|split| split.edges.is_empty() != edges)
        {
            let all = split.parts.len() as f64;
            // A logarithmic axis has no place for none.
            let x: Vec<f64> = split.restored.counts[1..]
                .iter()
                .map(|&count| 100.0 * count as f64 / all)
                .collect();
            let group = |name: String, curve: Curve| PlotGroup {
                name,
                n: vec![1; x.len()],
                y: curve.y[1..].to_vec(),
                low: curve.low[1..].to_vec(),
                high: curve.high[1..].to_vec(),
                x: x.clone(),
            };
            let name = split.name.trim_start_matches("edges.");
            if let Some(own) = split.by_own()? {
                groups.push(group(format!("{name}, each example's worst"), own));
            }
            groups.push(group(format!("{name}, worst on others"), split.by_rank()?));
            if let Some(random) = split.by_chance()? {
                groups.push(group(format!("{name}, random"), random));
            }
        }
        let what = if edges { "edges" } else { "nodes" };
        Ok(lines(PlotData {
            title: format!("{}: the worst {what} patched back to clean", self.title),
            kind: PlotKind::Line,
            x_scale: Scale::Log,
            x_label: format!("{what} restored (%)"),
            y_label: "accuracy".into(),
            groups,
        }))
    }
}

impl Compared {
    fn fill(&self, record: &mut ExperimentRecord) {
        record.number("against.examples", self.examples as f64);
        for found in &self.sites {
            let values = [
                ("cka_clean", found.clean),
                ("cka_adversarial", found.adversarial),
                ("cka_shuffled", found.shuffled),
            ];
            for (what, value) in values {
                if let Some(value) = value {
                    record.number(&format!("against.{}.{what}", found.site), value);
                }
            }
        }
        for found in &self.overlaps {
            let name = |what: &str| format!("against.edges{}.{what}", found.edges);
            let random = &found.found.random;
            record.number(&name("jaccard"), found.jaccard());
            record.number(&name("jaccard_random"), random.mean());
            record.number(&name("percentile"), random.percentile(found.jaccard()));
        }
    }

    fn tell(&self, listing: &mut Listing) {
        let short = |value: Option<f64>| value.map_or("-".into(), |value| Short(value).to_string());
        for found in &self.sites {
            listing.line(
                format!("CKA at {}", found.site),
                format!(
                    "{} clean, {} adversarial, {} shuffled",
                    short(found.clean),
                    short(found.adversarial),
                    short(found.shuffled)
                ),
            );
        }
        for found in &self.overlaps {
            listing.line(
                format!("overlap of the {} most damaged edges", found.edges),
                format!(
                    "{}; random {}",
                    short(Some(found.jaccard())),
                    short(Some(found.found.random.mean()))
                ),
            );
        }
    }
}
