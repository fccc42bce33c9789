//! What carries the change of logits, for records and people.

use std::collections::BTreeMap;

use anyhow::Result;
use mr_attacks::{Blame, Card};
use mr_metrics::stats::{Bootstrap, bca_over, median};
use mr_metrics::{ExperimentRecord, Interval};

use crate::layout::Listing;

/// What latents, the dictionary's error and neither carry of the change, as shares of it: medians over adversarial examples.
pub(super) struct Blames {
    /// Examples, and adversarial ones over all seeds.
    counts: [usize; 2],
    shares: Option<[Interval; 3]>,
}

impl Blames {
    /// With intervals over examples, of which each comes with all its seeds.
    pub(super) fn of(cards: &[(u64, Card)], bootstrap: Bootstrap) -> Result<Self> {
        let mut examples: BTreeMap<u64, Vec<&Blame>> = BTreeMap::new();
        for blame in cards.iter().flat_map(|(_, card)| &card.blames) {
            examples.entry(blame.index).or_default().push(blame);
        }
        let examples: Vec<Vec<&Blame>> = examples.into_values().collect();
        let counts = [examples.len(), examples.iter().map(Vec::len).sum()];
        if examples.is_empty() {
            return Ok(Self {
                counts,
                shares: None,
            });
        }
        let of = |part: fn(&Blame) -> f32| {
            let statistic = |drawn: &[Vec<usize>]| {
                let all: Vec<f64> = drawn[0]
                    .iter()
                    .flat_map(|&at| &examples[at])
                    .map(|blame| f64::from(part(blame) / blame.change))
                    .collect();
                median(&all).unwrap_or(f64::NAN)
            };
            bca_over(&[examples.len()], statistic, bootstrap)
        };
        Ok(Self {
            counts,
            shares: Some([
                of(|blame| blame.latents)?,
                of(|blame| blame.error)?,
                of(|blame| blame.completeness_error.abs())?,
            ]),
        })
    }

    pub(super) fn fill(&self, record: &mut ExperimentRecord) {
        let [examples, adversarial] = self.counts;
        record.number("adversarial_examples", adversarial as f64);
        record.number("broken_examples", examples as f64);
        let names = [
            "carried_by_latents",
            "carried_by_error",
            "completeness_error",
        ];
        for (name, share) in names.iter().zip(self.shares.iter().flatten()) {
            record.number(&format!("{name}.median"), *share);
        }
    }

    pub(super) fn tell(&self, listing: &mut Listing) {
        let Some(shares) = &self.shares else {
            return;
        };
        let percent = |value: f64| format!("{:.0} %", value * 100.0);
        let names = ["carried by latents", "carried by the error", "left over"];
        listing.line("adversarial examples", self.counts[1]);
        for (name, share) in names.iter().zip(shares) {
            let ends = share.ends().map_or(String::new(), |[low, high]| {
                format!(" [{}, {}]", percent(low), percent(high))
            });
            listing.line(name, format!("{}{ends}", percent(share.value)));
        }
    }
}
