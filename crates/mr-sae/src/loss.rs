//! What a dictionary is trained by.

use burn::tensor::Tensor;

use crate::dictionary::Dictionary;
use crate::normalization::WayBack;
use crate::revival::Revival;
use crate::sae::Sae;

/// How much each part of a loss weighs now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Strength<'a> {
    /// What the cost of activity is multiplied by: the coefficient after warm-up.
    pub sparsity: f32,
    /// What is done for dead latents.
    pub revival: Revival,
    /// Which latents are dead, `d_sae` of them; nobody is if `None`.
    pub dead: Option<&'a [bool]>,
}

impl Strength<'_> {
    /// A coefficient of sparsity and nothing for dead latents.
    pub fn of(sparsity: f32) -> Self {
        Self {
            sparsity,
            revival: Revival::None,
            dead: None,
        }
    }
}

/// A loss and its parts, each a scalar `[1]` that is already multiplied by its coefficient.
#[derive(Debug, Clone)]
pub struct Loss {
    /// Their sum.
    pub total: Tensor<1>,
    /// The squared error of the reconstruction, summed over channels, averaged over samples.
    pub squared_error: Tensor<1>,
    /// The cost of activity.
    pub sparsity: Tensor<1>,
    /// What the kind adds: the gate's own reconstruction, or those of a Matryoshka's prefixes.
    pub auxiliary: Tensor<1>,
    /// What is done for dead latents.
    pub revival: Tensor<1>,
    /// The codes of the batch in training, `[sample, d_sae]`.
    pub codes: Tensor<2>,
}

/// The sum over columns of `[sample, column]`, averaged over samples.
pub(crate) fn mean_sum(values: Tensor<2>) -> Tensor<1> {
    let count = values.dims()[0] as f32;
    values.sum() / count
}

/// One batch on its way through a dictionary in training.
pub(crate) struct Pass<'a> {
    pub(crate) sae: &'a Sae,
    pub(crate) x: &'a Tensor<2>,
    /// What is to be written.
    pub(crate) target: &'a Tensor<2>,
    pub(crate) back: WayBack,
    pub(crate) projection: Tensor<2>,
    pub(crate) pre: Tensor<2>,
    pub(crate) codes: Tensor<2>,
    /// What one unit of the target counts.
    pub(crate) unit: f32,
}

impl Pass<'_> {
    /// What is missing from what was written, `[sample, d_out]`, in the units of the loss.
    pub(crate) fn residual(&self, written: Tensor<2>) -> Tensor<2> {
        let difference = self.target.clone() - self.sae.complete(self.x, &self.back, written);
        if self.unit == 1.0 {
            difference
        } else {
            difference * self.unit
        }
    }

    /// The squared norm of what is missing, averaged over samples.
    pub(crate) fn squared_error(&self, written: Tensor<2>) -> Tensor<1> {
        mean_sum(self.residual(written).square())
    }

    /// What codes add to what is written, `[sample, d_out]`, in the units of the loss.
    pub(crate) fn addition(&self, codes: Tensor<2>) -> Tensor<2> {
        let added = codes.matmul(self.sae.read_directions());
        let added = if self.sae.config().writes_what_it_reads() {
            self.back.restore_difference(added)
        } else {
            added
        };
        if self.unit == 1.0 {
            added
        } else {
            added * self.unit
        }
    }
}

impl Sae {
    /// The loss of activations `x` `[sample, d_in]` of which `target` `[sample, d_out]` is to be made:
    /// x itself, but for transcoders. Samples are one batch, which BatchTopK chooses from.
    ///
    /// This is the dense form, the definition of everything; gradients are burn's.
    ///
    /// # Panics
    /// If widths or numbers of samples do not agree, or `dead` is not as long as there are latents.
    pub fn loss(&self, x: &Tensor<2>, target: &Tensor<2>, strength: &Strength) -> Loss {
        assert_eq!(
            [x.dims()[0], self.d_out()],
            target.dims(),
            "samples and channels of the target"
        );
        let config = self.config();
        let rule = config.kind.rule();
        let (projection, back) = self.project(x.clone());
        let pre = rule.pre_activations(self, projection.clone());
        let codes = rule.codes(self, &projection, pre.clone(), true);
        let pass = Pass {
            sae: self,
            x,
            target,
            back,
            projection,
            pre,
            codes,
            unit: config.normalization.unit(config),
        };
        let residual = pass.residual(self.write(pass.codes.clone()));
        let squared_error = mean_sum(residual.clone().square());
        let none = || Tensor::zeros([1], &x.device());
        let sparsity = rule.cost(&pass).map(|cost| cost * strength.sparsity);
        let auxiliary = rule.auxiliary(&pass);
        let revival = strength.revival.term(&pass, residual, strength.dead);
        let mut total = squared_error.clone();
        for term in [&sparsity, &auxiliary, &revival].into_iter().flatten() {
            total = total + term.clone();
        }
        Loss {
            total,
            squared_error,
            sparsity: sparsity.unwrap_or_else(none),
            auxiliary: auxiliary.unwrap_or_else(none),
            revival: revival.unwrap_or_else(none),
            codes: pass.codes,
        }
    }
}

#[cfg(test)]
mod tests;
