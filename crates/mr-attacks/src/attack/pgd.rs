//! Projected gradient descent.

use std::f32::consts::PI;

use burn::tensor::Tensor;
use mr_models::{ModelSpec, Objective, objective};
use serde::{Deserialize, Serialize};

use super::field::Field;
use super::{Attack, ObjectiveAttack, above_zero, at_least_one, bounded};
use crate::error::AttackError;
use crate::randomness::Draw;
use crate::threat::{ThreatModel, unit};
use crate::victim::{Victim, put_some, row_index, rows_where};

/// Projected gradient descent (Madry et al. 2018, "Towards deep learning models resistant to
/// adversarial attacks"); with momentum, MI-FGSM (Dong et al. 2018); without a random start, the
/// basic iterative method (Kurakin et al. 2017).
///
/// An example that reaches the goal stays where it did and costs nothing more, unless
/// `stop_early` is off. One that never does ends with the restart of the largest objective.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pgd {
    /// Gradient steps per restart.
    pub steps: usize,
    /// Length of a step in the threat's norm; 2.5 epsilon / steps by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_size: Option<f32>,
    /// How the length changes from step to step.
    pub schedule: Schedule,
    /// The direction of a step.
    pub direction: Direction,
    /// Decay of the accumulated gradient, each gradient scaled to L1 length 1; 0 for none.
    pub momentum: f32,
    /// Whether to start from a random point of the ball.
    pub random_start: bool,
    /// Runs for each example that is not broken yet; the first starts from the clean point where
    /// there is no random start.
    pub restarts: u32,
    /// The objective that it climbs, by name.
    pub objective: String,
    /// Passes that values and gradients of a random model are averaged over (expectation over
    /// transformation, Athalye et al. 2018).
    pub eot: usize,
    /// Whether an example that reaches the goal leaves the batch.
    pub stop_early: bool,
}

/// How the step length changes over a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// Always the same.
    #[default]
    Constant,
    /// Falls to 0 along half a cosine.
    Cosine,
}

/// The direction of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Steepest ascent in the threat's norm.
    #[default]
    Steepest,
    /// The gradient scaled to L2 length 1, whatever the norm.
    Gradient,
    /// The sign of the gradient, whatever the norm.
    Sign,
}

impl Default for Pgd {
    fn default() -> Self {
        Self {
            steps: 40,
            step_size: None,
            schedule: Schedule::Constant,
            direction: Direction::Steepest,
            momentum: 0.0,
            random_start: true,
            restarts: 1,
            objective: "cross-entropy".into(),
            eot: 1,
            stop_early: true,
        }
    }
}

impl Pgd {
    fn step_length(&self, epsilon: f32, step: usize) -> f32 {
        let steps = self.steps as f32;
        let length = self.step_size.unwrap_or(2.5 * epsilon / steps);
        match self.schedule {
            Schedule::Constant => length,
            Schedule::Cosine => length * 0.5 * (1.0 + (PI * step as f32 / steps).cos()),
        }
    }

    fn step(
        &self,
        victim: &Victim<'_>,
        point: &Tensor<2>,
        gradient: Tensor<2>,
        step: usize,
    ) -> Tensor<2> {
        let threat = victim.threat();
        let direction = match self.direction {
            Direction::Steepest => threat.steepest(point, gradient),
            Direction::Sign => gradient.sign(),
            Direction::Gradient => unit(gradient),
        };
        let moved = point.clone() + direction * self.step_length(threat.epsilon, step);
        threat.project(victim.origin(), moved)
    }

    /// One restart: where each example ended, and whether it reached the goal on the way.
    fn restart(
        &self,
        victim: &Victim<'_>,
        objective: &dyn Objective,
        restart: u32,
    ) -> Result<(Tensor<2>, Vec<bool>), AttackError> {
        let start = if self.random_start || restart > 0 {
            let draw = Draw {
                seed: victim.seed(),
                attack: "pgd",
                restart,
                step: 0,
            };
            victim
                .threat()
                .random_point(draw, victim.examples(), victim.origin())
        } else {
            victim.origin().clone()
        };
        let mut field = Field::new(victim);
        let mut point = start;
        let mut momentum: Option<Tensor<2>> = None;
        for step in 0..self.steps {
            let climb = field.victim().climb_mean(objective, &point, self.eot)?;
            let mut gradient = climb.gradient;
            if self.momentum > 0.0 {
                let length = gradient.clone().abs().sum_dim(1);
                gradient = gradient / length.clamp_min(f32::MIN_POSITIVE);
                if let Some(before) = momentum.take() {
                    gradient = gradient + before * self.momentum;
                }
                momentum = Some(gradient.clone());
            }
            if self.stop_early && climb.reached.contains(&true) {
                field.keep(&climb.reached, &point);
                let stay = field.without(&climb.reached);
                if stay.is_empty() {
                    break;
                }
                let index = row_index(&stay, &point);
                let select = |tensor: Tensor<2>| tensor.select(0, index.clone());
                (point, gradient) = (select(point), select(gradient));
                momentum = momentum.map(select);
            }
            point = self.step(field.victim(), &point, gradient, step);
        }
        Ok(field.finish(point))
    }
}

impl Attack for Pgd {
    fn name(&self) -> String {
        "pgd".into()
    }

    fn fits(&self, spec: &ModelSpec, threat: &ThreatModel) -> Result<(), AttackError> {
        bounded("pgd", threat)?;
        at_least_one("steps", self.steps)?;
        at_least_one("restarts", self.restarts as usize)?;
        at_least_one("eot", self.eot)?;
        if let Some(size) = self.step_size {
            above_zero("step_size", size)?;
        }
        if !(0.0..=1.0).contains(&self.momentum) {
            return Err(AttackError::setting("momentum", self.momentum, "in [0, 1]"));
        }
        Ok(objective::by_name(&self.objective)?.fits(spec)?)
    }

    fn run(&self, victim: &Victim<'_>) -> Result<Tensor<2>, AttackError> {
        self.run_on(victim, objective::by_name(&self.objective)?.as_ref())
    }
}

impl ObjectiveAttack for Pgd {
    fn run_on(
        &self,
        victim: &Victim<'_>,
        objective: &dyn Objective,
    ) -> Result<Tensor<2>, AttackError> {
        let (mut found, reached) = self.restart(victim, objective, 0)?;
        let mut open = rows_where(&reached, false);
        if self.restarts == 1 || open.is_empty() {
            return Ok(found);
        }
        // Where no restart reaches the goal, the point of the largest objective counts.
        let mut best = vec![f32::NEG_INFINITY; reached.len()];
        let mut points = found.clone().select(0, row_index(&open, &found));
        for restart in 1..=self.restarts {
            let part = victim.select(&open);
            let seen = part.score_mean(objective, &points, self.eot)?;
            let better: Vec<usize> = (0..open.len())
                .filter(|&i| seen.reached[i] || seen.values[i] > best[open[i]])
                .collect();
            found = put_some(&found, &open, &better, &points);
            for &i in &better {
                best[open[i]] = seen.values[i];
            }
            let still = rows_where(&seen.reached, false);
            open = still.into_iter().map(|i| open[i]).collect();
            if restart == self.restarts || open.is_empty() {
                break;
            }
            (points, _) = self.restart(&victim.select(&open), objective, restart)?;
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use mr_models::data::{DataConfig, Split, load};
    use mr_models::objective::Margin;
    use mr_models::{Architecture, Mlp, Network};

    use super::*;
    use crate::{EvaluationConfig, Norm, aim};

    #[test]
    fn without_a_goal_the_best_restart_counts() {
        let mlp = Mlp {
            hidden: vec![16],
            ..Mlp::default()
        };
        let net = Network::init(Architecture::Mlp(mlp), 3, &Device::flex()).unwrap();
        let data = load(&DataConfig::default(), Split::Test).unwrap();
        let data = data.take(20).unwrap();
        let threat = ThreatModel::new(Norm::Linf, 0.2);
        let after = |restarts| -> Vec<f32> {
            let pgd = Pgd {
                steps: 2,
                restarts,
                ..Pgd::default()
            };
            let config = EvaluationConfig::default();
            let found = aim(&net, &data, &threat, &pgd, &Margin, &config, &mut |_| true);
            found
                .unwrap()
                .examples
                .iter()
                .map(|one| one.after)
                .collect()
        };
        let mut before = after(1);
        let mut rises = 0;
        for restarts in 2..6 {
            let now = after(restarts);
            assert!(before.iter().zip(&now).all(|(before, now)| now >= before));
            rises += before
                .iter()
                .zip(&now)
                .filter(|(before, now)| now > before)
                .count();
            before = now;
        }
        assert!(rises > 0);
    }
}
