//! What can go wrong with a dictionary.

use std::path::{Path, PathBuf};

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
        valid: String,
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

impl SaeError {
    /// A setting outside its range.
    pub fn setting(what: &'static str, value: impl ToString, valid: impl Into<String>) -> Self {
        Self::Setting {
            what,
            value: value.to_string(),
            valid: valid.into(),
        }
    }

    /// A file that does not hold what it should.
    pub(crate) fn format(path: &Path, reason: impl Into<String>) -> Self {
        Self::Format {
            path: path.into(),
            reason: reason.into(),
        }
    }
}
