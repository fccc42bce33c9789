//! DeepFool.

use burn::tensor::Tensor;
use mr_models::{ModelSpec, Objective, objective};
use serde::{Deserialize, Serialize};

use super::nearest::{Nearest, Walk, Walker, two_classes};
use super::planes::{Boundary, Plane, wrong_classes};
use super::{Attack, ObjectiveAttack, at_least_one, in_norms};
use crate::error::AttackError;
use crate::threat::{Norm, ThreatModel};
use crate::victim::Victim;

/// Added to every distance, so that a step from the boundary itself still moves (as in the authors' code).
const NUDGE: f32 = 1e-4;

/// DeepFool (Moosavi-Dezfooli et al. 2016, "DeepFool: a simple and accurate method to fool deep neural
/// networks"), in L2 and Linf: steps onto the nearest of the planes that the boundaries with other classes
/// are taken for, until the class changes.
///
/// Each step is lengthened by `overshoot` and clamped to the box; the paper lengthens their sum, which ends
/// 2.5 % further away in Linf on MNIST. What is found is then drawn back towards the clean point by
/// bisection, as FAB does; the paper leaves it where it is (`bisections = 0`). Under a targeted goal it goes
/// for the target's margin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeepFool {
    /// Steps at most; one pass per wrong class that is considered.
    pub steps: usize,
    /// By which share a step goes past the plane.
    pub overshoot: f32,
    /// Classes that are considered, the true one among them: those of the largest clean logits.
    pub candidates: usize,
    /// Halvings of the way back from the point found to the boundary, of one forward pass each.
    pub bisections: usize,
}

impl Default for DeepFool {
    fn default() -> Self {
        Self {
            steps: 50,
            overshoot: 0.02,
            candidates: 10,
            bisections: 10,
        }
    }
}

struct Fool {
    row: usize,
    point: Vec<f32>,
    plane: Plane,
    fooled: bool,
}

impl Walker for Fool {
    fn row(&self) -> usize {
        self.row
    }

    fn point(&self) -> &[f32] {
        &self.point
    }
}

/// An example that was fooled, on its way back.
struct Retreat {
    row: usize,
    origin: Vec<f32>,
    found: Vec<f32>,
    point: Vec<f32>,
    /// The shares of the way between which the boundary lies, as far as is known.
    between: [f32; 2],
}

impl Retreat {
    fn halve(&mut self) {
        let share = f32::midpoint(self.between[0], self.between[1]);
        let way = self.origin.iter().zip(&self.found);
        self.point.clear();
        self.point.extend(way.map(|(o, f)| o + share * (f - o)));
    }
}

impl Walker for Retreat {
    fn row(&self) -> usize {
        self.row
    }

    fn point(&self) -> &[f32] {
        &self.point
    }
}

impl DeepFool {
    fn retreat(&self, victim: &Victim<'_>, fooled: Vec<Fool>, nearest: &mut Nearest) {
        let open = fooled.into_iter().filter(|fool| !nearest.closed(fool.row));
        let walkers = open.map(|fool| Retreat {
            row: fool.row,
            origin: nearest.origin(fool.row).to_vec(),
            found: fool.point,
            point: Vec::new(),
            between: [0.0, 1.0],
        });
        let mut walk = Walk::new(victim, walkers.collect());
        for _ in 0..self.bisections {
            walk.release(|back| nearest.closed(back.row));
            if walk.is_empty() {
                return;
            }
            walk.walkers.iter_mut().for_each(Retreat::halve);
            let reached = walk.victim().reached(&walk.victim().logits(&walk.points()));
            for (back, reached) in walk.walkers.iter_mut().zip(reached) {
                let share = f32::midpoint(back.between[0], back.between[1]);
                back.between[usize::from(reached)] = share;
                if reached {
                    nearest.offer(back.row, &back.point);
                }
            }
        }
    }

    fn step(&self, threat: &ThreatModel, fool: &mut Fool) {
        let plane = &fool.plane;
        if plane.steepness == 0.0 || plane.distance.is_infinite() {
            return;
        }
        let distance = plane.distance + NUDGE;
        let [low, high] = threat
            .in_box()
            .unwrap_or([f32::NEG_INFINITY, f32::INFINITY]);
        for (i, &slope) in plane.slope.iter().enumerate() {
            let direction = match threat.norm {
                Norm::Linf if slope == 0.0 => 0.0,
                Norm::Linf => slope.signum(),
                _ => slope / plane.steepness,
            };
            let moved = fool.point[i] + (1.0 + self.overshoot) * distance * direction;
            fool.point[i] = moved.clamp(low, high);
        }
    }

    fn go(&self, victim: &Victim<'_>, boundary: &Boundary<'_>) -> Result<Tensor<2>, AttackError> {
        let threat = victim.threat();
        let mut nearest = Nearest::new(victim);
        let start = |row: usize| Fool {
            row,
            point: nearest.origin(row).to_vec(),
            plane: Plane::default(),
            fooled: false,
        };
        let mut walk = Walk::new(victim, nearest.open().into_iter().map(start).collect());
        let mut found = Vec::new();
        for _ in 0..self.steps {
            for side in 0..boundary.sides() {
                if walk.is_empty() {
                    break;
                }
                let seen = boundary.side(side, walk.victim(), &walk.rows(), &walk.points())?;
                for (i, fool) in walk.walkers.iter_mut().enumerate() {
                    if side == 0 {
                        fool.plane.reset();
                        fool.fooled = seen.reached[i];
                    }
                    fool.plane
                        .nearer(threat.norm, seen.values[i], seen.gradient(i));
                }
                if side == 0 {
                    let fooled = walk.release(|fool| fool.fooled);
                    for fool in &fooled {
                        nearest.offer(fool.row, &fool.point);
                    }
                    found.extend(fooled);
                }
            }
            for fool in &mut walk.walkers {
                self.step(threat, fool);
            }
        }
        walk.end(&mut nearest);
        self.retreat(victim, found, &mut nearest);
        Ok(nearest.finish(victim))
    }
}

impl Attack for DeepFool {
    fn name(&self) -> String {
        "deepfool".into()
    }

    fn fits(&self, spec: &ModelSpec, threat: &ThreatModel) -> Result<(), AttackError> {
        in_norms("deepfool", threat, &[Norm::Linf, Norm::L2])?;
        two_classes("deepfool", spec)?;
        at_least_one("steps", self.steps)?;
        if !(self.overshoot.is_finite() && self.overshoot >= 0.0) {
            return Err(AttackError::setting(
                "overshoot",
                self.overshoot,
                "a finite number, at least 0",
            ));
        }
        if self.candidates < 2 {
            return Err(AttackError::setting(
                "candidates",
                self.candidates,
                "at least 2, as the true class is one of them",
            ));
        }
        Ok(())
    }

    fn run(&self, victim: &Victim<'_>) -> Result<Tensor<2>, AttackError> {
        if victim.labels().target.is_some() {
            return self.run_on(victim, &objective::Margin);
        }
        let wrong = wrong_classes(victim).into_iter().take(self.candidates - 1);
        self.go(victim, &Boundary::between(wrong))
    }
}

impl ObjectiveAttack for DeepFool {
    /// Towards the zero set of an objective that is above 0 where the goal is reached.
    fn run_on(
        &self,
        victim: &Victim<'_>,
        objective: &dyn Objective,
    ) -> Result<Tensor<2>, AttackError> {
        self.go(victim, &Boundary::of(objective))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack::tests::{
        finds_the_smallest, finds_the_smallest_at_the_logits, finds_the_target, judge, refused,
    };
    use crate::goal::Goal;

    #[test]
    fn a_linear_net_takes_one_step() {
        let plain = DeepFool {
            bisections: 0,
            ..DeepFool::default()
        };
        for norm in [Norm::Linf, Norm::L2] {
            for (attack, slack) in [(&plain, 0.021), (&DeepFool::default(), 0.003)] {
                finds_the_smallest(attack, norm, slack);
                finds_the_target(attack, norm, slack);
                finds_the_smallest_at_the_logits(attack, norm, slack);
            }
            let threat = ThreatModel::unbounded(norm);
            let found = judge(&DeepFool::default(), &threat, &Goal::Untargeted).unwrap();
            assert_eq!(found.counts.backwards, 3, "two sides, and a look");
        }
    }

    #[test]
    fn senseless_settings_are_refused() {
        let default = DeepFool::default();
        assert_eq!(
            refused(&default, Norm::L1),
            "deepfool knows the norms Linf, L2, not L1"
        );
        let steps = DeepFool {
            steps: 0,
            ..default.clone()
        };
        assert_eq!(refused(&steps, Norm::L2), "steps is 0, must be at least 1");
        let candidates = DeepFool {
            candidates: 1,
            ..default
        };
        assert!(refused(&candidates, Norm::L2).starts_with("candidates is 1"));
    }
}
