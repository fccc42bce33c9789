//! Projected gradient descent.

use std::f32::consts::PI;

use burn::tensor::{Tensor, TensorData};
use mr_models::{ModelSpec, Objective, floats, objective};
use serde::{Deserialize, Serialize};

use super::{Attack, ObjectiveAttack, bounded};
use crate::error::AttackError;
use crate::randomness::Draw;
use crate::threat::ThreatModel;
use crate::victim::{Victim, put, row_index, rows_where};

/// Projected gradient descent (Madry et al. 2018, "Towards deep learning models resistant to
/// adversarial attacks"); with momentum, MI-FGSM (Dong et al. 2018); without a random start, the
/// basic iterative method (Kurakin et al. 2017).
///
/// An example that reaches the goal stays where it did and costs nothing more, unless
/// `stop_early` is off.
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
            Direction::Gradient => {
                let length = gradient.clone().square().sum_dim(1).sqrt();
                gradient / length.clamp_min(f32::MIN_POSITIVE)
            }
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
        let mut field = Field::new(victim, start);
        for step in 0..self.steps {
            let climb = field.victim().climb(objective, &field.point)?;
            let mut gradient = climb.gradient;
            if self.momentum > 0.0 {
                let length = gradient.clone().abs().sum_dim(1);
                gradient = gradient / length.clamp_min(f32::MIN_POSITIVE);
                if let Some(before) = field.momentum.take() {
                    gradient = gradient + before * self.momentum;
                }
                field.momentum = Some(gradient.clone());
            }
            if self.stop_early && climb.reached.contains(&true) {
                let Some(rest) = field.retire(&climb.reached, &gradient) else {
                    break;
                };
                gradient = rest;
            }
            field.point = self.step(field.victim(), &field.point, gradient, step);
        }
        Ok(field.finish())
    }
}

impl Attack for Pgd {
    fn name(&self) -> String {
        "pgd".into()
    }

    fn fits(&self, spec: &ModelSpec, threat: &ThreatModel) -> Result<(), AttackError> {
        bounded("pgd", threat)?;
        if self.steps == 0 {
            return Err(AttackError::setting("steps", self.steps, "at least 1"));
        }
        if self.restarts == 0 {
            return Err(AttackError::setting(
                "restarts",
                self.restarts,
                "at least 1",
            ));
        }
        if let Some(size) = self.step_size
            && !(size.is_finite() && size > 0.0)
        {
            return Err(AttackError::setting(
                "step_size",
                size,
                "a finite number above 0",
            ));
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
        let mut open: Vec<usize> = rows_where(&reached, false);
        for restart in 1..self.restarts {
            if !open.is_empty() {
                let last = victim.select(&open);
                let logits = last.logits(&found.clone().select(0, row_index(&open, &found)));
                open = rows_where(&last.reached(&logits), false)
                    .into_iter()
                    .map(|row| open[row])
                    .collect();
            }
            if open.is_empty() {
                break;
            }
            let (points, _) = self.restart(&victim.select(&open), objective, restart)?;
            found = put(&found, &open, &points);
        }
        Ok(found)
    }
}

/// The examples that a restart still works on, and where the others were left.
struct Field<'v, 'a> {
    whole: &'v Victim<'a>,
    part: Option<Victim<'a>>,
    /// The point of each example that is still worked on.
    point: Tensor<2>,
    momentum: Option<Tensor<2>>,
    rows: Vec<usize>,
    done: Vec<Option<Vec<f32>>>,
}

impl<'v, 'a> Field<'v, 'a> {
    fn new(whole: &'v Victim<'a>, point: Tensor<2>) -> Self {
        let count = whole.examples().len();
        Self {
            whole,
            part: None,
            point,
            momentum: None,
            rows: (0..count).collect(),
            done: vec![None; count],
        }
    }

    fn victim(&self) -> &Victim<'a> {
        self.part.as_ref().unwrap_or(self.whole)
    }

    /// Leaves the examples that reached the goal where they are, and gives the gradient of the
    /// others; `None` if there are no others.
    fn retire(&mut self, reached: &[bool], gradient: &Tensor<2>) -> Option<Tensor<2>> {
        let width = self.point.dims()[1];
        let points = floats(self.point.clone());
        for row in rows_where(reached, true) {
            let point = points[row * width..(row + 1) * width].to_vec();
            self.done[self.rows[row]] = Some(point);
        }
        let stay = rows_where(reached, false);
        self.rows = stay.iter().map(|&row| self.rows[row]).collect();
        if stay.is_empty() {
            return None;
        }
        let index = row_index(&stay, &self.point);
        let select = |tensor: &Tensor<2>| tensor.clone().select(0, index.clone());
        self.point = select(&self.point);
        self.momentum = self.momentum.as_ref().map(select);
        let rest = select(gradient);
        self.part = Some(self.whole.select(&self.rows));
        Some(rest)
    }

    fn finish(self) -> (Tensor<2>, Vec<bool>) {
        let reached: Vec<bool> = self.done.iter().map(Option::is_some).collect();
        if !reached.contains(&true) {
            return (self.point, reached);
        }
        let origin = self.whole.origin();
        let [count, width] = origin.dims();
        let mut values = vec![0.0; count * width];
        let rest = if self.rows.is_empty() {
            Vec::new()
        } else {
            floats(self.point)
        };
        for (&row, point) in self.rows.iter().zip(rest.chunks(width)) {
            values[row * width..(row + 1) * width].copy_from_slice(point);
        }
        for (row, point) in self.done.iter().enumerate() {
            if let Some(point) = point {
                values[row * width..(row + 1) * width].copy_from_slice(point);
            }
        }
        let points = TensorData::new(values, [count, width]);
        (Tensor::from_data(points, &origin.device()), reached)
    }
}
