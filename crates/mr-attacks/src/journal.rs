//! A file from which a killed evaluation goes on.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use mr_models::write_atomic;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::AttackError;
use crate::evaluation::{Counts, Judged};
use crate::table::Table;

/// What the file of an evaluation says of itself.
const FORMAT: &str = "mech-robust-evaluation";
/// Version of the formats.
const VERSION: u32 = 1;
/// What a user can do about a file that is of no use.
const ANOTHER: &str = "remove it, or name another file";

/// A file that holds what is finished of an evaluation, so that a killed one goes on where it was: JSON,
/// written whole or not at all, a few times a minute and at the end. The outcome is that of an
/// evaluation that was never killed, to the last bit, even with another batch size or other threads. Of
/// a checklist it holds the items that are finished.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    run: Value,
    interval: Duration,
    written: Mutex<Option<Instant>>,
}

/// A file, whatever it holds.
#[derive(Serialize)]
struct File<T> {
    format: String,
    version: u32,
    /// What the run was of: an unequal one is not gone on with.
    run: Value,
    #[serde(flatten)]
    held: T,
}

/// The same before it is known to hold what is looked for.
#[derive(Deserialize)]
struct Header {
    format: String,
    version: u32,
    run: Value,
}

#[derive(Serialize, Deserialize)]
struct State {
    attacks: Vec<String>,
    attacked: Vec<usize>,
    counts: Counts,
    /// Share of examples that are right and broken by nothing so far.
    robust_accuracy: f64,
    examples: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    #[serde(flatten)]
    judged: Judged,
    /// Attacks that are done with it.
    finished: usize,
    /// The attack that broke it, in the order that they run.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<usize>,
    /// Where it was broken, if points are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    point: Option<Vec<f32>>,
}

impl Journal {
    /// The file for an evaluation. `run` says what is evaluated (model, data, threat, goal, attacks,
    /// seed); only a file that says the same is gone on with.
    pub fn new(path: impl Into<PathBuf>, run: Value) -> Self {
        Self {
            path: path.into(),
            run,
            interval: Duration::from_secs(10),
            written: Mutex::new(None),
        }
    }

    /// The same, written when this long has passed since the last time, instead of 10 s.
    #[must_use]
    pub fn every(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn error(&self, reason: impl Into<String>) -> AttackError {
        AttackError::Journal {
            path: self.path.display().to_string(),
            reason: reason.into(),
        }
    }

    /// Fills the table with what an earlier run finished, if there was one.
    pub(crate) fn restore(&self, table: &mut Table) -> Result<(), AttackError> {
        let Some(file) = self.read::<State>(FORMAT)? else {
            return Ok(());
        };
        let width = table
            .points
            .as_ref()
            .map(|all| all.len() / table.examples.len());
        let fits = file.attacks == table.attacks
            && file.attacked.len() == table.attacks.len()
            && file.examples.len() == table.examples.len()
            && file
                .examples
                .iter()
                .zip(&table.examples)
                .all(|(entry, fresh)| {
                    let point = entry.point.as_ref().map(Vec::len);
                    entry.judged.index == fresh.index
                        && entry.judged.label == fresh.label
                        && entry.judged.clean == fresh.clean
                        && entry.finished <= table.attacks.len()
                        && entry.by.is_none_or(|by| by < table.attacks.len())
                        && (width.is_none() || entry.by.is_none() || point == width)
                });
        if !fits {
            return Err(self.error(format!(
                "does not hold what this model makes of these examples: {ANOTHER}"
            )));
        }
        table.attacked = file.attacked;
        table.counts = file.counts;
        for (row, entry) in file.examples.into_iter().enumerate() {
            table.examples[row] = entry.judged;
            table.finished[row] = entry.finished;
            table.by[row] = entry.by;
            if let (Some(points), Some(point), Some(width)) =
                (&mut table.points, entry.point, width)
            {
                points[row * width..(row + 1) * width].copy_from_slice(&point);
            }
        }
        Ok(())
    }

    /// Writes the table if it is time to, or `now`.
    pub(crate) fn keep(&self, table: &Table, now: bool) -> Result<(), AttackError> {
        if !now && !self.is_due() {
            return Ok(());
        }
        let width = table
            .points
            .as_ref()
            .map(|all| all.len() / table.examples.len().max(1));
        let examples = table
            .examples
            .iter()
            .enumerate()
            .map(|(row, judged)| Entry {
                judged: judged.clone(),
                finished: table.finished[row],
                by: table.by[row],
                point: match (&table.points, width, table.by[row]) {
                    (Some(points), Some(width), Some(_)) => {
                        Some(points[row * width..(row + 1) * width].to_vec())
                    }
                    _ => None,
                },
            });
        let state = State {
            attacks: table.attacks.clone(),
            attacked: table.attacked.clone(),
            counts: table.counts,
            robust_accuracy: table.robust() as f64 / table.examples.len().max(1) as f64,
            examples: examples.collect(),
        };
        self.write(FORMAT, state)
    }

    /// Whether it was not written for a while.
    fn is_due(&self) -> bool {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.is_none_or(|at| at.elapsed() >= self.interval)
    }

    /// What an earlier run of the same left in the file, if there was one.
    pub(crate) fn read<T: DeserializeOwned>(&self, format: &str) -> Result<Option<T>, AttackError> {
        let bytes = match std::fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.error(format!("cannot be read: {error}"))),
        };
        let unreadable = |error: serde_json::Error| {
            self.error(format!("is no state of an evaluation ({error}): {ANOTHER}"))
        };
        let header: Header = serde_json::from_slice(&bytes).map_err(unreadable)?;
        if header.format != format || header.version != VERSION {
            return Err(self.error(format!(
                "is of format {} {}, this build reads {format} {VERSION}: {ANOTHER}",
                header.format, header.version
            )));
        }
        if header.run != self.run {
            let what = difference(&header.run, &self.run, String::new());
            return Err(self.error(format!("holds another evaluation ({what}): {ANOTHER}")));
        }
        serde_json::from_slice(&bytes).map(Some).map_err(unreadable)
    }

    /// Writes the file whole.
    pub(crate) fn write(&self, format: &str, held: impl Serialize) -> Result<(), AttackError> {
        let file = File {
            format: format.into(),
            version: VERSION,
            run: self.run.clone(),
            held,
        };
        let bytes = serde_json::to_vec(&file).expect("plain values serialise");
        write_atomic(&self.path, &bytes)
            .map_err(|error| self.error(format!("cannot be written: {error}")))?;
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        *written = Some(Instant::now());
        Ok(())
    }
}

/// The first value that two runs do not share, by its path.
fn difference(held: &Value, asked: &Value, path: String) -> String {
    if let (Value::Object(held), Value::Object(asked)) = (held, asked) {
        let mut keys: Vec<&String> = held.keys().chain(asked.keys()).collect();
        keys.sort();
        for key in keys {
            let of =
                |map: &serde_json::Map<String, Value>| map.get(key).cloned().unwrap_or_default();
            if of(held) != of(asked) {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                return difference(&of(held), &of(asked), path);
            }
        }
    }
    format!("{path} was {held}, is {asked}")
}
