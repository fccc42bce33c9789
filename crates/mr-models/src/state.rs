//! What passes from one stage of a network to the next.

use burn::tensor::{Int, Tensor};

use crate::input::Input;

/// What one stage of a network passes on to the next. Whoever has the state before a stage needs
/// nothing else to run the rest of the network: see [`Model::run_stages`](crate::Model::run_stages).
#[derive(Debug, Clone)]
pub enum State {
    /// What the first stage takes.
    Input(Input),
    /// A vector per example `[batch, channel]`.
    Vector(Tensor<2>),
    /// A vector per position `[batch, position, channel]`: a residual stream, or the logits that the
    /// last stage gives.
    Sequence(Tensor<3>),
    /// A map per example `[batch, channel, height, width]`.
    Map(Tensor<4>),
}

impl State {
    /// Number of examples.
    pub fn batch(&self) -> usize {
        match self {
            Self::Input(input) => input.batch(),
            Self::Vector(values) => values.dims()[0],
            Self::Sequence(values) => values.dims()[0],
            Self::Map(values) => values.dims()[0],
        }
    }

    /// The examples at these indices, in this order; an example may come more than once, so that
    /// several edits of it run in one batch.
    pub fn select(&self, examples: Tensor<1, Int>) -> Self {
        match self {
            Self::Input(input) => Self::Input(input.select(examples)),
            Self::Vector(values) => Self::Vector(values.clone().select(0, examples)),
            Self::Sequence(values) => Self::Sequence(values.clone().select(0, examples)),
            Self::Map(values) => Self::Map(values.clone().select(0, examples)),
        }
    }

    /// The logits `[batch, position, class]` that the last stage gives.
    ///
    /// # Panics
    /// If this is another state.
    pub fn logits(self) -> Tensor<3> {
        self.sequence()
    }

    /// The input that the first stage takes.
    ///
    /// # Panics
    /// If this is another state.
    pub fn input(self) -> Input {
        match self {
            Self::Input(input) => input,
            other => panic!("the first stage takes the input, not {}", other.kind()),
        }
    }

    pub(crate) fn vector(self) -> Tensor<2> {
        match self {
            Self::Vector(values) => values,
            other => panic!("this stage takes a vector, not {}", other.kind()),
        }
    }

    pub(crate) fn sequence(self) -> Tensor<3> {
        match self {
            Self::Sequence(values) => values,
            other => panic!("a sequence is needed here, not {}", other.kind()),
        }
    }

    pub(crate) fn map(self) -> Tensor<4> {
        match self {
            Self::Map(values) => values,
            other => panic!("this stage takes a map, not {}", other.kind()),
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Input(_) => "an input",
            Self::Vector(_) => "a vector",
            Self::Sequence(_) => "a sequence",
            Self::Map(_) => "a map",
        }
    }
}
