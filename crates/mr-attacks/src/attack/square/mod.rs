//! Square attack.

mod candidate;
#[cfg(test)]
mod tests;

use burn::tensor::{Tensor, TensorData};
use mr_models::{ModelSpec, Objective, floats, objective};
use serde::{Deserialize, Serialize};

use super::{Attack, ObjectiveAttack, at_least_one, bounded, in_norms};
use crate::error::AttackError;
use crate::probe::Probe;
use crate::threat::{Norm, ThreatModel};
use crate::victim::{Victim, rows_where};

use candidate::{Candidates, Dice};

/// Square attack (Andriushchenko et al. 2020, "Square attack: a query-efficient black-box adversarial
/// attack via random search"; for L1 Croce & Hein 2021, "Mind the box"): random search without
/// gradients. Each query changes one square of the picture, for L2 and L1 two, to the extremes that the
/// threat allows, and stays where the objective is larger or the goal is reached. Squares shrink on a
/// schedule.
///
/// Works on pictures of any shape, on sites, and inside an [`Area`](crate::Area). Deviations: each example
/// draws for itself, and squares may touch the lower and right edge, unless `compat`; of L2 pixels outside
/// the squares nothing is rescaled where rounding alone would do it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Square {
    /// Queries per restart, after the one at the start.
    pub queries: usize,
    /// Share of the pixels that the first squares cover; in `(0, 1]`.
    pub p: f32,
    /// Runs for each example that is not broken yet.
    pub restarts: u32,
    /// The objective that it raises, by name.
    pub objective: String,
    /// Whether the schedule, made for 10,000 queries, is stretched to as many as there are.
    pub rescale_schedule: bool,
    /// Passes that values of a random model are averaged over; one before a model that is not random.
    pub eot: usize,
    /// Whether all examples draw the same squares, and none at the lower and right edge, as in the
    /// authors' code.
    pub compat: bool,
}

impl Default for Square {
    fn default() -> Self {
        Self {
            queries: 5000,
            p: 0.8,
            restarts: 1,
            objective: "margin".into(),
            rescale_schedule: false,
            eot: 1,
            compat: false,
        }
    }
}

impl Square {
    /// The side of the squares at a query, counted from 0, on a picture of this height and width.
    fn side(&self, query: usize, norm: Norm, [height, width]: [usize; 2]) -> usize {
        /// The last query before each halving.
        const HALVINGS: [usize; 9] = [10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000];
        let query = if self.rescale_schedule {
            (query as f64 / self.queries as f64 * 10_000.0) as usize
        } else {
            query
        };
        let halved = HALVINGS.iter().filter(|&&last| query > last).count();
        let share = f64::from(self.p) / f64::from(1 << halved);
        let side = (share * (height * width) as f64).sqrt().round() as usize;
        let side = match norm {
            Norm::Linf | Norm::L0 => side.max(1),
            // So that it has a middle.
            Norm::L2 | Norm::L1 => side.max(3) | 1,
        };
        side.min(height).min(width)
    }

    /// One run: the best points, the objective there, and whether the goal is reached.
    fn search(
        &self,
        victim: &Victim<'_>,
        objective: &dyn Objective,
        restart: u32,
    ) -> Result<Searched, AttackError> {
        let threat = victim.threat();
        let origins = floats(victim.origin().clone());
        let [count, width] = victim.origin().dims();
        let row = |all: &'_ [f32], row: usize| -> std::ops::Range<usize> {
            debug_assert!((row + 1) * width <= all.len());
            row * width..(row + 1) * width
        };
        let mut candidates = Candidates::new(threat, victim.geometry(), self.compat);
        let size = candidates.size();
        let dice = |query: usize, example: u64| Dice {
            seed: victim.seed(),
            restart,
            query: query as u32,
            example,
            compat: self.compat,
        };
        let start: Vec<f32> = (0..count)
            .flat_map(|i| {
                let dice = dice(0, victim.examples()[i]);
                candidates.start(dice, &origins[row(&origins, i)])
            })
            .collect();
        let start = TensorData::new(start, [count, width]);
        let start = Tensor::from_data(start, &victim.device());
        let first = victim.score_mean(objective, &start, self.eot)?;
        let mut found = Searched {
            points: floats(start.clone()),
            values: first.values,
            reached: first.reached,
        };
        let mut open = rows_where(&found.reached, false);
        if open.is_empty() {
            return Ok(found);
        }
        let mut probe = Probe::new(victim, objective, &start).averaging(self.eot);
        if open.len() < count {
            probe.select(&open, &open);
        }
        for query in 0..self.queries {
            candidates.resize(self.side(query, threat.norm, size));
            let points = probe.points();
            let changes = open.iter().enumerate().map(|(i, &example)| {
                let dice = dice(query + 1, victim.examples()[example]);
                let origin = &origins[row(&origins, example)];
                candidates.change(dice, origin, &points[row(points, i)])
            });
            let changes = changes.collect();
            let scores = probe.propose(objective, changes)?;
            let keep: Vec<bool> = open
                .iter()
                .zip(scores.values.iter().zip(&scores.reached))
                .map(|(&example, (&value, &reached))| reached || value > found.values[example])
                .collect();
            probe.settle(&keep);
            for (i, &example) in open.iter().enumerate() {
                if keep[i] {
                    found.values[example] = scores.values[i];
                }
            }
            if !scores.reached.contains(&true) {
                continue;
            }
            for i in rows_where(&scores.reached, true) {
                found.reached[open[i]] = true;
                let at = row(&found.points, open[i]);
                let points = probe.points();
                found.points[at].copy_from_slice(&points[row(points, i)]);
            }
            let stay = rows_where(&scores.reached, false);
            open = stay.iter().map(|&i| open[i]).collect();
            if open.is_empty() {
                return Ok(found);
            }
            probe.select(&stay, &open);
        }
        for (i, &example) in open.iter().enumerate() {
            let points = probe.points();
            let at = row(&found.points, example);
            found.points[at].copy_from_slice(&points[row(points, i)]);
        }
        Ok(found)
    }
}

/// What a run found, by example.
struct Searched {
    /// Row-major `[example, coordinate]`.
    points: Vec<f32>,
    values: Vec<f32>,
    reached: Vec<bool>,
}

impl Attack for Square {
    fn name(&self) -> String {
        "square".into()
    }

    fn fits(&self, spec: &ModelSpec, threat: &ThreatModel) -> Result<(), AttackError> {
        bounded("square", threat)?;
        in_norms("square", threat, &[Norm::Linf, Norm::L2, Norm::L1])?;
        at_least_one("queries", self.queries)?;
        at_least_one("restarts", self.restarts as usize)?;
        at_least_one("eot", self.eot)?;
        if !(self.p > 0.0 && self.p <= 1.0) {
            return Err(AttackError::setting("p", self.p, "above 0, at most 1"));
        }
        Ok(objective::by_name(&self.objective)?.fits(spec)?)
    }

    fn run(&self, victim: &Victim<'_>) -> Result<Tensor<2>, AttackError> {
        self.run_on(victim, objective::by_name(&self.objective)?.as_ref())
    }
}

impl ObjectiveAttack for Square {
    fn run_on(
        &self,
        victim: &Victim<'_>,
        objective: &dyn Objective,
    ) -> Result<Tensor<2>, AttackError> {
        let [count, width] = victim.origin().dims();
        let mut best = self.search(victim, objective, 0)?;
        for restart in 1..self.restarts {
            let open = rows_where(&best.reached, false);
            if open.is_empty() {
                break;
            }
            let found = self.search(&victim.select(&open), objective, restart)?;
            for (i, &example) in open.iter().enumerate() {
                if found.reached[i] || found.values[i] > best.values[example] {
                    best.values[example] = found.values[i];
                    best.reached[example] = found.reached[i];
                    best.points[example * width..(example + 1) * width]
                        .copy_from_slice(&found.points[i * width..(i + 1) * width]);
                }
            }
        }
        let points = TensorData::new(best.points, [count, width]);
        Ok(Tensor::from_data(points, &victim.device()))
    }
}
