//! How latents activate, what their activity costs and what else a dictionary's loss holds.

mod batch_top_k;
mod gated;
mod jump_relu;
mod matryoshka;
mod relu;
pub(crate) mod selection;
mod top_k;

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

pub use batch_top_k::BatchTopK;
pub use gated::Gated;
pub use jump_relu::{JumpRelu, L0Penalty};
pub use matryoshka::Matryoshka;
pub use relu::Relu;
pub use top_k::TopK;

use crate::config::SaeConfig;
use crate::error::SaeError;
use crate::loss::Pass;
use crate::sae::Sae;

/// How latents activate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Kind {
    /// ReLU with an l1 penalty; SAELens's `standard`.
    Relu(Relu),
    /// A gate decides which latents are active and a second path how much.
    Gated(Gated),
    /// The k largest of each sample.
    TopK(TopK),
    /// The largest of a batch, k per sample on average.
    BatchTopK(BatchTopK),
    /// What is above a learned threshold.
    JumpRelu(JumpRelu),
    /// BatchTopK whose first latents reconstruct alone, too.
    Matryoshka(Matryoshka),
}

impl Default for Kind {
    fn default() -> Self {
        Self::Relu(Relu::default())
    }
}

impl Kind {
    /// Its name, as in a config.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Relu(_) => "relu",
            Self::Gated(_) => "gated",
            Self::TopK(_) => "top-k",
            Self::BatchTopK(_) => "batch-top-k",
            Self::JumpRelu(_) => "jump-relu",
            Self::Matryoshka(_) => "matryoshka",
        }
    }

    /// Whether which latents are active depends on the other samples of a batch in training.
    pub fn sees_the_batch(&self) -> bool {
        matches!(self, Self::BatchTopK(_) | Self::Matryoshka(_))
    }

    pub(crate) fn rule(&self) -> &dyn Rule {
        match self {
            Self::Relu(kind) => kind,
            Self::Gated(kind) => kind,
            Self::TopK(kind) => kind,
            Self::BatchTopK(kind) => kind,
            Self::JumpRelu(kind) => kind,
            Self::Matryoshka(kind) => kind,
        }
    }
}

macro_rules! kinds {
    ($($name:ident),*) => {$(
        impl From<$name> for Kind {
            fn from(kind: $name) -> Self {
                Self::$name(kind)
            }
        }
    )*};
}
kinds!(Relu, Gated, TopK, BatchTopK, JumpRelu, Matryoshka);

/// A weight of one number per latent.
pub(crate) struct Vector {
    pub(crate) name: &'static str,
    /// What it starts from.
    pub(crate) value: f32,
    /// Whether an optimiser changes it.
    pub(crate) trainable: bool,
}

impl Vector {
    /// A trainable one that starts from 0.
    pub(crate) fn zero(name: &'static str) -> Self {
        Self {
            name,
            value: 0.0,
            trainable: true,
        }
    }
}

/// What kinds differ in. A projection is what is read times the encoder, without bias:
/// `[sample, d_sae]`, as are pre-activations and codes.
pub(crate) trait Rule {
    /// Whether the settings fit the dictionary.
    fn check(&self, config: &SaeConfig) -> Result<(), SaeError>;

    /// Weights of one number per latent, the encoder's bias among them.
    fn vectors(&self) -> Vec<Vector> {
        vec![Vector::zero("b_enc")]
    }

    /// Whether codes are in units of the decoder's norms, as if its rows had norm 1.
    fn rescales(&self) -> bool {
        false
    }

    /// What codes are made of.
    fn pre_activations(&self, sae: &Sae, projection: Tensor<2>) -> Tensor<2> {
        let pre = projection + sae.weights().get::<1>("b_enc").unsqueeze();
        if self.rescales() {
            pre * sae.decoder_norms().unsqueeze()
        } else {
            pre
        }
    }

    /// Codes of a projection and its pre-activations; in training, of these samples as a batch and
    /// with the pseudo-derivatives of what has none.
    fn codes(&self, sae: &Sae, projection: &Tensor<2>, pre: Tensor<2>, training: bool)
    -> Tensor<2>;

    /// What activity costs on average over samples, `[1]`, before the coefficient; `None` where
    /// sparsity is imposed.
    fn cost(&self, _pass: &Pass) -> Option<Tensor<1>> {
        None
    }

    /// What else the loss holds, `[1]`.
    fn auxiliary(&self, _pass: &Pass) -> Option<Tensor<1>> {
        None
    }
}
