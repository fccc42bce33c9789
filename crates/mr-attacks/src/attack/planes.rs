//! The planes that a model's decision boundary is taken for: where FAB and DeepFool go.

use burn::tensor::Tensor;
use mr_models::{Cache, Labels, Objective, floats};

use super::nearest::{Slopes, dual_length};
use crate::error::AttackError;
use crate::threat::Norm;
use crate::victim::Victim;

/// Keeps a distance finite where the gradient is 0.
const FLOOR: f32 = 1e-12;

/// `z_target - z_truth`, above 0 beyond the boundary between the two. Summed over positions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Difference;

impl Objective for Difference {
    fn name(&self) -> String {
        "target-difference".into()
    }

    fn value(&self, logits: &Tensor<3>, _cache: &Cache, labels: &Labels) -> Tensor<1> {
        let of = |classes: &Tensor<2, burn::tensor::Int>| {
            logits
                .clone()
                .gather(2, classes.clone().unsqueeze_dim(2))
                .sum_dim(1)
                .reshape([logits.dims()[0]])
        };
        let target = labels.target.as_ref().unwrap_or(&labels.truth);
        of(target) - of(&labels.truth)
    }
}

/// A boundary made of sides, each the zero set of the objective under labels of its own.
pub(super) struct Boundary<'o> {
    objective: &'o dyn Objective,
    /// For each side the target class of every row of the whole batch; `None`: as the labels say.
    sides: Vec<Option<Vec<usize>>>,
}

impl<'o> Boundary<'o> {
    /// The zero set of an objective that is above 0 where the goal is reached.
    pub(super) fn of(objective: &'o dyn Objective) -> Self {
        Self {
            objective,
            sides: vec![None],
        }
    }

    /// The boundary between the true class and each of these wrong ones, in the order of
    /// [`wrong_classes`].
    pub(super) fn between(sides: impl Iterator<Item = Vec<usize>>) -> Self {
        Self {
            objective: &Difference,
            sides: sides.map(Some).collect(),
        }
    }

    /// How many sides there are, each of which takes a pass.
    pub(super) fn sides(&self) -> usize {
        self.sides.len()
    }

    /// Where a side lies from these points, as a plane: value, slope and whether the goal is reached.
    /// `rows` are the points' rows in the whole batch, `victim` the batch of just them.
    pub(super) fn side(
        &self,
        side: usize,
        victim: &Victim<'_>,
        rows: &[usize],
        points: &Tensor<2>,
    ) -> Result<Slopes, AttackError> {
        match &self.sides[side] {
            None => Slopes::of(victim, self.objective, points),
            Some(targets) => {
                let targets: Vec<usize> = rows.iter().map(|&row| targets[row]).collect();
                Slopes::of(&victim.towards(&targets), self.objective, points)
            }
        }
    }
}

/// The wrong classes of each row, those with larger clean logits first: `[rank][row]`.
pub(super) fn wrong_classes(victim: &Victim<'_>) -> Vec<Vec<usize>> {
    let logits = match &victim.labels().reference {
        Some(reference) => reference.clone(),
        None => victim.clean_logits(),
    };
    let [batch, positions, classes] = logits.dims();
    let values = floats(logits);
    let truth = victim.truth();
    let mut ranks = vec![Vec::with_capacity(batch); classes.saturating_sub(1)];
    for (row, &truth) in values.chunks(positions * classes).zip(&truth) {
        let row = &row[(positions - 1) * classes..];
        let mut order: Vec<usize> = (0..classes).filter(|&class| class != truth).collect();
        order.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
        for (rank, class) in order.into_iter().enumerate() {
            ranks[rank].push(class);
        }
    }
    ranks
}

/// The plane `value + slope . (x - point) = 0`.
#[derive(Debug, Clone, Default)]
pub(super) struct Plane {
    pub(super) value: f32,
    pub(super) slope: Vec<f32>,
    /// How far the point lies from it, in the norm that it was found in.
    pub(super) distance: f32,
    /// The length of the slope in the dual norm.
    pub(super) steepness: f32,
}

impl Plane {
    /// No plane yet, infinitely far away.
    pub(super) fn reset(&mut self) {
        self.distance = f32::INFINITY;
    }

    /// Takes this one if it is nearer.
    pub(super) fn nearer(&mut self, norm: Norm, value: f32, slope: &[f32]) {
        let steepness = dual_length(norm, slope);
        let distance = value.abs() / (FLOOR + steepness);
        // A distance that is no number is none.
        if distance < self.distance {
            self.distance = distance;
            self.steepness = steepness;
            self.value = value;
            self.slope.clear();
            self.slope.extend_from_slice(slope);
        }
    }
}
