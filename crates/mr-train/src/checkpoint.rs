//! The state of a run as one file.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use mr_models::{ModelError, Weights, floats, read_tensors, write_tensors};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::TrainError;
use crate::history::History;
use crate::optimizer::OptimizerState;

/// Name of the file in a run's folder.
pub const CHECKPOINT: &str = "checkpoint.safetensors";

/// The metadata key under which a file says what run it belongs to.
const CONFIG: &str = "mech-robust-checkpoint";
/// Version of that entry.
const VERSION: u64 = 1;

/// A state with its weights, as a validation picked it.
#[derive(Debug, Clone)]
pub(crate) struct Best {
    pub(crate) step: usize,
    pub(crate) score: f64,
    pub(crate) weights: Weights,
}

/// Everything that a run needs to go on.
pub(crate) struct Checkpoint {
    pub(crate) step: usize,
    pub(crate) weights: Weights,
    pub(crate) optimizer: OptimizerState,
    pub(crate) best: Option<Best>,
    /// The perturbation `[batch, coordinate]` that the last step left.
    pub(crate) carried: Option<Tensor<2>>,
    /// Judgements since the best one.
    pub(crate) stale: usize,
    pub(crate) history: History,
    /// Losses since the last mean in the history.
    pub(crate) recent: Vec<f32>,
}

/// What stands in the metadata.
#[derive(Serialize, Deserialize)]
struct Said {
    version: u64,
    run: Value,
    step: usize,
    best: Option<(usize, f64)>,
    stale: usize,
    history: History,
    recent: Vec<f32>,
    counts: BTreeMap<String, u64>,
}

impl Checkpoint {
    /// Writes the file, whole or not at all. `run` says which run it belongs to.
    pub(crate) fn write(self, run: &Value, path: &Path) -> Result<(), TrainError> {
        let said = Said {
            version: VERSION,
            run: run.clone(),
            step: self.step,
            best: self.best.as_ref().map(|best| (best.step, best.score)),
            stale: self.stale,
            history: self.history,
            recent: self.recent,
            counts: self.optimizer.counts,
        };
        let text = serde_json::to_string(&said).expect("maps with string keys are JSON");
        let mut tensors = Vec::new();
        let mut push = |part: &str, weights: &Weights| {
            for (name, shape, values) in weights.to_host() {
                tensors.push((format!("{part}/{name}"), shape, values));
            }
        };
        push("weights", &self.weights);
        if let Some(best) = &self.best {
            push("best", &best.weights);
        }
        if let Some(carried) = self.carried {
            let shape = carried.dims().to_vec();
            tensors.push(("carried/perturbation".into(), shape, floats(carried)));
        }
        for (name, values) in self.optimizer.tensors {
            tensors.push((format!("optimizer/{name}"), vec![values.len()], values));
        }
        write_tensors(path, &tensors, &[(CONFIG, &text)]).map_err(TrainError::Write)
    }

    /// Reads the file of this run; its weights fit those of the network that the run trains.
    pub(crate) fn read(
        path: &Path,
        run: &Value,
        network: &Weights,
        device: &Device,
    ) -> Result<Self, TrainError> {
        let unfit = |reason: String| TrainError::Checkpoint {
            path: path.into(),
            reason,
        };
        let unreadable = |error: ModelError| match error {
            ModelError::Format { reason, .. } => unfit(reason),
            other => TrainError::Model(other),
        };
        let (named, metadata) = read_tensors(path).map_err(unreadable)?;
        let text = metadata
            .get(CONFIG)
            .ok_or_else(|| unfit("is no checkpoint".into()))?;
        let said: Said = serde_json::from_str(text)
            .map_err(|error| unfit(format!("its `{CONFIG}` entry is not readable: {error}")))?;
        if said.version != VERSION {
            return Err(unfit(format!(
                "is of version {}, this build reads {VERSION}",
                said.version
            )));
        }
        same_run(path, &said.run, run)?;
        let mut parts: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        for (name, shape, values) in named {
            let (part, name) = match name.split_once('/') {
                Some(("weights", name)) => ("weights", name),
                Some(("best", name)) => ("best", name),
                Some(("optimizer", name)) => ("optimizer", name),
                Some(("carried", name)) => ("carried", name),
                _ => return Err(unfit(format!("holds `{name}`, which no checkpoint does"))),
            };
            parts
                .entry(part)
                .or_default()
                .push((name.to_string(), shape, values));
        }
        let mut weights = |part: &str| {
            let named = parts.remove(part).unwrap_or_default();
            let found = network.replaced_by(named, device);
            found.map_err(|error| unfit(format!("its {part} do not fit: {error}")))
        };
        let best = match said.best {
            None => None,
            Some((step, score)) => Some(Best {
                step,
                score,
                weights: weights("best")?,
            }),
        };
        let weights = weights("weights")?;
        let state = parts.remove("optimizer").unwrap_or_default();
        let carried = match parts.remove("carried").unwrap_or_default().pop() {
            None => None,
            Some((_, shape, values)) => {
                let shape: [usize; 2] = shape
                    .try_into()
                    .map_err(|shape| unfit(format!("its perturbation has shape {shape:?}")))?;
                Some(Tensor::from_data(TensorData::new(values, shape), device))
            }
        };
        Ok(Self {
            step: said.step,
            weights,
            optimizer: OptimizerState {
                tensors: state
                    .into_iter()
                    .map(|(name, _, values)| (name, values))
                    .collect(),
                counts: said.counts,
            },
            best,
            carried,
            stale: said.stale,
            history: said.history,
            recent: said.recent,
        })
    }
}

/// Whether a checkpoint's run is this one.
pub(crate) fn same_run(path: &Path, theirs: &Value, ours: &Value) -> Result<(), TrainError> {
    let mut differences = Vec::new();
    compare("", Some(theirs), Some(ours), &mut differences);
    if differences.is_empty() {
        return Ok(());
    }
    Err(TrainError::OtherRun {
        path: path.into(),
        differences: differences.join("; "),
    })
}

/// Collects where two values differ, by path.
fn compare(
    path: &str,
    theirs: Option<&Value>,
    ours: Option<&Value>,
    differences: &mut Vec<String>,
) {
    if theirs == ours {
        return;
    }
    if let (Some(Value::Object(theirs)), Some(Value::Object(ours))) = (theirs, ours) {
        let more = ours.keys().filter(|key| !theirs.contains_key(*key));
        for key in theirs.keys().chain(more) {
            let path = if path.is_empty() {
                key.clone()
            } else {
                format!("{path}.{key}")
            };
            compare(&path, theirs.get(key), ours.get(key), differences);
        }
        return;
    }
    let text = |value: Option<&Value>| value.map_or("not set".into(), Value::to_string);
    differences.push(format!(
        "{path} is {} there and {} here",
        text(theirs),
        text(ours)
    ));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn weights() -> Weights {
        let mut weights = Weights::default();
        let values = vec![0.1, 1.0 / 3.0, -7e-30];
        weights.push("w", &[3, 1], values, true, &Device::flex());
        weights
    }

    fn checkpoint() -> Checkpoint {
        Checkpoint {
            step: 7,
            weights: weights(),
            optimizer: OptimizerState {
                tensors: vec![("w.moment".into(), vec![1.5, f32::MIN_POSITIVE, -0.0])],
                counts: BTreeMap::from([("w.time".into(), 7)]),
            },
            best: Some(Best {
                step: 5,
                score: 61.0,
                weights: weights(),
            }),
            carried: Some(Tensor::from_floats([[0.1, -0.1]], &Device::flex())),
            stale: 2,
            history: History::default(),
            recent: vec![0.1, 2.0 / 3.0],
        }
    }

    #[test]
    fn a_checkpoint_reads_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(CHECKPOINT);
        let run = json!({"seed": 1});
        checkpoint().write(&run, &path).unwrap();
        let again = Checkpoint::read(&path, &run, &weights(), &Device::flex()).unwrap();
        assert_eq!((again.step, again.stale), (7, 2));
        assert_eq!(again.weights.to_host(), weights().to_host());
        assert_eq!(again.recent, checkpoint().recent);
        assert_eq!(again.optimizer.tensors, checkpoint().optimizer.tensors);
        assert_eq!(again.optimizer.counts, checkpoint().optimizer.counts);
        assert_eq!(floats(again.carried.unwrap()), [0.1, -0.1]);
        let best = again.best.unwrap();
        assert_eq!((best.step, best.score), (5, 61.0));
        let bytes = std::fs::read(&path).unwrap();
        checkpoint().write(&run, &path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }

    #[test]
    fn another_run_is_told_by_what_differs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(CHECKPOINT);
        let theirs = json!({"train": {"seed": 1, "loss": {"type": "trades"}}, "data": "a"});
        let ours =
            json!({"train": {"seed": 2, "loss": {"type": "trades", "beta": 6}}, "data": "a"});
        checkpoint().write(&theirs, &path).unwrap();
        let error = Checkpoint::read(&path, &ours, &weights(), &Device::flex())
            .err()
            .unwrap();
        let said = error.to_string();
        assert!(
            said.contains(
                "train.seed is 1 there and 2 here; train.loss.beta is not set there and 6 here"
            ),
            "{said}"
        );
        assert!(!said.contains("data"), "{said}");
    }

    #[test]
    fn damaged_and_foreign_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(CHECKPOINT);
        let run = json!({});
        let said = || {
            let read = Checkpoint::read(&path, &run, &weights(), &Device::flex());
            read.err().unwrap().to_string()
        };
        checkpoint().write(&run, &path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 3]).unwrap();
        assert!(said().contains("truncated"), "{}", said());
        assert!(said().ends_with("remove it to start afresh"), "{}", said());
        write_tensors(&path, &weights().to_host(), &[]).unwrap();
        assert!(said().contains("is no checkpoint"), "{}", said());
    }
}
