//! A patch laid over every example.

use burn::tensor::{Tensor, TensorData};
use mr_models::{ModelSpec, Place, floats};

use super::{Attack, at_least_one};
use crate::error::AttackError;
use crate::patch::Patch;
use crate::randomness::Draw;
use crate::threat::ThreatModel;
use crate::victim::Victim;

/// Lays a patch, such as what [`fit_patch`](crate::fit_patch) found, over every example. Where the
/// patch lies anywhere, so many places are tried, drawn for each example, until one reaches the goal.
#[derive(Debug, Clone, PartialEq)]
pub struct LaidPatch {
    /// The patch.
    pub patch: Patch,
    /// Places that are tried: 1 for the expectation over places, more for the worst of them. A patch
    /// with a place of its own needs no more than 1.
    pub places: u32,
}

impl Attack for LaidPatch {
    fn name(&self) -> String {
        "patch".into()
    }

    fn fits(&self, spec: &ModelSpec, threat: &ThreatModel) -> Result<(), AttackError> {
        if threat.place != Place::Input {
            return Err(AttackError::Unfit(format!(
                "a patch lies on the input, not at `{}`",
                threat.place
            )));
        }
        at_least_one("places", self.places as usize)?;
        self.patch.fits(spec)
    }

    fn run(&self, victim: &Victim<'_>) -> Result<Tensor<2>, AttackError> {
        let shape = victim.origin().dims();
        let geometry = victim.geometry();
        let clean = floats(victim.origin().clone());
        let mut found = clean.clone();
        let mut open: Vec<usize> = (0..shape[0]).collect();
        for restart in 0..self.places {
            let draw = Draw {
                seed: victim.seed(),
                attack: "patch",
                restart,
                step: 0,
            };
            for &row in &open {
                let at = row * shape[1]..(row + 1) * shape[1];
                let point = &mut found[at.clone()];
                point.copy_from_slice(&clean[at]);
                let picture = [geometry.height, geometry.width];
                let example = victim.examples()[row];
                let coordinates = self.patch.coordinates(picture, draw, example);
                for (coordinate, value) in coordinates.into_iter().zip(&self.patch.values) {
                    point[coordinate] = *value;
                }
            }
            if restart + 1 == self.places {
                break;
            }
            let part = victim.select(&open);
            let tried: Vec<f32> = open
                .iter()
                .flat_map(|&row| found[row * shape[1]..(row + 1) * shape[1]].to_vec())
                .collect();
            let tried = TensorData::new(tried, [open.len(), shape[1]]);
            let logits = part.logits(&Tensor::from_data(tried, &victim.device()));
            let reached = part.reached(&logits);
            open = open
                .into_iter()
                .zip(reached)
                .filter_map(|(row, reached)| (!reached).then_some(row))
                .collect();
            if open.is_empty() {
                break;
            }
        }
        Ok(Tensor::from_data(
            TensorData::new(found, shape),
            &victim.device(),
        ))
    }
}
