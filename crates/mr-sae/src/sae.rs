//! A dictionary: its configuration and its weights.

use burn::tensor::{Device, Tensor};
use mr_models::Weights;

use crate::config::SaeConfig;
use crate::decoder::part_norms;
use crate::dictionary::Dictionary;
use crate::error::SaeError;
use crate::initial::{Initial, draw};
use crate::kind::Kind;
use crate::normalization::WayBack;

/// A sparse dictionary. A plain value, without mode or hidden state: [`encode`](Dictionary::encode) is
/// how it is used, [`loss`](Self::loss) how it is trained.
///
/// Weights have SAELens's names and layouts: `W_enc` `[d_in, d_sae]` (unless tied), `W_dec`
/// `[d_sae, d_out]`, `b_dec` `[d_out]` (unless tied), `W_skip` `[d_out, d_in]` of a skip transcoder, and
/// by kind `[d_sae]` each: `b_enc`; `b_gate`, `b_mag` and `r_mag`; `threshold`.
#[derive(Debug, Clone)]
pub struct Sae {
    config: SaeConfig,
    weights: Weights,
}

impl Sae {
    /// A dictionary with weights drawn from `seed` in the usual manner: decoder rows of norm 1, the
    /// encoder their transpose.
    ///
    /// # Errors
    /// [`SaeError::Setting`] naming the setting that is out of range.
    pub fn init(config: SaeConfig, seed: u64, device: &Device) -> Result<Self, SaeError> {
        Self::init_with(config, &Initial::default(), seed, device)
    }

    /// A dictionary with weights drawn from `seed`.
    ///
    /// # Errors
    /// [`SaeError::Setting`] naming the setting that is out of range.
    pub fn init_with(
        config: SaeConfig,
        initial: &Initial,
        seed: u64,
        device: &Device,
    ) -> Result<Self, SaeError> {
        config.check()?;
        let weights = draw(&config, initial, seed, device)?;
        Ok(Self { config, weights })
    }

    /// What it is.
    pub fn config(&self) -> &SaeConfig {
        &self.config
    }

    /// Its weights.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The same dictionary with other weights of the same names and shapes: tracked ones, or what an
    /// optimiser made of them.
    pub fn with_weights(&self, weights: Weights) -> Self {
        Self {
            config: self.config.clone(),
            weights,
        }
    }

    /// The same weights under other settings of the same kind: another k or another bandwidth, as a
    /// schedule wants.
    ///
    /// # Errors
    /// [`SaeError::Setting`] if it is another kind, or a setting is out of range.
    pub fn with_kind(&self, kind: impl Into<Kind>) -> Result<Self, SaeError> {
        let kind = kind.into();
        if std::mem::discriminant(&kind) != std::mem::discriminant(&self.config.kind) {
            let valid = format!("{}, as the dictionary is", self.config.kind.name());
            return Err(SaeError::setting("kind", kind.name(), valid));
        }
        let config = SaeConfig {
            kind,
            ..self.config.clone()
        };
        config.check()?;
        Ok(Self::of(config, self.weights.clone()))
    }

    /// Both, for a dictionary of another configuration with other weights.
    pub(crate) fn of(config: SaeConfig, weights: Weights) -> Self {
        Self { config, weights }
    }

    /// The encoder `[d_in, d_sae]`: the decoder's transpose if tied.
    pub fn encoder(&self) -> Tensor<2> {
        if self.config.is_tied() {
            self.weights.get::<2>("W_dec").transpose()
        } else {
            self.weights.get::<2>("W_enc")
        }
    }

    /// How long each latent's decoder row is, `[d_sae]`; of a crosscoder the sum over its parts.
    pub fn decoder_norms(&self) -> Tensor<1> {
        part_norms(self.weights.get::<2>("W_dec"), self.config.parts())
    }

    /// A weight of one number per latent, beside each sample of a `[sample, d_sae]`.
    pub(crate) fn per_latent(&self, name: &str, shape: [usize; 2]) -> Tensor<2> {
        let row: Tensor<2> = self.weights.get::<1>(name).unsqueeze();
        row.expand(shape)
    }

    /// The dictionary after a training batch whose least active value is this one: the running threshold of
    /// BatchTopK and Matryoshka moves towards it; nothing changes in other kinds, and where nothing was active.
    pub fn follow(&self, least: Option<f32>) -> Self {
        let flat = match &self.config.kind {
            Kind::BatchTopK(kind) => *kind,
            Kind::Matryoshka(kind) => kind.flat(),
            _ => return self.clone(),
        };
        let Some(least) = least else {
            return self.clone();
        };
        let mut weights = self.weights.clone();
        let threshold = weights.get::<1>("threshold");
        weights.set(
            "threshold",
            threshold * (1.0 - flat.rate) + least * flat.rate,
        );
        self.with_weights(weights)
    }

    /// What is read of activations `[sample, d_in]`, times the encoder: `[sample, d_sae]`; and the way
    /// back from what is written then.
    pub(crate) fn project(&self, x: Tensor<2>) -> (Tensor<2>, WayBack) {
        let (x, back) = self.config.normalization.apply(x);
        let x = if self.config.subtracts() {
            x - self.weights.get::<1>("b_dec").unsqueeze()
        } else {
            x
        };
        (x.matmul(self.encoder()), back)
    }

    /// Pre-activations `[sample, d_sae]`: what the activation function is of.
    ///
    /// # Panics
    /// If the activations have another width.
    pub fn pre_activations(&self, x: Tensor<2>) -> Tensor<2> {
        let (projection, _) = self.project(x);
        self.config.kind.rule().pre_activations(self, projection)
    }

    /// What a unit of each latent writes, in units of normalised activations.
    pub(crate) fn read_directions(&self) -> Tensor<2> {
        let decoder = self.weights.get::<2>("W_dec");
        if self.config.kind.rule().rescales() {
            decoder / self.decoder_norms().unsqueeze_dim(1)
        } else {
            decoder
        }
    }

    pub(crate) fn with_bias(&self, y: Tensor<2>) -> Tensor<2> {
        if self.config.is_tied() {
            y
        } else {
            y + self.weights.get::<1>("b_dec").unsqueeze()
        }
    }

    /// What codes write, in units of normalised activations.
    pub(crate) fn write(&self, z: Tensor<2>) -> Tensor<2> {
        self.with_bias(z.matmul(self.read_directions()))
    }

    /// What a skip transcoder adds for activations `[sample, d_in]`.
    pub(crate) fn skip(&self, x: Tensor<2>) -> Option<Tensor<2>> {
        let skip = self.config.has_skip();
        skip.then(|| x.matmul(self.weights.get::<2>("W_skip").transpose()))
    }

    /// What is written for activations x, in the units of what is to be written.
    pub(crate) fn complete(&self, x: &Tensor<2>, back: &WayBack, written: Tensor<2>) -> Tensor<2> {
        let written = if self.config.writes_what_it_reads() {
            back.restore(written)
        } else {
            written
        };
        match self.skip(x.clone()) {
            Some(skip) => written + skip,
            None => written,
        }
    }

    /// The way back that every sample shares, which is all that a code can take.
    fn common_way_back(&self, y: Tensor<2>) -> Tensor<2> {
        let unit = self.config.normalization.unit(&self.config);
        if unit == 1.0 { y } else { y / unit }
    }
}

impl Dictionary for Sae {
    fn d_in(&self) -> usize {
        self.config.d_in
    }

    fn d_sae(&self) -> usize {
        self.config.d_sae
    }

    fn d_out(&self) -> usize {
        self.config.d_out()
    }

    fn encode(&self, x: Tensor<2>) -> Tensor<2> {
        let (projection, _) = self.project(x);
        let rule = self.config.kind.rule();
        let pre = rule.pre_activations(self, projection.clone());
        rule.codes(self, &projection, pre, false)
    }

    fn decode(&self, z: Tensor<2>) -> Tensor<2> {
        self.common_way_back(self.write(z))
    }

    fn readings(&self, x: Tensor<2>) -> Tensor<2> {
        self.pre_activations(x)
    }

    fn directions(&self) -> Tensor<2> {
        self.common_way_back(self.read_directions())
    }

    fn decode_at(&self, z: Tensor<2>, x: &Tensor<2>) -> Tensor<2> {
        let (_, back) = self.config.normalization.apply(x.clone());
        self.complete(x, &back, self.write(z))
    }
}

#[cfg(test)]
mod tests;
