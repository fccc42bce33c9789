//! What can go wrong with an attack.

use mr_models::{ModelError, hint};

/// Why an attack or an evaluation could not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttackError {
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
    /// Nothing of this kind has this name.
    #[error("unknown {kind} `{name}`; {hint}")]
    UnknownName {
        /// What was named.
        kind: &'static str,
        /// The name that was asked for.
        name: String,
        /// Near matches, or every name.
        hint: String,
    },
    /// An attack, a threat and a model do not go together.
    #[error("{0}")]
    Unfit(String),
    /// The data do not fit the model or the threat.
    #[error("{0}")]
    Data(String),
    /// The model's output is not a number.
    #[error("example {example}: the model's logits hold {value}; nothing can be judged by them")]
    NotFinite {
        /// Index in the data set.
        example: usize,
        /// NaN or an infinity.
        value: f32,
    },
    /// The file of a resumable evaluation cannot be used.
    #[error("{path}: {reason}")]
    Journal {
        /// The file.
        path: String,
        /// What is wrong with it, and what would help.
        reason: String,
    },
    /// The evaluation was told to stop.
    #[error("stopped")]
    Stopped,
    /// The model does not have what is asked of it.
    #[error(transparent)]
    Model(#[from] ModelError),
}

impl AttackError {
    pub(crate) fn setting(
        what: &'static str,
        value: impl ToString,
        valid: impl Into<String>,
    ) -> Self {
        Self::Setting {
            what,
            value: value.to_string(),
            valid: valid.into(),
        }
    }

    /// The error for a name that is none of `valid`.
    pub fn unknown<'a>(
        kind: &'static str,
        name: &str,
        valid: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        Self::UnknownName {
            kind,
            name: name.into(),
            hint: hint(name, valid),
        }
    }
}
