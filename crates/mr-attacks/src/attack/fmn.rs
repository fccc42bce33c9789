//! Fast minimum-norm attack.

use burn::tensor::Tensor;
use mr_models::{ModelSpec, Objective, objective};
use serde::{Deserialize, Serialize};

use super::ball::into_ball;
use super::nearest::{Nearest, Seen, Walk, Walker, cosine, dual_length, length};
use super::{Attack, ObjectiveAttack, above_zero, at_least_one};
use crate::error::AttackError;
use crate::threat::{Norm, ThreatModel};
use crate::victim::Victim;

/// Keeps ratios finite where the gradient is 0.
const FLOOR: f32 = 1e-12;

/// Fast minimum-norm attack (Pintor et al. 2021, "Fast minimum-norm adversarial attacks through adaptive
/// norm constraints"), in every norm: steps along the gradient and back into a ball whose radius shrinks
/// after a success and grows after a failure, by a share that falls along half a cosine. Until its first
/// success the radius is how far away the boundary looks.
///
/// Two deviations until that first success, for without them half of the examples of an adversarially
/// trained net are never broken: the radius is `gamma` larger than the boundary is far, which else is
/// crept up to and may never be crossed; and but for L0 a change is stretched to the radius, as
/// adversarial-library does in L2, so that steps that the box cuts short lead somewhere.
///
/// Climbs the margin. Aimed at another objective, its first radii take the objective's zero set for the
/// boundary.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Fmn {
    /// Steps, of one pass each.
    pub steps: usize,
    /// L2 length of the first step, in pixel units.
    pub alpha: f32,
    /// L2 length of the last step; a hundredth of the first by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpha_final: Option<f32>,
    /// By which share the radius shrinks or grows at first.
    pub gamma: f32,
    /// The same at last.
    pub gamma_final: f32,
}

impl Default for Fmn {
    fn default() -> Self {
        Self {
            steps: 100,
            alpha: 1.0,
            alpha_final: None,
            gamma: 0.05,
            gamma_final: 0.001,
        }
    }
}

struct Hiker {
    row: usize,
    point: Vec<f32>,
    change: Vec<f32>,
    radius: f32,
    /// Whether there was a success.
    found: bool,
    /// The radius that reaches every corner of the box.
    most: f32,
}

impl Walker for Hiker {
    fn row(&self) -> usize {
        self.row
    }

    fn point(&self) -> &[f32] {
        &self.point
    }
}

impl Hiker {
    /// The radius of the next ball. `best` is the smallest success so far, infinity before the first.
    fn resize(&mut self, norm: Norm, gamma: f32, best: f32, seen: Seen<'_>) {
        let radius = self.radius;
        self.found = best.is_finite();
        self.radius = match (norm, seen.reached) {
            (Norm::L0, true) => (radius - 1.0)
                .min((radius * (1.0 - gamma)).floor())
                .min(best),
            (Norm::L0, false) => (radius + 1.0).max((radius * (1.0 + gamma)).floor()),
            (_, true) => (radius * (1.0 - gamma)).min(best),
            (_, false) if self.found => radius * (1.0 + gamma),
            (_, false) => {
                let steepness = dual_length(norm, seen.gradient).max(FLOOR);
                let size = length(norm, self.change.iter().copied());
                let ahead = seen.value.abs() / steepness;
                // An objective that is no number says nothing of where the boundary is.
                let ahead = if ahead.is_finite() { ahead } else { 0.0 };
                (size + ahead) * (1.0 + gamma)
            }
        }
        .clamp(0.0, self.most);
    }

    fn step(
        &mut self,
        norm: Norm,
        length_of_step: f32,
        origin: &[f32],
        gradient: &[f32],
        bounds: Option<[f32; 2]>,
    ) {
        let size = length(Norm::L2, gradient.iter().copied()).max(FLOOR);
        for (c, g) in self.change.iter_mut().zip(gradient) {
            *c += length_of_step * (g / size);
        }
        if !self.found && norm != Norm::L0 {
            let size = length(norm, self.change.iter().copied()).max(FLOOR);
            let stretch = (self.radius / size).max(1.0);
            for c in &mut self.change {
                *c *= stretch;
            }
        }
        into_ball(norm, &mut self.change, self.radius);
        let [low, high] = bounds.unwrap_or([f32::NEG_INFINITY, f32::INFINITY]);
        for (i, c) in self.change.iter_mut().enumerate() {
            // A coordinate that is not changed keeps its bits: L0 counts it.
            if *c == 0.0 {
                self.point[i] = origin[i];
            } else {
                self.point[i] = (origin[i] + *c).clamp(low, high);
                *c = self.point[i] - origin[i];
            }
        }
    }
}

impl Attack for Fmn {
    fn name(&self) -> String {
        "fmn".into()
    }

    fn fits(&self, spec: &ModelSpec, _threat: &ThreatModel) -> Result<(), AttackError> {
        at_least_one("steps", self.steps)?;
        above_zero("alpha", self.alpha)?;
        if let Some(last) = self.alpha_final {
            above_zero("alpha_final", last)?;
        }
        for (what, share) in [("gamma", self.gamma), ("gamma_final", self.gamma_final)] {
            if !(share > 0.0 && share < 1.0) {
                return Err(AttackError::setting(what, share, "in (0, 1)"));
            }
        }
        Ok(objective::Margin.fits(spec)?)
    }

    fn run(&self, victim: &Victim<'_>) -> Result<Tensor<2>, AttackError> {
        self.run_on(victim, &objective::Margin)
    }
}

impl ObjectiveAttack for Fmn {
    fn run_on(
        &self,
        victim: &Victim<'_>,
        objective: &dyn Objective,
    ) -> Result<Tensor<2>, AttackError> {
        let norm = victim.threat().norm;
        let bounds = victim.threat().in_box();
        let mut nearest = Nearest::new(victim);
        let start = |row: usize| Hiker {
            row,
            point: nearest.origin(row).to_vec(),
            change: vec![0.0; nearest.origin(row).len()],
            radius: if norm == Norm::L0 { 1.0 } else { f32::INFINITY },
            found: false,
            most: nearest.farthest(row),
        };
        let hikers = nearest.open().into_iter().map(start).collect();
        let alphas = [self.alpha, self.alpha_final.unwrap_or(self.alpha / 100.0)];
        let gammas = [self.gamma, self.gamma_final];
        let step = |hiker: &mut Hiker, step: usize, seen: Seen<'_>, nearest: &Nearest| {
            let gamma = cosine(gammas, step, self.steps);
            hiker.resize(norm, gamma, nearest.distance(hiker.row), seen);
            let alpha = cosine(alphas, step, self.steps);
            hiker.step(
                norm,
                alpha,
                nearest.origin(hiker.row),
                seen.gradient,
                bounds,
            );
        };
        Walk::new(victim, hikers).run(objective, self.steps, &mut nearest, step)?;
        Ok(nearest.finish(victim))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack::tests::{
        finds_the_smallest, finds_the_smallest_at_the_logits, finds_the_target, refused,
    };

    #[test]
    fn a_linear_net_is_broken_near_the_smallest_distance() {
        for (norm, share) in [
            (Norm::Linf, 0.01),
            (Norm::L2, 0.01),
            (Norm::L1, 0.01),
            (Norm::L0, 0.0),
        ] {
            finds_the_smallest(&Fmn::default(), norm, share);
            finds_the_target(&Fmn::default(), norm, share);
            finds_the_smallest_at_the_logits(&Fmn::default(), norm, share);
        }
    }

    #[test]
    fn senseless_settings_are_refused() {
        let default = Fmn::default();
        let steps = Fmn {
            steps: 0,
            ..default.clone()
        };
        assert_eq!(refused(&steps, Norm::L0), "steps is 0, must be at least 1");
        let gamma = Fmn {
            gamma_final: 1.0,
            ..default
        };
        assert_eq!(
            refused(&gamma, Norm::L2),
            "gamma_final is 1, must be in (0, 1)"
        );
    }
}
