//! One dictionary on its way.

use burn::tensor::{Device, Tensor, TensorData};
use mr_sae::{
    Dictionary, Initial, Means, Normalization, Sae, SaeConfig, Step, Strength, geometric_median,
    off_rows,
};
use serde::{Deserialize, Serialize};

use super::plan::{Centre, Plan};
use super::steer::Steering;
use crate::config::{AdamW, OptimizerConfig};
use crate::error::TrainError;
use crate::optimizer::Optimizer;
use crate::random::derived;

/// Samples that the centre is measured on at most.
const CENTRED_ON: usize = 10_000;

/// What a dictionary did over some steps: means over their samples.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Report {
    /// Steps that were done when it was made.
    pub step: usize,
    /// The loss with all its parts.
    pub loss: f64,
    /// The squared error of the reconstruction, summed over channels, in the units of the loss.
    pub squared_error: f64,
    /// Active latents of a sample.
    pub l0: f64,
    /// Share of the variance within batches that is reconstructed, a ratio of sums; NaN where nothing varies.
    pub explained: f64,
    /// Latents that are dead now.
    pub dead: usize,
    /// What the cost of activity was multiplied by on the last step.
    #[serde(default)]
    pub coefficient: f64,
}

/// Sums since the last report.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Sums {
    samples: f64,
    loss: f64,
    squared_error: f64,
    active: f64,
    variance: f64,
}

pub(super) struct State {
    pub(super) plan: Plan,
    pub(super) sae: Sae,
    pub(super) optimizer: Optimizer,
    /// Samples since each latent was on.
    pub(super) idle: Vec<u64>,
    /// What the coefficient of sparsity follows L0 by, where it does.
    pub(super) steering: Option<Steering>,
    /// The last step's coefficient of sparsity.
    coefficient: f32,
    pub(super) sums: Sums,
    pub(super) reports: Vec<Report>,
}

impl State {
    /// A dictionary before its first step; `first` are samples that scale and centre are measured on.
    pub(super) fn begin(
        plan: &Plan,
        first: &[f32],
        width: usize,
        device: &Device,
    ) -> Result<Self, TrainError> {
        let mut config = plan.dictionary.clone();
        if plan.fit.normalize {
            config.normalization = scale(first, width, &config)?;
        }
        let unit = match config.normalization {
            Normalization::ExpectedAverage { scale } if config.d_out() == config.d_in => scale,
            _ => 1.0,
        };
        let centre = if config.is_tied() || plan.fit.centre == Centre::Zero {
            None
        } else {
            let (_, target) = split(
                &first[..first.len().min(CENTRED_ON * width)],
                width,
                &config,
            );
            let point = match plan.fit.centre {
                Centre::Mean => mean(&target, config.d_out()),
                Centre::GeometricMedian | Centre::Zero => geometric_median(&target, config.d_out()),
            };
            Some(point.into_iter().map(|value| value * unit).collect())
        };
        let initial = Initial {
            decoder_norm: plan.fit.decoder_norm,
            centre,
        };
        Self::with_initial(plan, config, &initial, device)
    }

    /// A dictionary whose weights come later: those of a checkpoint.
    pub(super) fn of(plan: &Plan, config: SaeConfig, device: &Device) -> Result<Self, TrainError> {
        Self::with_initial(plan, config, &Initial::default(), device)
    }

    fn with_initial(
        plan: &Plan,
        config: SaeConfig,
        initial: &Initial,
        device: &Device,
    ) -> Result<Self, TrainError> {
        let seed = derived(plan.fit.seed, "dictionary", 0);
        let sae = Sae::init_with(config, initial, seed, device)?;
        let rule = OptimizerConfig::AdamW(AdamW {
            lr: plan.fit.lr,
            betas: plan.fit.betas,
            weight_decay: 0.0,
            ..AdamW::default()
        });
        Ok(Self {
            optimizer: Optimizer::new(&rule, sae.weights()),
            idle: vec![0; sae.d_sae()],
            coefficient: 0.0,
            steering: plan.fit.l0.map(|_| Steering::new(plan.fit.sparsity)),
            plan: plan.clone(),
            sae,
            sums: Sums::default(),
            reports: Vec::new(),
        })
    }

    /// Which latents are dead.
    pub(super) fn dead(&self) -> Vec<bool> {
        let after = self.plan.fit.dead_after as u64;
        self.idle.iter().map(|&samples| samples >= after).collect()
    }

    /// One step down the gradient of a batch.
    pub(super) fn step(
        &mut self,
        batch: &[f32],
        width: usize,
        [step, steps]: [usize; 2],
        means: Means,
    ) -> Result<(), TrainError> {
        let fit = &self.plan.fit;
        let (x, target) = split(batch, width, self.sae.config());
        let dead = self.dead();
        let coefficient = match &self.steering {
            Some(steering) => steering.coefficient(),
            None => fit.sparsity * fit.sparsity_ramp(step) as f32,
        };
        let strength = Strength {
            sparsity: coefficient,
            revival: fit.revival,
            dead: Some(&dead),
        };
        let scheduled = fit.kind(&self.plan.dictionary.kind, step);
        let found = match scheduled {
            Some(kind) => self
                .sae
                .with_kind(kind)?
                .step(&x, &target, &strength, means),
            None => self.sae.step(&x, &target, &strength, means),
        };
        if !found.total.is_finite() {
            let loss = found.total as f32;
            return Err(TrainError::Diverged { step, loss });
        }
        let (rate, unit_norm) = (fit.rate(step, steps), fit.unit_norm);
        self.coefficient = coefficient;
        if let (Some(steering), Some(wanted)) = (&mut self.steering, fit.l0) {
            let active: f64 = found.active.iter().map(|&count| f64::from(count)).sum();
            let l0 = active * self.sae.d_out() as f64 / target.len() as f64;
            let shares = [fit.sparsity_ramp(step), fit.falling(step, steps)];
            steering.learn(l0, f64::from(wanted), shares, [step, steps]);
        }
        self.count(&found, &target);
        let gradients = self.tensors(found.gradients, unit_norm);
        let weights = self.optimizer.step(rate, self.sae.weights(), gradients);
        let sae = self.sae.with_weights(weights).constrained(unit_norm);
        self.sae = sae.follow(found.least);
        Ok(())
    }

    fn tensors(&self, gradients: Vec<Option<Vec<f32>>>, unit_norm: bool) -> Vec<Option<Tensor<1>>> {
        let weights = self.sae.weights();
        let device = weights.device();
        let each = weights.entries().iter().zip(gradients);
        each.map(|(entry, values)| {
            let values = values?;
            let length = values.len();
            if unit_norm && entry.name == "W_dec" {
                let shape = [length / entry.shape[1], entry.shape[1]];
                let gradient = Tensor::<2>::from_data(TensorData::new(values, shape), &device);
                return Some(off_rows(gradient, weights.get::<2>("W_dec")).flatten(0, 1));
            }
            Some(Tensor::from_data(
                TensorData::new(values, [length]),
                &device,
            ))
        })
        .collect()
    }

    /// Adds what a step found to the sums and to who is dead.
    fn count(&mut self, found: &Step, target: &[f32]) {
        let d_out = self.sae.d_out();
        let samples = target.len() / d_out;
        for (idle, &active) in self.idle.iter_mut().zip(&found.active) {
            *idle = if active > 0 {
                0
            } else {
                *idle + samples as u64
            };
        }
        let n = samples as f64;
        let unit = match self.sae.config().normalization {
            Normalization::ExpectedAverage { scale } if d_out == self.sae.d_in() => {
                f64::from(scale)
            }
            _ => 1.0,
        };
        self.sums.samples += n;
        self.sums.loss += n * found.total;
        self.sums.squared_error += n * found.squared_error;
        self.sums.active += found
            .active
            .iter()
            .map(|&count| f64::from(count))
            .sum::<f64>();
        self.sums.variance += variation(target, d_out) * unit * unit;
    }

    /// What was done since the last report.
    pub(super) fn report(&mut self, step: usize) {
        let sums = std::mem::take(&mut self.sums);
        if sums.samples == 0.0 {
            return;
        }
        let explained = if sums.variance > 0.0 {
            1.0 - sums.squared_error / sums.variance
        } else {
            f64::NAN
        };
        self.reports.push(Report {
            step,
            loss: sums.loss / sums.samples,
            squared_error: sums.squared_error / sums.samples,
            l0: sums.active / sums.samples,
            explained,
            dead: self.dead().into_iter().filter(|&dead| dead).count(),
            coefficient: f64::from(self.coefficient),
        });
    }
}

/// What is read and what is to be written of samples `[sample, width]`.
pub(super) fn split<'a>(
    batch: &'a [f32],
    width: usize,
    config: &SaeConfig,
) -> (std::borrow::Cow<'a, [f32]>, std::borrow::Cow<'a, [f32]>) {
    if width == config.d_in {
        return (batch.into(), batch.into());
    }
    let part = |first: usize, last: usize| -> Vec<f32> {
        let rows = batch.chunks(width);
        rows.flat_map(|row| &row[first..last]).copied().collect()
    };
    (part(0, config.d_in).into(), part(config.d_in, width).into())
}

/// The number that gives what is read a mean norm of the root of its channels.
fn scale(first: &[f32], width: usize, config: &SaeConfig) -> Result<Normalization, TrainError> {
    let (x, _) = split(first, width, config);
    let rows = x.chunks(config.d_in);
    let norms = rows.map(|row| {
        row.iter()
            .map(|&v| f64::from(v).powi(2))
            .sum::<f64>()
            .sqrt()
    });
    let norm = norms.sum::<f64>() / (x.len() / config.d_in) as f64;
    if norm <= 0.0 {
        return Err(TrainError::Data(
            "every activation of the first load is 0: there is nothing to normalise".into(),
        ));
    }
    let scale = ((config.d_in as f64).sqrt() / norm) as f32;
    Ok(Normalization::ExpectedAverage { scale })
}

fn mean(values: &[f32], width: usize) -> Vec<f32> {
    let mut sums = vec![0.0f64; width];
    for row in values.chunks(width) {
        for (sum, &value) in sums.iter_mut().zip(row) {
            *sum += f64::from(value);
        }
    }
    let count = (values.len() / width) as f64;
    sums.into_iter().map(|sum| (sum / count) as f32).collect()
}

/// The sum of squared distances from the mean.
fn variation(values: &[f32], width: usize) -> f64 {
    let mean = mean(values, width);
    let squares = values.chunks(width).map(|row| {
        let each = row.iter().zip(&mean);
        each.map(|(value, mean)| f64::from(value - mean).powi(2))
            .sum::<f64>()
    });
    squares.sum()
}
