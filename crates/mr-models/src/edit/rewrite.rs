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
    /// Activation patching within a subspace of the channels: what the part has in it becomes what the other
    /// run has, and the rest stays (Geiger et al. 2023, distributed interchange intervention).
    PatchWithin {
        /// Orthonormal directions that span the subspace, `[direction, channel]`.
        basis: Vec<f32>,
        /// Number of examples that `values` holds.
        examples: usize,
        /// The other run's activation, as in a patch.
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

    /// The patch that a recorded activation `[example, position, channel]` makes within the subspace of
    /// these orthonormal directions `[direction, channel]`.
    pub fn patch_within(activation: Tensor<3>, basis: Vec<f32>) -> Self {
        Self::PatchWithin {
            basis,
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
            Self::PatchWithin {
                basis,
                examples,
                values,
            } => {
                orthonormal(basis, channels)?;
                (values, examples * positions * channels)
            }
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
            Self::PatchWithin {
                basis,
                examples,
                values: donor,
            } => {
                assert!(
                    *examples == 1 || *examples == batch,
                    "a patch of {examples} examples on a batch of {batch}"
                );
                let directions = basis.len() / channels;
                let basis = values(basis, [1, directions, channels]);
                let change = values(donor, [*examples, positions, channels]) - part.clone();
                part + change.matmul(basis.clone().transpose()).matmul(basis)
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

/// Rows of length 1 at right angles, to rounding.
fn orthonormal(basis: &[f32], channels: usize) -> Result<(), String> {
    if channels == 0 || basis.is_empty() || !basis.len().is_multiple_of(channels) {
        return Err(format!(
            "{} values are no directions of {channels} channels",
            basis.len()
        ));
    }
    finite(basis)?;
    for (i, a) in basis.chunks_exact(channels).enumerate() {
        for (j, b) in basis.chunks_exact(channels).take(i + 1).enumerate() {
            let product: f32 = a.iter().zip(b).map(|(a, b)| a * b).sum();
            if (product - f32::from(u8::from(i == j))).abs() > 1e-3 {
                return Err(format!(
                    "directions {j} and {i} have product {product}: they must be orthonormal"
                ));
            }
        }
    }
    Ok(())
}

fn finite(values: &[f32]) -> Result<(), String> {
    match values.iter().find(|value| !value.is_finite()) {
        Some(value) => Err(format!("{value} is not finite")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn within(basis: Vec<f32>) -> Rewrite {
        Rewrite::PatchWithin {
            basis,
            examples: 1,
            values: vec![10.0, 5.0],
        }
    }

    #[test]
    fn only_what_is_in_the_subspace_is_patched() {
        let device = Device::flex();
        let part = Tensor::<3>::from_floats([[[3.0, 4.0]], [[1.0, 2.0]]], &device);
        let patched = |basis| crate::floats(within(basis).apply(part.clone()));
        assert_eq!(patched(vec![0.0, 1.0]), [3.0, 5.0, 1.0, 5.0]);
        assert_eq!(patched(vec![1.0, 0.0, 0.0, 1.0]), [10.0, 5.0, 10.0, 5.0]);
        // Along (3, 4) / 5 the donor reaches 10, the examples 5 and 2.2.
        let expected = [6.0, 8.0, 5.68, 8.24];
        for (found, expected) in patched(vec![0.6, 0.8]).iter().zip(expected) {
            assert!((found - expected).abs() < 1e-5, "{found} is not {expected}");
        }
    }

    #[test]
    fn directions_that_are_not_orthonormal_are_refused() {
        let said = |basis| within(basis).fits([1, 2]).unwrap_err();
        assert!(said(vec![1.0, 1.0]).contains("directions 0 and 0 have product 2"));
        assert!(said(vec![1.0, 0.0, 0.6, 0.8]).contains("directions 0 and 1"));
        assert!(said(vec![1.0]).contains("no directions of 2 channels"));
        assert!(within(vec![0.6, 0.8]).fits([1, 2]).is_ok());
    }
}
