//! What flips latents, for records and people.

use anyhow::Result;
use mr_attacks::{Card, Flips};
use mr_metrics::stats::{Bootstrap, bca_over, censored_median};
use mr_metrics::{ExperimentRecord, Interval, Series, Short, Table};
use serde_json::{Value, json};

use super::share;
use crate::layout::Listing;

/// Points of a curve of how many flip, at most: finer than a picture shows.
const POINTS: u32 = 32;
const LEVEL: f64 = 0.95;

/// Whether a flip turns a latent off or on, and what it is called.
pub(super) const SIDES: [(bool, &str); 2] = [(true, "off"), (false, "on")];

/// What flips the latents that were tried.
pub(super) struct Flipped {
    flips: Vec<Flips>,
    /// The largest radius, and how often it was halved.
    largest: f64,
    halvings: u32,
}

/// Cases of one example: latents that could flip there.
#[derive(Default)]
struct Cases {
    /// Radii at which they do; infinite where one never does.
    radii: Vec<f64>,
    by_noise: usize,
}

impl Flipped {
    /// Of the cards of several seeds the smallest radii, as of one attack with as many restarts; noise has as many tries.
    pub(super) fn of(cards: &[(u64, Card)], largest: f32, halvings: u32) -> Self {
        let mut flips = cards[0].1.flips.clone();
        for (_, card) in &cards[1..] {
            for (flips, others) in flips.iter_mut().zip(&card.flips) {
                for (flip, other) in flips.examples.iter_mut().zip(&others.examples) {
                    flip.by_noise |= other.by_noise;
                    flip.epsilon = match (flip.epsilon, other.epsilon) {
                        (Some(one), Some(other)) => Some(one.min(other)),
                        (one, other) => one.or(other),
                    };
                }
            }
        }
        Self {
            flips,
            largest: f64::from(largest),
            halvings,
        }
    }

    /// The cases of each example, over latents that were on there (or off).
    fn cases(&self, on: bool) -> Vec<Cases> {
        let count = self.flips.first().map_or(0, |flips| flips.examples.len());
        let mut all: Vec<Cases> = (0..count).map(|_| Cases::default()).collect();
        for flips in &self.flips {
            for (cases, flip) in all.iter_mut().zip(&flips.examples) {
                if flip.on == on {
                    cases
                        .radii
                        .push(flip.epsilon.map_or(f64::INFINITY, f64::from));
                    cases.by_noise += usize::from(flip.by_noise);
                }
            }
        }
        all.retain(|cases| !cases.radii.is_empty());
        all
    }

    pub(super) fn fill(&self, record: &mut ExperimentRecord, bootstrap: Bootstrap) -> Result<()> {
        if self.flips.is_empty() {
            return Ok(());
        }
        record.tables.insert("flips".into(), self.table()?);
        let steps = (1u32 << self.halvings).min(POINTS);
        for (on, side) in SIDES {
            let cases = self.cases(on);
            // Examples are drawn, each with all its latents.
            let over = |of: &dyn Fn(&[&Cases]) -> f64| {
                let statistic = |drawn: &[Vec<usize>]| {
                    let drawn: Vec<&Cases> = drawn[0].iter().map(|&at| &cases[at]).collect();
                    of(&drawn)
                };
                bca_over(&[cases.len()], statistic, bootstrap).ok()
            };
            let share = |of: &dyn Fn(&Cases) -> usize| {
                let found = over(&|drawn| {
                    let all: usize = drawn.iter().map(|cases| cases.radii.len()).sum();
                    drawn.iter().map(|cases| of(cases)).sum::<usize>() as f64 / all as f64
                });
                found.and_then(|found| share(found).ok())
            };
            let within = |radius: f64| {
                share(&|cases: &Cases| cases.radii.iter().filter(|&&r| r <= radius).count())
            };
            // Without a step nothing flips.
            let mut none = Interval::point(0.0, LEVEL, cases.len());
            (none.low, none.high) = (Some(0.0), Some(0.0));
            let mut curve = vec![(0.0, none)];
            for step in 1..=steps {
                let radius = self.largest * f64::from(step) / f64::from(steps);
                // Radii are of 32 bits.
                curve.extend(within(radius * (1.0 + 1e-6)).map(|share| (radius, share)));
            }
            let noise = share(&|cases: &Cases| cases.by_noise);
            let median = over(&|drawn| {
                let all: Vec<f64> = drawn.iter().flat_map(|one| one.radii.clone()).collect();
                censored_median(&all, LEVEL).map_or(f64::NAN, |median| median.value)
            });
            for (name, number) in [
                (
                    "flipped",
                    curve
                        .last()
                        .filter(|_| curve.len() > 1)
                        .map(|point| point.1),
                ),
                ("by_noise", noise),
                ("median_radius", median),
            ] {
                if let Some(number) = number {
                    record.number(&format!("{side}.{name}"), number);
                }
            }
            record.number(
                &format!("{side}.cases"),
                cases.iter().map(|one| one.radii.len()).sum::<usize>() as f64,
            );
            if let Some(noise) = noise {
                let flipped = Series::of_intervals("epsilon", &curve);
                record.curve(&format!("flipped.{side}"), flipped)?;
                let noise = Series::of_intervals("epsilon", &[(self.largest, noise)]);
                record.curve(&format!("flipped_by_noise.{side}"), noise)?;
            }
        }
        Ok(())
    }

    /// The table of a record: of each latent the median radius with its interval, how many examples flip, how many by
    /// noise, and of how many; that turn it off, and that turn it on.
    fn table(&self) -> Result<Table> {
        let mut columns = vec!["latent".to_string()];
        for (_, side) in SIDES {
            let of = ["median", "low", "high", "flipped", "by_noise", "of"];
            columns.extend(of.map(|name| format!("{side}_{name}")));
        }
        let finite = |value: Option<f64>| json!(value.filter(|value| value.is_finite()));
        let mut rows = Vec::new();
        for flips in &self.flips {
            let mut row: Vec<Value> = vec![flips.latent.into()];
            for (on, _) in SIDES {
                let median = median(flips, on)?;
                row.extend([
                    finite(median.map(|one| one.value)),
                    finite(median.and_then(|one| one.low)),
                    finite(median.and_then(|one| one.high)),
                ]);
                row.extend(counts(flips, on).map(Value::from));
            }
            rows.push(row);
        }
        Ok(Table { columns, rows })
    }

    /// The same for a person.
    pub(super) fn listing(&self) -> Result<Option<Listing>> {
        let mut listing = Listing::new("smallest radius that turns latents off and on, by latent");
        let mut headings = vec!["latent".to_string()];
        for (_, side) in SIDES {
            headings.extend([format!("{side}: median epsilon"), "flip".into()]);
            headings.extend(["by noise".to_string(), "of".into()]);
        }
        listing.row(headings);
        for flips in &self.flips {
            let mut row = vec![flips.latent.to_string()];
            for (on, _) in SIDES {
                row.push(median(flips, on)?.map_or("-".into(), shown));
                row.extend(counts(flips, on).map(|count| count.to_string()));
            }
            listing.row(row);
        }
        Ok((!self.flips.is_empty()).then_some(listing))
    }
}

/// `0.12 [0.1, 0.2]`; what is further than any radius that was tried is a dash.
fn shown(median: Interval) -> String {
    let end = |value: f64| {
        if value.is_finite() {
            Short(value).to_string()
        } else {
            "-".into()
        }
    };
    match median.ends() {
        Some([low, high]) if low.is_finite() => {
            format!("{} [{}, {}]", end(median.value), end(low), end(high))
        }
        _ => end(median.value),
    }
}

/// How many examples flip, how many by noise, and of how many.
fn counts(flips: &Flips, on: bool) -> [usize; 3] {
    let (radii, of) = flips.radii(on);
    let noisy = flips.examples.iter().filter(|f| f.on == on && f.by_noise);
    [radii.len(), noisy.count(), of]
}

/// The median radius over examples where it was on (or off), none where there are none.
fn median(flips: &Flips, on: bool) -> Result<Option<Interval>> {
    let those = flips.examples.iter().filter(|flip| flip.on == on);
    let radii: Vec<f64> = those
        .map(|flip| flip.epsilon.map_or(f64::INFINITY, f64::from))
        .collect();
    if radii.is_empty() {
        return Ok(None);
    }
    Ok(Some(censored_median(&radii, LEVEL)?))
}
