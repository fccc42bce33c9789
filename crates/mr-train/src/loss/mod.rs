//! What training descends: each loss one file, registered in [`LossConfig`].

mod adversarial;
mod fast;
mod free;
mod input_gradient;
mod interval;
mod mart;
mod reconstruction;
mod tokens;
mod trades;
mod turn;

use burn::tensor::Tensor;
use mr_attacks::ThreatModel;
use mr_models::objective::cross_entropy;
use mr_models::{Cache, Model, Network};
use serde::{Deserialize, Serialize};

pub use adversarial::{Adversarial, Mix};
pub use fast::Fast;
pub use free::Free;
pub use input_gradient::InputGradient;
pub use interval::IntervalBounds;
pub use mart::Mart;
pub use reconstruction::{Reconstruction, ToyAttack};
pub use trades::Trades;
pub(crate) use turn::{Attacked, Turn};

use crate::error::TrainError;
use crate::source::TrainingData;

/// What training descends, averaged over a batch; in TOML a table whose `type` names it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum LossConfig {
    /// Cross-entropy of the true class; of sequences, of the next token, over the positions where it is to
    /// be learned.
    #[default]
    CrossEntropy,
    /// Squared error of the network's output from its input: autoencoders, the toy model.
    Reconstruction(Reconstruction),
    /// Cross-entropy under attack.
    Adversarial(Adversarial),
    /// Cross-entropy, and how far the worst point nearby moves the output.
    Trades(Trades),
    /// Boosted cross-entropy under attack, and the divergence where the network is unsure.
    Mart(Mart),
    /// Cross-entropy under an attack of one step, watched for overfitting to it.
    Fast(Fast),
    /// Cross-entropy under an attack that costs no passes of its own.
    Free(Free),
    /// Cross-entropy, and that of the worst logits that interval bounds allow.
    Ibp(IntervalBounds),
    /// Cross-entropy, and the squared length of its gradient at the input.
    InputGradient(InputGradient),
}

impl LossConfig {
    /// The names that `type` may have.
    pub const NAMES: [&str; 9] = [
        "cross-entropy",
        "reconstruction",
        "adversarial",
        "trades",
        "mart",
        "fast",
        "free",
        "ibp",
        "input-gradient",
    ];

    pub(crate) fn validate(&self) -> Result<(), TrainError> {
        match self {
            Self::CrossEntropy | Self::Adversarial(_) => Ok(()),
            Self::Reconstruction(reconstruction) => reconstruction.validate(),
            Self::Trades(trades) => trades.validate(),
            Self::Mart(mart) => mart.validate(),
            Self::Fast(fast) => fast.validate(),
            Self::Free(free) => free.validate(),
            Self::Ibp(bounds) => bounds.validate(),
            Self::InputGradient(penalty) => penalty.validate(),
        }
    }

    /// Checks that model and data have what the loss needs.
    pub(crate) fn fits(
        &self,
        network: &Network,
        data: &TrainingData<'_>,
    ) -> Result<(), TrainError> {
        let spec = network.spec();
        if let TrainingData::Sequences(data) = data {
            // That there is a class for each token is part of the data's fit.
            return match self {
                Self::CrossEntropy => Ok(()),
                _ => Err(TrainError::Data(format!(
                    "`{}` holds sequences of tokens: only the loss `cross-entropy` learns from them",
                    data.name()
                ))),
            };
        }
        match self {
            Self::Reconstruction(loss) => return loss.fits(spec, data),
            Self::CrossEntropy | Self::InputGradient(_) => {}
            Self::Adversarial(adversarial) => adversarial.fits(spec)?,
            Self::Trades(trades) => trades.fits(spec)?,
            Self::Mart(mart) => mart.fits(spec)?,
            Self::Fast(fast) => fast.fits(spec)?,
            Self::Free(free) => free.fits(spec)?,
            Self::Ibp(bounds) => bounds.fits(network)?,
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

    /// Steps on each batch.
    pub(crate) fn replays(&self) -> usize {
        match self {
            Self::Free(free) => free.replays,
            _ => 1,
        }
    }

    /// The loss whose overfitting is watched for, if it is.
    pub(crate) fn watched(&self) -> Option<&Fast> {
        match self {
            Self::Fast(fast) if fast.canary.examples > 0 => Some(fast),
            _ => None,
        }
    }

    /// The mean loss of a shard, as a scalar `[1]` on the graph of its weights, and the activations
    /// that passed.
    pub(crate) fn value(&self, turn: &mut Turn<'_>) -> Result<(Tensor<1>, Cache), TrainError> {
        match self {
            Self::CrossEntropy => {
                let input = turn.batch.input.clone();
                let (logits, cache) = turn.run(&input, None)?;
                let truth = &turn.batch.labels.truth;
                let loss = match &turn.batch.mask {
                    Some(mask) => tokens::next_token(&logits, truth, mask),
                    None => cross_entropy(&logits, truth).mean(),
                };
                Ok((loss, cache))
            }
            Self::Reconstruction(reconstruction) => reconstruction.value(turn),
            Self::Adversarial(adversarial) => adversarial.value(turn),
            Self::Trades(trades) => trades.value(turn),
            Self::Mart(mart) => mart.value(turn),
            Self::Fast(fast) => fast.value(turn),
            Self::Free(free) => free.value(turn),
            Self::Ibp(bounds) => bounds.value(turn),
            Self::InputGradient(penalty) => penalty.value(turn),
        }
    }
}

/// Refuses a ball without end.
fn bounded(loss: &str, threat: &ThreatModel) -> Result<(), TrainError> {
    if threat.is_unbounded() {
        let valid = format!("a finite number: the loss `{loss}` steps by it");
        return Err(TrainError::setting("loss.threat.epsilon", "inf", valid));
    }
    Ok(())
}
