//! Training on interval bounds.

use burn::tensor::Tensor;
use mr_attacks::{Certifier, Ibp, Interval, Norm, ThreatModel, worst_margins};
use mr_models::objective::cross_entropy;
use mr_models::{Cache, Network};
use serde::{Deserialize, Serialize};

use super::Turn;
use crate::error::{TrainError, share};

/// Interval bound propagation training (Gowal et al. 2018, eq. 11): `kappa CE(z) + (1 - kappa) CE(z^)`,
/// where z^ are the worst logits that interval bounds allow in the ball. What it makes is certified
/// by `mr certify --method ibp`.
///
/// For the first `warmup` of the run it is the cross-entropy alone; over the next `ramp`, epsilon grows
/// linearly from 0 and kappa falls linearly from 1. (The authors' MNIST runs spend 3 % and 17 %; ours are
/// shorter.) Bounds are of the network in evaluation mode: without dropout, with BatchNorm's running
/// statistics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IntervalBounds {
    /// What is certified against; Linf, or a ball that lies in that of Linf.
    pub threat: ThreatModel,
    /// Weight of the clean loss after the ramp.
    pub kappa: f64,
    /// Share of the run that is clean training.
    pub warmup: f64,
    /// Share of the run in which epsilon and kappa change.
    pub ramp: f64,
}

impl Default for IntervalBounds {
    fn default() -> Self {
        Self {
            threat: ThreatModel::new(Norm::Linf, 0.1),
            kappa: 0.5,
            warmup: 0.05,
            ramp: 0.45,
        }
    }
}

impl IntervalBounds {
    pub(super) fn validate(&self) -> Result<(), TrainError> {
        if !(0.0..=1.0).contains(&self.kappa) {
            return Err(TrainError::setting("loss.kappa", self.kappa, "in [0, 1]"));
        }
        share("loss.warmup", self.warmup)?;
        share("loss.ramp", self.ramp)?;
        if self.warmup + self.ramp > 1.0 {
            return Err(TrainError::setting(
                "loss.ramp",
                self.ramp,
                format!("at most {}, what the warm-up leaves", 1.0 - self.warmup),
            ));
        }
        Ok(())
    }

    pub(super) fn fits(&self, network: &Network) -> Result<(), TrainError> {
        Ok(Ibp::default().fits(network, &self.threat)?)
    }

    /// Epsilon, and the weight of the clean loss, after this share of the run.
    fn at(&self, done: f64) -> (f32, f64) {
        let ramped = if done < self.warmup {
            0.0
        } else if self.ramp == 0.0 {
            1.0
        } else {
            ((done - self.warmup) / self.ramp).min(1.0)
        };
        let epsilon = f64::from(self.threat.epsilon) * ramped;
        (epsilon as f32, 1.0 - (1.0 - self.kappa) * ramped)
    }

    pub(super) fn value(&self, turn: &mut Turn<'_>) -> Result<(Tensor<1>, Cache), TrainError> {
        let (epsilon, kappa) = self.at(turn.done);
        let input = turn.batch.input.clone();
        let truth = turn.batch.labels.truth.clone();
        let (logits, cache) = turn.run(&input, None)?;
        let clean = cross_entropy(&logits, &truth).mean();
        if kappa >= 1.0 {
            return Ok((clean, cache));
        }
        let around = Interval::around(&self.threat.with_epsilon(epsilon), &input.real());
        let classes = truth.clone().squeeze_dim(1);
        let margins = worst_margins(&turn.tracked.layers()?, around, &classes, false);
        let worst = cross_entropy(&(-margins).unsqueeze_dim(1), &truth).mean();
        Ok((clean * kappa + worst * (1.0 - kappa), cache))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epsilon_and_kappa_ramp_together() {
        let loss = IntervalBounds {
            warmup: 0.2,
            ramp: 0.4,
            ..IntervalBounds::default()
        };
        for (done, epsilon, kappa) in [
            (0.0, 0.0, 1.0),
            (0.2, 0.0, 1.0),
            (0.4, 0.05, 0.75),
            (0.6, 0.1, 0.5),
            (0.9, 0.1, 0.5),
        ] {
            let (found, weight) = loss.at(done);
            assert!((found - epsilon).abs() < 1e-7 && (weight - kappa).abs() < 1e-9);
        }
        let at_once = IntervalBounds {
            warmup: 0.0,
            ramp: 0.0,
            ..loss
        };
        assert!((at_once.at(0.0).1 - 0.5).abs() < 1e-9);
    }
}
