//! What a transformer is made as.

use serde::{Deserialize, Serialize};

use crate::arch::layers::{Normalization, setting, sizes};
use crate::error::ModelError;

/// A transformer: decoder, encoder or vision transformer.
///
/// Weights and sites have TransformerLens's names, shapes and meaning; those of an encoder that
/// normalises its embedding are those of its `HookedEncoder`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Transformer {
    /// Tokens or images.
    pub input: TransformerInput,
    /// Number of blocks.
    pub layers: usize,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Attention heads of each block.
    pub heads: usize,
    /// Heads that give keys and values, each to as many queries (Ainslie et al. 2023); 0 for as many
    /// as there are heads.
    pub key_value_heads: usize,
    /// Width of a head; 0 for the residual stream's divided by the heads.
    pub d_head: usize,
    /// Neurons of each MLP; 0 for attention alone.
    pub d_mlp: usize,
    /// The MLP's nonlinearity.
    pub activation: Activation,
    /// Whether the nonlinearity multiplies a second linear map of the MLP's input (Shazeer 2020).
    pub gated: bool,
    /// What normalises the residual stream.
    pub norm: NormKind,
    /// What is added to a variance before its root is taken.
    pub epsilon: f64,
    /// Whether a sublayer's input is normalised, or the stream after it.
    pub placement: Placement,
    /// Whether the embedding is normalised.
    pub embedding_norm: bool,
    /// Whether the stream is normalised before it is unembedded.
    pub final_norm: bool,
    /// How a position is told.
    pub positions: Positions,
    /// Whether a position sees only itself and what stands before it.
    pub causal: bool,
    /// Whether attention and MLP of a block both read the stream before the block (GPT-J, GPT-NeoX).
    pub parallel: bool,
    /// Whether linear maps and layer norms add a term.
    pub biases: bool,
    /// What the last state goes through before it is unembedded.
    pub head: HeadKind,
    /// How logits are made.
    pub unembedding: Unembedding,
    /// Length of the logits' last axis; 0 for the vocabulary. Without an unembedding it is that of the
    /// residual stream.
    pub classes: usize,
}

/// What a transformer takes. In TOML `input = { tokens = { .. } }` or `input = { image = { .. } }`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum TransformerInput {
    /// A sequence of tokens.
    Tokens {
        /// Number of different tokens.
        vocabulary: usize,
        /// The longest sequence.
        context: usize,
        /// Kinds of tokens (Devlin et al. 2019), of which every token is the first; 0 for none.
        #[serde(default)]
        token_types: usize,
    },
    /// An image, cut into square patches (Dosovitskiy et al. 2021).
    Image {
        /// Channel, height, width.
        shape: [usize; 3],
        /// Side of a patch, which divides height and width.
        patch: usize,
        /// Whether a class token stands before the patches, which is then what is unembedded; otherwise
        /// the mean of all positions is.
        #[serde(default = "yes")]
        class_token: bool,
        /// Normalisation of the image.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        normalization: Option<Normalization>,
    },
}

fn yes() -> bool {
    true
}

/// An MLP's nonlinearity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// `max(x, 0)`.
    Relu,
    /// `x P(X < x)`, X normal (Hendrycks & Gimpel 2016).
    Gelu,
    /// Its approximation by the hyperbolic tangent, which GPT-2 was trained with.
    #[default]
    GeluNew,
    /// `x sigmoid(x)`.
    Silu,
}

/// What normalises a vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NormKind {
    /// To mean 0 and variance 1, then a scale and a term (Ba et al. 2016).
    #[default]
    Layer,
    /// To mean square 1, then a scale (Zhang & Sennrich 2019).
    Rms,
    /// Nothing.
    None,
}

/// Where a block normalises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Placement {
    /// What attention and MLP read.
    #[default]
    Pre,
    /// The stream after attention and after the MLP (Vaswani et al. 2017; BERT).
    Post,
}

/// How a position is told. In TOML `positions = "learned"` or
/// `positions = { rotary = { base = 10000.0, dims = 16 } }`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Positions {
    /// A vector per position, added to the embedding.
    #[default]
    Learned,
    /// Queries and keys are turned by an angle that grows with the position (Su et al. 2021); channel i
    /// is paired with channel i + dims/2, as in GPT-NeoX and LLaMA.
    Rotary {
        /// The slowest pair turns once in about 2 pi times as many positions.
        base: f64,
        /// Channels of a head that are turned; 0 for all.
        #[serde(default)]
        dims: usize,
    },
    /// Not at all.
    None,
}

/// What the last state goes through before it is unembedded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeadKind {
    /// Nothing.
    #[default]
    Plain,
    /// A linear map, GELU and a layer norm: BERT's head for masked tokens.
    MaskedTokens,
}

/// How logits are made of the last state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unembedding {
    /// By a linear map of its own.
    #[default]
    Own,
    /// By the transposed embedding (Press & Wolf 2017).
    Tied,
    /// Not at all: the last state itself is given.
    None,
}

impl Default for Transformer {
    fn default() -> Self {
        Self {
            input: TransformerInput::Tokens {
                vocabulary: 64,
                context: 32,
                token_types: 0,
            },
            layers: 2,
            d_model: 64,
            heads: 4,
            key_value_heads: 0,
            d_head: 0,
            d_mlp: 256,
            activation: Activation::default(),
            gated: false,
            norm: NormKind::default(),
            epsilon: 1e-5,
            placement: Placement::default(),
            embedding_norm: false,
            final_norm: true,
            positions: Positions::default(),
            causal: true,
            parallel: false,
            biases: true,
            head: HeadKind::default(),
            unembedding: Unembedding::default(),
            classes: 0,
        }
    }
}

impl Transformer {
    /// Width of a head.
    pub fn d_head(&self) -> usize {
        match self.d_head {
            0 => self.d_model / self.heads.max(1),
            width => width,
        }
    }

    /// Heads that give keys and values.
    pub fn key_value_heads(&self) -> usize {
        match self.key_value_heads {
            0 => self.heads,
            heads => heads,
        }
    }

    /// Positions of the residual stream, at most.
    pub fn context(&self) -> usize {
        match &self.input {
            TransformerInput::Tokens { context, .. } => *context,
            TransformerInput::Image {
                shape: [_, height, width],
                patch,
                class_token,
                ..
            } => (height / patch) * (width / patch) + usize::from(*class_token),
        }
    }

    /// Length of the logits' last axis.
    pub fn logits(&self) -> usize {
        match (self.unembedding, self.classes, &self.input) {
            (Unembedding::None, ..) => self.d_model,
            (_, 0, TransformerInput::Tokens { vocabulary, .. }) => *vocabulary,
            (_, classes, _) => classes,
        }
    }

    /// Whether a block has an MLP.
    pub(super) fn has_mlp(&self) -> bool {
        self.d_mlp > 0
    }

    /// Whether attention and MLP of a block are two stages.
    pub(super) fn is_sequential(&self) -> bool {
        self.has_mlp() && !self.parallel
    }

    /// Stages of one block.
    pub(super) fn stages_of_block(&self) -> usize {
        1 + usize::from(self.is_sequential())
    }

    /// Channels of a head that are turned by the position, and the base of their angles.
    pub(super) fn rotary(&self) -> Option<(usize, f64)> {
        match self.positions {
            Positions::Rotary { base, dims: 0 } => Some((self.d_head(), base)),
            Positions::Rotary { base, dims } => Some((dims, base)),
            Positions::Learned | Positions::None => None,
        }
    }

    /// Where embedding weights and their sites are: with an embedding norm those of an encoder.
    pub(super) fn embedding(&self) -> &'static str {
        if self.embedding_norm { "embed." } else { "" }
    }

    pub(super) fn check(&self) -> Result<(), ModelError> {
        sizes("layers", &[self.layers])?;
        sizes("d_model", &[self.d_model])?;
        sizes("heads", &[self.heads])?;
        let refuse = |what: &str, value: String, valid: &str| Err(setting(what, &value, valid));
        if self.d_head == 0 && !self.d_model.is_multiple_of(self.heads) {
            let value = self.heads.to_string();
            return refuse(
                "heads",
                value,
                "a divisor of d_model, unless d_head is given",
            );
        }
        sizes("d_head", &[self.d_head()])?;
        if !self.heads.is_multiple_of(self.key_value_heads()) {
            let value = self.key_value_heads.to_string();
            return refuse("key_value_heads", value, "0 or a divisor of heads");
        }
        if self.has_mlp() {
            sizes("d_mlp", &[self.d_mlp])?;
        } else if self.gated || self.parallel {
            return refuse(
                "d_mlp",
                "0".into(),
                "above 0 where gated or parallel is set",
            );
        }
        if !(self.epsilon >= 0.0 && self.epsilon.is_finite()) {
            return refuse("epsilon", self.epsilon.to_string(), "finite and at least 0");
        }
        if self.placement == Placement::Post && (self.parallel || !self.has_mlp()) {
            return refuse(
                "placement",
                "post".into(),
                "pre unless attention and MLP follow each other",
            );
        }
        if let Some((dims, base)) = self.rotary() {
            if dims > self.d_head() || !dims.is_multiple_of(2) {
                return refuse(
                    "positions.rotary.dims",
                    dims.to_string(),
                    "even and at most d_head",
                );
            }
            if !(base > 0.0 && base.is_finite()) {
                return refuse("positions.rotary.base", base.to_string(), "above 0");
            }
        }
        self.check_input()
    }

    fn check_input(&self) -> Result<(), ModelError> {
        let refuse = |what: &str, value: String, valid: &str| Err(setting(what, &value, valid));
        match &self.input {
            TransformerInput::Tokens {
                vocabulary,
                context,
                token_types,
            } => {
                // Real vocabularies are larger than any width.
                if !(1..=1 << 20).contains(vocabulary) {
                    return refuse("vocabulary", vocabulary.to_string(), "from 1 to 1048576");
                }
                sizes("context", &[*context])?;
                if *token_types > 0 && !self.embedding_norm {
                    return refuse(
                        "token_types",
                        token_types.to_string(),
                        "0 without embedding_norm",
                    );
                }
                if self.unembedding == Unembedding::Tied && self.logits() != *vocabulary {
                    return refuse(
                        "classes",
                        self.classes.to_string(),
                        "0 where the embedding is tied",
                    );
                }
            }
            TransformerInput::Image {
                shape,
                patch,
                normalization,
                ..
            } => {
                sizes("shape", shape)?;
                sizes("patch", &[*patch])?;
                if shape[1..].iter().any(|side| !side.is_multiple_of(*patch)) {
                    return refuse("patch", patch.to_string(), "a divisor of height and width");
                }
                if self.causal {
                    // The class token stands first.
                    return refuse(
                        "causal",
                        "true".into(),
                        "false for images, which are seen as a whole",
                    );
                }
                if self.unembedding == Unembedding::Tied {
                    return refuse("unembedding", "tied".into(), "own or none for images");
                }
                if self.unembedding == Unembedding::Own {
                    sizes("classes", &[self.classes])?;
                }
                if let Some(normalization) = normalization {
                    normalization.validate(shape[0])?;
                }
            }
        }
        if self.classes > 0 {
            sizes("classes", &[self.classes])?;
        }
        Ok(())
    }
}
