//! The tied dictionary of effective features.

use std::ops::ControlFlow;

use burn::tensor::Device;
use mr_models::floats;
use mr_sae::{Arrangement, Dictionary, Means, Relu, Sae, SaeConfig};
use serde::{Deserialize, Serialize};

use super::Activations;
use super::fit::{FitConfig, FitLength, Plan, Report, fit};
use super::stream::InMemory;
use crate::error::{TrainError, above_0, at_least_0};
use crate::pools::Pools;

/// Samples that a fitted dictionary codes at a time.
const CHUNK: usize = 4096;

/// How the terms of a loss are summed over channels and latents. Over samples it is always the mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reduction {
    /// `||x - x'||^2 + lambda |z|_1`, as the formula is written.
    #[default]
    Sum,
    /// `||x - x'||^2 / d_in + lambda |z|_1 / d_sae`, what calling `mean` on both tensors gives: the
    /// sparsity then weighs `d_in / d_sae` times what it does in the sum, a quarter at an expansion
    /// of 4.
    Mean,
}

/// How a tied dictionary is fitted (Bereska et al. 2025): Adam on
/// `||x - x'||^2 + lambda |z|_1`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DictionaryConfig {
    /// Seed of initial weights and order.
    pub seed: u64,
    /// Latents per channel.
    pub expansion: usize,
    /// Latents, instead of an expansion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latents: Option<usize>,
    /// Weight of the l1 norm of codes.
    pub lambda: f32,
    /// How the terms of the loss are summed over channels and latents.
    pub reduction: Reduction,
    /// Learning rate.
    pub lr: f64,
    /// Samples per step.
    pub batch_size: usize,
    /// Steps. Too few leave latents on that a longer fit turns off, and effective features too many:
    /// on layers of small image nets their number settles between 5,000 and 10,000 steps. A weak
    /// penalty takes longer: on toy models 1,500 steps are enough at lambda 0.1, but at 0.01 they
    /// leave twice as many as 10,000 do.
    pub steps: usize,
}

impl Default for DictionaryConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            expansion: 4,
            latents: None,
            lambda: 0.1,
            reduction: Reduction::Sum,
            lr: 1e-3,
            batch_size: 128,
            steps: 10_000,
        }
    }
}

impl DictionaryConfig {
    fn validate(&self) -> Result<(), TrainError> {
        for (what, value) in [
            ("expansion", self.expansion),
            ("latents", self.latents.unwrap_or(1)),
            ("batch_size", self.batch_size),
            ("steps", self.steps),
        ] {
            if value == 0 {
                return Err(TrainError::setting(what, 0, "at least 1"));
            }
        }
        above_0("lr", self.lr)?;
        at_least_0("lambda", f64::from(self.lambda))
    }
}

/// A dictionary and what it does with the samples that it was fitted to.
#[derive(Debug, Clone)]
pub struct FittedDictionary {
    /// The dictionary.
    pub dictionary: Sae,
    /// What it does.
    pub stats: DictionaryStats,
}

/// What a dictionary does with samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DictionaryStats {
    /// Number of samples.
    pub samples: usize,
    /// Steps that it was fitted in.
    pub steps: usize,
    /// Mean loss of each twentieth of the steps.
    pub losses: Vec<f32>,
    /// Mean of `||x - x'||^2` over samples.
    pub squared_error: f64,
    /// Share of the samples' variance around their mean that is reconstructed; NaN where they do not
    /// vary.
    pub explained: f64,
    /// Mean number of latents above 0 in a code.
    pub l0: f64,
    /// Mean of each latent over samples. The shares of their sum are the p of effective features.
    pub activity: Vec<f64>,
    /// Latents that no sample turns on.
    pub dead: usize,
}

/// Fits a tied dictionary to samples, on one thread. The last samples of an epoch that fill no batch
/// are not used in it.
///
/// # Errors
/// [`TrainError::Setting`] for a setting outside its range, [`TrainError::Diverged`] at a loss that
/// is not finite.
pub fn fit_tied(
    activations: &Activations,
    config: &DictionaryConfig,
    device: &Device,
) -> Result<FittedDictionary, TrainError> {
    config.validate()?;
    let width = activations.width();
    let latents = config.latents.unwrap_or(width * config.expansion);
    // The mean over channels is the sum in another unit, which Adam does not see, with another penalty.
    let (unit, lambda) = match config.reduction {
        Reduction::Sum => (1.0, config.lambda),
        Reduction::Mean => (
            1.0 / width as f64,
            config.lambda * width as f32 / latents as f32,
        ),
    };
    let plan = Plan {
        name: "tied".into(),
        dictionary: SaeConfig::new(width, latents, Relu { weighted: false })
            .arranged(Arrangement::Tied),
        fit: FitConfig {
            seed: config.seed,
            lr: config.lr,
            sparsity: lambda,
            decoder_norm: None,
            unit_norm: false,
            ..FitConfig::default()
        },
    };
    let length = FitLength {
        steps: config.steps,
        batch_size: config.batch_size,
        report: config.steps.div_ceil(20),
        checkpoint: usize::MAX,
        early_stop: None,
    };
    let stream = InMemory {
        activations,
        seed: config.seed,
    };
    // One thread's kernels sum in one order: the bits do not depend on the cores.
    Pools::new(1)?.alone(|| {
        let plans = std::slice::from_ref(&plan);
        let mut go_on = |_: super::FitProgress<'_>| ControlFlow::Continue(());
        let mut fitted = fit(
            plans,
            &length,
            &stream,
            None,
            Means::Device,
            device,
            &mut go_on,
        )?;
        // One dictionary for one plan.
        let found = fitted.dictionaries.remove(0);
        let loss = |report: &Report| (report.loss * unit) as f32;
        let losses = found.reports.iter().map(loss).collect();
        let stats = judge(activations, &found.sae, losses, config.steps, device);
        Ok(FittedDictionary {
            dictionary: found.sae,
            stats,
        })
    })
}

fn judge(
    activations: &Activations,
    dictionary: &dyn Dictionary,
    losses: Vec<f32>,
    steps: usize,
    device: &Device,
) -> DictionaryStats {
    let (count, width) = (activations.count(), activations.width());
    let rows: Vec<usize> = (0..count).collect();
    let mut activity = vec![0.0; dictionary.d_sae()];
    let (mut squared_error, mut active) = (0.0, 0.0);
    for rows in rows.chunks(CHUNK) {
        let x = activations.select(rows, device);
        let z = dictionary.encode(x.clone());
        let error = floats((x - dictionary.decode(z.clone())).square().sum_dim(1));
        squared_error += error.iter().map(|&e| f64::from(e)).sum::<f64>();
        active += f64::from(floats(z.clone().greater_elem(0.0).float().sum())[0]);
        for (sum, more) in activity.iter_mut().zip(floats(z.sum_dim(0))) {
            *sum += f64::from(more);
        }
    }
    let mut moments = vec![(0.0, 0.0); width];
    for sample in activations.values().chunks_exact(width) {
        for (moment, &value) in moments.iter_mut().zip(sample) {
            moment.0 += f64::from(value);
            moment.1 += f64::from(value) * f64::from(value);
        }
    }
    let n = count as f64;
    let variance: f64 = moments
        .iter()
        .map(|(sum, square)| square - sum * sum / n)
        .sum();
    for sum in &mut activity {
        *sum /= n;
    }
    DictionaryStats {
        samples: count,
        steps,
        losses,
        squared_error: squared_error / n,
        explained: if variance > 0.0 {
            1.0 - squared_error / variance
        } else {
            f64::NAN
        },
        l0: active / n,
        dead: activity.iter().filter(|&&mean| mean == 0.0).count(),
        activity,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Five sparse features along the axes.
    fn axes(count: usize) -> Activations {
        let features = mr_models::data::SparseFeatures::new(5, 0.2, 0).unwrap();
        Activations::new(features.batch(0, count), 5).unwrap()
    }

    fn effective(stats: &DictionaryStats) -> f64 {
        let total: f64 = stats.activity.iter().sum();
        let shares = stats.activity.iter().map(|mean| mean / total);
        shares
            .filter(|&p| p > 0.0)
            .map(|p| -p * p.ln())
            .sum::<f64>()
            .exp()
    }

    #[test]
    fn five_sparse_features_are_found_as_five() {
        let config = DictionaryConfig {
            latents: Some(40),
            steps: 2000,
            ..DictionaryConfig::default()
        };
        let fitted = fit_tied(&axes(10_000), &config, &Device::flex()).unwrap();
        let stats = &fitted.stats;
        assert_eq!((stats.samples, stats.steps), (10_000, 2000));
        assert_eq!(fitted.dictionary.d_sae(), 40);
        assert!(
            stats.losses[19] < 0.5 * stats.losses[0],
            "{:?}",
            stats.losses
        );
        assert!(stats.explained > 0.9, "{}", stats.explained);
        let found = effective(stats);
        assert!((4.5..8.0).contains(&found), "{found}");
    }

    #[test]
    fn a_heavy_penalty_kills_the_code() {
        let config = DictionaryConfig {
            lambda: 10.0,
            steps: 500,
            ..DictionaryConfig::default()
        };
        let stats = fit_tied(&axes(5000), &config, &Device::flex())
            .unwrap()
            .stats;
        let code: f64 = stats.activity.iter().sum();
        assert!(code < 0.01 && stats.explained < 0.01, "{stats:?}");
    }

    #[test]
    fn the_same_seed_gives_the_same_bits_in_any_pool() {
        let samples = axes(600);
        let fit = |seed| {
            let config = DictionaryConfig {
                seed,
                steps: 20,
                ..DictionaryConfig::default()
            };
            let fitted = fit_tied(&samples, &config, &Device::flex()).unwrap();
            fitted.dictionary.weights().to_host()
        };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build();
        assert_eq!(fit(0), pool.unwrap().install(|| fit(0)));
        assert_ne!(fit(0), fit(1));
    }

    #[test]
    fn activations_that_never_vary_have_nothing_to_explain() {
        let zeros = Activations::new(vec![0.0; 300], 3).unwrap();
        let config = DictionaryConfig {
            steps: 5,
            ..DictionaryConfig::default()
        };
        let stats = fit_tied(&zeros, &config, &Device::flex()).unwrap().stats;
        assert!(stats.explained.is_nan());
        assert_eq!((stats.squared_error, stats.l0, stats.dead), (0.0, 0.0, 12));
    }

    #[test]
    fn settings_are_checked() {
        let config = DictionaryConfig {
            lambda: -1.0,
            ..DictionaryConfig::default()
        };
        let error = fit_tied(&axes(10), &config, &Device::flex()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "lambda is -1, must be a finite number, at least 0"
        );
        let error = toml::from_str::<DictionaryConfig>("lamda = 1.0").unwrap_err();
        assert!(error.to_string().contains("unknown field"));
    }
}
