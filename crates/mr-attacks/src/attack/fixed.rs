//! One perturbation for all.

use std::sync::Arc;

use burn::tensor::{Tensor, TensorData};
use mr_models::{InputKind, ModelSpec, Place};

use super::Attack;
use crate::error::AttackError;
use crate::threat::ThreatModel;
use crate::victim::Victim;

/// Adds the same to every example, such as what [`fit_universal`](crate::fit_universal) found.
#[derive(Debug, Clone, PartialEq)]
pub struct Fixed {
    /// What is added, `[coordinate]`, in the order of a point.
    pub perturbation: Arc<[f32]>,
}

impl Attack for Fixed {
    fn name(&self) -> String {
        "fixed".into()
    }

    fn fits(&self, spec: &ModelSpec, threat: &ThreatModel) -> Result<(), AttackError> {
        let width = coordinates(spec, threat)?;
        if self.perturbation.len() != width {
            return Err(AttackError::setting(
                "the number of values of the perturbation",
                self.perturbation.len(),
                format!("{width}, as many as `{}` has", threat.place),
            ));
        }
        match self.perturbation.iter().find(|value| !value.is_finite()) {
            None => Ok(()),
            Some(value) => Err(AttackError::setting(
                "a perturbation",
                value,
                "finite numbers",
            )),
        }
    }

    fn run(&self, victim: &Victim<'_>) -> Result<Tensor<2>, AttackError> {
        let shape = [1, self.perturbation.len()];
        let added = TensorData::new(self.perturbation.to_vec(), shape);
        Ok(victim.origin().clone() + Tensor::from_data(added, &victim.device()))
    }
}

/// How many coordinates a point has.
pub(crate) fn coordinates(spec: &ModelSpec, threat: &ThreatModel) -> Result<usize, AttackError> {
    match (&threat.place, spec.input) {
        (Place::Site(name), _) => {
            let site = spec.site(name)?;
            Ok(site.positions * site.channels)
        }
        (Place::Input, InputKind::Real { shape }) => Ok(shape.iter().product()),
        (Place::Input, InputKind::Tokens { .. }) => Err(AttackError::Unfit(
            "tokens cannot be perturbed: name the embedding's site instead of the input".into(),
        )),
    }
}
