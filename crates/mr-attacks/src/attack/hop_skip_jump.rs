//! HopSkipJump: along the boundary, by decisions alone.

use burn::tensor::{Tensor, TensorData};
use mr_models::{ModelSpec, Place, floats};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use super::{Attack, above_zero, at_least_one, in_norms};
use crate::error::AttackError;
use crate::randomness::Draw;
use crate::threat::{Norm, ThreatModel};
use crate::victim::Victim;

/// Points that one forward pass is given at most.
const AT_ONCE: usize = 256;

/// HopSkipJump (Chen, Jordan & Wainwright 2020): sees of a model only whether the goal is reached.
/// From a point that reaches it, a step pulls the point onto the boundary (binary search), estimates
/// the boundary's normal from random directions (their equation 16, with the mean of the answers
/// taken off) and moves along it by a length that is halved until the goal is reached again.
///
/// The smallest perturbation on the way is proposed; under a bounded threat an example is left alone
/// once it lies inside the ball. A targeted search starts at an image of the target class, as in the paper:
/// the first of [`images`](Self::images) from the data under evaluation that the model takes for one.
/// Deviations from the paper: else the start is the first of
/// [`starts`](Self::starts) random points that reaches the goal, and every second of these is not
/// uniform but black and white, with a random share of white, as uniform noise always has one class
/// for many models; the smallest distance counts and not the last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HopSkipJump {
    /// Steps along the boundary.
    pub steps: usize,
    /// Directions tried at the first step; at step t so many times the root of t.
    pub initial_evaluations: usize,
    /// Directions tried at any step, at most.
    pub max_evaluations: usize,
    /// The binary search ends at gamma / d^1.5 (L2) or gamma / d^2 (Linf) of d coordinates, as a
    /// share of the distance.
    pub gamma: f64,
    /// Images of the target class that are tried for a start before random points; only for a targeted
    /// goal. They are drawn for each example from the data under evaluation, so that here alone an
    /// outcome depends on what else is in the data; 0 for none.
    pub images: usize,
    /// Random points that are tried for a start. An example for which none reaches the goal is not
    /// attacked.
    pub starts: u32,
}

impl Default for HopSkipJump {
    fn default() -> Self {
        Self {
            steps: 64,
            initial_evaluations: 100,
            max_evaluations: 10_000,
            gamma: 1.0,
            images: 10,
            starts: 100,
        }
    }
}

impl HopSkipJump {
    fn evaluations(&self, step: usize) -> usize {
        let wanted = self.initial_evaluations as f64 * ((step + 1) as f64).sqrt();
        (wanted as usize).min(self.max_evaluations)
    }
}

impl Attack for HopSkipJump {
    fn name(&self) -> String {
        "hop-skip-jump".into()
    }

    fn fits(&self, _spec: &ModelSpec, threat: &ThreatModel) -> Result<(), AttackError> {
        in_norms("hop-skip-jump", threat, &[Norm::L2, Norm::Linf])?;
        if threat.place != Place::Input {
            return Err(AttackError::Unfit(format!(
                "hop-skip-jump starts at random points of a box, and there is none at `{}`: attack the \
                 input",
                threat.place
            )));
        }
        let counts = [
            ("initial_evaluations", self.initial_evaluations),
            ("max_evaluations", self.max_evaluations),
            ("starts", self.starts as usize),
        ];
        counts
            .into_iter()
            .try_for_each(|(what, count)| at_least_one(what, count))?;
        above_zero("gamma", self.gamma as f32)
    }

    fn run(&self, victim: &Victim<'_>) -> Result<Tensor<2>, AttackError> {
        let boundary = Boundary::new(self, victim);
        let mut found = boundary.origins.clone();
        let mut walks = boundary.starts();
        boundary.pull(&mut walks);
        for step in 0..=self.steps {
            let threat = victim.threat();
            let near = |walk: &Walk| !threat.is_unbounded() && walk.smallest <= threat.epsilon;
            let (done, rest): (Vec<Walk>, Vec<Walk>) = walks
                .into_iter()
                .partition(|walk| step == self.steps || near(walk));
            for walk in done {
                let at = walk.row * boundary.width;
                found[at..at + boundary.width].copy_from_slice(&walk.best);
            }
            walks = rest;
            if walks.is_empty() {
                break;
            }
            let normals: Vec<Vec<f32>> = walks
                .iter()
                .map(|walk| boundary.normal(walk, step))
                .collect();
            boundary.jump(&mut walks, &normals, step);
            boundary.pull(&mut walks);
        }
        let shape = victim.origin().dims();
        Ok(Tensor::from_data(
            TensorData::new(found, shape),
            &victim.device(),
        ))
    }
}

/// One example on its way: a point that reaches the goal, its distance, and the nearest so far.
struct Walk {
    row: usize,
    point: Vec<f32>,
    distance: f32,
    best: Vec<f32>,
    smallest: f32,
}

/// The batch, seen by decisions.
struct Boundary<'r, 'v> {
    settings: &'r HopSkipJump,
    victim: &'r Victim<'v>,
    width: usize,
    origins: Vec<f32>,
    /// Where the binary search ends, as a share of the distance.
    theta: f32,
    low: f32,
    high: f32,
}

impl<'r, 'v> Boundary<'r, 'v> {
    fn new(settings: &'r HopSkipJump, victim: &'r Victim<'v>) -> Self {
        let width = victim.origin().dims()[1];
        let power = match victim.threat().norm {
            Norm::Linf => 2.0,
            _ => 1.5,
        };
        let [low, high] = victim.threat().bounds;
        Self {
            settings,
            victim,
            width,
            origins: floats(victim.origin().clone()),
            theta: (settings.gamma / (width as f64).powf(power)).min(0.5) as f32,
            low,
            high,
        }
    }

    fn origin(&self, row: usize) -> &[f32] {
        &self.origins[row * self.width..(row + 1) * self.width]
    }

    fn rng(&self, row: usize, restart: u32, step: usize) -> ChaCha8Rng {
        let draw = Draw {
            seed: self.victim.seed(),
            attack: "hop-skip-jump",
            restart,
            step: step as u32,
        };
        draw.rng(self.victim.examples()[row])
    }

    /// Whether the goal is reached at each point, one of the example in each of `rows`.
    fn ask(&self, rows: &[usize], points: &[f32]) -> Vec<bool> {
        let parts = rows
            .chunks(AT_ONCE)
            .zip(points.chunks(AT_ONCE * self.width));
        parts
            .flat_map(|(rows, points)| {
                let part = self.victim.select(rows);
                let points = TensorData::new(points.to_vec(), [rows.len(), self.width]);
                part.reached(&part.logits(&Tensor::from_data(points, &self.victim.device())))
            })
            .collect()
    }

    fn distance(&self, row: usize, point: &[f32]) -> f32 {
        let changes = self
            .origin(row)
            .iter()
            .zip(point)
            .map(|(o, p)| (p - o).abs());
        match self.victim.threat().norm {
            Norm::Linf => changes.fold(0.0, f32::max),
            _ => changes.map(|change| change * change).sum::<f32>().sqrt(),
        }
    }

    /// A point that reaches the goal, for each example that has one: an image of the target class, or
    /// a random point.
    fn starts(&self) -> Vec<Walk> {
        let count = self.victim.examples().len();
        let mut images: Vec<_> = (0..count)
            .map(|row| {
                self.victim
                    .images_of_target(row, self.settings.images)
                    .into_iter()
            })
            .collect();
        let mut open: Vec<usize> = (0..count).collect();
        let mut walks = Vec::new();
        for _ in 0..self.settings.images {
            self.begin(&mut open, &mut walks, |row| images[row].next());
        }
        for trial in 0..self.settings.starts {
            let noise = |row| self.noise(&mut self.rng(row, trial + 1, 0), trial);
            self.begin(&mut open, &mut walks, |row| Some(noise(row)));
        }
        walks
    }

    /// Begins the walk of each open example whose point, if it has one, reaches the goal.
    fn begin(
        &self,
        open: &mut Vec<usize>,
        walks: &mut Vec<Walk>,
        mut point: impl FnMut(usize) -> Option<Vec<f32>>,
    ) {
        let (rows, points): (Vec<usize>, Vec<Vec<f32>>) = open
            .iter()
            .filter_map(|&row| point(row).map(|point| (row, point)))
            .unzip();
        let reached = self.ask(&rows, &points.concat());
        for ((row, point), _) in rows
            .into_iter()
            .zip(points)
            .zip(reached)
            .filter(|(_, hit)| *hit)
        {
            open.retain(|&other| other != row);
            walks.push(Walk {
                row,
                distance: self.distance(row, &point),
                best: point.clone(),
                point,
                smallest: f32::INFINITY,
            });
        }
    }

    fn noise(&self, rng: &mut ChaCha8Rng, trial: u32) -> Vec<f32> {
        if trial.is_multiple_of(2) {
            let one = |_| rng.random_range(self.low..=self.high);
            return (0..self.width).map(one).collect();
        }
        let share: f64 = rng.random();
        let one = |_| {
            if rng.random_bool(share) {
                self.high
            } else {
                self.low
            }
        };
        (0..self.width).map(one).collect()
    }

    /// The point this share of the way from the origin: on the line to it for L2, the nearest to it
    /// in the ball of that share of the distance for Linf.
    fn blend(&self, walk: &Walk, share: f32) -> Vec<f32> {
        let pairs = self.origin(walk.row).iter().zip(&walk.point);
        match self.victim.threat().norm {
            Norm::Linf => {
                let reach = share * walk.distance;
                pairs
                    .map(|(&o, &p)| p.clamp(o - reach, o + reach))
                    .collect()
            }
            _ => pairs
                .map(|(&o, &p)| (1.0 - share) * o + share * p)
                .collect(),
        }
    }

    /// Brings every point as near to the boundary as theta, on the side where the goal is reached.
    fn pull(&self, walks: &mut [Walk]) {
        let mut ends = vec![(0.0f32, 1.0f32); walks.len()];
        loop {
            let open: Vec<usize> = (0..walks.len())
                .filter(|&i| {
                    let (low, high) = ends[i];
                    let middle = f32::midpoint(low, high);
                    high - low > self.theta && low < middle && middle < high
                })
                .collect();
            if open.is_empty() {
                break;
            }
            let rows: Vec<usize> = open.iter().map(|&i| walks[i].row).collect();
            let points: Vec<f32> = open
                .iter()
                .flat_map(|&i| self.blend(&walks[i], f32::midpoint(ends[i].0, ends[i].1)))
                .collect();
            for (&i, reached) in open.iter().zip(self.ask(&rows, &points)) {
                let middle = f32::midpoint(ends[i].0, ends[i].1);
                if reached {
                    ends[i].1 = middle;
                } else {
                    ends[i].0 = middle;
                }
            }
        }
        for (walk, (_, high)) in walks.iter_mut().zip(ends) {
            // At 1 the point stays what it is: blending would round it.
            if high < 1.0 {
                walk.point = self.blend(walk, high);
            }
            walk.distance = self.distance(walk.row, &walk.point);
            if walk.distance < walk.smallest {
                walk.smallest = walk.distance;
                walk.best.clone_from(&walk.point);
            }
        }
    }

    /// How far from the boundary's point directions are tried: far at first, then as far as the
    /// binary search may have missed it by.
    fn reach(&self, walk: &Walk, step: usize) -> f32 {
        if step == 0 {
            return 0.1 * (self.high - self.low);
        }
        let width = self.width as f32;
        let share = match self.victim.threat().norm {
            Norm::Linf => width * self.theta,
            _ => width.sqrt() * self.theta,
        };
        // Below the spacing of floats around 1 a change would be rounded away.
        (share * walk.distance).max(8.0 * f32::EPSILON)
    }

    /// The estimated normal of the boundary at a point, of length 1 in the threat's sense.
    fn normal(&self, walk: &Walk, step: usize) -> Vec<f32> {
        let mut rng = self.rng(walk.row, 0, step);
        let reach = self.reach(walk, step);
        let evaluations = self.settings.evaluations(step);
        let mut sum = vec![0.0f32; self.width];
        let mut signed = vec![0.0f32; self.width];
        let mut answers = 0.0f32;
        let mut left = evaluations;
        while left > 0 {
            let count = left.min(AT_ONCE);
            left -= count;
            let mut points = Vec::with_capacity(count * self.width);
            for _ in 0..count {
                let direction = self.direction(&mut rng);
                let moved = walk.point.iter().zip(direction);
                points.extend(moved.map(|(p, d)| (p + reach * d).clamp(self.low, self.high)));
            }
            let reached = self.ask(&vec![walk.row; count], &points);
            for (point, reached) in points.chunks(self.width).zip(reached) {
                let answer = if reached { 1.0 } else { -1.0 };
                answers += answer;
                for (i, (&moved, &from)) in point.iter().zip(&walk.point).enumerate() {
                    let change = (moved - from) / reach;
                    sum[i] += change;
                    signed[i] += answer * change;
                }
            }
        }
        let mean = answers / evaluations as f32;
        // Where all answers agree, their mean would take off everything.
        let baseline = if mean.abs() < 1.0 { mean } else { 0.0 };
        let mut normal: Vec<f32> = signed
            .iter()
            .zip(&sum)
            .map(|(signed, sum)| signed - baseline * sum)
            .collect();
        if self.victim.threat().norm == Norm::Linf {
            for value in &mut normal {
                *value = sign(*value);
            }
        } else {
            scale_to_one(&mut normal);
        }
        normal
    }

    /// A random direction: uniform on the sphere for L2, a scaled point of the cube for Linf.
    fn direction(&self, rng: &mut ChaCha8Rng) -> Vec<f32> {
        let mut direction: Vec<f32> = match self.victim.threat().norm {
            Norm::Linf => (0..self.width)
                .map(|_| rng.random_range(-1.0f32..=1.0))
                .collect(),
            _ => (0..self.width)
                .map(|_| StandardNormal.sample(rng))
                .collect(),
        };
        scale_to_one(&mut direction);
        direction
    }

    /// Moves every point along its normal, as far as it still reaches the goal; one that never does
    /// stays.
    fn jump(&self, walks: &mut [Walk], normals: &[Vec<f32>], step: usize) {
        let mut lengths: Vec<f32> = walks
            .iter()
            .map(|walk| walk.distance / ((step + 1) as f32).sqrt())
            .collect();
        let mut open: Vec<usize> = (0..walks.len()).collect();
        while !open.is_empty() {
            let rows: Vec<usize> = open.iter().map(|&i| walks[i].row).collect();
            let points: Vec<f32> = open
                .iter()
                .flat_map(|&i| {
                    let moved = walks[i].point.iter().zip(&normals[i]);
                    let length = lengths[i];
                    moved.map(move |(p, n)| (p + length * n).clamp(self.low, self.high))
                })
                .collect();
            let reached = self.ask(&rows, &points);
            let mut rest = Vec::new();
            for ((&i, point), reached) in open.iter().zip(points.chunks(self.width)).zip(reached) {
                if reached {
                    walks[i].distance = self.distance(walks[i].row, point);
                    walks[i].point = point.to_vec();
                    continue;
                }
                lengths[i] *= 0.5;
                if lengths[i] > f32::EPSILON {
                    rest.push(i);
                }
            }
            open = rest;
        }
    }
}

fn sign(value: f32) -> f32 {
    if value == 0.0 { 0.0 } else { value.signum() }
}

fn scale_to_one(values: &mut [f32]) {
    let length = values.iter().map(|v| v * v).sum::<f32>().sqrt();
    let scale = length.max(f32::MIN_POSITIVE).recip();
    for value in values {
        *value *= scale;
    }
}

#[cfg(test)]
mod tests;
