//! Certificates of a data set.

use std::sync::{Mutex, PoisonError};

use burn::tensor::{Int, Tensor};
use mr_models::data::Dataset;
use mr_models::{Input, Model, Network, Workers, class_tensor, floats, predictions};
use serde::{Deserialize, Serialize};

use super::Certifier;
use crate::error::AttackError;
use crate::evaluate::{EvaluationConfig, check_box, data_fits};
use crate::threat::ThreatModel;

/// What is proven of one example.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Certificate {
    /// Its number in the data set that it came from.
    pub index: u64,
    /// Its true class.
    pub label: usize,
    /// The class that the certified classifier gives it; `None` where it abstains.
    pub clean: Option<usize>,
    /// Whether no perturbation of the threat gives it another class than its true one.
    pub certified: bool,
    /// The logit of the true class exceeds every other by at least this, in the whole threat; `None`
    /// where the method bounds no logits.
    pub margin: Option<f32>,
    /// The L2 radius within which the class stays; `None` where the method has no radius of its own,
    /// or abstains.
    pub radius: Option<f64>,
}

/// What is proven of the examples of a data set, in their order.
#[derive(Debug, Clone, PartialEq)]
pub struct Certificates {
    /// One for each example.
    pub examples: Vec<Certificate>,
}

impl Certificates {
    /// Whether the certified classifier is right on each clean example.
    pub fn clean_mask(&self) -> Vec<bool> {
        let right = |one: &Certificate| one.clean == Some(one.label);
        self.examples.iter().map(right).collect()
    }

    /// Whether each example is certified to be right in the whole threat.
    pub fn certified_mask(&self) -> Vec<bool> {
        self.examples.iter().map(|one| one.certified).collect()
    }
}

/// How far certification has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CertifyProgress {
    /// Examples that are done.
    pub done: usize,
    /// Of those, certified.
    pub certified: usize,
}

/// Some examples to be certified.
pub struct Batch<'a> {
    /// The network, with constant weights.
    pub network: &'a Network,
    /// What is certified against.
    pub threat: &'a ThreatModel,
    /// The examples `[batch, channel, height, width]`, inside the threat's box.
    pub input: Tensor<4>,
    /// Their true classes.
    pub labels: Vec<usize>,
    /// Their numbers, which random draws depend on.
    pub numbers: Vec<u64>,
    /// Seed of the random draws.
    pub seed: u64,
}

impl Batch<'_> {
    /// The true classes `[batch]`.
    pub(super) fn truth(&self) -> Tensor<1, Int> {
        class_tensor(&self.labels, &self.input.device()).squeeze_dim(1)
    }

    /// The certificates that lower bounds on margins prove, with the network's own predictions.
    pub(super) fn by_margins(&self, margins: &[f32]) -> Result<Vec<Certificate>, AttackError> {
        let logits = self.network.logits(&Input::Real(self.input.clone()));
        self.check_finite(&logits)?;
        let clean = predictions(&logits);
        let certificate = |(i, &margin): (usize, &f32)| Certificate {
            index: self.numbers[i],
            label: self.labels[i],
            clean: Some(clean[i][0]),
            certified: margin > 0.0,
            margin: Some(margin),
            radius: None,
        };
        Ok(margins.iter().enumerate().map(certificate).collect())
    }

    /// Refuses logits that nothing can be judged by.
    pub(super) fn check_finite(&self, logits: &Tensor<3>) -> Result<(), AttackError> {
        let values = floats(logits.clone());
        let width = values.len() / logits.dims()[0];
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(()),
            Some(at) => Err(AttackError::NotFinite {
                // Where one example is looked at many times, every row is of that example.
                example: self.numbers[(at / width).min(self.numbers.len() - 1)] as usize,
                value: values[at],
            }),
        }
    }
}

/// Certifies every example of a data set against a threat. `progress` is told after each batch; where
/// it says `false`, certification stops.
///
/// What is proven does not depend on batch size, batch order or thread count.
///
/// # Errors
/// [`AttackError`] if threat, method or data do not fit the network, or its logits are not finite;
/// [`AttackError::Stopped`].
pub fn certify(
    network: &Network,
    data: &Dataset,
    threat: &ThreatModel,
    certifier: &dyn Certifier,
    config: &EvaluationConfig,
    progress: &mut (dyn FnMut(CertifyProgress) -> bool + Send),
) -> Result<Certificates, AttackError> {
    if config.batch_size == 0 {
        return Err(AttackError::setting("batch_size", 0, "at least 1"));
    }
    certifier.fits(network, threat)?;
    data_fits(network.spec(), data)?;
    let all: Vec<usize> = (0..data.len()).collect();
    let size = certifier.rows(network, config.batch_size).max(1);
    let batches: Vec<&[usize]> = all.chunks(size).collect();
    let start = CertifyProgress {
        done: 0,
        certified: 0,
    };
    let told = Mutex::new((start, progress));
    let parts = Workers::new(config.threads).map(batches.len(), |batch| {
        let rows = batches[batch];
        let input = data.input(rows, &network.device());
        let numbers: Vec<u64> = rows.iter().map(|&row| data.number(row)).collect();
        check_box(threat, &input, &numbers, data.name())?;
        let found = certifier.certificates(&Batch {
            network,
            threat,
            input: input.real(),
            labels: rows.iter().map(|&row| data.labels()[row]).collect(),
            numbers,
            seed: config.seed,
        })?;
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        let (now, progress) = &mut *told;
        now.done += found.len();
        now.certified += found.iter().filter(|one| one.certified).count();
        if progress(*now) {
            Ok(found)
        } else {
            Err(AttackError::Stopped)
        }
    })?;
    Ok(Certificates {
        examples: parts.concat(),
    })
}
