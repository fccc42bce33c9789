//! How far right answers are ahead of wrong ones.

use burn::tensor::activation::softmax;
use burn::tensor::{Int, Tensor};

use super::Objective;
use super::margin::class_axis;
use crate::error::ModelError;
use crate::hook::Cache;
use crate::input::Labels;

/// The mean logit of the right answers minus that of the wrong ones, by example; summed over the positions
/// that ask for one. With one token each it is the logit difference of Wang et al. (2023).
///
/// Where the labels carry no answers the truth is the right one, and the target, or else every other
/// class, is wrong.
#[derive(Debug, Clone, Copy, Default)]
pub struct AnswerDifference;

/// The probability of all right answers minus that of all wrong ones, in `[-1, 1]` where one position asks
/// (Hanna, Liu & Variengien 2023); summed over positions. Without answers as [`AnswerDifference`].
#[derive(Debug, Clone, Copy, Default)]
pub struct AnswerProbability;

impl Objective for AnswerDifference {
    fn name(&self) -> String {
        "answer-difference".into()
    }

    fn judges(&self, labels: &Labels, logits: [usize; 3]) -> Result<(), ModelError> {
        answered(&self.name(), labels, logits)
    }

    fn value(&self, logits: &Tensor<3>, _cache: &Cache, labels: &Labels) -> Tensor<1> {
        let answers = answers(logits, labels);
        let mean = |wanted: Tensor<3>| {
            // Where nothing is asked the sum is 0, whatever it is divided by.
            let count = wanted.clone().sum_dim(2).clamp_min(1.0);
            (logits.clone() * wanted).sum_dim(2) / count
        };
        let right = mean(answers.clone().clamp_min(0.0));
        let wrong = mean((-answers).clamp_min(0.0));
        summed(right - wrong)
    }
}

impl Objective for AnswerProbability {
    fn name(&self) -> String {
        "answer-probability".into()
    }

    fn judges(&self, labels: &Labels, logits: [usize; 3]) -> Result<(), ModelError> {
        answered(&self.name(), labels, logits)
    }

    fn value(&self, logits: &Tensor<3>, _cache: &Cache, labels: &Labels) -> Tensor<1> {
        summed(softmax(logits.clone(), 2) * answers(logits, labels))
    }
}

/// Checks that there are answers, or else classes that stand for them.
fn answered(who: &str, labels: &Labels, logits: [usize; 3]) -> Result<(), ModelError> {
    match &labels.answers {
        Some(answers) => Labels::have(who, "answers", Some(answers), logits),
        None => labels.have_classes(who, logits),
    }
}

/// 1 for right, -1 for wrong answers, `[batch, position, class]`.
fn answers(logits: &Tensor<3>, labels: &Labels) -> Tensor<3> {
    if let Some(answers) = &labels.answers {
        return answers.clone();
    }
    let classes = logits.dims()[2];
    let is = |class: &Tensor<2, Int>| {
        let class = class.clone().unsqueeze_dim::<3>(2).repeat_dim(2, classes);
        class.equal(class_axis(logits)).float()
    };
    let right = is(&labels.truth);
    match &labels.target {
        Some(target) => right - is(target),
        None => right * 2.0 - 1.0,
    }
}

/// Over positions and classes.
fn summed(values: Tensor<3>) -> Tensor<1> {
    values.sum_dim(2).sum_dim(1).reshape([-1])
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::host::floats;

    #[test]
    fn answers_are_compared_example_by_example() {
        let device = Device::flex();
        let logits = Tensor::<1>::from_floats([9.0, 9.0, 9.0, 1.0, 2.0, 5.0], &device);
        let logits = logits.reshape([1, 2, 3]).repeat_dim(0, 2);
        // Only the last position is asked: 2 right and 0 wrong; then 0 and 1 right, 2 wrong.
        let answers = [
            0.0, 0.0, 0.0, -1.0, 0.0, 1.0, //
            0.0, 0.0, 0.0, 1.0, 1.0, -1.0,
        ];
        let answers = Tensor::<1>::from_floats(answers, &device).reshape([2, 2, 3]);
        let labels = Labels::of_classes(&[0, 0], &device).with_answers(answers);
        let value = |objective: &dyn Objective, labels: &Labels, logits: &Tensor<3>| {
            floats(objective.value(logits, &Cache::default(), labels))
        };
        assert_eq!(value(&AnswerDifference, &labels, &logits), [4.0, -3.5]);
        let [a, b, c] = [1.0_f32, 2.0, 5.0].map(f32::exp);
        let expected = [(c - a) / (a + b + c), (a + b - c) / (a + b + c)];
        for (found, expected) in value(&AnswerProbability, &labels, &logits)
            .into_iter()
            .zip(expected)
        {
            assert!((found - expected).abs() < 1e-6, "{found} for {expected}");
        }
        let second = Tensor::from_data([1], &device);
        let picked = labels.select(second);
        let one = logits.narrow(0, 0, 1);
        assert_eq!(value(&AnswerDifference, &picked, &one), [-3.5]);
        // Of the truth alone: 5 at the last position, 9 at the first, and the means of the others.
        let truth = Tensor::from_data([[0, 2]], &device);
        let labels = Labels {
            truth,
            ..Labels::of_classes(&[], &device)
        };
        assert_eq!(value(&AnswerDifference, &labels, &one), [5.0 - 1.5]);
        let target = Tensor::from_data([[1, 0]], &device);
        let labels = labels.with_target(target);
        assert_eq!(value(&AnswerDifference, &labels, &one), [5.0 - 1.0]);
    }
}
