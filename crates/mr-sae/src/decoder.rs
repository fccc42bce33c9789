//! The decoder's rows: their norms, and what keeps or folds them.

use burn::tensor::Tensor;

use crate::error::SaeError;
use crate::kind::Kind;
use crate::sae::Sae;

/// Smallest norm that is divided by.
const TINY: f32 = 1e-12;

/// The norm of each row `[row]`; of rows in several parts, the sum of the parts' norms. At a zero row
/// its slope is 0.
pub(crate) fn part_norms(rows: Tensor<2>, parts: usize) -> Tensor<1> {
    let [count, width] = rows.dims();
    let parts = rows.reshape([count, parts, width / parts]);
    let norms = (parts.square().sum_dim(2) + TINY * TINY).sqrt();
    norms.sum_dim(1).reshape([count])
}

/// A gradient `[row, column]` without its component along each row: what is left turns a row and does
/// not lengthen it.
pub fn off_rows(gradient: Tensor<2>, rows: Tensor<2>) -> Tensor<2> {
    let along = (gradient.clone() * rows.clone()).sum_dim(1);
    let lengths = rows.clone().square().sum_dim(1).clamp_min(TINY);
    gradient - rows * (along / lengths)
}

/// Rows `[row, column]` scaled to norm 1; a zero row stays.
pub fn unit_rows(rows: Tensor<2>) -> Tensor<2> {
    let norms = rows.clone().square().sum_dim(1).sqrt().clamp_min(TINY);
    rows / norms
}

impl Sae {
    /// The dictionary after a step, back within its bounds: thresholds of JumpReLU at least 0, and
    /// with `unit_norm` each decoder row scaled to norm 1.
    pub fn constrained(&self, unit_norm: bool) -> Self {
        let mut weights = self.weights().clone();
        if matches!(self.config().kind, Kind::JumpRelu(_)) {
            let threshold = weights.get::<1>("threshold").clamp_min(0.0);
            weights.set("threshold", threshold);
        }
        if unit_norm {
            let rows = unit_rows(weights.get::<2>("W_dec"));
            weights.set("W_dec", rows.flatten(0, 1));
        }
        self.with_weights(weights)
    }

    /// The same function with decoder rows of norm 1 (of a crosscoder: whose parts' norms sum to 1):
    /// codes are in units of what they write. A kind that compares in these units already keeps its
    /// codes.
    ///
    /// # Errors
    /// [`SaeError::Setting`] if it is tied, or compares latents in other units, whose choice would
    /// change.
    pub fn fold_decoder_norms(&self) -> Result<Self, SaeError> {
        let config = self.config();
        if config.is_tied() {
            let valid = "one with an encoder of its own";
            return Err(SaeError::setting("arrangement", "tied", valid));
        }
        let mut folded = config.clone();
        let rescaled = match &mut folded.kind {
            Kind::TopK(kind) => std::mem::replace(&mut kind.rescale, false),
            Kind::BatchTopK(kind) => std::mem::replace(&mut kind.rescale, false),
            Kind::Matryoshka(kind) => std::mem::replace(&mut kind.rescale, false),
            Kind::Relu(_) | Kind::Gated(_) | Kind::JumpRelu(_) => true,
        };
        if !rescaled {
            let valid = "true where decoder norms are folded: otherwise other latents are chosen";
            return Err(SaeError::setting("rescale", false, valid));
        }
        let norms = self.decoder_norms();
        let mut weights = self.weights().clone();
        let encoder = weights.get::<2>("W_enc") * norms.clone().unsqueeze();
        weights.set("W_enc", encoder.flatten(0, 1));
        let decoder = weights.get::<2>("W_dec") / norms.clone().unsqueeze_dim(1);
        weights.set("W_dec", decoder.flatten(0, 1));
        let scaled: &[&str] = match config.kind {
            Kind::Gated(_) => &["b_gate", "b_mag"],
            Kind::JumpRelu(_) => &["b_enc", "threshold"],
            // The threshold of a batch is in these units already.
            _ => &["b_enc"],
        };
        for name in scaled {
            let values = weights.get::<1>(name) * norms.clone();
            weights.set(name, values);
        }
        Ok(Self::of(folded, weights))
    }
}
