//! Where a network can be read and rewritten, and what a network says of itself.

use burn::tensor::Tensor;

use crate::error::{ModelError, hint};
use crate::host::integers;
use crate::input::Input;
use crate::wiring::Wiring;

/// A named place in a forward pass, where a [`Hook`](crate::Hook) sees an activation
/// `[batch, position, channel]`.
///
/// Names are the PyTorch module path followed by `.hook_pre` (what a linear map or a convolution
/// gives, before normalisation and nonlinearity) or `.hook_out` (what the layer passes on); for
/// transformers the TransformerLens names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// `conv1.hook_out`, `blocks.0.hook_resid_post`, ...
    pub name: String,
    /// Positions of the activation: 1 for a vector, height x width for a map, tokens for a sequence.
    pub positions: usize,
    /// Channels of the activation.
    pub channels: usize,
    /// Height and width, where positions are pixels of a map (row by row).
    pub grid: Option<[usize; 2]>,
    /// The stage of the network that reaches it, counted from 0.
    pub stage: usize,
    /// Whether it is computed only where a hook wants it, at a price of its own; whoever asks for
    /// every site is not given it.
    pub on_demand: bool,
}

impl Site {
    /// A site that holds one vector per example.
    pub fn vector(name: impl Into<String>, channels: usize) -> Self {
        Self {
            name: name.into(),
            positions: 1,
            channels,
            grid: None,
            stage: 0,
            on_demand: false,
        }
    }

    /// A site that holds a vector per position of a sequence.
    pub fn sequence(name: impl Into<String>, positions: usize, channels: usize) -> Self {
        Self {
            positions,
            ..Self::vector(name, channels)
        }
    }

    /// A site that holds a map of `channels` per example.
    pub fn map(name: impl Into<String>, channels: usize, height: usize, width: usize) -> Self {
        Self {
            positions: height * width,
            grid: Some([height, width]),
            ..Self::vector(name, channels)
        }
    }

    /// The same site, in this stage.
    pub fn in_stage(self, stage: usize) -> Self {
        Self { stage, ..self }
    }

    /// An activation `[batch, position, channel]` of this site as `[batch, channel, height, width]`: a
    /// vector is a map of height and width 1.
    pub fn as_map(&self, activation: Tensor<3>) -> Tensor<4> {
        let [batch, positions, channels] = activation.dims();
        let [height, width] = self.grid.unwrap_or([positions, 1]);
        let maps = activation.swap_dims(1, 2);
        maps.reshape([batch, channels, height, width])
    }

    /// A map `[batch, channel, height, width]` of this site as an activation `[batch, position, channel]`.
    pub fn of_map(map: Tensor<4>) -> Tensor<3> {
        let [batch, channels, height, width] = map.dims();
        map.reshape([batch, channels, height * width])
            .swap_dims(1, 2)
    }

    /// The same site, computed only where a hook wants it.
    pub fn on_demand(self) -> Self {
        Self {
            on_demand: true,
            ..self
        }
    }
}

/// What a model takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputKind {
    /// Real values `[batch, channel, height, width]`: images in `[0, 1]`, or feature vectors as
    /// `[batch, feature, 1, 1]`.
    Real {
        /// Channel, height, width.
        shape: [usize; 3],
    },
    /// Tokens `[batch, position]`.
    Tokens {
        /// Size of the vocabulary.
        vocabulary: usize,
        /// The longest sequence.
        positions: usize,
    },
}

/// What a model says of itself: its input, its classes and its sites in forward order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelSpec {
    /// The architecture's name, such as `convnet`.
    pub name: String,
    /// What it takes.
    pub input: InputKind,
    /// Length of the last axis of its logits.
    pub classes: usize,
    /// Sites in the order in which a forward pass reaches them.
    pub sites: Vec<Site>,
    /// What writes to its residual stream and what reads from it; nothing where there is none.
    pub wiring: Wiring,
}

impl ModelSpec {
    /// Number of stages, which a pass goes through one after the other.
    pub fn stages(&self) -> usize {
        self.sites.last().map_or(1, |site| site.stage + 1)
    }

    /// The site of this name.
    ///
    /// # Errors
    /// [`ModelError::UnknownSite`] with near matches.
    pub fn site(&self, name: &str) -> Result<&Site, ModelError> {
        self.sites
            .iter()
            .find(|site| site.name == name)
            .ok_or_else(|| ModelError::UnknownSite {
                name: name.into(),
                hint: match self.by_short_name(name) {
                    Some(site) => format!("did you mean {}?", site.name),
                    None => hint(name, self.sites.iter().map(|site| site.name.as_str())),
                },
            })
    }

    /// The site of this name, which may be short: `resid_post.10` is `blocks.10.hook_resid_post`,
    /// `z.0` is `blocks.0.attn.hook_z`, `embed` is `hook_embed`. For names that people write; everything
    /// else goes by the name of the site that this gives.
    ///
    /// # Errors
    /// [`ModelError::UnknownSite`] with near matches.
    pub fn resolve(&self, name: &str) -> Result<&Site, ModelError> {
        let exact = self.sites.iter().find(|site| site.name == name);
        match exact.or_else(|| self.by_short_name(name)) {
            Some(site) => Ok(site),
            None => self.site(name),
        }
    }

    fn by_short_name(&self, name: &str) -> Option<&Site> {
        let short = name.split_once('.').and_then(|(what, layer)| {
            let layer: usize = layer.parse().ok()?;
            Some((format!("blocks.{layer}."), what))
        });
        let (prefix, what) = short.unwrap_or((String::new(), name));
        let what = what.strip_prefix("hook_").unwrap_or(what);
        let end = format!("hook_{what}");
        self.sites.iter().find(|site| {
            let rest = site.name.strip_prefix(&prefix);
            let rest = rest.and_then(|rest| rest.strip_suffix(&end));
            matches!(rest, Some("" | "attn." | "mlp." | "embed."))
        })
    }

    /// Checks that a batch is what this model takes.
    ///
    /// # Errors
    /// [`ModelError::Unfit`] naming what is wrong with it: the kind, the shape, the length, or the first
    /// token that is not in the vocabulary.
    pub fn accepts(&self, input: &Input) -> Result<(), ModelError> {
        let unfit = |reason: String| Err(ModelError::Unfit(reason));
        match (self.input, input) {
            (InputKind::Real { shape }, Input::Real(values)) => {
                let [_, channels, height, width] = values.dims();
                if [channels, height, width] != shape {
                    return unfit(format!(
                        "the input is {channels}x{height}x{width}, the {} takes {}x{}x{}",
                        self.name, shape[0], shape[1], shape[2]
                    ));
                }
                Ok(())
            }
            (
                InputKind::Tokens {
                    vocabulary,
                    positions,
                },
                Input::Tokens(tokens),
            ) => {
                let [_, length] = tokens.dims();
                if !(1..=positions).contains(&length) {
                    return unfit(format!(
                        "sequences of {length} tokens; the {} takes 1 to {positions}",
                        self.name
                    ));
                }
                let outside = integers(tokens.clone()).into_iter().enumerate();
                let mut outside =
                    outside.filter(|(_, token)| !(0..vocabulary as i64).contains(token));
                match outside.next() {
                    Some((at, token)) => unfit(format!(
                        "token {token} of example {}, position {}: the vocabulary is 0 to {}",
                        at / length,
                        at % length,
                        vocabulary - 1
                    )),
                    None => Ok(()),
                }
            }
            (InputKind::Real { .. }, Input::Tokens(_)) => {
                unfit(format!("the {} takes real values, not tokens", self.name))
            }
            (InputKind::Tokens { .. }, Input::Real(_)) => {
                unfit(format!("the {} takes tokens, not real values", self.name))
            }
        }
    }

    /// What a model says of itself for sequences of one length, not for the longest: sites have fewer
    /// positions, and attention has fewer keys as channels.
    ///
    /// # Errors
    /// [`ModelError::Unfit`] if it takes no sequences, or none of that length.
    pub fn of_length(&self, length: usize) -> Result<Self, ModelError> {
        let InputKind::Tokens {
            vocabulary,
            positions,
        } = self.input
        else {
            return Err(ModelError::Unfit(format!(
                "the {} takes no sequences",
                self.name
            )));
        };
        if !(1..=positions).contains(&length) {
            return Err(ModelError::Unfit(format!(
                "sequences of {length} tokens; the {} takes 1 to {positions}",
                self.name
            )));
        }
        let mut spec = self.clone();
        spec.input = InputKind::Tokens {
            vocabulary,
            positions: length,
        };
        for site in &mut spec.sites {
            // A recurrent network has sites of one position, one for each step.
            if site.positions == positions {
                site.positions = length;
            }
            let by_key = ["attn.hook_attn_scores", "attn.hook_pattern"];
            if by_key.iter().any(|end| site.name.ends_with(end)) {
                site.channels = site.channels / positions * length;
            }
        }
        Ok(spec)
    }
}
