//! Averages over passes of a random model.

use burn::tensor::Tensor;
use mr_models::Objective;

use super::{Climb, Scores, Victim};
use crate::error::AttackError;

impl Victim<'_> {
    /// As [`climb`](Self::climb), with values and gradient averaged over so many passes of a random
    /// model: expectation over transformation (Athalye et al. 2018, "Synthesizing robust adversarial
    /// examples"). The goal is reached where more than half of the passes reach it. A model that is
    /// not random gets one pass.
    ///
    /// # Errors
    /// Those of [`climb`](Self::climb).
    pub fn climb_mean(
        &self,
        objective: &dyn Objective,
        point: &Tensor<2>,
        passes: usize,
    ) -> Result<Climb, AttackError> {
        let mut sum = self.climb(objective, point)?;
        let passes = self.passes_of(passes);
        if passes == 1 {
            return Ok(sum);
        }
        let mut hits = Hits::of(&sum.reached);
        for _ in 1..passes {
            let pass = self.climb(objective, point)?;
            sum.values = sum.values + pass.values;
            sum.gradient = sum.gradient + pass.gradient;
            hits.add(&pass.reached);
        }
        Ok(Climb {
            values: sum.values / passes as f32,
            gradient: sum.gradient / passes as f32,
            reached: hits.majority(passes),
        })
    }

    /// As [`score`](Self::score), averaged as by [`climb_mean`](Self::climb_mean).
    ///
    /// # Errors
    /// Those of [`score`](Self::score).
    pub fn score_mean(
        &self,
        objective: &dyn Objective,
        point: &Tensor<2>,
        passes: usize,
    ) -> Result<Scores, AttackError> {
        let mut sum = self.score(objective, point)?;
        let passes = self.passes_of(passes);
        if passes == 1 {
            return Ok(sum);
        }
        let mut hits = Hits::of(&sum.reached);
        for _ in 1..passes {
            let pass = self.score(objective, point)?;
            for (sum, value) in sum.values.iter_mut().zip(pass.values) {
                *sum += value;
            }
            hits.add(&pass.reached);
        }
        sum.values.iter_mut().for_each(|sum| *sum /= passes as f32);
        Ok(Scores {
            values: sum.values,
            reached: hits.majority(passes),
        })
    }

    /// The passes that an average takes.
    fn passes_of(&self, passes: usize) -> usize {
        if self.model.is_random() {
            passes.max(1)
        } else {
            1
        }
    }
}

/// How many passes reached the goal, by example.
struct Hits(Vec<usize>);

impl Hits {
    fn of(reached: &[bool]) -> Self {
        Self(
            reached
                .iter()
                .map(|&reached| usize::from(reached))
                .collect(),
        )
    }

    fn add(&mut self, reached: &[bool]) {
        for (hits, &reached) in self.0.iter_mut().zip(reached) {
            *hits += usize::from(reached);
        }
    }

    fn majority(&self, passes: usize) -> Vec<bool> {
        self.0.iter().map(|&hits| 2 * hits > passes).collect()
    }
}
