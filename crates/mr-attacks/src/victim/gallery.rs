//! Images of the class that an example is to become.

use mr_models::Place;
use mr_models::data::Dataset;

use super::drawn::mix;
use super::{Victim, classes_of};
use crate::goal::Goal;

impl<'a> Victim<'a> {
    /// The same, with data that searches may take images from.
    pub(crate) fn with_data(mut self, data: &'a Dataset) -> Self {
        self.data = Some(data);
        self
    }

    /// Images of the target class, as points, for the example in this row: so many of the data under
    /// evaluation, drawn by the example's number, and never itself. None where the goal has no target
    /// or the place is no input. What is drawn depends on which examples the data hold, not on their
    /// order or on the batch.
    pub(crate) fn images_of_target(&self, row: usize, count: usize) -> Vec<Vec<f32>> {
        let (Some(data), Goal::Targeted(_), Place::Input, Some(target)) = (
            self.data,
            self.goal,
            &self.threat.place,
            &self.labels.target,
        ) else {
            return Vec::new();
        };
        let positions = target.dims()[1];
        let class = classes_of(target)[(row + 1) * positions - 1];
        let example = self.examples[row];
        let key = |image: u64| mix(self.seed ^ mix(example ^ mix(image)));
        let mut rows: Vec<(u64, usize)> = (0..data.len())
            .filter(|&at| data.labels()[at] == class && data.number(at) != example)
            .map(|at| (key(data.number(at)), at))
            .collect();
        rows.sort_unstable();
        rows.truncate(count);
        rows.into_iter().map(|(_, at)| data.image(at)).collect()
    }
}
