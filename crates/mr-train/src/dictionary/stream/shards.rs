//! Activations on disk: a folder of safetensors files and an index.

use std::path::{Path, PathBuf};

use mr_models::{ModelError, read_tensors, write_atomic, write_tensors};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Stream, order, picked};
use crate::error::TrainError;

/// The index's name.
const INDEX: &str = "activations.json";
/// The tensor of a shard, `[sample, channel]`.
const TENSOR: &str = "activations";
/// The metadata key under which a shard says what it is of.
const ABOUT: &str = "mech-robust-activations";
/// Version of index and shards.
const VERSION: u64 = 1;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Index {
    version: u64,
    width: usize,
    shards: usize,
    samples: usize,
    about: Value,
}

/// Writes the first loads of a stream, one file each, and then the index. Files of an earlier call that was cut off are
/// kept. `tell` hears how many of how many shards are written.
///
/// # Errors
/// [`TrainError::Shards`] if a file cannot be written (what was written before is whole, and is used by the next call) or
/// if the folder holds another stream's.
pub fn write_shards(
    stream: &dyn Stream,
    folder: &Path,
    shards: usize,
    tell: &mut dyn FnMut(usize, usize),
) -> Result<(), TrainError> {
    if shards == 0 {
        return Err(TrainError::setting("shards", 0, "at least 1"));
    }
    let about = stream.about();
    let mut samples = 0;
    for number in 0..shards {
        let path = name(folder, number);
        samples += match read(&path, Some(&about)) {
            Ok((count, width, _)) if width == stream.width() => count,
            _ if !path.exists() => write(stream, number, &about, &path)?,
            Ok((_, width, _)) => {
                let reason = format!("has {width} channels, not {}", stream.width());
                return Err(broken(&path, reason));
            }
            Err(error) => return Err(error),
        };
        tell(number + 1, shards);
    }
    let index = json!(Index {
        version: VERSION,
        width: stream.width(),
        shards,
        samples,
        about,
    });
    let text = format!("{index:#}");
    let path = folder.join(INDEX);
    write_atomic(&path, text.as_bytes()).map_err(|error| full(&path, &error))
}

fn write(
    stream: &dyn Stream,
    number: usize,
    about: &Value,
    path: &Path,
) -> Result<usize, TrainError> {
    let values = stream.load(number)?;
    let count = values.len() / stream.width();
    let tensors = [(TENSOR.to_string(), vec![count, stream.width()], values)];
    let said = json!({ "version": VERSION, "about": about }).to_string();
    write_tensors(path, &tensors, &[(ABOUT, &said)]).map_err(|error| match error {
        ModelError::File { source, .. } => full(path, &source),
        other => full(path, &other),
    })?;
    Ok(count)
}

/// Samples, channels and values of a shard.
fn read(path: &Path, about: Option<&Value>) -> Result<(usize, usize, Vec<f32>), TrainError> {
    let (tensors, metadata) = read_tensors(path).map_err(|error| match error {
        ModelError::Format { reason, .. } => broken(path, reason),
        other => broken(path, other.to_string()),
    })?;
    let said: Option<Value> = metadata
        .get(ABOUT)
        .and_then(|text| serde_json::from_str(text).ok());
    let Some(said) = said else {
        return Err(broken(path, "is no shard of activations".into()));
    };
    if let Some(about) = about
        && said["about"] != *about
    {
        return Err(TrainError::Shards {
            path: path.into(),
            reason: format!("is of other activations: {}", said["about"]),
            advice: "name another folder",
        });
    }
    let mut tensors = tensors.into_iter();
    match tensors.find(|(name, shape, _)| name == TENSOR && shape.len() == 2) {
        Some((_, shape, values)) if shape[0] > 0 && shape[1] > 0 => {
            Ok((shape[0], shape[1], values))
        }
        _ => Err(broken(
            path,
            format!("holds no `{TENSOR}` of samples and channels"),
        )),
    }
}

fn name(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("{number:05}.safetensors"))
}

fn broken(path: &Path, reason: String) -> TrainError {
    TrainError::Shards {
        path: path.into(),
        reason,
        advice: "remove it and write the activations again: the other shards are kept",
    }
}

fn full(path: &Path, error: &dyn std::fmt::Display) -> TrainError {
    TrainError::Shards {
        path: path.into(),
        reason: error.to_string(),
        advice: "make room and run the same again: what was written before is whole and is kept",
    }
}

/// A folder of shards as a stream: each load is a shard, in an order that the epoch decides, its samples shuffled.
#[derive(Debug, Clone)]
pub struct Shards {
    folder: PathBuf,
    index: Index,
    seed: u64,
}

impl Shards {
    /// Opens a folder that [`write_shards`] wrote.
    ///
    /// # Errors
    /// [`TrainError::Shards`] if there is no index, or it cannot be read.
    pub fn open(folder: &Path, seed: u64) -> Result<Self, TrainError> {
        let path = folder.join(INDEX);
        let unreadable = |reason: String| TrainError::Shards {
            path: path.clone(),
            reason,
            advice: "write the activations to the end first: finished shards are kept",
        };
        let text = std::fs::read_to_string(&path).map_err(|error| unreadable(error.to_string()))?;
        let index: Index =
            serde_json::from_str(&text).map_err(|error| unreadable(error.to_string()))?;
        if index.version != VERSION || index.shards == 0 || index.width == 0 {
            return Err(unreadable(format!(
                "is of version {} with {} shards of {} channels; this build reads version {VERSION}",
                index.version, index.shards, index.width
            )));
        }
        Ok(Self {
            folder: folder.into(),
            index,
            seed,
        })
    }

    /// Number of samples.
    pub fn samples(&self) -> usize {
        self.index.samples
    }
}

impl Stream for Shards {
    fn width(&self) -> usize {
        self.index.width
    }

    fn load(&self, number: usize) -> Result<Vec<f32>, TrainError> {
        let (epoch, at) = (number / self.index.shards, number % self.index.shards);
        let shards = order(self.index.shards, self.seed ^ 1, epoch);
        let path = name(&self.folder, shards[at]);
        let (count, width, values) = read(&path, Some(&self.index.about))?;
        if width != self.index.width {
            let reason = format!("has {width} channels, the index says {}", self.index.width);
            return Err(broken(&path, reason));
        }
        Ok(picked(&values, width, &order(count, self.seed, number)))
    }

    fn about(&self) -> Value {
        json!({ "shards": self.index.shards, "of": self.index.about, "seed": self.seed })
    }
}

#[cfg(test)]
mod tests {
    use super::super::InMemory;
    use super::*;
    use crate::dictionary::Activations;

    fn samples() -> Activations {
        Activations::new((0..24).map(|i| i as f32).collect(), 3).unwrap()
    }

    #[test]
    fn shards_hold_the_loads_and_are_read_in_every_order() {
        let folder = tempfile::tempdir().unwrap();
        let samples = samples();
        let stream = InMemory {
            activations: &samples,
            seed: 0,
        };
        let mut told = Vec::new();
        write_shards(&stream, folder.path(), 2, &mut |done, of| {
            told.push((done, of));
        })
        .unwrap();
        assert_eq!(told, [(1, 2), (2, 2)]);
        let shards = Shards::open(folder.path(), 1).unwrap();
        assert_eq!((shards.samples(), shards.width()), (16, 3));
        for load in 0..4 {
            let mut values = shards.load(load).unwrap();
            assert_eq!(values, shards.load(load).unwrap());
            values.sort_by(f32::total_cmp);
            assert_eq!(values, samples.values());
        }
        assert_ne!(shards.load(0).unwrap(), shards.load(2).unwrap());
    }

    #[test]
    fn what_was_written_is_kept_and_what_is_broken_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let samples = samples();
        let stream = InMemory {
            activations: &samples,
            seed: 0,
        };
        let write = |shards| write_shards(&stream, folder.path(), shards, &mut |_, _| {});
        write(1).unwrap();
        let first = std::fs::read(name(folder.path(), 0)).unwrap();
        let error = {
            std::fs::remove_file(folder.path().join(INDEX)).unwrap();
            Shards::open(folder.path(), 0).unwrap_err().to_string()
        };
        assert!(error.contains("finished shards are kept"), "{error}");
        write(2).unwrap();
        assert_eq!(std::fs::read(name(folder.path(), 0)).unwrap(), first);
        std::fs::write(name(folder.path(), 1), &first[..first.len() / 2]).unwrap();
        let shards = Shards::open(folder.path(), 0).unwrap();
        let errors: Vec<String> = (0..2)
            .filter_map(|load| shards.load(load).err())
            .map(|error| error.to_string())
            .collect();
        assert_eq!(errors.len(), 1);
        assert!(errors[0].contains("00001.safetensors"), "{errors:?}");
        assert!(
            errors[0].contains("the other shards are kept"),
            "{errors:?}"
        );
        std::fs::remove_file(name(folder.path(), 1)).unwrap();
        write(2).unwrap();
        assert!(Shards::open(folder.path(), 0).unwrap().load(1).is_ok());
        let other = InMemory {
            activations: &samples,
            seed: 9,
        };
        let error = write_shards(&other, folder.path(), 2, &mut |_, _| {}).unwrap_err();
        assert!(
            error.to_string().contains("of other activations"),
            "{error}"
        );
    }
}
