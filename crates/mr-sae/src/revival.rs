//! What brings dead latents back.

use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};

use crate::kind::selection;
use crate::loss::{Pass, mean_sum};

/// What is done in the loss for latents that have not been active for long.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Revival {
    /// Nothing.
    #[default]
    None,
    /// The `k` dead latents of largest pre-activation reconstruct what the living left (Gao et al. 2024,
    /// A.2), in SAELens's form: their activity is not passed through a ReLU, and with fewer than `k`
    /// dead ones the term weighs accordingly less.
    AuxK {
        /// How many; half of the channels written if `None`.
        #[serde(default)]
        k: Option<usize>,
        /// What the term is multiplied by; SAELens's is 1, the paper's 1 / 32 (there divided by the
        /// variance).
        coefficient: f32,
    },
    /// Ghost gradients: dead latents, with exponentials of their pre-activations as activity, point
    /// towards what the living left, at half its length, and weigh as much as the squared error
    /// (Jermyn & Templeton, Anthropic, January 2024). The two are balanced for each sample. SAELens
    /// balanced them for each channel, too, before version 6: the value is the same, but channels that
    /// are nearly right pull as strongly as others, and the gradient points elsewhere.
    Ghost {
        /// What the term is multiplied by.
        coefficient: f32,
    },
    /// Dead latents pay for how far their pre-activation is below the threshold (Anthropic, January
    /// 2025; as in SAELens), weighed by their decoder norms. Kinds without threshold have it at 0.
    PreActivation {
        /// What the term is multiplied by; Anthropic's is 3e-6.
        coefficient: f32,
    },
}

impl Revival {
    /// How many dead latents are on in a sample, and what their term weighs.
    pub(crate) fn aux_k(
        k: Option<usize>,
        coefficient: f32,
        dead: &[bool],
        d_out: usize,
    ) -> (usize, f32) {
        let count = dead.iter().filter(|&&dead| dead).count();
        let k = k.unwrap_or(d_out / 2).max(1);
        let scale = (count as f32 / k as f32).min(1.0);
        (k.min(count), coefficient * scale)
    }

    /// The term `[1]` of a batch whose living latents leave `residual`; `None` if nobody is dead.
    pub(crate) fn term(
        self,
        pass: &Pass,
        residual: Tensor<2>,
        dead: Option<&[bool]>,
    ) -> Option<Tensor<1>> {
        let dead = dead?;
        let d_sae = pass.sae.config().d_sae;
        assert_eq!(dead.len(), d_sae, "which of the latents are dead");
        let count = dead.iter().filter(|&&dead| dead).count();
        if count == 0 {
            return None;
        }
        let mask: Vec<f32> = dead.iter().map(|&dead| f32::from(u8::from(dead))).collect();
        let device = pass.pre.device();
        let mask = Tensor::<1>::from_data(TensorData::new(mask, [d_sae]), &device);
        let mask = mask.unsqueeze::<2>().expand(pass.pre.dims());
        let residual = residual.detach();
        match self {
            Self::None => None,
            Self::AuxK { k, coefficient } => {
                let (k, weight) = Self::aux_k(k, coefficient, dead, pass.target.dims()[1]);
                let living = mask.clone().lower_elem(0.5);
                let pre = pass.pre.clone().detach();
                let candidates = pre.mask_fill(living, f32::NEG_INFINITY);
                let chosen = selection::of_rows(&candidates, k);
                let added = pass.addition(pass.pre.clone() * chosen);
                Some(mean_sum((added - residual).square()) * weight)
            }
            Self::Ghost { coefficient } => {
                let activity = pass.pre.clone().exp() * mask;
                let added = pass.addition(activity);
                let length = |rows: Tensor<2>| rows.square().sum_dim(1).sqrt();
                // Half as long as what is missing; the factor is a constant to gradients.
                let factor =
                    length(residual.clone()) / (length(added.clone().detach()) * 2.0 + 1e-6);
                let squared = (added * factor - residual.clone()).square().sum_dim(1);
                // As large as the squared error itself, so that neither drowns the other.
                let balance = residual.square().sum_dim(1) / (squared.clone().detach() + 1e-6);
                Some(mean_sum(squared * balance) * coefficient)
            }
            Self::PreActivation { coefficient } => {
                let below = if pass.sae.weights().contains("threshold") {
                    pass.sae.per_latent("threshold", pass.pre.dims()) - pass.pre.clone()
                } else {
                    -pass.pre.clone()
                };
                let norms = pass.sae.decoder_norms().unsqueeze();
                let short = burn::tensor::activation::relu(below) * mask * norms;
                Some(mean_sum(short) * coefficient)
            }
        }
    }
}
