//! What searches for small perturbations share: the smallest of each example so far, and walks of
//! examples that leave when they are done.

use std::f32::consts::PI;

use burn::tensor::{Tensor, TensorData};
use mr_models::{ModelSpec, Objective, floats};

use crate::error::AttackError;
use crate::threat::{Norm, ThreatModel};
use crate::victim::Victim;

/// The nearest success of each example of a batch so far, on the host.
pub(super) struct Nearest {
    threat: ThreatModel,
    width: usize,
    origins: Vec<f32>,
    points: Vec<f32>,
    distances: Vec<f32>,
}

impl Nearest {
    pub(super) fn new(victim: &Victim<'_>) -> Self {
        let [count, width] = victim.origin().dims();
        let origins = floats(victim.origin().clone());
        Self {
            threat: victim.threat().clone(),
            width,
            points: origins.clone(),
            origins,
            distances: vec![f32::INFINITY; count],
        }
    }

    /// The clean point of a row.
    pub(super) fn origin(&self, row: usize) -> &[f32] {
        &self.origins[row * self.width..(row + 1) * self.width]
    }

    /// The distance of the nearest success; infinity where there is none.
    pub(super) fn distance(&self, row: usize) -> f32 {
        self.distances[row]
    }

    /// How far the farthest point of the box is; infinity where there is no box.
    pub(super) fn farthest(&self, row: usize) -> f32 {
        let Some([low, high]) = self.threat.in_box() else {
            return f32::INFINITY;
        };
        let reach = self.origin(row).iter().map(|o| (o - low).max(high - o));
        length(self.threat.norm, reach)
    }

    /// Whether nothing better is wanted: a ball is reached, or the clean point is a success itself.
    pub(super) fn closed(&self, row: usize) -> bool {
        let wanted = if self.threat.is_unbounded() {
            0.0
        } else {
            self.threat.epsilon
        };
        self.distances[row] <= wanted
    }

    /// The rows for which something better is wanted.
    pub(super) fn open(&self) -> Vec<usize> {
        (0..self.distances.len())
            .filter(|&row| !self.closed(row))
            .collect()
    }

    /// Enters a success; kept if it is nearer than those before. Gives its distance.
    pub(super) fn offer(&mut self, row: usize, point: &[f32]) -> f32 {
        let change = point.iter().zip(self.origin(row)).map(|(p, o)| p - o);
        let distance = length(self.threat.norm, change);
        if distance < self.distances[row] {
            self.distances[row] = distance;
            self.put(row, point);
        }
        distance
    }

    /// Leaves a point that is no success, for want of a better one: projected into the ball, it may be.
    pub(super) fn leave(&mut self, row: usize, point: &[f32]) {
        if self.distances[row].is_infinite() {
            self.put(row, point);
        }
    }

    fn put(&mut self, row: usize, point: &[f32]) {
        self.points[row * self.width..(row + 1) * self.width].copy_from_slice(point);
    }

    /// The point of each row that is proposed `[batch, coordinate]`.
    pub(super) fn finish(self, victim: &Victim<'_>) -> Tensor<2> {
        let shape = victim.origin().dims();
        Tensor::from_data(TensorData::new(self.points, shape), &victim.device())
    }
}

/// The length of a change in a norm; L0 counts the coordinates that are not 0.
pub(super) fn length(norm: Norm, change: impl Iterator<Item = f32>) -> f32 {
    let change = change.map(f64::from);
    match norm {
        Norm::Linf => change.fold(0.0, |most, c| c.abs().max(most)) as f32,
        Norm::L2 => change.map(|c| c * c).sum::<f64>().sqrt() as f32,
        Norm::L1 => change.map(f64::abs).sum::<f64>() as f32,
        Norm::L0 => change.filter(|&c| c != 0.0).count() as f32,
    }
}

/// The length of a gradient in the dual of a norm: the growth of a linear function over a ball of
/// radius 1.
pub(super) fn dual_length(norm: Norm, gradient: &[f32]) -> f32 {
    let gradient = gradient.iter().copied();
    match norm {
        Norm::Linf => length(Norm::L1, gradient),
        Norm::L2 => length(Norm::L2, gradient),
        Norm::L1 | Norm::L0 => length(Norm::Linf, gradient),
    }
}

/// What an attack keeps of an example under way.
pub(super) trait Walker {
    /// Its row in the whole batch.
    fn row(&self) -> usize;
    /// Where it stands.
    fn point(&self) -> &[f32];
}

/// The examples under way, and the batch of just them.
pub(super) struct Walk<'v, 'a, W> {
    whole: &'v Victim<'a>,
    part: Option<Victim<'a>>,
    pub(super) walkers: Vec<W>,
}

impl<'v, 'a, W: Walker> Walk<'v, 'a, W> {
    pub(super) fn new(whole: &'v Victim<'a>, walkers: Vec<W>) -> Self {
        let mut walk = Self {
            whole,
            part: None,
            walkers,
        };
        let rows = walk.walkers.iter().map(Walker::row);
        if !rows.eq(0..whole.examples().len()) {
            walk.narrow();
        }
        walk
    }

    /// The batch of the examples under way.
    pub(super) fn victim(&self) -> &Victim<'a> {
        self.part.as_ref().unwrap_or(self.whole)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.walkers.is_empty()
    }

    /// Where they stand `[walker, coordinate]`.
    pub(super) fn points(&self) -> Tensor<2> {
        tensor_of(self.walkers.iter().map(Walker::point), self.whole)
    }

    /// Where some of them stand.
    pub(super) fn points_of(&self, which: &[usize]) -> Tensor<2> {
        tensor_of(which.iter().map(|&i| self.walkers[i].point()), self.whole)
    }

    /// Up an objective from where they stand.
    pub(super) fn climb(&self, objective: &dyn Objective) -> Result<Slopes, AttackError> {
        Slopes::of(self.victim(), objective, &self.points())
    }

    /// Climbs an objective step by step: enters successes, has each example take its `step`, of that number
    /// and by what was seen, and lets go those for which nothing better is wanted. Looks once more at last.
    pub(super) fn run(
        mut self,
        objective: &dyn Objective,
        steps: usize,
        nearest: &mut Nearest,
        mut step: impl FnMut(&mut W, usize, Seen<'_>, &Nearest),
    ) -> Result<(), AttackError> {
        for number in 0..steps {
            if self.is_empty() {
                return Ok(());
            }
            let slopes = self.climb(objective)?;
            for (i, walker) in self.walkers.iter_mut().enumerate() {
                let seen = slopes.seen(i);
                if seen.reached {
                    nearest.offer(walker.row(), walker.point());
                }
                step(walker, number, seen, nearest);
            }
            self.release(|walker| nearest.closed(walker.row()));
        }
        self.end(nearest);
        Ok(())
    }

    /// Their rows in the whole batch.
    pub(super) fn rows(&self) -> Vec<usize> {
        self.walkers.iter().map(Walker::row).collect()
    }

    /// Lets those go that are done, and gives them.
    pub(super) fn release(&mut self, mut done: impl FnMut(&W) -> bool) -> Vec<W> {
        let walkers = std::mem::take(&mut self.walkers);
        let (gone, stay): (Vec<W>, Vec<W>) = walkers.into_iter().partition(|w| done(w));
        self.walkers = stay;
        if !gone.is_empty() {
            self.narrow();
        }
        gone
    }

    /// Looks at where they stand by a forward pass alone: successes count, other points are left.
    pub(super) fn end(&self, nearest: &mut Nearest) {
        if self.is_empty() {
            return;
        }
        let victim = self.victim();
        let reached = victim.reached(&victim.logits(&self.points()));
        for (walker, reached) in self.walkers.iter().zip(reached) {
            if reached {
                nearest.offer(walker.row(), walker.point());
            } else {
                nearest.leave(walker.row(), walker.point());
            }
        }
    }

    fn narrow(&mut self) {
        let rows = self.rows();
        self.part = (!rows.is_empty()).then(|| self.whole.select(&rows));
    }
}

/// Host rows as points of a batch `[row, coordinate]`.
pub(super) fn tensor_of<'p>(
    points: impl ExactSizeIterator<Item = &'p [f32]>,
    victim: &Victim<'_>,
) -> Tensor<2> {
    let (count, width) = (points.len(), victim.origin().dims()[1]);
    let mut values = Vec::with_capacity(count * width);
    points.for_each(|point| values.extend_from_slice(point));
    Tensor::from_data(TensorData::new(values, [count, width]), &victim.device())
}

/// An objective, its gradient (0 where the threat lets nothing change) and whether the goal is reached, by
/// row and on the host.
pub(super) struct Slopes {
    pub(super) values: Vec<f32>,
    gradients: Vec<f32>,
    pub(super) reached: Vec<bool>,
}

/// The same of one row.
#[derive(Clone, Copy)]
pub(super) struct Seen<'s> {
    pub(super) value: f32,
    pub(super) gradient: &'s [f32],
    pub(super) reached: bool,
}

impl Slopes {
    pub(super) fn of(
        victim: &Victim<'_>,
        objective: &dyn Objective,
        points: &Tensor<2>,
    ) -> Result<Self, AttackError> {
        let climb = victim.climb(objective, points)?;
        let mut gradients = floats(climb.gradient);
        if let Some(area) = &victim.threat().area {
            for row in gradients.chunks_mut(victim.origin().dims()[1]) {
                let outside = row.iter_mut().enumerate().filter(|(at, _)| !area.has(*at));
                outside.for_each(|(_, slope)| *slope = 0.0);
            }
        }
        Ok(Self {
            values: floats(climb.values),
            gradients,
            reached: climb.reached,
        })
    }

    fn seen(&self, row: usize) -> Seen<'_> {
        Seen {
            value: self.values[row],
            gradient: self.gradient(row),
            reached: self.reached[row],
        }
    }

    /// The gradient of a row.
    pub(super) fn gradient(&self, row: usize) -> &[f32] {
        let width = self.gradients.len() / self.values.len();
        &self.gradients[row * width..(row + 1) * width]
    }
}

/// From the first to the last value along half a cosine.
pub(super) fn cosine([first, last]: [f32; 2], step: usize, steps: usize) -> f32 {
    let share = 0.5 * (1.0 + (PI * step as f32 / steps as f32).cos());
    last + (first - last) * share
}

/// Where nothing says how far to start from: the radii of the reference implementation of FAB.
pub(super) fn usual_radius(norm: Norm) -> f32 {
    match norm {
        Norm::Linf => 0.3,
        Norm::L2 => 1.0,
        Norm::L1 | Norm::L0 => 5.0,
    }
}

/// Refuses a model without a second class: there is nothing to mistake the first for.
pub(super) fn two_classes(attack: &str, spec: &ModelSpec) -> Result<(), AttackError> {
    if spec.classes >= 2 {
        return Ok(());
    }
    Err(AttackError::Unfit(format!(
        "{attack} needs at least 2 classes, the model has {}",
        spec.classes
    )))
}
