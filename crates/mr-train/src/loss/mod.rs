//! What training descends: each loss one file, registered in [`LossConfig`].

mod adversarial;
mod input_gradient;
mod reconstruction;
mod trades;
mod turn;

use burn::tensor::Tensor;
use mr_models::objective::cross_entropy;
use mr_models::{Cache, ModelSpec};
use serde::{Deserialize, Serialize};

pub use adversarial::{Adversarial, Mix};
pub use input_gradient::InputGradient;
pub use reconstruction::{Reconstruction, ToyAttack};
pub use trades::Trades;
pub(crate) use turn::Turn;

use crate::error::TrainError;
use crate::source::TrainingData;

/// What training descends, averaged over a batch; in TOML a table whose `type` names it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum LossConfig {
    /// Cross-entropy of the true class.
    #[default]
    CrossEntropy,
    /// Squared error of the network's output from its input: autoencoders, the toy model.
    Reconstruction(Reconstruction),
    /// Cross-entropy under attack.
    Adversarial(Adversarial),
    /// Cross-entropy, and how far the worst point nearby moves the output.
    Trades(Trades),
    /// Cross-entropy, and the squared length of its gradient at the input.
    InputGradient(InputGradient),
}

impl LossConfig {
    /// The names that `type` may have.
    pub const NAMES: [&str; 5] = [
        "cross-entropy",
        "reconstruction",
        "adversarial",
        "trades",
        "input-gradient",
    ];

    pub(crate) fn validate(&self) -> Result<(), TrainError> {
        match self {
            Self::CrossEntropy | Self::Adversarial(_) => Ok(()),
            Self::Reconstruction(reconstruction) => reconstruction.validate(),
            Self::Trades(trades) => trades.validate(),
            Self::InputGradient(penalty) => penalty.validate(),
        }
    }

    /// Checks that model and data have what the loss needs.
    pub(crate) fn fits(&self, spec: &ModelSpec, data: &TrainingData<'_>) -> Result<(), TrainError> {
        match self {
            Self::Reconstruction(loss) => return loss.fits(spec, data),
            Self::CrossEntropy | Self::InputGradient(_) => {}
            Self::Adversarial(adversarial) => adversarial.fits(spec)?,
            Self::Trades(trades) => trades.fits(spec)?,
        }
        let TrainingData::Examples(examples) = data else {
            return Err(TrainError::Data(format!(
                "`{}` is a stream without labels: only the loss `reconstruction` learns from it",
                data.name()
            )));
        };
        match examples
            .labels()
            .iter()
            .find(|&&label| label >= spec.classes)
        {
            None => Ok(()),
            Some(label) => Err(TrainError::Data(format!(
                "`{}` has class {label}, the model knows {} classes",
                data.name(),
                spec.classes
            ))),
        }
    }

    /// The mean loss of a shard, as a scalar `[1]` on the graph of its weights, and the activations
    /// that passed.
    pub(crate) fn value(&self, turn: &mut Turn<'_>) -> Result<(Tensor<1>, Cache), TrainError> {
        match self {
            Self::CrossEntropy => {
                let input = turn.batch.input.clone();
                let (logits, cache) = turn.run(&input, None)?;
                let loss = cross_entropy(&logits, &turn.batch.labels.truth).mean();
                Ok((loss, cache))
            }
            Self::Reconstruction(reconstruction) => reconstruction.value(turn),
            Self::Adversarial(adversarial) => adversarial.value(turn),
            Self::Trades(trades) => trades.value(turn),
            Self::InputGradient(penalty) => penalty.value(turn),
        }
    }
}
