//! The state of a fit as one file.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::Device;
use mr_models::{ModelError, read_tensors, write_tensors};
use mr_sae::SaeConfig;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::plan::Plan;
use super::state::{Report, State, Sums};
use super::steer::Steering;
use crate::checkpoint::same_run;
use crate::dictionary::stream::Place;
use crate::error::TrainError;
use crate::optimizer::OptimizerState;

/// The metadata key under which a file says what fit it belongs to.
const CONFIG: &str = "mech-robust-dictionary-checkpoint";
/// Version of that entry.
const VERSION: u64 = 1;

/// A fit that goes on.
pub(super) struct Checkpoint {
    pub(super) step: usize,
    pub(super) place: Place,
    pub(super) states: Vec<State>,
}

#[derive(Serialize, Deserialize)]
struct Said {
    version: u64,
    run: Value,
    step: usize,
    place: Place,
    dictionaries: Vec<Dictionary>,
}

/// What is said of a dictionary beside its tensors.
#[derive(Serialize, Deserialize)]
struct Dictionary {
    config: SaeConfig,
    counts: BTreeMap<String, u64>,
    idle: Vec<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    steering: Option<Steering>,
    sums: Sums,
    reports: Vec<Report>,
}

type Named = Vec<(String, Vec<usize>, Vec<f32>)>;

impl Checkpoint {
    /// Writes the file, whole or not at all.
    pub(super) fn write(
        step: usize,
        states: &[State],
        place: Place,
        run: &Value,
        path: &Path,
    ) -> Result<(), TrainError> {
        let mut tensors: Named = Vec::new();
        let mut dictionaries = Vec::with_capacity(states.len());
        for (at, state) in states.iter().enumerate() {
            for (name, shape, values) in state.sae.weights().to_host() {
                tensors.push((format!("{at}/weights/{name}"), shape, values));
            }
            let optimizer = state.optimizer.state(state.sae.weights());
            for (name, values) in optimizer.tensors {
                tensors.push((format!("{at}/optimizer/{name}"), vec![values.len()], values));
            }
            dictionaries.push(Dictionary {
                config: state.sae.config().clone(),
                counts: optimizer.counts,
                idle: state.idle.clone(),
                steering: state.steering,
                sums: state.sums,
                reports: state.reports.clone(),
            });
        }
        let said = Said {
            version: VERSION,
            run: run.clone(),
            step,
            place,
            dictionaries,
        };
        let text = serde_json::to_string(&said).expect("maps with string keys are JSON");
        write_tensors(path, &tensors, &[(CONFIG, &text)]).map_err(TrainError::Write)
    }

    /// Reads the file of this fit.
    pub(super) fn read(
        path: &Path,
        run: &Value,
        plans: &[Plan],
        device: &Device,
    ) -> Result<Self, TrainError> {
        let unfit = |reason: String| TrainError::Checkpoint {
            path: path.into(),
            reason,
        };
        let (named, metadata) = read_tensors(path).map_err(|error| match error {
            ModelError::Format { reason, .. } => unfit(reason),
            other => TrainError::Model(other),
        })?;
        let text = metadata
            .get(CONFIG)
            .ok_or_else(|| unfit("is no checkpoint of dictionaries".into()))?;
        let said: Said = serde_json::from_str(text)
            .map_err(|error| unfit(format!("its `{CONFIG}` entry is not readable: {error}")))?;
        if said.version != VERSION || said.dictionaries.len() != plans.len() {
            return Err(unfit(format!(
                "is of version {} with {} dictionaries, this fit has {} and reads version {VERSION}",
                said.version,
                said.dictionaries.len(),
                plans.len()
            )));
        }
        same_run(path, &said.run, run)?;
        let mut parts: BTreeMap<String, Named> = BTreeMap::new();
        for (name, shape, values) in named {
            let mut ends = name.match_indices('/').map(|(at, _)| at);
            let Some(end) = ends.nth(1) else {
                return Err(unfit(format!("holds `{name}`, which no checkpoint does")));
            };
            let (part, rest) = (name[..end].to_string(), name[end + 1..].to_string());
            parts.entry(part).or_default().push((rest, shape, values));
        }
        let mut states = Vec::with_capacity(plans.len());
        for (at, (plan, held)) in plans.iter().zip(said.dictionaries).enumerate() {
            let mut state = State::of(plan, held.config, device)?;
            let weights = parts.remove(&format!("{at}/weights")).unwrap_or_default();
            let weights = state.sae.weights().replaced_by(weights, device);
            let weights =
                weights.map_err(|error| unfit(format!("its weights do not fit: {error}")))?;
            state.sae = state.sae.with_weights(weights);
            let moments = parts.remove(&format!("{at}/optimizer")).unwrap_or_default();
            let optimizer = OptimizerState {
                tensors: moments
                    .into_iter()
                    .map(|(name, _, values)| (name, values))
                    .collect(),
                counts: held.counts,
            };
            state
                .optimizer
                .restore(optimizer, state.sae.weights(), device);
            if held.idle.len() != state.idle.len() {
                return Err(unfit(format!("counts {} latents", held.idle.len())));
            }
            state.idle = held.idle;
            state.steering = held.steering;
            state.sums = held.sums;
            state.reports = held.reports;
            states.push(state);
        }
        Ok(Self {
            step: said.step,
            place: said.place,
            states,
        })
    }
}
