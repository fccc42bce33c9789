//! What an edit does to a part of an activation.

use burn::tensor::{Device, Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};

/// A rewrite of a part `[batch, position, channel]`. Values are row-major `[position, channel]`
/// over the edited region, or one per channel where that is what is said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Rewrite {
    /// Zero ablation.
    Zero,
    /// Mean ablation: the mean over a reference batch, `[position, channel]`.
    Mean {
        /// The mean activation.
        values: Vec<f32>,
    },
    /// Activation patching: the activation of another run, `[example, position, channel]` with one
    /// example (for all) or as many as the batch.
    Patch {
        /// Number of examples that `values` holds.
        examples: usize,
        /// The other run's activation.
        values: Vec<f32>,
    },
    /// Resample ablation: example i gets the activation of example `donors[i]` of the same batch.
    Resample {
        /// One index into the batch per example.
        donors: Vec<usize>,
    },
    /// Adds a vector to each position, times a strength: steering.
    Add {
        /// One value per channel.
        direction: Vec<f32>,
        /// What the direction is multiplied with.
        strength: f32,
    },
    /// Multiplies by a factor.
    Scale {
        /// The factor.
        factor: f32,
    },
    /// Removes the component along a direction, or keeps nothing else.
    Project {
        /// One value per channel; need not have length 1.
        direction: Vec<f32>,
        /// Whether the component is kept (and the rest removed) instead.
        keep: bool,
    },
}

impl Rewrite {
    /// The patch that a recorded activation `[example, position, channel]` makes.
    pub fn patch(activation: Tensor<3>) -> Self {
        Self::Patch {
            examples: activation.dims()[0],
            values: crate::host::floats(activation),
        }
    }

    /// Checks sizes against a region of `[position, channel]`.
    pub(super) fn fits(&self, [positions, channels]: [usize; 2]) -> Result<(), String> {
        let (values, needed) = match self {
            Self::Zero | Self::Resample { .. } => return Ok(()),
            Self::Scale { factor } => return finite(&[*factor]),
            Self::Mean { values } => (values, positions * channels),
            Self::Patch { examples, values } => (values, examples * positions * channels),
            Self::Add { direction, .. } => (direction, channels),
            Self::Project { direction, .. } => {
                if direction.iter().all(|&value| value == 0.0) {
                    return Err("the direction is zero".into());
                }
                (direction, channels)
            }
        };
        if values.len() != needed || needed == 0 {
            return Err(format!(
                "{} values given, {needed} needed for {positions} positions and {channels} channels",
                values.len()
            ));
        }
        finite(values)
    }

    pub(super) fn apply(&self, part: Tensor<3>) -> Tensor<3> {
        let [batch, positions, channels] = part.dims();
        let device: Device = part.device().inner();
        let values = |values: &[f32], shape: [usize; 3]| {
            Tensor::<3>::from_data(TensorData::new(values.to_vec(), shape), &device)
        };
        match self {
            Self::Zero => part.zeros_like(),
            Self::Mean { values: mean } => {
                values(mean, [1, positions, channels]).expand([batch, positions, channels])
            }
            Self::Patch {
                examples,
                values: donor,
            } => {
                assert!(
                    *examples == 1 || *examples == batch,
                    "a patch of {examples} examples on a batch of {batch}"
                );
                values(donor, [*examples, positions, channels]).expand([batch, positions, channels])
            }
            Self::Resample { donors } => {
                assert_eq!(donors.len(), batch, "one donor per example of the batch");
                let donors: Vec<i64> = donors.iter().map(|&donor| donor as i64).collect();
                part.select(0, Tensor::<1, Int>::from_data(donors.as_slice(), &device))
            }
            Self::Add {
                direction,
                strength,
            } => part + values(direction, [1, 1, channels]) * *strength,
            Self::Scale { factor } => part * *factor,
            Self::Project { direction, keep } => {
                let length = direction.iter().map(|v| v * v).sum::<f32>().sqrt();
                let unit: Vec<f32> = direction.iter().map(|v| v / length).collect();
                let unit = values(&unit, [1, 1, channels]);
                let component = (part.clone() * unit.clone()).sum_dim(2) * unit;
                if *keep { component } else { part - component }
            }
        }
    }
}

fn finite(values: &[f32]) -> Result<(), String> {
    match values.iter().find(|value| !value.is_finite()) {
        Some(value) => Err(format!("{value} is not finite")),
        None => Ok(()),
    }
}
