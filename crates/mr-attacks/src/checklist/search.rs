//! Two searches that ask for values alone, of any norm and at any place.

use burn::tensor::{Tensor, TensorData};
use mr_models::objective::Margin;
use mr_models::{ModelSpec, floats};
use rand::Rng;

use crate::attack::{Attack, bounded};
use crate::error::AttackError;
use crate::randomness::Draw;
use crate::threat::{Norm, ThreatModel};
use crate::victim::{Victim, put, row_index, rows_where};

/// Random points of the ball, every other one a corner where the norm has corners: of each example
/// the first that reaches the goal.
pub(super) struct Points {
    pub(super) samples: usize,
}

/// A hill climb by values: patches of the point are redrawn, and kept where the margin grows. The
/// patches shrink as in Square (Andriushchenko et al. 2020), whose simple cousin this is.
pub(super) struct Search {
    pub(super) queries: usize,
}

fn draw(victim: &Victim<'_>, attack: &'static str, step: usize) -> Draw<'static> {
    Draw {
        seed: victim.seed(),
        attack,
        restart: 0,
        step: step as u32,
    }
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
            let points = random(
                &part,
                draw(victim, "random points", sample),
                sample % 2 == 1,
            );
            let reached = part.reached(&part.logits(&points));
            let hits = rows_where(&reached, true);
            if !hits.is_empty() {
                let there: Vec<usize> = hits.iter().map(|&row| open[row]).collect();
                let hit = points.clone().select(0, row_index(&hits, &points));
                found = put(&found, &there, &hit);
                open = rows_where(&reached, false)
                    .into_iter()
                    .map(|row| open[row])
                    .collect();
            }
            if open.is_empty() {
                break;
            }
        }
        Ok(found)
    }
}

impl Attack for Search {
    fn name(&self) -> String {
        "random search".into()
    }

    fn fits(&self, _spec: &ModelSpec, threat: &ThreatModel) -> Result<(), AttackError> {
        bounded("a random search", threat)
    }

    fn run(&self, victim: &Victim<'_>) -> Result<Tensor<2>, AttackError> {
        let mut best = random(victim, draw(victim, "random search", 0), true);
        let first = victim.score(&Margin, &best)?;
        let (mut values, mut reached) = (first.values, first.reached);
        for query in 1..self.queries {
            let open = rows_where(&reached, false);
            if open.is_empty() {
                break;
            }
            let part = victim.select(&open);
            let there = best.clone().select(0, row_index(&open, &best));
            let proposed = self.propose(&part, &there, query);
            let scores = part.score(&Margin, &proposed)?;
            let better: Vec<usize> = (0..open.len())
                .filter(|&i| scores.values[i] > values[open[i]] || scores.reached[i])
                .collect();
            if better.is_empty() {
                continue;
            }
            let rows: Vec<usize> = better.iter().map(|&i| open[i]).collect();
            for &i in &better {
                values[open[i]] = scores.values[i];
                reached[open[i]] = scores.reached[i];
            }
            let kept = proposed.clone().select(0, row_index(&better, &proposed));
            best = put(&best, &rows, &kept);
        }
        Ok(best)
    }
}

impl Search {
    /// The side of a patch over that of the picture: half of it at first, a tenth at last.
    fn side(&self, query: usize) -> f32 {
        let done = query as f32 / self.queries as f32;
        0.5 * (0.2_f32).powf(done)
    }

    /// The points with a patch of each redrawn: for Linf one random sign per channel, as Square does,
    /// else a part of a random point of the ball.
    fn propose(&self, victim: &Victim<'_>, points: &Tensor<2>, query: usize) -> Tensor<2> {
        let draw = draw(victim, "random search", query);
        let threat = victim.threat();
        let geometry = victim.geometry();
        let fresh = floats(threat.random_point(draw, victim.examples(), victim.origin()));
        let origin = floats(victim.origin().clone());
        let [count, width] = points.dims();
        let mut values = floats(points.clone());
        for (i, &example) in victim.examples().iter().enumerate() {
            let patch = Draw { restart: 1, ..draw };
            let mut rng = patch.rng(example);
            let mut span = |length: usize| {
                let side = ((self.side(query) * length as f32).round() as usize).clamp(1, length);
                let start = rng.random_range(0..=(length - side) as u64) as usize;
                start..start + side
            };
            let (tall, wide) = (span(geometry.height), span(geometry.width));
            let row = i * width;
            for channel in 0..geometry.channels {
                let sign = if rng.random_bool(0.5) { 1.0 } else { -1.0 };
                for at in tall.clone().flat_map(|y| wide.clone().map(move |x| (y, x))) {
                    let at = row + geometry.at(channel, at.0, at.1);
                    values[at] = match threat.norm {
                        Norm::Linf => origin[at] + sign * threat.epsilon,
                        // Twice the change, so that the projection gives the patch its share.
                        _ => 2.0 * fresh[at] - origin[at],
                    };
                }
            }
        }
        let data = TensorData::new(values, [count, width]);
        threat.project(victim.origin(), Tensor::from_data(data, &points.device()))
    }
}
