//! The loop that trains a network.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use burn::tensor::Tensor;
use mr_attacks::{Attack, EvaluationConfig, Goal, Norm, ThreatModel, evaluate};
use mr_models::{Model, Network, floats};
use serde_json::{Value, json};

use crate::canary::Answer;
use crate::checkpoint::{Best, CHECKPOINT, Checkpoint};
use crate::config::{TrainConfig, Validation};
use crate::error::TrainError;
use crate::foretold::Foretold;
use crate::history::{History, Judgement, MeanLoss};
use crate::loss::Fast;
use crate::optimizer::Optimizer;
use crate::pools::Pools;
use crate::source::{Checksum, Held, Source, TrainingData};
use crate::step::Step;

/// About how many mean losses a history holds.
const RECORDS: usize = 200;

/// Trains one network. The same configuration, network and data give the same bits on the same
/// device, however often the run was killed and resumed and however many threads there are.
pub struct Trainer<'a> {
    config: TrainConfig,
    source: Source<'a>,
    held: Option<Held>,
    network: Network,
    optimizer: Optimizer,
    pools: Pools,
    /// Sites whose activations regularizers read.
    sites: Vec<String>,
    /// What tells this run from others.
    run: Value,
    folder: Option<PathBuf>,
    steps: usize,
    step: usize,
    history: History,
    /// Losses since the last mean in the history that were read, and those still on the device.
    recent: Vec<f32>,
    unread: Vec<Tensor<1>>,
    best: Option<Best>,
    stale: usize,
    /// The perturbation `[batch, coordinate]` that the last step left.
    carried: Option<Tensor<2>>,
}

/// How far a run has come.
#[derive(Debug, Clone, Copy)]
pub struct TrainProgress<'a> {
    /// Steps done.
    pub step: usize,
    /// Steps of the whole run, should it not stop early.
    pub steps: usize,
    /// Whole epochs done; 0 on a stream.
    pub epoch: usize,
    /// Learning rate of the last step.
    pub learning_rate: f64,
    /// Losses and judgements so far, the latest at the ends.
    pub history: &'a History,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// After all its steps.
    Complete,
    /// Early: its validation found nothing better for as long as its patience lasted, or its canary
    /// saw it overfit to one step.
    Early,
    /// The caller stopped it.
    Stopped,
}

/// What training made.
#[derive(Debug, Clone)]
pub struct Trained {
    /// The network: its best state where it was validated, or before it overfitted to one step;
    /// otherwise its last.
    pub network: Network,
    /// Steps behind that state.
    pub step: usize,
    /// How the run ended.
    pub ending: Ending,
    /// What was seen on the way.
    pub history: History,
}

impl<'a> Trainer<'a> {
    /// A run from the network's present weights.
    ///
    /// # Errors
    /// [`TrainError`] if a setting is outside its range, or network, data and loss do not fit each
    /// other.
    pub fn new(
        config: TrainConfig,
        network: Network,
        data: impl Into<TrainingData<'a>>,
    ) -> Result<Self, TrainError> {
        let data = data.into();
        config.validate()?;
        data.fits(network.spec())?;
        config.loss.fits(&network, &data)?;
        for regularizer in &config.regularizers {
            regularizer.fits(network.spec(), network.weights())?;
        }
        if let Some(validation) = &config.validation
            && let Some(threat) = &validation.threat
        {
            if let TrainingData::Sequences(_) = &data {
                let valid = "left out: tokens are judged clean";
                return Err(TrainError::setting("validation.threat", "set", valid));
            }
            threat.fits(network.spec())?;
            validation.attack.attack().fits(network.spec(), threat)?;
        }
        let source = Source::new(data, &config)?;
        let mut sites: Vec<String> = config
            .regularizers
            .iter()
            .filter_map(|regularizer| regularizer.site().map(String::from))
            .collect();
        sites.sort();
        sites.dedup();
        let run = fingerprint(&config, &network, &source);
        Ok(Self {
            held: source.held_out()?,
            steps: config.total_steps(source.steps_per_epoch()),
            optimizer: Optimizer::new(&config.optimizer, network.weights()),
            pools: Pools::new(config.shards)?,
            source,
            sites,
            run,
            config,
            network,
            folder: None,
            step: 0,
            history: History::default(),
            recent: Vec::new(),
            unread: Vec::new(),
            best: None,
            stale: 0,
            carried: None,
        })
    }

    /// Keeps checkpoints in this folder, and goes on from the one that is there, if there is one.
    ///
    /// # Errors
    /// [`TrainError::OtherRun`] if it belongs to another run, [`TrainError::Checkpoint`] if it cannot
    /// be read, [`TrainError::Write`] if the folder cannot be written.
    pub fn resume_or_start(mut self, folder: &Path) -> Result<Self, TrainError> {
        let path = folder.join(CHECKPOINT);
        self.folder = Some(folder.into());
        if !path.exists() {
            // Whoever cannot write here should hear it now, not in half an hour.
            self.write()?;
            return Ok(self);
        }
        let device = self.network.device();
        let found = Checkpoint::read(&path, &self.run, self.network.weights(), &device)?;
        let weights = self.network.weights_mut();
        *weights = found.weights;
        self.optimizer.restore(found.optimizer, weights, &device);
        self.step = found.step;
        self.history = found.history;
        self.recent = found.recent;
        self.best = found.best;
        self.stale = found.stale;
        self.carried = found.carried;
        Ok(self)
    }

    /// Steps done, above 0 where a run was resumed.
    pub fn step(&self) -> usize {
        self.step
    }

    /// Steps of the whole run, should it not stop early.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Trains to the end. After each step `progress` is told; where it breaks, the run stops, with a
    /// checkpoint if it keeps any.
    ///
    /// # Errors
    /// [`TrainError::Diverged`] at a loss that is not finite, [`TrainError::Write`] if a checkpoint
    /// cannot be written, and the errors of attacks.
    pub fn run(
        mut self,
        progress: &mut dyn FnMut(TrainProgress<'_>) -> ControlFlow<()>,
    ) -> Result<Trained, TrainError> {
        let interval = (self.steps / RECORDS).max(1);
        let mut written = Instant::now();
        let mut ending = Ending::Complete;
        while self.step < self.steps {
            if self.is_out_of_patience() || self.has_overfitted() {
                ending = Ending::Early;
                break;
            }
            let learning_rate = self.descend()?;
            if self.step.is_multiple_of(interval) || self.step == self.steps {
                self.record()?;
            }
            if self.is_to_be_judged() {
                self.judge()?;
            }
            self.watch()?;
            let flow = progress(TrainProgress {
                step: self.step,
                steps: self.steps,
                epoch: self.source.epoch(self.step),
                learning_rate,
                history: &self.history,
            });
            if flow.is_break() {
                ending = Ending::Stopped;
                break;
            }
            let every = &self.config.checkpoint;
            if self.folder.is_some()
                && (every.every_steps > 0 && self.step.is_multiple_of(every.every_steps)
                    || written.elapsed().as_secs_f64() >= every.every_seconds)
            {
                self.write()?;
                written = Instant::now();
            }
        }
        self.finish(ending)
    }

    fn finish(mut self, ending: Ending) -> Result<Trained, TrainError> {
        self.read()?;
        self.check_weights()?;
        if self.folder.is_some() {
            self.write()?;
        }
        let returns = self.config.validation.is_some() || self.has_overfitted();
        let best = self.best.filter(|_| returns);
        let step = best.as_ref().map_or(self.step, |best| best.step);
        if let Some(best) = best {
            *self.network.weights_mut() = best.weights;
        }
        Ok(Trained {
            network: self.network,
            step,
            ending,
            history: self.history,
        })
    }

    /// One step down the loss; gives its learning rate.
    fn descend(&mut self) -> Result<f64, TrainError> {
        self.source.prepare(self.step / self.config.loss.replays());
        let step = Step {
            config: &self.config,
            network: &self.network,
            source: &self.source,
            sites: &self.sites,
            number: self.step,
            steps: self.steps,
            carried: self.carried.take(),
        };
        let total = step.descent(&self.pools)?;
        self.carried = total.carried;
        let share = self.config.schedule.share(self.step, self.steps);
        let lr = self.config.optimizer.lr() * share;
        let mut weights = self
            .optimizer
            .step(lr, self.network.weights(), total.gradients);
        for (i, statistics) in total.statistics.into_iter().enumerate() {
            if let Some(values) = statistics {
                let name = weights.entries()[i].name.clone();
                weights.set(&name, values);
            }
        }
        *self.network.weights_mut() = weights;
        self.unread.push(total.loss);
        self.step += 1;
        Ok(lr)
    }

    /// Reads the losses that are still on the device.
    fn read(&mut self) -> Result<(), TrainError> {
        if self.unread.is_empty() {
            return Ok(());
        }
        let before = self.recent.len();
        self.recent
            .extend(floats(Tensor::cat(std::mem::take(&mut self.unread), 0)));
        match self.recent[before..]
            .iter()
            .position(|loss| !loss.is_finite())
        {
            None => Ok(()),
            Some(at) => Err(TrainError::Diverged {
                step: self.step - self.recent.len() + before + at,
                loss: self.recent[before + at],
            }),
        }
    }

    /// Adds the mean of the recent losses to the history.
    fn record(&mut self) -> Result<(), TrainError> {
        self.read()?;
        let sum: f64 = self.recent.iter().map(|&loss| f64::from(loss)).sum();
        self.history.losses.push(MeanLoss {
            step: self.step,
            loss: (sum / self.recent.len() as f64) as f32,
        });
        self.recent.clear();
        Ok(())
    }

    fn is_to_be_judged(&self) -> bool {
        let (Some(validation), Some(per_epoch)) =
            (&self.config.validation, self.source.steps_per_epoch())
        else {
            return false;
        };
        self.step.is_multiple_of(validation.every * per_epoch) || self.step == self.steps
    }

    fn is_out_of_patience(&self) -> bool {
        let patience = self.config.validation.as_ref().and_then(|v| v.patience);
        patience.is_some_and(|patience| self.stale >= patience)
    }

    /// Judges the network on the examples that are held out, and keeps it if it is the best so far.
    fn judge(&mut self) -> Result<(), TrainError> {
        let (Some(validation), Some(held)) = (&self.config.validation, &self.held) else {
            return Ok(());
        };
        let judgement = judgement(&self.network, held, validation, self.config.seed, self.step);
        self.read()?;
        let judgement = judgement?;
        let score = judgement.score();
        if self.best.as_ref().is_none_or(|best| score > best.score) {
            self.best = Some(Best {
                step: self.step,
                score,
                weights: self.network.weights().clone(),
            });
            self.stale = 0;
        } else {
            self.stale += 1;
        }
        self.history.judgements.push(judgement);
        Ok(())
    }

    /// At the end of an epoch, looks whether the network withstands one step and no more.
    fn watch(&mut self) -> Result<(), TrainError> {
        let ends = |per_epoch| self.step.is_multiple_of(per_epoch) || self.step == self.steps;
        let (Some(fast), Some(Held::Examples(held)), true) = (
            self.config.loss.watched(),
            &self.held,
            self.source.steps_per_epoch().is_some_and(ends),
        ) else {
            return Ok(());
        };
        let canary = &fast.canary;
        let seen = canary.look(&self.network, held, fast, self.config.seed, self.step);
        self.read()?;
        let seen = seen?;
        let better = |best: &Best| seen.many_steps as f64 > best.score;
        if self.returns_from_overfitting()
            && !seen.overfitted
            && self.best.as_ref().is_none_or(better)
        {
            self.best = Some(Best {
                step: self.step,
                score: seen.many_steps as f64,
                weights: self.network.weights().clone(),
            });
        }
        self.history.sightings.push(seen);
        Ok(())
    }

    /// Whether the state before overfitting is kept for the end; a validation keeps its own.
    fn returns_from_overfitting(&self) -> bool {
        let stops = |fast: &Fast| fast.canary.then == Answer::Stop;
        self.config.validation.is_none() && self.config.loss.watched().is_some_and(stops)
    }

    /// Whether training stops since the network overfitted to its one step.
    fn has_overfitted(&self) -> bool {
        let stops = |fast: &Fast| fast.canary.then == Answer::Stop;
        self.config.loss.watched().is_some_and(stops)
            && self
                .history
                .sightings
                .last()
                .is_some_and(|seen| seen.overfitted)
    }

    /// The loss of the last step was finite; what the step made of the weights may not be.
    fn check_weights(&self) -> Result<(), TrainError> {
        for entry in self.network.weights().entries() {
            let sum = floats(entry.values.clone().abs().sum())[0];
            if !sum.is_finite() {
                return Err(TrainError::Diverged {
                    step: self.step,
                    loss: sum,
                });
            }
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), TrainError> {
        let Some(folder) = &self.folder else {
            return Ok(());
        };
        let path = folder.join(CHECKPOINT);
        self.read()?;
        self.check_weights()?;
        let checkpoint = Checkpoint {
            step: self.step,
            weights: self.network.weights().clone(),
            optimizer: self.optimizer.state(self.network.weights()),
            best: self.best.clone(),
            carried: self.carried.clone(),
            stale: self.stale,
            history: self.history.clone(),
            recent: self.recent.clone(),
        };
        checkpoint.write(&self.run, &path)
    }
}

fn judgement(
    network: &Network,
    held: &Held,
    validation: &Validation,
    seed: u64,
    step: usize,
) -> Result<Judgement, TrainError> {
    let held = match held {
        Held::Examples(held) => held,
        Held::Sequences(held) => {
            let found = Foretold::of(network, held)?;
            return Ok(Judgement {
                step,
                examples: found.tokens,
                clean: found.right,
                robust: None,
                bits_per_token: Some(found.bits_per_token),
            });
        }
    };
    let config = EvaluationConfig {
        seed,
        ..EvaluationConfig::default()
    };
    let nothing = ThreatModel::new(Norm::Linf, 0.0);
    let (threat, attacks): (_, Vec<&dyn Attack>) = match &validation.threat {
        Some(threat) => (threat, vec![validation.attack.attack()]),
        None => (&nothing, Vec::new()),
    };
    let found = evaluate(network, held, threat, &Goal::Untargeted, &attacks, &config)?;
    let count = |mask: Vec<bool>| mask.into_iter().filter(|&set| set).count();
    Ok(Judgement {
        step,
        examples: held.len(),
        clean: count(found.clean_mask()),
        robust: validation
            .threat
            .is_some()
            .then(|| count(found.robust_mask())),
        bits_per_token: None,
    })
}

/// What a run depends on: all that a checkpoint must agree with.
fn fingerprint(config: &TrainConfig, network: &Network, source: &Source<'_>) -> Value {
    let mut train = json!(config);
    if let Value::Object(train) = &mut train {
        train.remove("checkpoint");
    }
    let mut start = Checksum::default();
    for (_, _, values) in network.weights().to_host() {
        start.add_floats(&values);
    }
    json!({
        "train": train,
        "architecture": network.architecture(),
        "data": source.fingerprint(),
        "initial_weights": start.text(),
    })
}
