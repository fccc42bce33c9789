//! What can go wrong between numbers, masks and files.

use std::path::PathBuf;

/// Why a number, a record or a verdict could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MetricError {
    /// A value that goes into a statistic is NaN or infinite.
    #[error("{what} holds {value} at position {position}: only finite values have statistics")]
    NotFinite {
        /// What the values are.
        what: String,
        /// NaN or an infinity.
        value: f64,
        /// Index into the values.
        position: usize,
    },
    /// There is nothing to measure.
    #[error("{what} is empty")]
    Empty {
        /// What was expected to hold something.
        what: String,
    },
    /// Two things that belong together differ in length.
    #[error("{what}: {left} and {right} differ in length")]
    Length {
        /// The two things.
        what: String,
        /// Length of the first.
        left: usize,
        /// Length of the second.
        right: usize,
    },
    /// A setting is outside its range.
    #[error("{what} is {value}, must be {valid}")]
    Setting {
        /// The setting.
        what: String,
        /// The value that was given.
        value: String,
        /// The values that would do.
        valid: String,
    },
    /// A statistic has no value on this sample.
    #[error("{what} is undefined: {reason}")]
    Undefined {
        /// The statistic.
        what: String,
        /// Why.
        reason: String,
    },
    /// The file cannot be read or written.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("{path}: {reason}", path = path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file was written under another version of its format.
    #[error("{path}: schema version {found}, this build reads version {expected}", path = path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// The version in the file, or what stands in its place.
        found: String,
        /// The version that is understood.
        expected: u32,
    },
    /// No record, or not every record, holds what a finding asks for.
    #[error("{0}")]
    NoRecord(String),
    /// The text of a findings file is not valid.
    #[error("findings: {0}")]
    Findings(String),
}

/// The values, all finite and at least one.
pub(crate) fn finite<'a>(what: &str, values: &'a [f64]) -> Result<&'a [f64], MetricError> {
    if values.is_empty() {
        return Err(MetricError::Empty { what: what.into() });
    }
    match values.iter().position(|value| !value.is_finite()) {
        Some(position) => Err(MetricError::NotFinite {
            what: what.into(),
            value: values[position],
            position,
        }),
        None => Ok(values),
    }
}

/// Nothing, if the two lengths agree.
pub(crate) fn same_length(what: &str, left: usize, right: usize) -> Result<(), MetricError> {
    if left == right {
        Ok(())
    } else {
        Err(MetricError::Length {
            what: what.into(),
            left,
            right,
        })
    }
}

/// Nothing, if this can be a confidence level.
pub(crate) fn confidence(level: f64) -> Result<(), MetricError> {
    if level > 0.0 && level < 1.0 {
        Ok(())
    } else {
        Err(MetricError::Setting {
            what: "confidence level".into(),
            value: level.to_string(),
            valid: "between 0 and 1, such as 0.95".into(),
        })
    }
}
