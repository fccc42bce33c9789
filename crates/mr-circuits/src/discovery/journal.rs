//! Decisions of a discovery on disk, so that a killed one goes on where it stood.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use mr_models::{ModelError, write_atomic};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::CircuitError;

/// One line for what is discovered, then one for each decision, written as it is made.
pub(super) struct Journal {
    path: PathBuf,
    file: File,
}

impl Journal {
    /// Opens a journal of this very discovery, and gives the decisions that it holds. A last line that was not
    /// finished is dropped.
    ///
    /// # Errors
    /// [`CircuitError::Journal`] if it is another discovery's, [`CircuitError::Model`] if it cannot be read or
    /// written.
    pub(super) fn open<D: DeserializeOwned + Serialize>(
        path: &Path,
        about: &Value,
    ) -> Result<(Self, Vec<D>), CircuitError> {
        let failed = |source| failed(path, source);
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(failed(error)),
        };
        let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
        let mut lines = whole.lines();
        let first = lines.next();
        if let Some(first) = first
            && serde_json::from_str::<Value>(first).ok().as_ref() != Some(about)
        {
            return Err(CircuitError::Journal {
                path: path.into(),
                found: first.into(),
                expected: about.to_string(),
            });
        }
        let read = |line: &str| {
            serde_json::from_str::<D>(line).map_err(|error| {
                CircuitError::from(ModelError::Format {
                    path: path.into(),
                    reason: format!("not a journal: {error}"),
                })
            })
        };
        let decisions = lines.map(read).collect::<Result<Vec<D>, _>>()?;
        if first.is_none() {
            write_atomic(path, format!("{about}\n").as_bytes()).map_err(failed)?;
        } else if whole.len() < text.len() {
            write_atomic(path, whole.as_bytes()).map_err(failed)?;
        }
        let file = OpenOptions::new().append(true).open(path);
        let journal = Self {
            path: path.into(),
            file: file.map_err(failed)?,
        };
        Ok((journal, decisions))
    }

    /// Adds a decision.
    pub(super) fn add(&mut self, decision: &impl Serialize) -> Result<(), CircuitError> {
        let mut line = serde_json::to_string(decision).expect("names and numbers are JSON");
        line.push('\n');
        let written = self.file.write_all(line.as_bytes());
        written.map_err(|source| failed(&self.path, source))
    }
}

fn failed(path: &Path, source: std::io::Error) -> CircuitError {
    let path = path.into();
    ModelError::File { path, source }.into()
}
