//! The same function in other weights.

use mr_models::{Weights, floats};

use crate::config::{Arrangement, SaeConfig};
use crate::error::SaeError;
use crate::kind::Kind;
use crate::layout::layout;
use crate::normalization::Normalization;
use crate::sae::Sae;

const UNTIED: &str = "one with an encoder of its own: see `untied`";

impl Sae {
    /// The same function with an encoder of its own, if it is tied.
    pub fn untied(&self) -> Self {
        if !self.config().is_tied() {
            return self.clone();
        }
        let config = SaeConfig {
            arrangement: Arrangement::Autoencoder,
            subtract_bias: false,
            ..self.config().clone()
        };
        let mut weights = Weights::default();
        let device = self.weights().device();
        for slot in layout(&config) {
            let values = match slot.name {
                "W_enc" => floats(self.encoder()),
                "b_dec" => vec![0.0; config.d_in],
                "W_dec" => floats(self.weights().get::<2>("W_dec")),
                vector => floats(self.weights().get::<1>(vector)),
            };
            weights.push(slot.name, &slot.shape, values, slot.trainable, &device);
        }
        Self::of(config, weights)
    }

    /// The same function without the number that activations are multiplied by, which is then in the
    /// weights. Where latents are compared in units of decoder norms, these are folded, too, so that
    /// codes stay as they are.
    ///
    /// # Errors
    /// [`SaeError::Setting`] if it is tied: one matrix cannot be multiplied and divided.
    pub fn fold_scale(&self) -> Result<Self, SaeError> {
        let Normalization::ExpectedAverage { scale } = self.config().normalization else {
            return Ok(self.clone());
        };
        if self.config().is_tied() {
            return Err(SaeError::setting("arrangement", "tied", UNTIED));
        }
        let folded = if self.config().kind.rule().rescales() {
            self.fold_decoder_norms()?
        } else {
            self.clone()
        };
        let config = SaeConfig {
            normalization: Normalization::None,
            ..folded.config().clone()
        };
        let weights = folded.weights().map(|entry| match entry.name.as_str() {
            "W_enc" => entry.values.clone() * scale,
            // A transcoder writes what was not multiplied.
            "W_dec" | "b_dec" if config.writes_what_it_reads() => entry.values.clone() / scale,
            _ => entry.values.clone(),
        });
        Ok(Self::of(config, weights))
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
            return Err(SaeError::setting("arrangement", "tied", UNTIED));
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
