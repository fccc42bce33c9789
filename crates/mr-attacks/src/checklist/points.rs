//! Random points, of any norm and at any place.

use burn::tensor::Tensor;
use mr_models::ModelSpec;

use crate::attack::{Attack, bounded};
use crate::error::AttackError;
use crate::randomness::Draw;
use crate::threat::{Norm, ThreatModel};
use crate::victim::{Victim, put_some, row_index, rows_where};

/// Random points of the ball, every other one a corner where the norm has corners: of each example
/// the first that reaches the goal.
pub(super) struct Points {
    pub(super) samples: usize,
    /// Passes of a random model that say by majority whether a point reaches the goal.
    pub(super) passes: usize,
}

/// A random point of each example's ball; for Linf a random corner where `corner`.
fn random(victim: &Victim<'_>, draw: Draw<'_>, corner: bool) -> Tensor<2> {
    let threat = victim.threat();
    let point = threat.random_point(draw, victim.examples(), victim.origin());
    if corner && threat.norm == Norm::Linf {
        let origin = victim.origin().clone();
        let signs = (point - origin.clone()).sign();
        return threat.project(victim.origin(), origin + signs * threat.epsilon);
    }
    point
}

impl Points {
    /// Which points reach the goal. One that does not in the first pass is not asked again: most do not.
    fn reached(&self, victim: &Victim<'_>, points: &Tensor<2>) -> Vec<bool> {
        let logits = victim.logits(points);
        let mut reached = victim.reached(&logits);
        let hits = rows_where(&reached, true);
        if !hits.is_empty() {
            let index = row_index(&hits, points);
            let (part, logits) = (victim.select(&hits), logits.select(0, index.clone()));
            let vote = part.vote(&logits, Some(&points.clone().select(0, index)), self.passes);
            for (row, confirmed) in hits.into_iter().zip(vote.reached) {
                reached[row] = confirmed;
            }
        }
        reached
    }
}

impl Attack for Points {
    fn name(&self) -> String {
        "random points".into()
    }

    fn fits(&self, _spec: &ModelSpec, threat: &ThreatModel) -> Result<(), AttackError> {
        bounded("a random search", threat)
    }

    fn run(&self, victim: &Victim<'_>) -> Result<Tensor<2>, AttackError> {
        let mut found = victim.origin().clone();
        let mut open: Vec<usize> = (0..victim.examples().len()).collect();
        for sample in 0..self.samples {
            let part = victim.select(&open);
            let draw = Draw {
                seed: victim.seed(),
                attack: "random points",
                restart: 0,
                step: sample as u32,
            };
            let points = random(&part, draw, sample % 2 == 1);
            let reached = self.reached(&part, &points);
            found = put_some(&found, &open, &rows_where(&reached, true), &points);
            let still = rows_where(&reached, false);
            open = still.into_iter().map(|row| open[row]).collect();
            if open.is_empty() {
                break;
            }
        }
        Ok(found)
    }
}
