//! Decoupled direction and norm.

use burn::tensor::Tensor;
use mr_models::{ModelSpec, Objective, objective};
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use super::nearest::{Nearest, Seen, Walk, Walker, cosine, length};
use super::{Attack, ObjectiveAttack, above_zero, at_least_one, in_norms};
use crate::error::AttackError;
use crate::randomness::Draw;
use crate::threat::{Norm, ThreatModel};
use crate::victim::Victim;

/// Lengths of the first and the last step.
const STEP: [f32; 2] = [1.0, 0.01];

/// Decoupled direction and norm (Rony et al. 2019, "Decoupling direction and norm for efficient
/// gradient-based L2 adversarial attacks and defenses"): walks on spheres around the clean point, whose
/// radius shrinks by a factor after a success and grows by one after a failure. L2 only.
///
/// Step lengths fall from 1 to .01 along half a cosine; points are not rounded to grey levels. Where the
/// gradient is 0 the direction is drawn, for each example and step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ddn {
    /// Steps, of one pass each.
    pub steps: usize,
    /// Radius of the first sphere, in pixel units.
    pub init_norm: f32,
    /// By which share the radius shrinks or grows.
    pub gamma: f32,
    /// The objective that it climbs, by name.
    pub objective: String,
}

impl Default for Ddn {
    fn default() -> Self {
        Self {
            steps: 100,
            init_norm: 1.0,
            gamma: 0.05,
            objective: "cross-entropy".into(),
        }
    }
}

struct Rider {
    row: usize,
    point: Vec<f32>,
    radius: f32,
    /// The radius that reaches every corner of the box.
    most: f32,
}

impl Walker for Rider {
    fn row(&self) -> usize {
        self.row
    }

    fn point(&self) -> &[f32] {
        &self.point
    }
}

impl Rider {
    /// Along the direction, then onto the sphere, then into the box.
    fn ride(&mut self, origin: &[f32], direction: &[f32], step: f32, bounds: Option<[f32; 2]>) {
        for (p, d) in self.point.iter_mut().zip(direction) {
            *p += step * d;
        }
        let change = self.point.iter().zip(origin).map(|(p, o)| p - o);
        let scale = self.radius / length(Norm::L2, change).max(f32::MIN_POSITIVE);
        let [low, high] = bounds.unwrap_or([f32::NEG_INFINITY, f32::INFINITY]);
        for (p, o) in self.point.iter_mut().zip(origin) {
            *p = (o + scale * (*p - o)).clamp(low, high);
        }
    }
}

/// A random direction of length 1, in the area of the threat.
fn drawn(victim: &Victim<'_>, example: u64, step: usize, direction: &mut [f32]) {
    let draw = Draw {
        seed: victim.seed(),
        attack: "ddn",
        restart: 0,
        step: step as u32,
    };
    let mut rng = draw.rng(example);
    for (at, d) in direction.iter_mut().enumerate() {
        let value: f32 = StandardNormal.sample(&mut rng);
        let free = victim.threat().area.is_none_or(|area| area.has(at));
        *d = if free { value } else { 0.0 };
    }
    let size = length(Norm::L2, direction.iter().copied()).max(f32::MIN_POSITIVE);
    for d in direction {
        *d /= size;
    }
}

impl Attack for Ddn {
    fn name(&self) -> String {
        "ddn".into()
    }

    fn fits(&self, spec: &ModelSpec, threat: &ThreatModel) -> Result<(), AttackError> {
        in_norms("ddn", threat, &[Norm::L2])?;
        at_least_one("steps", self.steps)?;
        above_zero("init_norm", self.init_norm)?;
        if !(self.gamma > 0.0 && self.gamma < 1.0) {
            return Err(AttackError::setting("gamma", self.gamma, "in (0, 1)"));
        }
        Ok(objective::by_name(&self.objective)?.fits(spec)?)
    }

    fn run(&self, victim: &Victim<'_>) -> Result<Tensor<2>, AttackError> {
        self.run_on(victim, objective::by_name(&self.objective)?.as_ref())
    }
}

impl ObjectiveAttack for Ddn {
    fn run_on(
        &self,
        victim: &Victim<'_>,
        objective: &dyn Objective,
    ) -> Result<Tensor<2>, AttackError> {
        let bounds = victim.threat().in_box();
        let mut nearest = Nearest::new(victim);
        let start = |row: usize| Rider {
            row,
            point: nearest.origin(row).to_vec(),
            radius: self.init_norm,
            most: nearest.farthest(row),
        };
        let riders = nearest.open().into_iter().map(start).collect();
        let mut direction = vec![0.0; victim.origin().dims()[1]];
        let step = |rider: &mut Rider, step: usize, seen: Seen<'_>, nearest: &Nearest| {
            let change = if seen.reached {
                -self.gamma
            } else {
                self.gamma
            };
            rider.radius = (rider.radius * (1.0 + change)).min(rider.most);
            let size = length(Norm::L2, seen.gradient.iter().copied());
            if size == 0.0 {
                drawn(victim, victim.examples()[rider.row], step, &mut direction);
            } else {
                for (d, g) in direction.iter_mut().zip(seen.gradient) {
                    *d = g / size;
                }
            }
            let reach = cosine(STEP, step, self.steps);
            rider.ride(nearest.origin(rider.row), &direction, reach, bounds);
        };
        Walk::new(victim, riders).run(objective, self.steps, &mut nearest, step)?;
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
        // The radius comes from 1 to .2, and then steps across .2 by 5 %.
        finds_the_smallest(&Ddn::default(), Norm::L2, 0.05);
        finds_the_target(&Ddn::default(), Norm::L2, 0.05);
        // The cross-entropy's slope is no normal of the boundary there: it lowers the third logit too.
        let margin = Ddn {
            objective: "margin".into(),
            ..Ddn::default()
        };
        finds_the_smallest_at_the_logits(&margin, Norm::L2, 0.05);
    }

    #[test]
    fn a_gradient_that_is_small_still_leads() {
        for scale in ["0.0000000000001", "1e-30"] {
            let faint = Ddn {
                objective: format!("{scale} margin"),
                ..Ddn::default()
            };
            finds_the_smallest(&faint, Norm::L2, 0.02);
        }
    }

    #[test]
    fn senseless_settings_are_refused() {
        let default = Ddn::default();
        let gamma = Ddn {
            gamma: 1.0,
            ..default.clone()
        };
        assert_eq!(refused(&gamma, Norm::L2), "gamma is 1, must be in (0, 1)");
        let start = Ddn {
            init_norm: 0.0,
            ..default.clone()
        };
        assert_eq!(
            refused(&start, Norm::L2),
            "init_norm is 0, must be a finite number above 0"
        );
        assert_eq!(
            refused(&default, Norm::Linf),
            "ddn knows the norms L2, not Linf"
        );
    }
}
