//! Averages over passes of a random model.

use std::cell::RefCell;
use std::rc::Rc;

use burn::tensor::Tensor;
use mr_models::{Objective, predictions};

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

    /// What most of so many passes say at these points, the clean ones where none are given: the first
    /// pass gave `logits`. The goal is reached where more than half of the passes reach it; the class
    /// is the most frequent at the last position, the lowest of several.
    pub(crate) fn vote(
        &self,
        logits: &Tensor<3>,
        point: Option<&Tensor<2>>,
        passes: usize,
    ) -> Vote {
        let passes = self.passes_of(passes);
        let mut hits = Hits::of(&self.reached(logits));
        let mut counts = vec![vec![0; logits.dims()[2]]; logits.dims()[0]];
        let count = |logits: &Tensor<3>, counts: &mut Vec<Vec<usize>>| {
            for (counts, predicted) in counts.iter_mut().zip(predictions(logits)) {
                if let Some(&class) = predicted.last() {
                    counts[class] += 1;
                }
            }
        };
        count(logits, &mut counts);
        for _ in 1..passes {
            let logits = match point {
                Some(point) => self.logits(point),
                None => self.clean_logits(),
            };
            hits.add(&self.reached(&logits));
            count(&logits, &mut counts);
        }
        let most = |counts: &Vec<usize>| {
            let best = counts.iter().copied().max().unwrap_or_default();
            counts.iter().position(|&one| one == best)
        };
        Vote {
            reached: hits.majority(passes),
            predicted: counts.iter().filter_map(most).collect(),
        }
    }

    /// The same batch, whose passes draw what the next passes of this one draw: to ask the same random
    /// numbers again.
    pub(crate) fn redrawn(&self) -> Self {
        Self {
            passes: Rc::new(RefCell::new(self.passes.borrow().clone())),
            ..self.same()
        }
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

/// What most passes say, by example.
pub(crate) struct Vote {
    pub(crate) reached: Vec<bool>,
    pub(crate) predicted: Vec<usize>,
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

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use mr_models::data::Dataset;
    use mr_models::{Architecture, DefenceConfig, Defended, Mlp, Network};

    use super::Hits;
    use crate::{EvaluationConfig, Goal, Norm, ThreatModel, evaluate};

    #[test]
    fn a_majority_is_more_than_half() {
        let mut hits = Hits::of(&[true, true, false]);
        hits.add(&[true, false, false]);
        assert_eq!(hits.majority(2), [true, false, false]);
        hits.add(&[false, true, true]);
        assert_eq!(hits.majority(3), [true, true, false]);
    }

    /// The logits are .6 and .4, with noise of .3 on each: a pass is right with a probability of
    /// Phi(.2 / (.3 sqrt 2)) = .681, most of 201 passes with one of 1 - 1e-8.
    #[test]
    fn an_evaluation_is_judged_by_most_passes() {
        let mlp = Mlp {
            input: [2, 1, 1],
            hidden: vec![],
            classes: 2,
            ..Mlp::default()
        };
        let named = vec![
            (
                "linear1.weight".into(),
                vec![2, 2],
                vec![1.0, 0.0, 0.0, 1.0],
            ),
            ("linear1.bias".into(), vec![2], vec![0.0; 2]),
        ];
        let net = Network::with_weights(Architecture::Mlp(mlp), named, &Device::flex()).unwrap();
        let noise: DefenceConfig = "noise=0.3".parse().unwrap();
        let net = Defended::by_config(net, &[noise]).unwrap();
        let classes = vec!["a".into(), "b".into()];
        let (pixels, labels) = ([0.6, 0.4].repeat(400), vec![0; 400]);
        let data = Dataset::of_floats("same", [2, 1, 1], classes, pixels, labels).unwrap();
        let threat = ThreatModel::new(Norm::Linf, 0.0);
        let accuracy = |passes| {
            let config = EvaluationConfig {
                passes,
                ..EvaluationConfig::default()
            };
            let found = evaluate(&net, &data, &threat, &Goal::Untargeted, &[], &config).unwrap();
            (found.clean_accuracy(), found.counts.forwards)
        };
        let (one, forwards) = accuracy(1);
        assert!((one - 0.681).abs() < 0.07, "{one}");
        assert_eq!(forwards, 400);
        assert_eq!(accuracy(201), (1.0, 201 * 400));
    }
}
