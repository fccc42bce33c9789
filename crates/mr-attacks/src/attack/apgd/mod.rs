//! Auto-PGD.

mod ascent;
mod pace;
#[cfg(test)]
mod tests;

use burn::tensor::Tensor;
use mr_models::{ModelSpec, Objective, objective};
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use super::planes::wrong_classes;
use super::{Attack, ObjectiveAttack, at_least_one, bounded, in_norms};
use crate::error::AttackError;
use crate::randomness::{Draw, rows};
use crate::threat::{Norm, ThreatModel};
use crate::victim::{Victim, put_some};

use ascent::{Ascent, Outcome};

/// Auto-PGD (Croce & Hein 2020, "Reliable evaluation of adversarial robustness with an ensemble of
/// diverse parameter-free attacks"; for L1 Croce & Hein 2021, "Mind the box"): gradient ascent with
/// momentum whose step length halves where it stops paying, going back to the best point. There is
/// no step size to choose.
///
/// With `targets` it runs once towards each of the likeliest wrong classes; any wrong class counts.
/// Under a [targeted goal](crate::Goal::Targeted) it runs towards the goal's own class instead.
///
/// Deviations: an example that reaches the goal stays there and costs nothing more (unless
/// `stop_early` is off), the last point is judged without a gradient, and where no point reaches the
/// goal the one of largest objective is proposed, not the clean one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Apgd {
    /// Gradient steps per restart, and per target.
    pub steps: usize,
    /// Runs for each example that is not broken yet; the first starts from the clean point where
    /// there is no random start.
    pub restarts: u32,
    /// The objective that it climbs, by name; left out, `cross-entropy`, or `dlr` with `targets`.
    /// See [`objective_on`](Self::objective_on).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objective: Option<String>,
    /// How many of the likeliest wrong classes it runs towards, one after the other; 0 for none.
    /// More than there are means all.
    pub targets: usize,
    /// The step length halves where no more than this share of the steps since the last review
    /// raised the objective; in `[0, 1]`.
    pub rho: f32,
    /// Passes that values and gradients of a random model are averaged over (expectation over
    /// transformation, Athalye et al. 2018).
    pub eot: usize,
    /// Whether to start from a random point of the ball's surface.
    pub random_start: bool,
    /// Whether an L1 run spends 3/10 of its steps in a ball of 3 epsilon and 3/10 in one of 2
    /// epsilon first. Other norms do not.
    pub large_radii: bool,
    /// Whether an example that reaches the goal leaves the batch.
    pub stop_early: bool,
    /// Whether the first review compares the first step with 0 instead of with the start, as the
    /// authors' code does.
    pub compat: bool,
}

impl Default for Apgd {
    fn default() -> Self {
        Self {
            steps: 100,
            restarts: 1,
            objective: None,
            targets: 0,
            rho: 0.75,
            eot: 1,
            random_start: true,
            large_radii: true,
            stop_early: true,
            compat: false,
        }
    }
}

impl Apgd {
    /// On DLR, as in `AutoAttack`'s other versions.
    pub fn dlr() -> Self {
        Self {
            objective: Some("dlr".into()),
            ..Self::default()
        }
    }

    /// Towards the nine likeliest wrong classes by targeted DLR, as in `AutoAttack`.
    pub fn targeted() -> Self {
        Self {
            targets: 9,
            ..Self::default()
        }
    }

    /// The objective that was asked for.
    fn asked(&self) -> &str {
        match &self.objective {
            Some(name) => name,
            None if self.targets > 0 => "dlr",
            None => "cross-entropy",
        }
    }

    /// Whether it was asked to climb the difference of logits ratio.
    pub(crate) fn asks_for_dlr(&self) -> bool {
        self.asked() == "dlr"
    }

    /// The name of the objective that it climbs on such a model: the one that was asked for, or
    /// cross-entropy where that is DLR and the model has too few classes for it, below 3, or below 4
    /// with `targets`. A caller may want to warn.
    pub fn objective_on(&self, spec: &ModelSpec) -> &str {
        self.climbs(spec, self.targets > 0)
    }

    fn climbs(&self, spec: &ModelSpec, targeted: bool) -> &str {
        let needed = if targeted { 4 } else { 3 };
        match self.asked() {
            "dlr" if spec.classes < needed => "cross-entropy",
            asked => asked,
        }
    }

    /// The balls that one run goes through: how many epsilons, for how many steps.
    fn stages(&self, norm: Norm) -> Vec<(f32, usize)> {
        let wide = (0.3 * self.steps as f64).ceil() as usize;
        let rest = self.steps.saturating_sub(2 * wide);
        if norm == Norm::L1 && self.large_radii && rest > 0 {
            vec![(3.0, wide), (2.0, wide), (1.0, rest)]
        } else {
            vec![(1.0, self.steps)]
        }
    }

    /// One run, the `turn`-th.
    fn ascend(
        &self,
        victim: &Victim<'_>,
        objective: &dyn Objective,
        turn: u32,
        random: bool,
    ) -> Result<Outcome, AttackError> {
        let threat = victim.threat();
        let stages = self.stages(threat.norm);
        let mut start = random.then(|| self.random_start(victim, turn));
        // The authors' code counts changed coordinates only of starts that it is handed.
        let mut counted = random && stages.len() > 1;
        let last = stages.len() - 1;
        for (stage, &(epsilons, steps)) in stages.iter().enumerate() {
            let ball = threat.with_epsilon(threat.epsilon * epsilons);
            let victim = victim.under(&ball);
            let origin = victim.origin();
            let point = match start {
                Some(start) => ball.project(origin, start),
                None => origin.clone(),
            };
            let ascent = Ascent {
                settings: self,
                objective,
                steps,
                counted,
                final_ball: stage == last,
            };
            let found = ascent.from(&victim, point)?;
            if stage == last {
                return Ok(found);
            }
            start = Some(found.points);
            counted = true;
        }
        unreachable!("there is a last stage")
    }

    /// Linf and L2: a point on the ball's surface. L1: a Gaussian one, to be projected.
    fn random_start(&self, victim: &Victim<'_>, turn: u32) -> Tensor<2> {
        let threat = victim.threat();
        let origin = victim.origin();
        let draw = Draw {
            seed: victim.seed(),
            attack: &self.name(),
            restart: turn,
            step: 0,
        };
        let width = origin.dims()[1];
        let epsilon = threat.epsilon;
        let device = origin.device();
        let change = rows(draw, victim.examples(), width, &device, |rng, values| {
            let start = values.len();
            if threat.norm == Norm::Linf {
                values.extend((0..width).map(|_| rng.random_range(-1.0f32..=1.0)));
            } else {
                let gaussian = (0..width).map(|_| -> f32 { StandardNormal.sample(rng) });
                values.extend(gaussian);
            }
            let change = &mut values[start..];
            let length = match threat.norm {
                Norm::Linf => change.iter().fold(0.0, |most: f32, v| most.max(v.abs())),
                Norm::L2 => change.iter().map(|v| v * v).sum::<f32>().sqrt(),
                Norm::L1 | Norm::L0 => epsilon,
            };
            let scale = if length > 0.0 { epsilon / length } else { 1.0 };
            for v in change {
                *v *= scale;
            }
        });
        origin.clone() + change
    }

    /// What each run goes towards: no class in particular, or one class per example and run.
    fn aims(&self, victim: &Victim<'_>) -> Vec<Option<Vec<usize>>> {
        if self.targets == 0 || victim.labels().target.is_some() {
            return vec![None];
        }
        let likeliest = wrong_classes(victim).into_iter().take(self.targets);
        likeliest.map(Some).collect()
    }
}

impl Attack for Apgd {
    fn name(&self) -> String {
        let aim = if self.targets > 0 { "apgd-t" } else { "apgd" };
        match (self.asked(), self.targets) {
            ("cross-entropy", _) => format!("{aim}-ce"),
            ("dlr", 1..) => aim.into(),
            (objective, _) => format!("{aim}-{objective}"),
        }
    }

    fn fits(&self, spec: &ModelSpec, threat: &ThreatModel) -> Result<(), AttackError> {
        bounded("apgd", threat)?;
        in_norms("apgd", threat, &[Norm::Linf, Norm::L2, Norm::L1])?;
        at_least_one("steps", self.steps)?;
        at_least_one("restarts", self.restarts as usize)?;
        at_least_one("eot", self.eot)?;
        if !(0.0..=1.0).contains(&self.rho) {
            return Err(AttackError::setting("rho", self.rho, "in [0, 1]"));
        }
        Ok(objective::by_name(self.objective_on(spec))?.fits(spec)?)
    }

    fn run(&self, victim: &Victim<'_>) -> Result<Tensor<2>, AttackError> {
        let targeted = self.targets > 0 || victim.labels().target.is_some();
        let name = self.climbs(victim.spec(), targeted);
        self.run_on(victim, objective::by_name(name)?.as_ref())
    }
}

impl ObjectiveAttack for Apgd {
    fn run_on(
        &self,
        victim: &Victim<'_>,
        objective: &dyn Objective,
    ) -> Result<Tensor<2>, AttackError> {
        let count = victim.examples().len();
        let mut found = victim.origin().clone();
        let mut values = vec![f32::NEG_INFINITY; count];
        let mut open: Vec<usize> = (0..count).collect();
        let mut turn = 0;
        for aim in self.aims(victim) {
            for restart in 0..self.restarts {
                if open.is_empty() {
                    return Ok(found);
                }
                let mut part = victim.select(&open);
                if let Some(classes) = &aim {
                    let classes: Vec<usize> = open.iter().map(|&row| classes[row]).collect();
                    part = part.towards(&classes);
                }
                let random = self.random_start || restart > 0;
                let outcome = self.ascend(&part, objective, turn, random)?;
                let better: Vec<usize> = (0..open.len())
                    .filter(|&i| outcome.reached[i] || outcome.values[i] > values[open[i]])
                    .collect();
                found = put_some(&found, &open, &better, &outcome.points);
                for &i in &better {
                    values[open[i]] = outcome.values[i];
                }
                let still = (0..open.len()).filter(|&i| !outcome.reached[i]);
                open = still.map(|i| open[i]).collect();
                turn += 1;
            }
        }
        Ok(found)
    }
}
