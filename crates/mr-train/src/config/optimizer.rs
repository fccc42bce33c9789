//! Which optimizer, and its settings.

use serde::{Deserialize, Serialize};

use super::learning_rate;
use crate::error::{TrainError, above_0, at_least_0, share};

/// An optimizer and its settings; in TOML a table whose `type` names it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum OptimizerConfig {
    /// Stochastic gradient descent.
    Sgd(Sgd),
    /// Adam with decoupled weight decay.
    #[serde(rename = "adamw")]
    AdamW(AdamW),
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self::AdamW(AdamW::default())
    }
}

/// Stochastic gradient descent with momentum, as PyTorch defines it: `g += decay w`,
/// `v = momentum v + g` (`v = g` at first), `w -= lr v`, or `w -= lr (g + momentum v)` with
/// Nesterov's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sgd {
    /// Learning rate at the top of its schedule.
    pub lr: f64,
    /// Share of the last step that goes on; 0 for none.
    pub momentum: f64,
    /// Whether the momentum is Nesterov's.
    pub nesterov: bool,
    /// Share of a weight that is added to its gradient.
    pub weight_decay: f64,
}

impl Default for Sgd {
    fn default() -> Self {
        Self {
            lr: 0.1,
            momentum: 0.9,
            nesterov: false,
            weight_decay: 0.0,
        }
    }
}

/// Adam with decoupled weight decay (Loshchilov & Hutter 2019); Adam (Kingma & Ba 2015) with a decay
/// of 0. The defaults are PyTorch's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdamW {
    /// Learning rate at the top of its schedule.
    pub lr: f64,
    /// Decay of the mean and of the mean square of gradients.
    pub betas: [f64; 2],
    /// Added to the root of the mean square.
    pub eps: f64,
    /// Share of a weight that a step at learning rate 1 takes off it.
    pub weight_decay: f64,
}

impl Default for AdamW {
    fn default() -> Self {
        Self {
            lr: 1e-3,
            betas: [0.9, 0.999],
            eps: 1e-8,
            weight_decay: 0.01,
        }
    }
}

impl OptimizerConfig {
    /// Learning rate at the top of its schedule.
    pub fn lr(&self) -> f64 {
        match self {
            Self::Sgd(sgd) => sgd.lr,
            Self::AdamW(adam) => adam.lr,
        }
    }

    pub(crate) fn validate(&self) -> Result<(), TrainError> {
        learning_rate(self.lr())?;
        match self {
            Self::Sgd(sgd) => {
                share("optimizer.momentum", sgd.momentum)?;
                if sgd.nesterov && sgd.momentum == 0.0 {
                    return Err(TrainError::setting(
                        "optimizer.momentum",
                        0,
                        "above 0 where nesterov is on",
                    ));
                }
                at_least_0("optimizer.weight_decay", sgd.weight_decay)
            }
            Self::AdamW(adam) => {
                for beta in adam.betas {
                    share("optimizer.betas", beta)?;
                }
                above_0("optimizer.eps", adam.eps)?;
                at_least_0("optimizer.weight_decay", adam.weight_decay)
            }
        }
    }
}
