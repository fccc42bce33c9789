//! Fast adaptive boundary attack.

mod projection;

use burn::tensor::Tensor;
use mr_models::{ModelSpec, Objective, objective};
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use self::projection::Projector;
use super::nearest::{Nearest, Walk, Walker, length, two_classes, usual_radius};
use super::planes::{Boundary, Plane, wrong_classes};
use super::{Attack, ObjectiveAttack, above_zero, at_least_one, in_norms};
use crate::error::AttackError;
use crate::randomness::Draw;
use crate::threat::{Norm, ThreatModel};
use crate::victim::{Victim, rows_where};

/// The least weight of either pull, so that two of length 0 do not divide by 0.
const FLOOR: f32 = 1e-8;

/// Fast adaptive boundary attack (Croce & Hein 2020, "Minimally distorted adversarial examples with a
/// fast adaptive boundary attack"): steps onto the plane that the boundary is taken for, drawn to the
/// clean point, and after each success goes part of the way back.
///
/// Untargeted, it takes the nearest of the boundaries with all other classes, at one pass per class and
/// step; with `targets`, FAB-T of AutoAttack, it goes for one class after the other, those of the
/// largest clean logits, at one pass per step. Under a targeted goal it goes for the target's margin.
///
/// The decisions are the reference implementation's, with these differences: whether a step succeeded
/// is read off the pass that the next step needs anyway; points that are successes still after going
/// back count too; under a bounded threat an example is done with its first success in the ball; an
/// unbounded search restarts within half of the smallest perturbation so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Fab {
    /// Steps per restart.
    pub steps: usize,
    /// Runs per class for each example that is not broken yet; the first starts from the clean point.
    pub restarts: u32,
    /// Largest share of the clean point's pull.
    pub alpha_max: f32,
    /// How far past the plane a step goes; 1 for just onto it.
    pub eta: f32,
    /// What is left of a perturbation after a success, from 0 to 1.
    pub beta: f32,
    /// How many wrong classes to go for one after the other, those of the largest clean logits; 0
    /// for the nearest of all at every step.
    pub targets: usize,
}

impl Default for Fab {
    fn default() -> Self {
        Self {
            steps: 100,
            restarts: 1,
            alpha_max: 0.1,
            eta: 1.05,
            beta: 0.9,
            targets: 0,
        }
    }
}

/// An example on its way.
struct Pilgrim {
    row: usize,
    point: Vec<f32>,
    plane: Plane,
}

impl Walker for Pilgrim {
    fn row(&self) -> usize {
        self.row
    }

    fn point(&self) -> &[f32] {
        &self.point
    }
}

/// The memory of a step.
struct Step {
    norm: Norm,
    bounds: Option<[f32; 2]>,
    projector: Projector,
    from_here: Vec<f32>,
    from_origin: Vec<f32>,
}

impl Fab {
    /// Croce & Hein 2020, eqs. 7 and 8: a mean of where the plane is met from here and where it is met
    /// from the clean point, each gone past by `eta`.
    fn step(&self, step: &mut Step, origin: &[f32], pilgrim: &mut Pilgrim) {
        let Pilgrim { point, plane, .. } = pilgrim;
        if plane.distance.is_infinite() {
            return;
        }
        let slope = &plane.slope;
        let here = f64::from(plane.value);
        let back: f64 = (0..point.len())
            .map(|i| f64::from(slope[i]) * f64::from(origin[i] - point[i]))
            .sum();
        let Step {
            norm,
            bounds,
            projector,
            from_here,
            from_origin,
        } = step;
        projector.project(*norm, point, slope, here, *bounds, from_here);
        projector.project(*norm, origin, slope, here + back, *bounds, from_origin);
        let size = |change: &[f32]| length(*norm, change.iter().copied()).max(FLOOR);
        let (a, b) = (size(from_here), size(from_origin));
        let alpha = (a / (a + b)).min(self.alpha_max);
        let [low, high] = bounds.unwrap_or([f32::NEG_INFINITY, f32::INFINITY]);
        for (i, p) in point.iter_mut().enumerate() {
            let onto = *p + self.eta * from_here[i];
            let near = origin[i] + self.eta * from_origin[i];
            *p = (onto * (1.0 - alpha) + near * alpha).clamp(low, high);
        }
    }

    /// One run from these starts, until the steps are up or nothing better is wanted.
    fn walk(
        &self,
        victim: &Victim<'_>,
        boundary: &Boundary<'_>,
        starts: Vec<Pilgrim>,
        nearest: &mut Nearest,
    ) -> Result<(), AttackError> {
        let threat = victim.threat();
        let width = victim.origin().dims()[1];
        let mut step = Step {
            norm: threat.norm,
            bounds: threat.in_box(),
            projector: Projector::default(),
            from_here: vec![0.0; width],
            from_origin: vec![0.0; width],
        };
        let mut walk = Walk::new(victim, starts);
        for number in 0..self.steps {
            if walk.is_empty() {
                return Ok(());
            }
            self.look(&mut walk, boundary, number > 0, nearest)?;
            for pilgrim in &mut walk.walkers {
                self.step(&mut step, nearest.origin(pilgrim.row), pilgrim);
            }
        }
        walk.end(nearest);
        Ok(())
    }

    /// Enters successes, takes them part of the way back, and finds the nearest plane of each point.
    fn look(
        &self,
        walk: &mut Walk<'_, '_, Pilgrim>,
        boundary: &Boundary<'_>,
        goes_back: bool,
        nearest: &mut Nearest,
    ) -> Result<(), AttackError> {
        let norm = walk.victim().threat().norm;
        let seen = boundary.side(0, walk.victim(), &walk.rows(), &walk.points())?;
        for (i, pilgrim) in walk.walkers.iter_mut().enumerate() {
            pilgrim.plane.reset();
            let reached = seen.reached[i];
            if reached {
                nearest.offer(pilgrim.row, &pilgrim.point);
            }
            if reached && goes_back && !nearest.closed(pilgrim.row) {
                let origin = nearest.origin(pilgrim.row);
                for (p, o) in pilgrim.point.iter_mut().zip(origin) {
                    *p = o + (*p - o) * self.beta;
                }
            } else {
                pilgrim.plane.nearer(norm, seen.values[i], seen.gradient(i));
            }
        }
        if goes_back && seen.reached.contains(&true) {
            Self::look_again(walk, &seen.reached, boundary, nearest)?;
        }
        walk.release(|pilgrim| nearest.closed(pilgrim.row));
        if walk.is_empty() {
            return Ok(());
        }
        for side in 1..boundary.sides() {
            let seen = boundary.side(side, walk.victim(), &walk.rows(), &walk.points())?;
            for (i, pilgrim) in walk.walkers.iter_mut().enumerate() {
                pilgrim.plane.nearer(norm, seen.values[i], seen.gradient(i));
            }
        }
        Ok(())
    }

    /// The first side, for those that went back.
    fn look_again(
        walk: &mut Walk<'_, '_, Pilgrim>,
        reached: &[bool],
        boundary: &Boundary<'_>,
        nearest: &mut Nearest,
    ) -> Result<(), AttackError> {
        let norm = walk.victim().threat().norm;
        let mut back = rows_where(reached, true);
        back.retain(|&i| !nearest.closed(walk.walkers[i].row));
        if back.is_empty() {
            return Ok(());
        }
        let rows: Vec<usize> = back.iter().map(|&i| walk.walkers[i].row).collect();
        let victim = walk.victim().select(&back);
        let points = walk.points_of(&back);
        let seen = boundary.side(0, &victim, &rows, &points)?;
        for (at, &i) in back.iter().enumerate() {
            let pilgrim = &mut walk.walkers[i];
            if seen.reached[at] {
                nearest.offer(pilgrim.row, &pilgrim.point);
            }
            pilgrim
                .plane
                .nearer(norm, seen.values[at], seen.gradient(at));
        }
        Ok(())
    }

    /// A run and its restarts on what is open.
    fn runs(
        &self,
        victim: &Victim<'_>,
        boundary: &Boundary<'_>,
        target: usize,
        nearest: &mut Nearest,
    ) -> Result<(), AttackError> {
        for restart in 0..self.restarts {
            let draw = Draw {
                seed: victim.seed(),
                attack: "fab",
                restart,
                step: target as u32,
            };
            let start = |row: usize| Pilgrim {
                row,
                point: if restart == 0 {
                    nearest.origin(row).to_vec()
                } else {
                    random_start(draw, victim, row, nearest)
                },
                plane: Plane::default(),
            };
            let starts = nearest.open().into_iter().map(start).collect();
            self.walk(victim, boundary, starts, nearest)?;
        }
        Ok(())
    }
}

/// A random point at half the radius of the ball, or of the smallest perturbation so far: uniform
/// directions for L2, Gaussian ones for L1, uniform coordinates for Linf.
fn random_start(draw: Draw<'_>, victim: &Victim<'_>, row: usize, nearest: &Nearest) -> Vec<f32> {
    let threat = victim.threat();
    let mut rng = draw.rng(victim.examples()[row]);
    let origin = nearest.origin(row);
    let mut direction: Vec<f32> = (0..origin.len())
        .map(|_| match threat.norm {
            Norm::Linf => rng.random_range(-1.0f32..=1.0),
            _ => StandardNormal.sample(&mut rng),
        })
        .collect();
    if let Some(area) = &threat.area {
        let outside = direction.iter_mut().enumerate();
        let outside = outside.filter(|(at, _)| !area.has(*at));
        outside.for_each(|(_, d)| *d = 0.0);
    }
    let radius = threat.epsilon.min(nearest.distance(row));
    let radius = if radius.is_finite() {
        radius
    } else {
        usual_radius(threat.norm)
    };
    let size = length(threat.norm, direction.iter().copied()).max(f32::MIN_POSITIVE);
    let [low, high] = threat
        .in_box()
        .unwrap_or([f32::NEG_INFINITY, f32::INFINITY]);
    origin
        .iter()
        .zip(direction)
        .map(|(o, d)| (o + 0.5 * radius * d / size).clamp(low, high))
        .collect()
}

impl Attack for Fab {
    fn name(&self) -> String {
        if self.targets == 0 { "fab" } else { "fab-t" }.into()
    }

    fn fits(&self, spec: &ModelSpec, threat: &ThreatModel) -> Result<(), AttackError> {
        in_norms("fab", threat, &[Norm::Linf, Norm::L2, Norm::L1])?;
        two_classes("fab", spec)?;
        at_least_one("steps", self.steps)?;
        at_least_one("restarts", self.restarts as usize)?;
        above_zero("eta", self.eta)?;
        for (what, share) in [("alpha_max", self.alpha_max), ("beta", self.beta)] {
            if !(0.0..=1.0).contains(&share) {
                return Err(AttackError::setting(what, share, "in [0, 1]"));
            }
        }
        Ok(())
    }

    fn run(&self, victim: &Victim<'_>) -> Result<Tensor<2>, AttackError> {
        if victim.labels().target.is_some() {
            return self.run_on(victim, &objective::Margin);
        }
        let mut nearest = Nearest::new(victim);
        let classes = wrong_classes(victim);
        if self.targets == 0 {
            let boundary = Boundary::between(classes.into_iter());
            self.runs(victim, &boundary, 0, &mut nearest)?;
        } else {
            for (target, class) in classes.into_iter().take(self.targets).enumerate() {
                let boundary = Boundary::between(std::iter::once(class));
                self.runs(victim, &boundary, target, &mut nearest)?;
            }
        }
        Ok(nearest.finish(victim))
    }
}

impl ObjectiveAttack for Fab {
    /// Towards the zero set of an objective that is above 0 where the goal is reached.
    fn run_on(
        &self,
        victim: &Victim<'_>,
        objective: &dyn Objective,
    ) -> Result<Tensor<2>, AttackError> {
        let mut nearest = Nearest::new(victim);
        self.runs(victim, &Boundary::of(objective), 0, &mut nearest)?;
        Ok(nearest.finish(victim))
    }
}

#[cfg(test)]
mod tests;
