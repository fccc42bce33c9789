//! What can go wrong with training.

use std::path::PathBuf;

use mr_attacks::AttackError;
use mr_circuits::CircuitError;
use mr_models::ModelError;
use mr_models::data::DataError;
use mr_sae::SaeError;

/// Why something could not be fitted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A setting is outside its range.
    #[error("{what} is {value}, must be {valid}")]
    Setting {
        /// The setting, as the configuration file names it.
        what: String,
        /// The value that was given.
        value: String,
        /// The values that would do.
        valid: String,
    },
    /// The data do not fit the model or the loss.
    #[error("{0}")]
    Data(String),
    /// The loss became NaN or infinite.
    #[error(
        "the loss is {loss} at step {step}: training diverged; lower the learning rate or warm it up"
    )]
    Diverged {
        /// The first step whose loss is not finite, counted from 0.
        step: usize,
        /// NaN or an infinity.
        loss: f32,
    },
    /// A checkpoint cannot be continued from.
    #[error("{path}: {reason}; remove it to start afresh", path = path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A checkpoint belongs to another run.
    #[error(
        "{path} is the checkpoint of another run: {differences}; name another folder, or remove it \
         to start afresh",
        path = path.display()
    )]
    OtherRun {
        /// The file.
        path: PathBuf,
        /// Every setting that differs, with both values.
        differences: String,
    },
    /// A checkpoint cannot be written; the one before it, if there is one, is still whole.
    #[error(
        "cannot write a checkpoint: {0}; what was written before is whole: make room and give the same command again"
    )]
    Write(ModelError),
    /// Activations on disk cannot be written or read.
    #[error("{path}: {reason}; {advice}", path = path.display())]
    Shards {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// What to do.
        advice: &'static str,
    },
    /// Threads could not be had from the system.
    #[error("no worker threads: {0}")]
    Threads(String),
    /// The model does not have what is asked of it.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// An attack does not fit the model.
    #[error(transparent)]
    Attack(#[from] AttackError),
    /// The data cannot be had.
    #[error(transparent)]
    DataSet(#[from] DataError),
    /// A probe does not fit what it is to read.
    #[error(transparent)]
    Circuit(#[from] CircuitError),
    /// A dictionary cannot be made.
    #[error(transparent)]
    Dictionary(#[from] SaeError),
}

impl TrainError {
    pub(crate) fn setting(
        what: impl Into<String>,
        value: impl ToString,
        valid: impl Into<String>,
    ) -> Self {
        Self::Setting {
            what: what.into(),
            value: value.to_string(),
            valid: valid.into(),
        }
    }
}

/// A finite number of at least 0, or the error that names the setting.
pub(crate) fn at_least_0(what: &str, value: f64) -> Result<(), TrainError> {
    if value.is_finite() && value >= 0.0 {
        return Ok(());
    }
    Err(TrainError::setting(
        what,
        value,
        "a finite number, at least 0",
    ))
}

/// A finite number above 0, or the error that names the setting.
pub(crate) fn above_0(what: &str, value: f64) -> Result<(), TrainError> {
    if value.is_finite() && value > 0.0 {
        return Ok(());
    }
    Err(TrainError::setting(what, value, "a finite number above 0"))
}

/// A number in `[0, 1)`, or the error that names the setting.
pub(crate) fn share(what: &str, value: f64) -> Result<(), TrainError> {
    if (0.0..1.0).contains(&value) {
        return Ok(());
    }
    Err(TrainError::setting(what, value, "in [0, 1)"))
}
