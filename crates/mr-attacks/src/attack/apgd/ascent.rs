//! One run of Auto-PGD in one ball.

use burn::tensor::{Bool, Tensor, TensorData};
use mr_models::{Objective, floats};

use super::Apgd;
use super::pace::{Pace, Sparsity, checkpoints, sparse_checkpoints};
use crate::attack::field::Field;
use crate::error::AttackError;
use crate::threat::{Norm, ThreatModel};
use crate::victim::{Climb, Victim, row_index};

/// Weight of a step against the step before.
const MOMENTUM: f32 = 0.75;

/// One run in one ball.
pub(super) struct Ascent<'s> {
    pub(super) settings: &'s Apgd,
    pub(super) objective: &'s dyn Objective,
    pub(super) steps: usize,
    /// L1: whether the coordinates that the start changes say how many a step should.
    pub(super) counted: bool,
    /// Whether this is the threat's own ball, so that reaching the goal counts.
    pub(super) final_ball: bool,
}

/// What a run found.
pub(super) struct Outcome {
    /// A point that reaches the goal, or the point of largest objective: `[batch, coordinate]`.
    pub(super) points: Tensor<2>,
    /// The largest objective.
    pub(super) values: Vec<f32>,
    /// Whether the point reaches the goal.
    pub(super) reached: Vec<bool>,
}

/// The tensors of a run, `[working, coordinate]`, and each example's pace.
struct State {
    point: Tensor<2>,
    gradient: Tensor<2>,
    /// Before the last step, wherever the search went back to since.
    before: Tensor<2>,
    best: Tensor<2>,
    best_gradient: Tensor<2>,
    paces: Vec<Pace>,
    /// Empty but for L1.
    sparsities: Vec<Sparsity>,
}

impl Ascent<'_> {
    pub(super) fn from(
        &self,
        victim: &Victim<'_>,
        start: Tensor<2>,
    ) -> Result<Outcome, AttackError> {
        let mut field = Field::new(victim);
        let mut values = vec![f32::NEG_INFINITY; victim.examples().len()];
        let eot = self.settings.eot;
        let Climb {
            values: first,
            gradient,
            reached,
        } = victim.climb_mean(self.objective, &start, eot)?;
        let mut state = self.state(victim, start, gradient, &floats(first));
        let mut working = self.settle(&mut field, &mut state, &reached, None);
        let checks = match victim.threat().norm {
            Norm::L1 => sparse_checkpoints(self.steps),
            _ => checkpoints(self.steps),
        };
        let mut reviewed = 0;
        for step in 1..=self.steps {
            if !working {
                break;
            }
            let moved = state.moved(field.victim(), step == 1);
            state.before = std::mem::replace(&mut state.point, moved);
            let (now, reached) = self.look(&mut state, field.victim(), step == self.steps)?;
            state.observe(&now);
            working = self.settle(&mut field, &mut state, &reached, Some(&now));
            if checks.contains(&step) {
                if working {
                    state.review(field.victim(), step - reviewed, self.settings.rho);
                }
                reviewed = step;
            }
        }
        for (&row, pace) in field.rows().iter().zip(&state.paces) {
            values[row] = pace.best;
        }
        let (points, reached) = field.finish(state.best);
        Ok(Outcome {
            points,
            values,
            reached,
        })
    }

    fn state(
        &self,
        victim: &Victim<'_>,
        start: Tensor<2>,
        gradient: Tensor<2>,
        values: &[f32],
    ) -> State {
        let threat = victim.threat();
        let width = start.dims()[1];
        let (length, sparsities) = if threat.norm == Norm::L1 {
            let supports = if self.counted {
                let support = supports(victim.origin(), &start);
                support.into_iter().map(Some).collect()
            } else {
                vec![None; values.len()]
            };
            let sparsity = |support| Sparsity::new(support, width);
            (threat.epsilon, supports.into_iter().map(sparsity).collect())
        } else {
            (2.0 * threat.epsilon, Vec::new())
        };
        State {
            before: start.clone(),
            best: start.clone(),
            point: start,
            best_gradient: gradient.clone(),
            gradient,
            paces: values
                .iter()
                .map(|&value| Pace::new(length, value, self.settings.compat))
                .collect(),
            sparsities,
        }
    }

    /// The objective at the new point, whether the goal is reached there, and its gradient into
    /// the state, unless nothing follows.
    fn look(
        &self,
        state: &mut State,
        victim: &Victim<'_>,
        last: bool,
    ) -> Result<(Vec<f32>, Vec<bool>), AttackError> {
        let eot = self.settings.eot;
        if last {
            let scores = victim.score_mean(self.objective, &state.point, eot)?;
            return Ok((scores.values, scores.reached));
        }
        let climb = victim.climb_mean(self.objective, &state.point, eot)?;
        state.gradient = climb.gradient;
        Ok((floats(climb.values), climb.reached))
    }

    /// Notes the points that reach the goal, and lets their examples leave; whether any stay.
    fn settle(
        &self,
        field: &mut Field<'_, '_>,
        state: &mut State,
        reached: &[bool],
        values: Option<&[f32]>,
    ) -> bool {
        if !(self.final_ball && reached.contains(&true)) {
            return true;
        }
        let noted: Vec<bool> = (0..reached.len())
            .map(|i| {
                let pace = &mut state.paces[i];
                let value = values.map_or(pace.best, |values| values[i]);
                reached[i] && pace.observe_reached(value)
            })
            .collect();
        field.keep(&noted, &state.point);
        if !self.settings.stop_early {
            return true;
        }
        let stay = field.without(reached);
        if stay.is_empty() {
            state.paces.clear();
            return false;
        }
        state.select(&stay);
        true
    }
}

impl State {
    /// The next point.
    fn moved(&self, victim: &Victim<'_>, first: bool) -> Tensor<2> {
        let threat = victim.threat();
        let origin = victim.origin();
        let point = &self.point;
        let lengths: Vec<f32> = self.paces.iter().map(|pace| pace.length).collect();
        let lengths = column(&lengths, point);
        if threat.norm == Norm::L1 {
            let direction = self.steepest_coordinates(threat);
            return threat.project(origin, point.clone() + direction * lengths);
        }
        let direction = threat.steepest(point, self.gradient.clone());
        let stepped = threat.project(origin, point.clone() + direction * lengths);
        let weight = if first { 1.0 } else { MOMENTUM };
        let momentum = (point.clone() - self.before.clone()) * (1.0 - weight);
        threat.project(
            origin,
            point.clone() + (stepped - point.clone()) * weight + momentum,
        )
    }

    /// The signs of each example's steepest coordinates, divided by how many they are.
    fn steepest_coordinates(&self, threat: &ThreatModel) -> Tensor<2> {
        let [count, width] = self.gradient.dims();
        let free = threat.confined(self.gradient.clone(), self.gradient.zeros_like());
        let mut directions = floats(free);
        let mut sizes = vec![0.0; width];
        for (row, sparsity) in directions.chunks_mut(width).zip(&self.sparsities) {
            for (size, value) in sizes.iter_mut().zip(row.iter()) {
                *size = value.abs();
            }
            let place = ((1.0 - sparsity.share) * width as f32).clamp(0.0, width as f32 - 1.0);
            let (_, &mut least, _) = sizes.select_nth_unstable_by(place as usize, f32::total_cmp);
            for value in row.iter_mut() {
                *value = if value.abs() >= least && *value != 0.0 {
                    value.signum()
                } else {
                    0.0
                };
            }
            let moved = row.iter().filter(|&&sign| sign != 0.0).count().max(1);
            for sign in row {
                *sign /= moved as f32;
            }
        }
        let data = TensorData::new(directions, [count, width]);
        Tensor::from_data(data, &self.gradient.device())
    }

    /// Takes in the objective at the point: the best may be better now.
    fn observe(&mut self, values: &[f32]) {
        let better: Vec<bool> = self
            .paces
            .iter_mut()
            .zip(values)
            .map(|(pace, &value)| pace.observe(value))
            .collect();
        self.best = chosen(&better, &self.point, &self.best);
        self.best_gradient = chosen(&better, &self.gradient, &self.best_gradient);
    }

    /// A checkpoint: some lengths change, and their examples go back to their best points. The
    /// point before stays what it was, so that momentum points from there.
    fn review(&mut self, victim: &Victim<'_>, steps: usize, rho: f32) {
        let paces = self.paces.iter_mut();
        let back: Vec<bool> = if self.sparsities.is_empty() {
            paces.map(|pace| pace.review(steps, rho)).collect()
        } else {
            let most = victim.threat().epsilon;
            let supports = supports(victim.origin(), &self.best);
            paces
                .zip(&mut self.sparsities)
                .zip(supports)
                .map(|((pace, sparsity), support)| sparsity.review(pace, support, most))
                .collect()
        };
        self.point = chosen(&back, &self.best, &self.point);
        self.gradient = chosen(&back, &self.best_gradient, &self.gradient);
    }

    fn select(&mut self, rows: &[usize]) {
        let index = row_index(rows, &self.point);
        for tensor in [
            &mut self.point,
            &mut self.gradient,
            &mut self.before,
            &mut self.best,
            &mut self.best_gradient,
        ] {
            *tensor = tensor.clone().select(0, index.clone());
        }
        self.paces = rows.iter().map(|&row| self.paces[row].clone()).collect();
        if !self.sparsities.is_empty() {
            let stay = rows.iter().map(|&row| self.sparsities[row].clone());
            self.sparsities = stay.collect();
        }
    }
}

/// How many coordinates each point changes.
fn supports(origin: &Tensor<2>, point: &Tensor<2>) -> Vec<f32> {
    let changed = point.clone().not_equal(origin.clone());
    floats(changed.float().sum_dim(1))
}

/// Rows of `there` where the mask says so, else of `here`.
fn chosen(mask: &[bool], there: &Tensor<2>, here: &Tensor<2>) -> Tensor<2> {
    if !mask.contains(&true) {
        return here.clone();
    }
    let mask = TensorData::new(mask.to_vec(), [mask.len(), 1]);
    let mask = Tensor::<2, Bool>::from_data(mask, &here.device()).expand(here.dims());
    here.clone().mask_where(mask, there.clone())
}

/// One number per row: `[row, 1]`.
fn column(values: &[f32], like: &Tensor<2>) -> Tensor<2> {
    let data = TensorData::new(values.to_vec(), [values.len(), 1]);
    Tensor::from_data(data, &like.device())
}
