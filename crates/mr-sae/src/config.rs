//! What a dictionary is, apart from its weights.

use serde::{Deserialize, Serialize};

use crate::error::SaeError;
use crate::kind::Kind;
use crate::normalization::Normalization;

/// A dictionary without its weights. As TOML or JSON:
/// `{"d_in": 8, "d_sae": 32, "kind": {"type": "top-k", "k": 4}}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SaeConfig {
    /// Channels of an activation that is read, at least 1.
    pub d_in: usize,
    /// Latents, at least 1.
    pub d_sae: usize,
    /// What is read and what is written.
    #[serde(default)]
    pub arrangement: Arrangement,
    /// How latents activate and what their activity costs.
    #[serde(default)]
    pub kind: Kind,
    /// What is done to activations before they are read.
    #[serde(default)]
    pub normalization: Normalization,
    /// Whether the decoder's bias is subtracted from what is read (SAELens: `apply_b_dec_to_input`).
    /// Only where the two are of the same place: transcoders and tied dictionaries ignore it.
    #[serde(default = "yes")]
    pub subtract_bias: bool,
}

fn yes() -> bool {
    true
}

/// What a dictionary reads and writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Arrangement {
    /// Reads and writes the same activation.
    #[default]
    Autoencoder,
    /// The same, with the decoder's transpose as encoder and no decoder bias (Cunningham et al.
    /// 2024).
    Tied,
    /// Reads one activation and writes another, such as an MLP's input and output (Dunefsky et al.
    /// 2024).
    Transcoder {
        /// Channels of the activation that is written.
        d_out: usize,
        /// Whether a linear map of what is read is added to what is written (Paulo et al. 2025).
        #[serde(default)]
        skip: bool,
    },
    /// Reads and writes several activations of equal width, one after the other, with shared latents:
    /// several layers of one model, or one site of two models. A latent's decoder norm is the sum of
    /// its norms over the parts (Lindsey et al. 2024).
    Crosscoder {
        /// How many activations; they divide `d_in`.
        parts: usize,
    },
}

impl SaeConfig {
    /// An autoencoder of this kind with SAELens's defaults.
    pub fn new(d_in: usize, d_sae: usize, kind: impl Into<Kind>) -> Self {
        Self {
            d_in,
            d_sae,
            arrangement: Arrangement::Autoencoder,
            kind: kind.into(),
            normalization: Normalization::None,
            subtract_bias: true,
        }
    }

    /// The same with another arrangement.
    pub fn arranged(self, arrangement: Arrangement) -> Self {
        Self {
            arrangement,
            ..self
        }
    }

    /// Channels of what is written.
    pub fn d_out(&self) -> usize {
        match self.arrangement {
            Arrangement::Transcoder { d_out, .. } => d_out,
            _ => self.d_in,
        }
    }

    /// Activations that a latent is a direction in: more than 1 in a crosscoder.
    pub fn parts(&self) -> usize {
        match self.arrangement {
            Arrangement::Crosscoder { parts } => parts,
            _ => 1,
        }
    }

    /// Whether the decoder's transpose encodes.
    pub fn is_tied(&self) -> bool {
        self.arrangement == Arrangement::Tied
    }

    /// Whether a linear map of what is read is added to what is written.
    pub fn has_skip(&self) -> bool {
        matches!(self.arrangement, Arrangement::Transcoder { skip: true, .. })
    }

    /// Whether the decoder's bias is subtracted from what is read.
    pub(crate) fn subtracts(&self) -> bool {
        self.subtract_bias
            && matches!(
                self.arrangement,
                Arrangement::Autoencoder | Arrangement::Crosscoder { .. }
            )
    }

    /// Whether what is written is of the place that is read.
    pub(crate) fn writes_what_it_reads(&self) -> bool {
        !matches!(self.arrangement, Arrangement::Transcoder { .. })
    }

    /// Whether the numbers fit together.
    ///
    /// # Errors
    /// [`SaeError::Setting`] naming the first that does not.
    pub fn check(&self) -> Result<(), SaeError> {
        for (what, value) in [
            ("d_in", self.d_in),
            ("d_sae", self.d_sae),
            ("d_out", self.d_out()),
            ("parts", self.parts()),
        ] {
            if value == 0 || value > 1 << 28 {
                return Err(SaeError::setting(what, value, "from 1 to 268435456"));
            }
        }
        if !self.d_in.is_multiple_of(self.parts()) {
            let valid = format!("a divisor of d_in, which is {}", self.d_in);
            return Err(SaeError::setting("parts", self.parts(), valid));
        }
        self.normalization.check(self)?;
        self.kind.rule().check(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::{BatchTopK, Relu, TopK};

    #[test]
    fn a_config_is_short_where_it_says_what_is_usual() {
        let read = |text: &str| serde_json::from_str::<SaeConfig>(text);
        let config =
            read(r#"{"d_in": 8, "d_sae": 32, "kind": {"type": "top-k", "k": 4}}"#).unwrap();
        assert_eq!(config, SaeConfig::new(8, 32, TopK::new(4)));
        config.check().unwrap();
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(read(&text).unwrap(), config);
        assert_eq!(
            read(r#"{"d_in": 8, "d_sae": 32}"#).unwrap().kind,
            Kind::from(Relu::default())
        );
        let error = read(r#"{"d_in": 8, "d_sae": 32, "kind": {"type": "topk"}}"#).unwrap_err();
        assert!(error.to_string().contains("top-k"), "{error}");
    }

    #[test]
    fn numbers_that_do_not_fit_together_are_refused() {
        let error = |config: SaeConfig| config.check().unwrap_err().to_string();
        assert_eq!(
            error(SaeConfig::new(0, 32, Relu::default())),
            "d_in is 0, must be from 1 to 268435456"
        );
        assert!(error(SaeConfig::new(8, usize::MAX, Relu::default())).contains("d_sae is"));
        assert_eq!(
            error(SaeConfig::new(8, 32, TopK::new(33))),
            "k is 33, must be from 1 to d_sae, which is 32"
        );
        assert!(error(SaeConfig::new(8, 32, TopK::new(0))).starts_with("k is 0"));
        assert!(error(SaeConfig::new(8, 32, BatchTopK::new(f32::NAN))).starts_with("k is NaN"));
        let cross = SaeConfig::new(8, 32, Relu::default());
        let cross = cross.arranged(Arrangement::Crosscoder { parts: 3 });
        assert_eq!(
            error(cross),
            "parts is 3, must be a divisor of d_in, which is 8"
        );
        let trans = SaeConfig::new(8, 32, Relu::default());
        let skip = false;
        let trans = trans.arranged(Arrangement::Transcoder { d_out: 0, skip });
        assert!(error(trans).starts_with("d_out is 0"));
    }
}
