//! What came out of `mr sae bench`, for records, programs and people.

use anyhow::Result;
use mr_metrics::stats::{Bootstrap, bca_mean};
use mr_metrics::{ExperimentRecord, Interval, Short, Table};
use serde_json::Value;

use super::judged::{Judged, MEASURES};
use super::ordering::{self, Order, orders};
use super::regime::{Regime, STEPS};
use crate::layout::Listing;
use crate::report::{Row, rows};

/// L0s that differ from what was wanted by more than this share are warned of.
const APART: f64 = 0.03;

/// The measures of a listing; a record has all.
const LISTED: [&str; 9] = [
    "l0",
    "mcc",
    "f1",
    "explained_variance",
    "recovered",
    "uniqueness",
    "absorbed",
    "dead",
    "norm_ratio",
];

/// One regime with everything that was found in it.
pub(super) struct Shown {
    regime: Regime,
    /// Steps of its fits.
    steps: usize,
    /// The first of the seeds.
    first: u64,
    /// By kind and seed.
    scores: Vec<Vec<Judged>>,
    /// Over seeds, by kind and measure.
    intervals: Vec<Vec<Interval>>,
    orders: Vec<Order>,
}

fn measure(name: &str) -> usize {
    let place = MEASURES.iter().position(|measure| *measure == name);
    place.expect("the measures that are named here are listed there")
}

/// A table without rows.
fn titled(columns: impl IntoIterator<Item = &'static str>) -> Table {
    Table {
        columns: columns.into_iter().map(String::from).collect(),
        rows: Vec::new(),
    }
}

impl Shown {
    pub(super) fn new(
        regime: Regime,
        steps: usize,
        first: u64,
        scores: Vec<Vec<Judged>>,
    ) -> Result<Self> {
        let over = |of_kind: &Vec<Judged>| {
            (0..MEASURES.len())
                .map(|at| {
                    let values: Vec<f64> = of_kind.iter().map(|judged| judged[at]).collect();
                    Ok(bca_mean(&values, Bootstrap::default())?)
                })
                .collect::<Result<Vec<_>>>()
        };
        let intervals = scores.iter().map(over).collect::<Result<_>>()?;
        let orders = if regime.name == "planted" {
            orders(|kind, name| {
                let place = regime.kinds.iter().position(|one| *one == kind);
                let of_kind = place.map_or(&[][..], |place| &scores[place]);
                of_kind.iter().map(|judged| judged[measure(name)]).collect()
            })?
        } else {
            Vec::new()
        };
        Ok(Self {
            regime,
            steps,
            first,
            scores,
            intervals,
            orders,
        })
    }

    pub(super) fn fill(&self, record: &mut ExperimentRecord) {
        let name = self.regime.name;
        let columns = ["kind", "seed"].into_iter().chain(MEASURES);
        let mut table = titled(columns);
        for (kind, (seeds, intervals)) in self
            .regime
            .kinds
            .iter()
            .zip(self.scores.iter().zip(&self.intervals))
        {
            for (measure, interval) in MEASURES.iter().zip(intervals) {
                record.number(&format!("{name}.{kind}.{measure}"), *interval);
            }
            for (seed, judged) in seeds.iter().enumerate() {
                let mut row: Vec<Value> = vec![(*kind).into(), (self.first + seed as u64).into()];
                row.extend(judged.iter().map(|value| Value::from(*value)));
                table.rows.push(row);
            }
            let l0 = intervals[measure("l0")].value;
            if (l0 / self.regime.l0 - 1.0).abs() > APART {
                record.warnings.push(format!(
                    "{name}: {kind} has L0 {}, not {}",
                    Short(l0),
                    Short(self.regime.l0)
                ));
            }
        }
        record.tables.insert(name.into(), table);
        record.warnings.extend(self.missed());
        if self.orders.is_empty() {
            return;
        }
        let columns = [
            "measure",
            "better",
            "worse",
            "published",
            "here",
            "low",
            "high",
            "verdict",
        ];
        let mut table = titled(columns);
        for order in &self.orders {
            let key = format!(
                "{name}.order.{}.{}-{}",
                order.measure, order.better, order.worse
            );
            record.number(&key, order.here);
            table.rows.push(vec![
                order.measure.into(),
                order.better.into(),
                order.worse.into(),
                order.published.into(),
                order.here.value.into(),
                order.here.low.into(),
                order.here.high.into(),
                order.verdict().into(),
            ]);
        }
        record.tables.insert(format!("{name}.orders"), table);
        for verdict in ["replicated", "undecided", "reversed"] {
            let count = self
                .orders
                .iter()
                .filter(|order| order.verdict() == verdict);
            record.number(&format!("{name}.orders.{verdict}"), count.count() as f64);
        }
    }

    /// What is not as it should be: features that no latent found where all are to be found, and orders that came out the other
    /// way round.
    fn missed(&self) -> Vec<String> {
        let name = self.regime.name;
        let mut missed = Vec::new();
        if name == "easy" {
            for (kind, intervals) in self.regime.kinds.iter().zip(&self.intervals) {
                let share = intervals[measure("recovered")].value;
                if share < 1.0 {
                    let share = Short(100.0 * share);
                    missed.push(format!("{name}: {kind} recovers {share} % of the features"));
                }
            }
        }
        let reversed = self.orders.iter();
        let reversed = reversed
            .filter(|order| order.verdict() == "reversed")
            .count();
        if reversed > 0 {
            missed.push(format!("{name}: {reversed} published orders are reversed"));
        }
        if self.steps < STEPS {
            for one in &mut missed {
                let short = format!(
                    " (after {} steps, which is too short to tell: the whole benchmark takes {STEPS})",
                    self.steps
                );
                one.push_str(&short);
            }
        }
        missed
    }

    pub(super) fn listings(&self) -> Vec<Listing> {
        let planted = &self.regime.planted;
        let title = format!(
            "{}: {} features in {} dimensions, {} latents, L0 {}, {} seeds",
            self.regime.name,
            planted.features,
            planted.width,
            self.regime.latents,
            Short(self.regime.l0),
            self.scores.first().map_or(0, Vec::len)
        );
        let mut listing = Listing::new(title);
        listing.row(std::iter::once("kind").chain(LISTED).map(String::from));
        for (kind, intervals) in self.regime.kinds.iter().zip(&self.intervals) {
            let mut cells = vec![(*kind).to_string()];
            let three = |value: f64| format!("{value:.3}");
            cells.extend(LISTED.iter().map(|name| {
                let interval = &intervals[measure(name)];
                match (interval.ends(), ordering::MEASURES.contains(name)) {
                    (Some([low, high]), true) => {
                        format!(
                            "{} [{}, {}]",
                            three(interval.value),
                            three(low),
                            three(high)
                        )
                    }
                    _ => three(interval.value),
                }
            }));
            listing.row(cells);
        }
        let mut listings = vec![listing];
        if !self.orders.is_empty() {
            let mut listing =
                Listing::new("published order (SynthSAEBench-16k), held against this");
            listing.row(
                ["measure", "better", "worse", "published", "here", "verdict"].map(String::from),
            );
            for order in &self.orders {
                listing.row([
                    order.measure.to_string(),
                    order.better.to_string(),
                    order.worse.to_string(),
                    format!("{:+.3}", order.published),
                    order.here.to_string(),
                    order.verdict().to_string(),
                ]);
            }
            listings.push(listing);
        }
        listings
    }
}

/// The published measures of every kind, with intervals over seeds.
pub(super) fn plot(shown: &[Shown]) -> String {
    let mut drawn = Vec::new();
    for (at, name) in ordering::MEASURES.iter().enumerate() {
        for one in shown {
            for (kind, intervals) in one.regime.kinds.iter().zip(&one.intervals) {
                let interval = intervals[measure(name)];
                drawn.push(Row {
                    name: format!("{} {kind}: {name}", one.regime.name),
                    low: interval.low.unwrap_or(interval.value),
                    middle: interval.value,
                    high: interval.high.unwrap_or(interval.value),
                    series: at,
                });
            }
        }
    }
    rows(
        "Dictionaries of planted features",
        "mean over seeds and its 95 % interval",
        &drawn,
    )
}
