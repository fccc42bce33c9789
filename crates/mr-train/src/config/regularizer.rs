//! What is added to a loss.

use burn::tensor::Tensor;
use mr_models::{Cache, ModelError, ModelSpec, Weights, hint};
use serde::{Deserialize, Serialize};

use crate::error::{TrainError, at_least_0};

/// A term added to the loss; in TOML a table whose `type` names it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Regularizer {
    /// `lambda` times the l1 norm of a site's activation, summed over positions and channels and
    /// averaged over the examples that the loss runs, adversarial ones included.
    ActivationL1 {
        /// The site's name.
        site: String,
        /// How much it weighs.
        lambda: f64,
    },
    /// `lambda` times the l1 norm of a weight, or of every weight that is no bias.
    WeightL1 {
        /// How much it weighs.
        lambda: f64,
        /// The weight's name; all of rank 2 and more where none is named.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        weight: Option<String>,
    },
    /// `lambda sum_{i != j} (wh_i . wh_j)^2` over the directions wh = w / ||w|| in a weight: what
    /// features in superposition interfere by, whatever their length.
    Interference {
        /// The weight's name.
        weight: String,
        /// How much it weighs.
        lambda: f64,
        /// Which vectors of the weight the directions are.
        #[serde(default)]
        of: Vectors,
    },
}

/// Which vectors of a weight `[out, in]`; a convolution's kernel counts as
/// `[out, in * height * width]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Vectors {
    /// Its columns: how each input is written; the features of the toy model's `W`.
    #[default]
    Columns,
    /// Its rows: what each output reads.
    Rows,
}

/// Keeps the direction of a vanishing vector finite.
const SMALLEST: f32 = 1e-12;

impl Regularizer {
    pub(crate) fn validate(&self) -> Result<(), TrainError> {
        let (Self::ActivationL1 { lambda, .. }
        | Self::WeightL1 { lambda, .. }
        | Self::Interference { lambda, .. }) = self;
        at_least_0("regularizers.lambda", *lambda)
    }

    /// Checks that the model has the site or weight.
    pub(crate) fn fits(&self, spec: &ModelSpec, weights: &Weights) -> Result<(), TrainError> {
        match self {
            Self::ActivationL1 { site, .. } => {
                spec.site(site)?;
            }
            Self::WeightL1 {
                weight: Some(name), ..
            } => known(name, weights, 1)?,
            Self::WeightL1 { weight: None, .. } => {}
            Self::Interference { weight, .. } => known(weight, weights, 2)?,
        }
        Ok(())
    }

    /// The site whose activations it reads.
    pub(crate) fn site(&self) -> Option<&str> {
        match self {
            Self::ActivationL1 { site, .. } => Some(site),
            _ => None,
        }
    }

    /// What it adds because of activations, as a scalar `[1]`.
    pub(crate) fn on_activations(&self, cache: &Cache) -> Option<Tensor<1>> {
        let Self::ActivationL1 { site, lambda } = self else {
            return None;
        };
        let activation = cache.expect(site).clone();
        let scale = lambda / activation.dims()[0] as f64;
        Some(activation.abs().sum() * scale)
    }

    /// What it adds because of weights, as a scalar `[1]`.
    pub(crate) fn on_weights(&self, weights: &Weights) -> Option<Tensor<1>> {
        match self {
            Self::ActivationL1 { .. } => None,
            Self::WeightL1 { lambda, weight } => weights
                .entries()
                .iter()
                .filter(|entry| match weight {
                    Some(name) => entry.name == *name,
                    None => entry.trainable && entry.shape.len() > 1,
                })
                .map(|entry| entry.values.clone().abs().sum())
                .reduce(|sum, each| sum + each)
                .map(|sum| sum * *lambda),
            Self::Interference { weight, lambda, of } => {
                let entry = weights
                    .entries()
                    .iter()
                    .find(|entry| entry.name == *weight)?;
                let out = entry.shape[0];
                let inputs = entry.shape[1..].iter().product();
                let matrix = entry.values.clone().reshape([out, inputs]);
                let rows = match of {
                    Vectors::Rows => matrix,
                    Vectors::Columns => matrix.transpose(),
                };
                Some(interference(rows) * *lambda)
            }
        }
    }
}

/// `sum_{i != j} (wh_i . wh_j)^2` over the directions of the rows, as a scalar `[1]`.
fn interference(rows: Tensor<2>) -> Tensor<1> {
    let length = (rows.clone().square().sum_dim(1) + SMALLEST).sqrt();
    let unit = rows / length;
    let own = unit.clone().square().sum_dim(1).square().sum();
    let all = unit.clone().matmul(unit.transpose()).square().sum();
    all - own
}

fn known(name: &str, weights: &Weights, rank: usize) -> Result<(), TrainError> {
    let fitting = || {
        weights
            .entries()
            .iter()
            .filter(|entry| entry.trainable && entry.shape.len() >= rank)
            .map(|entry| entry.name.as_str())
    };
    if fitting().any(|fitting| fitting == name) {
        return Ok(());
    }
    Err(TrainError::Model(ModelError::UnknownName {
        kind: "weight",
        name: name.into(),
        hint: hint(name, fitting()),
    }))
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use mr_models::{Architecture, Model, Network, Toy, floats, run_with_cache};

    use super::*;

    /// W = [[1, 0, 3], [0, 2, 4]]: columns of length 1, 2 and 5 whose directions are e1, e2 and
    /// (.6, .8).
    fn toy() -> Network {
        let toy = Toy {
            features: 3,
            hidden: 2,
            ..Toy::default()
        };
        let named = vec![
            ("W".into(), vec![2, 3], vec![1., 0., 3., 0., 2., 4.]),
            ("b".into(), vec![3], vec![-7., 0., 0.]),
        ];
        Network::with_weights(Architecture::Toy(toy), named, &Device::flex()).unwrap()
    }

    fn of(text: &str) -> Regularizer {
        let regularizer: Regularizer = toml::from_str(text).unwrap();
        regularizer.fits(toy().spec(), toy().weights()).unwrap();
        regularizer
    }

    fn on_weights(text: &str) -> f32 {
        floats(of(text).on_weights(toy().weights()).unwrap())[0]
    }

    #[test]
    fn values_on_known_weights() {
        assert_eq!(on_weights("type = \"weight-l1\"\nlambda = 0.5"), 5.0);
        let named = "type = \"weight-l1\"\nlambda = 1.0\nweight = \"b\"";
        assert_eq!(on_weights(named), 7.0);
        // 2 (e1.e2)^2 + 2 (.6)^2 + 2 (.8)^2 = 2.
        let columns = "type = \"interference\"\nlambda = 0.1\nweight = \"W\"";
        assert!((on_weights(columns) - 0.2).abs() < 1e-6);
        // Rows (1, 0, 3) and (0, 2, 4): 2 * 12^2 / (10 * 20).
        let rows = format!("{columns}\nof = \"rows\"");
        assert!((on_weights(&rows) - 0.144).abs() < 1e-6);
    }

    #[test]
    fn orthogonal_and_vanishing_vectors_do_not_interfere() {
        let rows = Tensor::<2>::from_floats([[2., 0.], [0., 3.], [0., 0.]], &Device::flex());
        let rows = rows.autodiff().require_grad();
        let value = interference(rows.clone());
        let mut gradients = value.clone().backward();
        let gradient = floats(rows.grad_remove(&mut gradients).unwrap());
        assert!(floats(value.inner())[0].abs() < 1e-6);
        assert!(gradient.iter().all(|v| v.abs() < 1e-3), "{gradient:?}");
    }

    #[test]
    fn activations_are_averaged_over_examples() {
        let regularizer = of("type = \"activation-l1\"\nlambda = 0.5\nsite = \"hook_hidden\"");
        let x = Tensor::<1>::from_floats([1., 0., 0., 0., -1., 1.], &Device::flex());
        let input = mr_models::Input::Real(x.reshape([2, 3, 1, 1]));
        let (_, cache) = run_with_cache(&toy(), &input, &["hook_hidden"]).unwrap();
        // h = (1, 0) and (3, 2).
        let value = regularizer.on_activations(&cache).unwrap();
        assert_eq!(floats(value), [0.5 * 6.0 / 2.0]);
        assert!(regularizer.on_weights(toy().weights()).is_none());
    }

    #[test]
    fn sites_and_weights_that_are_not_there_are_named() {
        let error = |regularizer: Regularizer| {
            let error = regularizer.fits(toy().spec(), toy().weights());
            error.unwrap_err().to_string()
        };
        let interference = |weight: &str| Regularizer::Interference {
            weight: weight.into(),
            lambda: 1.0,
            of: Vectors::Columns,
        };
        assert_eq!(
            error(interference("b")),
            "unknown weight `b`; valid names: W"
        );
        let l1 = Regularizer::ActivationL1 {
            site: "hook_hiden".into(),
            lambda: 1.0,
        };
        assert!(error(l1).contains("did you mean hook_hidden"));
        let negative = Regularizer::WeightL1 {
            lambda: -1.0,
            weight: None,
        };
        assert!(negative.validate().is_err());
    }
}
