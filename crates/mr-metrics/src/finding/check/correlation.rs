//! Correlation of two metrics over runs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::condition::Conditions;
use super::super::demand::Demand;
use super::super::records::Records;
use super::super::sample::seeds;
use super::judgement::{Judgement, shown};
use crate::error::MetricError;
use crate::stats::{Bootstrap, association_p, bca_over, pearson, spearman};

/// `test = "spearman"` or `test = "pearson"`: each run is a point.
///
/// The interval resamples seeds with all of their runs, since runs of one seed are not independent;
/// the p value permutes y over the runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Correlation {
    /// Dotted path of the one metric.
    pub x: String,
    /// Dotted path of the other.
    pub y: String,
    /// What the correlation must be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub must: Option<Demand>,
    /// The largest p value that passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_p: Option<f64>,
    /// Correlations of one finding that name the same family, such as one per layer, have their p
    /// values corrected by Holm's method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<String>,
}

/// Which correlation.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Spearman,
    Pearson,
}

impl Kind {
    fn of(self, x: &[f64], y: &[f64]) -> Result<f64, MetricError> {
        match self {
            Self::Spearman => spearman(x, y),
            Self::Pearson => pearson(x, y),
        }
    }
}

impl Correlation {
    pub(super) fn judge(
        &self,
        kind: Kind,
        records: &Records,
        conditions: &Conditions,
        bootstrap: Bootstrap,
    ) -> Result<Judgement, MetricError> {
        let (mut x, mut y) = (Vec::new(), Vec::new());
        let mut by_seed: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for (index, run) in records.select(conditions)?.into_iter().enumerate() {
            x.push(run.metric(&self.x)?);
            y.push(run.metric(&self.y)?);
            by_seed.entry(run.seed).or_default().push(index);
        }
        // The whole sample first, whose error says what is wrong with it.
        kind.of(&x, &y)?;
        let clusters: Vec<Vec<usize>> = by_seed.into_values().collect();
        let observed = bca_over(
            &[clusters.len()],
            |drawn| {
                let runs = drawn[0].iter().flat_map(|&cluster| &clusters[cluster]);
                let (x, y): (Vec<f64>, Vec<f64>) = runs.map(|&run| (x[run], y[run])).unzip();
                kind.of(&x, &y).unwrap_or(f64::NAN)
            },
            bootstrap,
        )?;
        let p = association_p(
            &x,
            &y,
            |x, y| kind.of(x, y).unwrap_or(f64::NAN),
            bootstrap.resamples,
            bootstrap.seed,
        )?;
        let name = match kind {
            Kind::Spearman => "Spearman's",
            Kind::Pearson => "Pearson's",
        };
        Ok(Judgement {
            text: format!(
                "{name} correlation of {} and {} over {} runs of {} is {}",
                self.x,
                self.y,
                x.len(),
                seeds(clusters.len()),
                shown(&observed)
            ),
            observed: Some(observed),
            must: self.must,
            p: Some(p),
            max_p: self.max_p,
            family: self.family.clone(),
            ..Judgement::default()
        })
    }
}
