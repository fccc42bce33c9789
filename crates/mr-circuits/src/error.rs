//! What can go wrong with a circuit.

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
    /// The model does not have what is asked of it.
    #[error(transparent)]
    Model(#[from] ModelError),
}
