//! What can go wrong with a circuit.

use std::path::PathBuf;

use mr_models::ModelError;

/// Why a question about a circuit could not be answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CircuitError {
    /// The two inputs of a pair do not match.
    #[error("the clean input has shape {clean:?}, the corrupt one {corrupt:?}; they must be equal")]
    Pair {
        /// Shape of the clean input.
        clean: Vec<usize>,
        /// Shape of the corrupt input.
        corrupt: Vec<usize>,
    },
    /// The network has neither a residual stream nor layers that linear maps join.
    #[error(
        "the network `{network}` has no edges: it has neither a residual stream that is a sum of what was \
         written to it nor layers that read sums of linear maps of earlier ones"
    )]
    Unwired {
        /// The network's name.
        network: String,
    },
    /// The network has edges, but not those of a residual stream.
    #[error("the network `{network}` is made of layers: this needs a residual stream")]
    Unstreamed {
        /// The network's name.
        network: String,
    },
    /// A path without a step.
    #[error("a path of 0 steps has no gradients; it must have 1 or more")]
    Steps,
    /// Two runs of a network that draws random numbers differ in what it drew, too.
    #[error(
        "the network `{network}` draws random numbers: two of its runs differ whatever is patched; open it \
         without its random defence"
    )]
    Random {
        /// The network's name.
        network: String,
    },
    /// Positions that are none.
    #[error("{0}")]
    Asked(String),
    /// A threshold that would keep every edge.
    #[error("tau is {tau}, must be above 0")]
    Threshold {
        /// The threshold.
        tau: f32,
    },
    /// An objective is not finite.
    #[error(
        "the objective of example {example} is {clean} in the clean and {corrupt} in the corrupt run: are all \
         inputs and activations finite?"
    )]
    Change {
        /// Index of the example in its batch.
        example: usize,
        /// Its clean objective.
        clean: f32,
        /// Its corrupt objective.
        corrupt: f32,
    },
    /// A way between tokens.
    #[error(
        "there is no path from one token to another: name a site, such as that of the embedding"
    )]
    Tokens,
    /// Nothing to seek, or no way to climb.
    #[error("{images} images at a rate of {rate}: there must be 1 or more, and the rate above 0")]
    Images {
        /// How many images are sought.
        images: usize,
        /// The step length.
        rate: f32,
    },
    /// More parts than there are.
    #[error("{count} parts cannot be patched: there are {parts}")]
    Parts {
        /// How many were asked for.
        count: usize,
        /// How many there are.
        parts: usize,
    },
    /// An edge's score is no number.
    #[error("the edge `{edge}` scores {score}: are all activations and gradients finite?")]
    Score {
        /// The edge's name.
        edge: String,
        /// Its score.
        score: f32,
    },
    /// A node's score is no number.
    #[error("a node of `{site}` scores {score}: are all activations and gradients finite?")]
    Node {
        /// The node's site.
        site: String,
        /// Its score.
        score: f32,
    },
    /// More edges than there are.
    #[error("a circuit of {n} edges: the network has {edges}")]
    Count {
        /// Number of edges that were asked for.
        n: usize,
        /// Number of edges that there are.
        edges: usize,
    },
    /// A circuit of one network was brought to another.
    #[error("not a circuit of this {network}: {reason}")]
    Foreign {
        /// The network's name.
        network: String,
        /// The first difference.
        reason: String,
    },
    /// A divergence is no number.
    #[error("the divergence from the network is {value}: are all activations finite?")]
    Divergence {
        /// The divergence.
        value: f32,
    },
    /// There is nothing that a circuit could be faithful to.
    #[error(
        "the objective sums to {whole} for the network and to {empty} with every edge cut: they must be finite \
         and differ"
    )]
    Behaviour {
        /// The sum of the network's objective.
        whole: f64,
        /// The sum with every edge cut.
        empty: f64,
    },
    /// Masks that nothing would close, or that would close all.
    #[error("{pressure:?}: a penalty must be above 0, a sparsity between 0 and 1")]
    Pressure {
        /// What was asked for.
        pressure: crate::discovery::Pressure,
    },
    /// A journal of something else.
    #[error(
        "{path} is the journal of another discovery: it holds {found}, this is {expected}",
        path = path.display()
    )]
    Journal {
        /// The file.
        path: std::path::PathBuf,
        /// What it says of itself.
        found: String,
        /// What it should say.
        expected: String,
    },
    /// A circuit without an edge.
    #[error("the circuit is empty: it must have at least one edge")]
    Empty,
    /// A probe is not one, or does not fit what it is to read.
    #[error("{0}")]
    Probe(String),
    /// A causal model does not have what is asked of it.
    #[error("{0}")]
    Causal(String),
    /// Directions span no subspace, or one of other channels.
    #[error("{0}")]
    Subspace(String),
    /// A hypothesis cannot be scrubbed.
    #[error("{0}")]
    Scrubbing(String),
    /// A file does not hold the probe that is asked for.
    #[error("{path}: {reason}", path = path.display())]
    ProbeFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// There are more or fewer labels than examples.
    #[error("{labels} labels for {examples} examples; there must be one for each")]
    Labels {
        /// Number of labels.
        labels: usize,
        /// Number of examples.
        examples: usize,
    },
    /// A run has no value.
    #[error("the objective of example {example} is {value} in {run}")]
    NotFinite {
        /// Which run.
        run: String,
        /// The example, counted from 0.
        example: usize,
        /// NaN or an infinity.
        value: f32,
    },
    /// A setting is outside its range.
    #[error("{what} is {value}, must be {valid}")]
    Setting {
        /// The setting.
        what: &'static str,
        /// The value that was given.
        value: String,
        /// The values that would do.
        valid: &'static str,
    },
    /// The model does not have what is asked of it.
    #[error(transparent)]
    Model(#[from] ModelError),
}

impl CircuitError {
    /// The error for a setting outside its range.
    pub(crate) fn setting(what: &'static str, value: impl ToString, valid: &'static str) -> Self {
        Self::Setting {
            what,
            value: value.to_string(),
            valid,
        }
    }
}
