//! What can go wrong with a dictionary.

use std::path::PathBuf;

use mr_models::ModelError;

/// Why a dictionary could not be made, saved or loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SaeError {
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
    /// The file does not hold a dictionary that this build reads.
    #[error("{path}: {reason}", path = path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file cannot be read or written, or its weights are not the dictionary's.
    #[error(transparent)]
    Model(#[from] ModelError),
}
