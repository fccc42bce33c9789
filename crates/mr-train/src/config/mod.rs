//! How a network is trained: the `[train]` table of a TOML file.

mod augmentation;
mod optimizer;
mod perturbation;
mod regularizer;
mod schedule;

use mr_attacks::{AttackConfig, Pgd, ThreatModel};
use serde::{Deserialize, Serialize};

pub use augmentation::Augmentation;
pub use optimizer::{AdamW, OptimizerConfig, Sgd};
pub use perturbation::WeightPerturbation;
pub use regularizer::{Regularizer, Vectors};
pub use schedule::{ScheduleConfig, ScheduleKind};

use crate::error::{TrainError, above_0, at_least_0};
use crate::loss::LossConfig;

/// Passes over the data where neither epochs nor steps are named.
const DEFAULT_EPOCHS: usize = 10;
/// Steps on a stream without end where none are named.
const DEFAULT_STEPS: usize = 10_000;

/// How a network is trained. Every field has a default; it is the `[train]` table of a TOML file.
///
/// ```
/// let config: mr_train::TrainConfig = toml::from_str(r#"
///     seed = 1
///     epochs = 20
///     optimizer = { type = "sgd", lr = 0.05, momentum = 0.9 }
///     schedule = { kind = "cosine", warmup = 100 }
///     augmentation = { crop = 2, flip = true }
///
///     [loss]
///     type = "adversarial"
///     mix = "half"
///     threat = { norm = "Linf", epsilon = 0.1 }
///     attack = { type = "pgd", steps = 7 }
/// "#)?;
/// assert_eq!(config.batch_size, 128);
/// # Ok::<(), toml::de::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// Seed of every draw: order, augmentation, dropout, attacks, streams. The network brings its own
    /// initial weights.
    pub seed: u64,
    /// Passes over the data; 10 where neither these nor `steps` are named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epochs: Option<usize>,
    /// Steps of the optimizer, instead of epochs; 10,000 on a stream where none are named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<usize>,
    /// Examples per step. What is left of an epoch after the last whole batch is not used in it.
    pub batch_size: usize,
    /// Parts that a batch is cut into, each computed on a thread of its own as far as there are
    /// cores. The result depends on this number, never on how many threads there are. BatchNorm
    /// normalises each part by itself (ghost batches, Hoffer et al. 2017).
    pub shards: usize,
    /// What is descended.
    pub loss: LossConfig,
    /// How it is descended.
    pub optimizer: OptimizerConfig,
    /// How the learning rate changes over the run.
    pub schedule: ScheduleConfig,
    /// What is done to images before they are learned from.
    pub augmentation: Augmentation,
    /// What is added to the loss.
    pub regularizers: Vec<Regularizer>,
    /// Moves the weights up the loss before its gradient is taken; not by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_perturbation: Option<WeightPerturbation>,
    /// How the network is judged on the way, which of its states is kept, and when to stop early;
    /// without it the last state is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<Validation>,
    /// When the state of the run is written down; does not change its result.
    pub checkpoint: CheckpointConfig,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            epochs: None,
            steps: None,
            batch_size: 128,
            shards: 2,
            loss: LossConfig::default(),
            optimizer: OptimizerConfig::default(),
            schedule: ScheduleConfig::default(),
            augmentation: Augmentation::default(),
            regularizers: Vec::new(),
            weight_perturbation: None,
            validation: None,
            checkpoint: CheckpointConfig::default(),
        }
    }
}

impl TrainConfig {
    /// Checks what can be checked without a network and data; [`Trainer::new`](crate::Trainer::new)
    /// checks the rest.
    ///
    /// # Errors
    /// [`TrainError::Setting`] naming the setting, its value and the valid ones.
    pub fn validate(&self) -> Result<(), TrainError> {
        if let (Some(epochs), Some(steps)) = (self.epochs, self.steps) {
            return Err(TrainError::setting(
                "epochs",
                epochs,
                format!("left out where steps are named ({steps})"),
            ));
        }
        for (what, value) in [("epochs", self.epochs), ("steps", self.steps)] {
            if value == Some(0) {
                return Err(TrainError::setting(what, 0, "at least 1"));
            }
        }
        for (what, value) in [("batch_size", self.batch_size), ("shards", self.shards)] {
            if value == 0 {
                return Err(TrainError::setting(what, 0, "at least 1"));
            }
        }
        self.loss.validate()?;
        self.optimizer.validate()?;
        self.schedule.validate()?;
        for regularizer in &self.regularizers {
            regularizer.validate()?;
        }
        if let Some(perturbation) = &self.weight_perturbation {
            perturbation.validate(&self.loss)?;
        }
        if let Some(validation) = &self.validation {
            validation.validate()?;
        }
        at_least_0("checkpoint.every_seconds", self.checkpoint.every_seconds)
    }

    /// Steps of the whole run, where an epoch has so many; `None` for a stream.
    pub(crate) fn total_steps(&self, per_epoch: Option<usize>) -> usize {
        match (self.steps, per_epoch) {
            (Some(steps), _) => steps,
            (None, Some(per_epoch)) => self.epochs.unwrap_or(DEFAULT_EPOCHS) * per_epoch,
            (None, None) => DEFAULT_STEPS,
        }
    }
}

/// How a network is judged on its way: on examples held out from its training data, clean and
/// optionally under attack. The best state is what training ends with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Validation {
    /// Examples that are held out, drawn by the seed.
    pub examples: usize,
    /// Epochs between two judgements; the end of training is always judged.
    pub every: usize,
    /// Judgements without a new best after which training stops; never by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patience: Option<usize>,
    /// What an attacker may change. With it the best state is that of the highest robust accuracy,
    /// otherwise of the highest clean one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threat: Option<ThreatModel>,
    /// How the attacker searches; PGD with 10 steps by default.
    pub attack: AttackConfig,
}

impl Default for Validation {
    fn default() -> Self {
        Self {
            examples: 1000,
            every: 1,
            patience: None,
            threat: None,
            attack: short_pgd(),
        }
    }
}

impl Validation {
    fn validate(&self) -> Result<(), TrainError> {
        for (what, value) in [
            ("validation.examples", self.examples),
            ("validation.every", self.every),
        ] {
            if value == 0 {
                return Err(TrainError::setting(what, 0, "at least 1"));
            }
        }
        if self.patience == Some(0) {
            return Err(TrainError::setting(
                "validation.patience",
                0,
                "at least 1, or left out",
            ));
        }
        Ok(())
    }
}

/// When the state of a run is written to its folder: whichever comes first, and at the end.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CheckpointConfig {
    /// After so many steps; 0 for never.
    pub every_steps: usize,
    /// After so many seconds.
    pub every_seconds: f64,
}

impl Default for CheckpointConfig {
    fn default() -> Self {
        Self {
            every_steps: 0,
            every_seconds: 30.0,
        }
    }
}

/// What training attacks by where nothing else is said: PGD with 10 steps.
pub(crate) fn short_pgd() -> AttackConfig {
    AttackConfig::Pgd(Pgd {
        steps: 10,
        ..Pgd::default()
    })
}

/// Checks a learning rate.
fn learning_rate(lr: f64) -> Result<(), TrainError> {
    above_0("optimizer.lr", lr)
}

#[cfg(test)]
mod tests {
    use mr_attacks::Norm;

    use super::*;
    use crate::loss::{Adversarial, Mix};

    #[test]
    fn an_empty_table_is_the_default_and_configurations_round_trip() {
        assert_eq!(
            toml::from_str::<TrainConfig>("").unwrap(),
            TrainConfig::default()
        );
        let config = TrainConfig {
            steps: Some(7),
            loss: LossConfig::Adversarial(Adversarial {
                mix: Mix::Half,
                threat: ThreatModel::new(Norm::L2, 1.5),
                ..Adversarial::default()
            }),
            regularizers: vec![Regularizer::WeightL1 {
                lambda: 1e-4,
                weight: None,
            }],
            validation: Some(Validation {
                threat: Some(ThreatModel::new(Norm::Linf, 0.1)),
                ..Validation::default()
            }),
            ..TrainConfig::default()
        };
        let text = toml::to_string(&config).unwrap();
        assert_eq!(toml::from_str::<TrainConfig>(&text).unwrap(), config);
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<TrainConfig>(&text).unwrap(), config);
    }

    #[test]
    fn the_table_of_the_readme_is_read() {
        let readme = include_str!("../../README.md");
        let (_, from) = readme.split_once("```toml\n").unwrap();
        let (text, _) = from.split_once("```").unwrap();
        let table: toml::Table = toml::from_str(text).unwrap();
        let config: TrainConfig = table["train"].clone().try_into().unwrap();
        config.validate().unwrap();
        assert_eq!(config.validation.unwrap().patience, Some(5));
    }

    #[test]
    fn unknown_keys_are_refused_at_every_depth() {
        for text in [
            "epoch = 3",
            "optimizer = { type = \"sgd\", learning_rate = 0.1 }",
            "loss = { type = \"trades\", gamma = 6.0 }",
            "schedule = { kind = \"cosine\", warm = 3 }",
            "validation = { patiense = 3 }",
            "regularizers = [{ type = \"weight-l1\", lambda = 1.0, site = \"x\" }]",
        ] {
            let error = toml::from_str::<TrainConfig>(text).unwrap_err().to_string();
            assert!(error.contains("unknown field"), "{text}: {error}");
        }
    }

    #[test]
    fn settings_outside_their_range_are_named() {
        let said = |change: &dyn Fn(&mut TrainConfig)| {
            let mut config = TrainConfig::default();
            change(&mut config);
            config.validate().unwrap_err().to_string()
        };
        assert_eq!(
            said(&|config| config.batch_size = 0),
            "batch_size is 0, must be at least 1"
        );
        assert_eq!(
            said(&|config| (config.epochs, config.steps) = (Some(3), Some(100))),
            "epochs is 3, must be left out where steps are named (100)"
        );
        assert_eq!(
            said(&|config| {
                config.optimizer = OptimizerConfig::AdamW(AdamW {
                    lr: f64::NAN,
                    ..AdamW::default()
                });
            }),
            "optimizer.lr is NaN, must be a finite number above 0"
        );
        assert_eq!(
            said(&|config| config.checkpoint.every_seconds = -1.0),
            "checkpoint.every_seconds is -1, must be a finite number, at least 0"
        );
    }

    #[test]
    fn a_run_is_as_long_as_it_says() {
        let config = TrainConfig::default();
        assert_eq!(config.total_steps(Some(78)), 780);
        assert_eq!(config.total_steps(None), 10_000);
        let config = TrainConfig {
            steps: Some(5),
            ..config
        };
        assert_eq!(config.total_steps(Some(78)), 5);
    }
}
