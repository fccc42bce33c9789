//! Integrated gradients of an input, or of what a site holds.

use burn::tensor::Tensor;
use mr_models::{Input, Place};

use crate::damage::{Integration, integrate, moved};
use crate::error::CircuitError;
use crate::pair::Pair;
use crate::patching::Question;

/// What each number of an activation adds to an objective on the way from a baseline.
#[derive(Debug, Clone)]
pub struct IntegratedGradients {
    /// Share of each number `[batch, position, channel]`; pixels row by row.
    pub shares: Tensor<3>,
    /// The objective of the baseline, by example.
    pub baseline: Vec<f32>,
    /// The objective of the input, by example.
    pub values: Vec<f32>,
    /// Steps that each example took.
    pub steps: Vec<usize>,
}

impl IntegratedGradients {
    /// By how much the shares of each example miss the change of its objective.
    pub fn completeness_errors(&self) -> Vec<f32> {
        let sums = mr_models::floats(self.shares.clone().sum_dim(2).sum_dim(1));
        let changes = self.values.iter().zip(&self.baseline);
        let changes = changes.map(|(value, baseline)| value - baseline);
        sums.into_iter()
            .zip(changes)
            .map(|(sum, change)| (sum - change).abs())
            .collect()
    }
}

/// Integrated gradients (Sundararajan et al. 2017, eq. 1) on the straight line from a baseline, such as a
/// black image or other tokens, to the input: of its pixels at [`Place::Input`], of its embedding at the
/// embedding's site. At a later site that not everything passes, shares miss what goes around it.
///
/// By the midpoint rule, with twice the steps for examples whose shares do not add up.
///
/// # Errors
/// [`CircuitError::Pair`] for a baseline of another shape, [`CircuitError::Steps`] for none,
/// [`CircuitError::Tokens`] at the input of a model that takes tokens, [`CircuitError::Change`] where an
/// objective is not finite, [`CircuitError::Model`] if place, input or objective do not fit the model.
pub fn integrated_gradients(
    question: Question<'_>,
    baseline: &Input,
    input: &Input,
    place: &Place,
    integration: &Integration,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<IntegratedGradients, CircuitError> {
    question.fits(input)?;
    if matches!((place, input), (Place::Input, Input::Tokens(_))) {
        return Err(CircuitError::Tokens);
    }
    let Question {
        model,
        objective,
        labels,
    } = question;
    let way = Pair::new(baseline.clone(), input.clone())?;
    let path = vec![moved(model, &way, place)?];
    let found = integrate(model, &way, labels, objective, path, integration, progress)?;
    let [baseline, values] = found.values;
    Ok(IntegratedGradients {
        shares: found.moved[0].change.clone() * found.gradients[0].clone(),
        baseline,
        values,
        steps: found.steps,
    })
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use mr_models::objective::{LogitDifference, by_name};
    use mr_models::{Architecture, Labels, Mlp, Network, NormKind, class_tensor, floats};

    use super::*;
    use crate::attribution::tests::{net, pair};

    #[test]
    fn shares_of_a_linear_map_are_weights_times_changes() {
        let device = Device::flex();
        let mlp = Mlp {
            input: [2, 1, 1],
            hidden: vec![2],
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
            (
                "linear2.weight".into(),
                vec![2, 2],
                vec![1.0, 2.0, 3.0, -1.0],
            ),
            ("linear2.bias".into(), vec![2], vec![5.0, 0.0]),
        ];
        let net = Network::with_weights(Architecture::Mlp(mlp), named, &device).unwrap();
        let point = |values: [f32; 2]| {
            Input::Real(Tensor::<1>::from_floats(values, &device).reshape([1, 2, 1, 1]))
        };
        let labels = Labels::of_classes(&[0], &device);
        // z_0 - z_1 is 5 - 2 a + 3 b where both are above 0.
        let objective = LogitDifference { more: 0, less: 1 };
        let question = Question::new(&net, &objective, &labels);
        let (zero, x) = (point([0.0, 0.0]), point([2.0, 1.0]));
        let integration = Integration::default();
        for place in [Place::Input, Place::site("linear1.hook_out")] {
            let found =
                integrated_gradients(question, &zero, &x, &place, &integration, &mut |_, _| {});
            let found = found.unwrap();
            let shares = floats(found.shares.clone());
            for (share, expected) in shares.iter().zip([-4.0, 3.0]) {
                assert!((share - expected).abs() < 1e-5, "{place}: {shares:?}");
            }
            assert_eq!((found.baseline[0], found.values[0]), (5.0, 4.0));
            assert!(found.completeness_errors()[0] < 1e-5);
        }
    }

    #[test]
    fn shares_of_embeddings_add_up() {
        let device = Device::flex();
        let net = net(NormKind::Layer);
        let labels =
            Labels::of_classes(&[1, 3], &device).with_target(class_tensor(&[2, 0], &device));
        let objective = by_name("last(answer-difference)").unwrap();
        let question = Question::new(&net, objective.as_ref(), &labels);
        let ask = |place: Place| {
            let (from, to) = (pair().corrupt().clone(), pair().clean().clone());
            let integration = Integration::default();
            integrated_gradients(question, &from, &to, &place, &integration, &mut |_, _| {})
        };
        let found = ask(Place::site("hook_embed")).unwrap();
        assert_eq!(found.shares.dims(), [2, 6, 8]);
        for (example, error) in found.completeness_errors().iter().enumerate() {
            let change = (found.values[example] - found.baseline[example]).abs();
            assert!(*error < 0.01 * change, "{error} of {change}");
        }
        // Tokens that are the same have no share.
        let first = floats(found.shares.narrow(1, 0, 1));
        assert!(first.iter().all(|share| *share == 0.0));
        assert!(matches!(
            ask(Place::Input).unwrap_err(),
            CircuitError::Tokens
        ));
    }
}
