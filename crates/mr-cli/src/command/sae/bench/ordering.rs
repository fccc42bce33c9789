//! The published ordering of architectures, and whether it shows here.

use anyhow::Result;
use mr_metrics::Interval;
use mr_metrics::stats::{Bootstrap, bca_mean};

/// Published scores on SynthSAEBench-16k at L0 = 25 (Chanin & Garriga-Alonso 2026): F1, MCC and explained variance.
const PUBLISHED: [(&str, [f64; 3]); 4] = [
    ("batch-top-k", [0.732, 0.757, 0.792]),
    ("matryoshka", [0.879, 0.793, 0.779]),
    ("jump-relu", [0.732, 0.753, 0.795]),
    ("relu", [0.556, 0.604, 0.765]),
];

/// The measures that are published.
pub(super) const MEASURES: [&str; 3] = ["f1", "mcc", "explained_variance"];

/// Published scores that are nearer to each other than this are not in any order.
const TIE: f64 = 0.005;

/// A published order of two architectures.
#[derive(Debug, Clone)]
pub(super) struct Order {
    pub(super) measure: &'static str,
    pub(super) better: &'static str,
    pub(super) worse: &'static str,
    /// By how much, as published.
    pub(super) published: f64,
    /// By how much here: the mean over seeds of the difference on the same features, with its interval.
    pub(super) here: Interval,
}

impl Order {
    pub(super) fn verdict(&self) -> &'static str {
        match (self.here.low, self.here.high) {
            (Some(low), _) if low > 0.0 => "replicated",
            (_, Some(high)) if high < 0.0 => "reversed",
            _ => "undecided",
        }
    }
}

/// Every published order. `values` gives a measure of an architecture over seeds.
pub(super) fn orders(values: impl Fn(&str, &str) -> Vec<f64>) -> Result<Vec<Order>> {
    let mut found = Vec::new();
    for (at, measure) in MEASURES.into_iter().enumerate() {
        for (better, high) in PUBLISHED {
            for (worse, low) in PUBLISHED {
                let published = high[at] - low[at];
                if published < TIE {
                    continue;
                }
                let (a, b) = (values(better, measure), values(worse, measure));
                let differences: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a - b).collect();
                if differences.is_empty() {
                    continue;
                }
                found.push(Order {
                    measure,
                    better,
                    worse,
                    published,
                    here: bca_mean(&differences, Bootstrap::default())?,
                });
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_those_of_the_published_scores() {
        let scores = |kind: &str, measure: &str| {
            let at = MEASURES.iter().position(|name| *name == measure).unwrap();
            let of = PUBLISHED.iter().find(|(name, _)| *name == kind).unwrap();
            (0..5)
                .map(|seed| of.1[at] + 1e-4 * f64::from(seed % 2))
                .collect::<Vec<_>>()
        };
        let found = orders(scores).unwrap();
        // F1 and MCC: Matryoshka above three, two above relu (and no order of BatchTopK and JumpReLU); explained variance: two
        // above Matryoshka and relu, Matryoshka above relu.
        assert_eq!(found.len(), 5 + 5 + 5);
        assert!(found.iter().all(|order| order.verdict() == "replicated"));
        let turned = orders(|kind, measure| scores(kind, measure).iter().map(|v| -v).collect());
        let turned = turned.unwrap();
        assert!(turned.iter().all(|order| order.verdict() == "reversed"));
        let same = orders(|_, _| vec![0.5, 0.5]).unwrap();
        assert!(same.iter().all(|order| order.verdict() == "undecided"));
    }
}
