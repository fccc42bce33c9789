//! Points of which a window changes from query to query: what a random search asks about.

use burn::tensor::{Tensor, TensorData};
use mr_models::{Change, Objective, Windowed, floats};

use crate::error::AttackError;
use crate::victim::{Geometry, Scores, Victim};

/// A batch of points that is changed window by window, keeping what helps.
///
/// Where the model can recompute a window alone and the objective reads nothing but logits, that is
/// what a query costs; else it is a full forward pass.
pub struct Probe<'v, 'a> {
    victim: &'v Victim<'a>,
    part: Option<Victim<'a>>,
    geometry: Geometry,
    windowed: Option<Box<dyn Windowed + 'v>>,
    /// Row-major `[example, coordinate]`, of the examples that are left.
    points: Vec<f32>,
    proposed: Vec<Change>,
    /// Passes that values of a random model are averaged over.
    passes: usize,
}

impl<'v, 'a> Probe<'v, 'a> {
    /// Begins at these points `[example, coordinate]`.
    pub fn new(victim: &'v Victim<'a>, objective: &dyn Objective, start: &Tensor<2>) -> Self {
        Self {
            victim,
            part: None,
            geometry: victim.geometry(),
            windowed: victim.windowed(objective, start),
            points: floats(start.clone()),
            proposed: Vec::new(),
            passes: 1,
        }
    }

    /// The same, with values of a random model averaged over so many passes.
    #[must_use]
    pub fn averaging(mut self, passes: usize) -> Self {
        self.passes = passes;
        self
    }

    fn victim(&self) -> &Victim<'a> {
        self.part.as_ref().unwrap_or(self.victim)
    }

    /// Coordinates of a point.
    fn width(&self) -> usize {
        self.points.len() / self.victim().examples().len()
    }

    /// Where the examples that are left stand, row-major `[example, coordinate]`.
    pub fn points(&self) -> &[f32] {
        &self.points
    }

    /// The objective, and whether the goal is reached, with one window of each example changed.
    ///
    /// # Errors
    /// [`AttackError::Model`] if the objective does not fit the model.
    pub fn propose(
        &mut self,
        objective: &dyn Objective,
        changes: Vec<Change>,
    ) -> Result<Scores, AttackError> {
        let scores = if let Some(windowed) = &mut self.windowed {
            let logits = windowed.propose(&changes);
            self.part
                .as_ref()
                .unwrap_or(self.victim)
                .score_logits(objective, &logits)
        } else {
            let mut points = self.points.clone();
            let width = self.width();
            for (point, change) in points.chunks_mut(width).zip(&changes) {
                write(&self.geometry, point, change);
            }
            let shape = [changes.len(), width];
            let device = self.victim.device();
            let points = Tensor::from_data(TensorData::new(points, shape), &device);
            self.victim().score_mean(objective, &points, self.passes)?
        };
        self.proposed = changes;
        Ok(scores)
    }

    /// Keeps the proposed changes of the examples where `keep` says so.
    pub fn settle(&mut self, keep: &[bool]) {
        if let Some(windowed) = &mut self.windowed {
            windowed.settle(keep);
        }
        let width = self.width();
        let proposed = std::mem::take(&mut self.proposed);
        for ((point, change), _) in self
            .points
            .chunks_mut(width)
            .zip(&proposed)
            .zip(keep)
            .filter(|(_, keep)| **keep)
        {
            write(&self.geometry, point, change);
        }
    }

    /// Goes on with these of the examples that are left; `numbers` are their rows in the whole batch.
    pub fn select(&mut self, rows: &[usize], numbers: &[usize]) {
        let width = self.width();
        let points = std::mem::take(&mut self.points);
        for &row in rows {
            self.points
                .extend_from_slice(&points[row * width..(row + 1) * width]);
        }
        if let Some(windowed) = &mut self.windowed {
            windowed.select(rows);
        }
        self.part = Some(self.victim.select(numbers));
    }
}

/// Writes a change into a point.
fn write(geometry: &Geometry, point: &mut [f32], change: &Change) {
    let mut values = change.values.iter();
    for channel in 0..geometry.channels {
        for row in change.top..change.top + change.height {
            for column in change.left..change.left + change.width {
                let value = values.next().expect("a value for each place in the window");
                point[geometry.at(channel, row, column)] = *value;
            }
        }
    }
}
