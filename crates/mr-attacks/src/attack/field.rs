//! Examples that leave a search as soon as they are done, so that they cost nothing more.

use burn::tensor::{Tensor, TensorData};
use mr_models::floats;

use crate::victim::{Victim, rows_where};

/// The examples that a search still works on, and the points where the others were left. The search
/// keeps its own tensors, one row for each example that it works on.
pub(crate) struct Field<'v, 'a> {
    whole: &'v Victim<'a>,
    part: Option<Victim<'a>>,
    rows: Vec<usize>,
    kept: Vec<Option<Vec<f32>>>,
}

impl<'v, 'a> Field<'v, 'a> {
    pub(crate) fn new(whole: &'v Victim<'a>) -> Self {
        let count = whole.examples().len();
        Self {
            whole,
            part: None,
            rows: (0..count).collect(),
            kept: vec![None; count],
        }
    }

    /// The batch of those that it still works on.
    pub(crate) fn victim(&self) -> &Victim<'a> {
        self.part.as_ref().unwrap_or(self.whole)
    }

    /// Where those that it still works on stand in the whole batch.
    pub(crate) fn rows(&self) -> &[usize] {
        &self.rows
    }

    /// Notes the points `[working, coordinate]` of some examples as what they end with; a later
    /// note replaces an earlier one.
    pub(crate) fn keep(&mut self, which: &[bool], points: &Tensor<2>) {
        if !which.contains(&true) {
            return;
        }
        let width = points.dims()[1];
        let points = floats(points.clone());
        for row in rows_where(which, true) {
            let point = points[row * width..(row + 1) * width].to_vec();
            self.kept[self.rows[row]] = Some(point);
        }
    }

    /// Goes on without some examples. Gives the rows that stay, which the search has to cut its
    /// tensors down to.
    pub(crate) fn without(&mut self, which: &[bool]) -> Vec<usize> {
        let stay = rows_where(which, false);
        self.rows = stay.iter().map(|&row| self.rows[row]).collect();
        self.part = (!stay.is_empty()).then(|| self.whole.select(&self.rows));
        stay
    }

    /// What each example of the whole batch ends with: its noted point, or its row of `points`. And
    /// whether a point was noted.
    pub(crate) fn finish(self, points: Tensor<2>) -> (Tensor<2>, Vec<bool>) {
        let kept: Vec<bool> = self.kept.iter().map(Option::is_some).collect();
        if !kept.contains(&true) {
            return (points, kept);
        }
        let origin = self.whole.origin();
        let [count, width] = origin.dims();
        let mut values = vec![0.0; count * width];
        let mut enter = |row: usize, point: &[f32]| {
            values[row * width..(row + 1) * width].copy_from_slice(point);
        };
        if !self.rows.is_empty() {
            for (&row, point) in self.rows.iter().zip(floats(points).chunks(width)) {
                enter(row, point);
            }
        }
        for (row, point) in self.kept.iter().enumerate() {
            if let Some(point) = point {
                enter(row, point);
            }
        }
        let points = TensorData::new(values, [count, width]);
        (Tensor::from_data(points, &origin.device()), kept)
    }
}
