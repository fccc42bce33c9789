//! What a dictionary is to be, and how it is fitted.

use mr_sae::{Kind, L0Penalty, Revival, SaeConfig};
use serde::{Deserialize, Serialize};

use crate::error::{TrainError, above_0, at_least_0, share};

/// A dictionary that is to be fitted. Several are fitted at once, from one stream of activations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Names it in files and reports.
    pub name: String,
    /// What it is.
    pub dictionary: SaeConfig,
    /// How it is fitted.
    #[serde(default)]
    pub fit: FitConfig,
}

/// How a dictionary is fitted: Adam (Kingma & Ba 2015) on [`Sae::loss`](mr_sae::Sae::loss).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FitConfig {
    /// Seed of the initial weights and of resampling.
    pub seed: u64,
    /// Learning rate at the top of its schedule.
    pub lr: f64,
    /// Decay of the mean and of the mean square of gradients.
    pub betas: [f64; 2],
    /// Steps over which the learning rate rises linearly to its top.
    pub warmup: usize,
    /// Last steps over which it falls linearly to 0.
    pub decay: usize,
    /// What the cost of activity is multiplied by at the end of its warm-up: the l1 or the l0 coefficient.
    pub sparsity: f32,
    /// Steps over which that coefficient rises linearly from 0; with `l0`, over which the wanted number falls geometrically from
    /// that of the first batch.
    pub sparsity_warmup: usize,
    /// Active latents of a sample that are wanted, above 0 and at most `d_sae`: the coefficient begins at `sparsity` and follows
    /// their number. Only of kinds whose activity costs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub l0: Option<f32>,
    /// Where the number of active latents begins that falls linearly to the dictionary's `k`. Only of kinds with a `k`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_k: Option<f32>,
    /// Steps over which it falls.
    pub k_warmup: usize,
    /// What activations are multiplied by: one number, such that their mean norm is the root of their channels. Measured on
    /// the first load and kept in the dictionary.
    pub normalize: bool,
    /// What the decoder's bias starts from.
    pub centre: Centre,
    /// The norm of the decoder's rows at first; `None` leaves them as Xavier draws them.
    pub decoder_norm: Option<f32>,
    /// Whether the decoder's rows keep norm 1: gradients lose what would lengthen a row, and rows are scaled after every step.
    pub unit_norm: bool,
    /// What is done in the loss for dead latents.
    pub revival: Revival,
    /// A latent is dead if no one of so many samples turned it on.
    pub dead_after: usize,
    /// Dead latents are drawn anew now and then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resample: Option<Resample>,
}

/// What the decoder's bias starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Centre {
    /// 0.
    #[default]
    Zero,
    /// The point of least total distance to the first samples (Bricken et al. 2023).
    GeometricMedian,
    /// Their mean.
    Mean,
}

/// Dead latents are given the direction of a sample that is badly reconstructed, drawn in proportion to its squared error
/// (Bricken et al. 2023, "Neuron Resampling").
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Resample {
    /// Steps between two times.
    pub every: usize,
    /// The last step at which it is done.
    pub until: usize,
    /// The norm of a new encoder column, as a share of the living ones' mean.
    pub share: f32,
}

impl Default for Resample {
    fn default() -> Self {
        Self {
            every: 2500,
            until: 10_000,
            share: 0.2,
        }
    }
}

impl Default for FitConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            lr: 1e-3,
            betas: [0.9, 0.999],
            warmup: 0,
            decay: 0,
            sparsity: 0.0,
            sparsity_warmup: 0,
            l0: None,
            first_k: None,
            k_warmup: 0,
            normalize: false,
            centre: Centre::Zero,
            decoder_norm: Some(1.0),
            unit_norm: true,
            revival: Revival::None,
            dead_after: 100_000,
            resample: None,
        }
    }
}

impl Plan {
    /// Checks every setting, and that samples of so many channels are what the dictionary reads, or reads and writes.
    pub(super) fn check(&self, width: usize) -> Result<(), TrainError> {
        let (config, fit) = (&self.dictionary, &self.fit);
        config.check()?;
        let wanted = if config.d_out() == config.d_in {
            vec![config.d_in, 2 * config.d_in]
        } else {
            vec![config.d_in + config.d_out()]
        };
        if !wanted.contains(&width) {
            return Err(TrainError::Data(format!(
                "samples of {width} channels for a dictionary of d_in {} and d_out {}",
                config.d_in,
                config.d_out()
            )));
        }
        above_0("lr", fit.lr)?;
        for beta in fit.betas {
            share("betas", beta)?;
        }
        at_least_0("sparsity", f64::from(fit.sparsity))?;
        if fit.dead_after == 0 {
            return Err(TrainError::setting("dead_after", 0, "at least 1"));
        }
        if let Some(resample) = fit.resample {
            if resample.every == 0 {
                return Err(TrainError::setting("resample.every", 0, "at least 1"));
            }
            above_0("resample.share", f64::from(resample.share))?;
            if config.is_tied() {
                return Err(TrainError::setting(
                    "resample",
                    "set",
                    "left out of a tied dictionary",
                ));
            }
        }
        if let Some(l0) = fit.l0 {
            fit.check_l0(l0, config)?;
        }
        if let Some(k) = fit.first_k {
            let Some(last) = k_of(&config.kind) else {
                return Err(TrainError::setting(
                    "first_k",
                    k,
                    format!("left out: {} has no k", config.kind.name()),
                ));
            };
            if !(last..=config.d_sae as f32).contains(&k) {
                let valid = format!(
                    "from k, which is {last}, to d_sae, which is {}",
                    config.d_sae
                );
                return Err(TrainError::setting("first_k", k, valid));
            }
        }
        if fit.unit_norm && config.is_tied() {
            let valid = "false of a tied dictionary, whose rows encode too";
            return Err(TrainError::setting("unit_norm", true, valid));
        }
        Ok(())
    }
}

impl FitConfig {
    /// Whether the coefficient of sparsity can follow L0.
    fn check_l0(&self, l0: f32, config: &SaeConfig) -> Result<(), TrainError> {
        let refused = match &config.kind {
            Kind::TopK(_) | Kind::BatchTopK(_) | Kind::Matryoshka(_) => {
                let name = config.kind.name();
                Some(format!(
                    "left out: the k of {name} says how many are active"
                ))
            }
            Kind::JumpRelu(kind) if matches!(kind.penalty, L0Penalty::Quadratic { .. }) => {
                Some("left out: a quadratic penalty has a target of its own".into())
            }
            _ => None,
        };
        if let Some(valid) = refused {
            return Err(TrainError::setting("l0", l0, valid));
        }
        if !(l0 > 0.0 && l0 <= config.d_sae as f32) {
            let valid = format!("above 0, at most d_sae, which is {}", config.d_sae);
            return Err(TrainError::setting("l0", l0, valid));
        }
        if self.sparsity <= 0.0 {
            let valid = "above 0 with l0: the coefficient begins there";
            return Err(TrainError::setting("sparsity", self.sparsity, valid));
        }
        Ok(())
    }

    /// The learning rate of a step of so many.
    pub(super) fn rate(&self, step: usize, steps: usize) -> f64 {
        self.lr * ramp(step, self.warmup).min(self.falling(step, steps))
    }

    /// The share of its top that the learning rate has fallen to.
    pub(super) fn falling(&self, step: usize, steps: usize) -> f64 {
        let left = steps - step;
        if left <= self.decay {
            left as f64 / (self.decay + 1) as f64
        } else {
            1.0
        }
    }

    /// Which share of the warm-up of sparsity a step has behind it.
    pub(super) fn sparsity_ramp(&self, step: usize) -> f64 {
        ramp(step, self.sparsity_warmup)
    }

    /// The kind with the number of active latents that a step has.
    pub(super) fn kind(&self, kind: &Kind, step: usize) -> Option<Kind> {
        let (first, last) = (self.first_k?, k_of(kind)?);
        if step > self.k_warmup {
            return None;
        }
        let k = first + (last - first) * ramp(step, self.k_warmup) as f32;
        let mut kind = kind.clone();
        match &mut kind {
            Kind::TopK(kind) => kind.k = k.round() as usize,
            Kind::BatchTopK(kind) => kind.k = k,
            Kind::Matryoshka(kind) => kind.k = k,
            Kind::Relu(_) | Kind::Gated(_) | Kind::JumpRelu(_) => {}
        }
        Some(kind)
    }
}

/// From just above 0 to 1 over so many steps.
fn ramp(step: usize, steps: usize) -> f64 {
    if step < steps {
        (step + 1) as f64 / (steps + 1) as f64
    } else {
        1.0
    }
}

fn k_of(kind: &Kind) -> Option<f32> {
    match kind {
        Kind::TopK(kind) => Some(kind.k as f32),
        Kind::BatchTopK(kind) => Some(kind.k),
        Kind::Matryoshka(kind) => Some(kind.k),
        Kind::Relu(_) | Kind::Gated(_) | Kind::JumpRelu(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use mr_sae::{JumpRelu, Relu, TopK};

    use super::*;

    #[test]
    fn rates_rise_and_fall() {
        let fit = FitConfig {
            lr: 1.0,
            warmup: 3,
            decay: 2,
            ..FitConfig::default()
        };
        let rates: Vec<f64> = (0..8).map(|step| fit.rate(step, 8)).collect();
        let thirds = 1.0 / 3.0;
        assert_eq!(
            rates,
            [0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 2.0 * thirds, thirds]
        );
        let fit = FitConfig {
            sparsity_warmup: 1,
            ..FitConfig::default()
        };
        assert_eq!([fit.sparsity_ramp(0), fit.sparsity_ramp(1)], [0.5, 1.0]);
        let fit = FitConfig {
            first_k: Some(8.0),
            k_warmup: 3,
            ..FitConfig::default()
        };
        let k = |step| {
            fit.kind(&TopK::new(4).into(), step)
                .and_then(|kind| k_of(&kind))
        };
        assert_eq!(
            [k(0), k(1), k(3), k(4)],
            [Some(7.0), Some(6.0), Some(4.0), None]
        );
    }

    #[test]
    fn settings_that_do_not_fit_are_named() {
        let plan = |fit| Plan {
            name: "a".into(),
            dictionary: SaeConfig::new(4, 8, Relu::default()),
            fit,
        };
        let error = |fit| plan(fit).check(4).unwrap_err().to_string();
        plan(FitConfig::default()).check(4).unwrap();
        assert!(
            error(FitConfig {
                lr: 0.0,
                ..FitConfig::default()
            })
            .starts_with("lr is 0")
        );
        let k = FitConfig {
            first_k: Some(3.0),
            ..FitConfig::default()
        };
        assert!(error(k).contains("relu has no k"));
        let l0 = |l0, sparsity| FitConfig {
            l0: Some(l0),
            sparsity,
            ..FitConfig::default()
        };
        plan(l0(2.0, 0.1)).check(4).unwrap();
        assert!(error(l0(2.0, 0.0)).contains("the coefficient begins there"));
        for out in [0.0, 9.0, f32::NAN] {
            assert!(error(l0(out, 0.1)).contains("d_sae, which is 8"), "{out}");
        }
        for (kind, said) in [
            (TopK::new(2).into(), "the k of top-k says"),
            (
                Kind::JumpRelu(JumpRelu {
                    penalty: L0Penalty::Quadratic { target: 2.0 },
                    ..JumpRelu::default()
                }),
                "a target of its own",
            ),
        ] {
            let plan = Plan {
                dictionary: SaeConfig::new(4, 8, kind),
                ..plan(l0(2.0, 0.1))
            };
            let error = plan.check(4).unwrap_err().to_string();
            assert!(
                error.starts_with("l0 is 2") && error.contains(said),
                "{error}"
            );
        }
        let error = plan(FitConfig::default()).check(5).unwrap_err().to_string();
        assert!(error.contains("samples of 5 channels"), "{error}");
    }
}
