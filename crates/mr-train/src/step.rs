//! One step: the loss of its shards, and the way down.

use burn::tensor::{Gradients, Tensor};
use mr_models::{Model, Network};

use crate::config::TrainConfig;
use crate::error::TrainError;
use crate::loss::{Attacked, LossConfig, Turn};
use crate::pools::Pools;
use crate::random::{derived, generator};
use crate::source::Source;

/// One step of a run: all that its gradients depend on.
pub(crate) struct Step<'a> {
    pub(crate) config: &'a TrainConfig,
    pub(crate) network: &'a Network,
    pub(crate) source: &'a Source<'a>,
    /// Sites whose activations regularizers read.
    pub(crate) sites: &'a [String],
    /// Its number in the run, counted from 0.
    pub(crate) number: usize,
    /// Steps of the whole run.
    pub(crate) steps: usize,
    /// The perturbation of the batch `[batch, coordinate]` that the step before left.
    pub(crate) carried: Option<Tensor<2>>,
}

/// Where a step goes, or what one shard says of it.
#[derive(Debug)]
pub(crate) struct Descent {
    pub(crate) loss: Tensor<1>,
    pub(crate) gradients: Vec<Option<Tensor<1>>>,
    /// Running statistics by entry, weighted by the shard's share of the batch.
    pub(crate) statistics: Vec<Option<Tensor<1>>>,
    /// What attacks made of the batch, by shard.
    found: Vec<Option<Attacked>>,
    /// The perturbation of the batch `[batch, coordinate]` for the next step, if the loss has one.
    pub(crate) carried: Option<Tensor<2>>,
}

impl Step<'_> {
    /// Loss, gradients and running statistics of the step, its shards spread over threads.
    pub(crate) fn descent(&self, pools: &Pools) -> Result<Descent, TrainError> {
        let perturbation = self.config.weight_perturbation.as_ref();
        let Some(perturbation) = perturbation.filter(|one| self.done() >= one.warmup) else {
            return self.pass(pools, self.network, &[], true);
        };
        let up = self.pass(pools, self.network, &[], false)?;
        let mut moved = self.network.clone();
        *moved.weights_mut() = perturbation.moved(self.network.weights(), &up.gradients);
        self.pass(pools, &moved, &up.found, true)
    }

    /// Share of the run that is done.
    fn done(&self) -> f64 {
        self.number as f64 / self.steps as f64
    }

    /// The same at these weights, for examples that an attack on the network made before, if one did.
    fn pass(
        &self,
        pools: &Pools,
        at: &Network,
        found: &[Option<Attacked>],
        regularized: bool,
    ) -> Result<Descent, TrainError> {
        let shards = self.config.shards.min(self.source.batch_size());
        let parts = pools.map(shards, |shard| {
            let found = found.get(shard).cloned().flatten();
            self.shard(shard, shards, at, found, regularized)
        });
        // Always in the order of the shards, as sums of floats round.
        parts
            .into_iter()
            .reduce(|total, part| Ok(total?.plus(part?)))
            .expect("there is at least one shard")
    }

    fn shard(
        &self,
        shard: usize,
        shards: usize,
        at: &Network,
        found: Option<Attacked>,
        regularized: bool,
    ) -> Result<Descent, TrainError> {
        let size = self.source.batch_size();
        let range = size * shard / shards..size * (shard + 1) / shards;
        let share = range.len() as f64 / size as f64;
        let seed = self.config.seed;
        let tracked = at.tracked();
        let rows = (range.start, range.len());
        let batch = self.number / self.config.loss.replays();
        let mut turn = Turn {
            network: self.network,
            tracked: &tracked,
            batch: self.source.draw(batch, range, &self.network.device()),
            batch_size: size,
            seed: derived(seed, "attack", self.number),
            sites: self.sites,
            dropout: generator(seed, "dropout", self.number, shard as u64),
            done: self.done(),
            found,
            carried: self
                .carried
                .as_ref()
                .map(|carried| carried.clone().narrow(0, rows.0, rows.1)),
            leaf: None,
            first: None,
        };
        let (mut loss, cache) = self.config.loss.value(&mut turn)?;
        let regularizers = if regularized {
            self.config.regularizers.as_slice()
        } else {
            &[]
        };
        for regularizer in regularizers {
            if let Some(more) = regularizer.on_activations(&cache) {
                loss = loss + more;
            }
        }
        loss = loss * share;
        if shard == 0 {
            for regularizer in regularizers {
                if let Some(more) = regularizer.on_weights(tracked.weights()) {
                    loss = loss + more;
                }
            }
        }
        let value = loss.clone().inner();
        let mut gradients = loss.backward();
        let carried = self.carry(&mut turn, &mut gradients);
        let found = vec![turn.found.take()];
        let statistics = self.statistics(turn, share);
        Ok(Descent {
            loss: value,
            gradients: tracked.weights().gradients(&mut gradients),
            statistics,
            found,
            carried,
        })
    }

    /// The perturbation for the next step.
    fn carry(&self, turn: &mut Turn<'_>, gradients: &mut Gradients) -> Option<Tensor<2>> {
        let LossConfig::Free(free) = &self.config.loss else {
            return None;
        };
        let gradient = turn.leaf.take()?.grad_remove(gradients)?;
        Some(free.next(turn.carried.take()?, gradient))
    }

    fn statistics(&self, turn: Turn<'_>, share: f64) -> Vec<Option<Tensor<1>>> {
        let entries = self.network.weights().entries();
        let Some(mut pass) = turn.first.filter(|_| entries.iter().any(|e| !e.trainable)) else {
            return vec![None; entries.len()];
        };
        let mut after = self.network.clone();
        after.absorb(&mut pass);
        let after = after.weights().entries().iter();
        after
            .map(|entry| (!entry.trainable).then(|| entry.values.clone() * share))
            .collect()
    }
}

impl Descent {
    fn plus(self, other: Self) -> Self {
        fn sum(a: Vec<Option<Tensor<1>>>, b: Vec<Option<Tensor<1>>>) -> Vec<Option<Tensor<1>>> {
            a.into_iter()
                .zip(b)
                .map(|pair| match pair {
                    (Some(a), Some(b)) => Some(a + b),
                    (a, b) => a.or(b),
                })
                .collect()
        }
        Self {
            loss: self.loss + other.loss,
            gradients: sum(self.gradients, other.gradients),
            statistics: sum(self.statistics, other.statistics),
            found: [self.found, other.found].concat(),
            carried: match (self.carried, other.carried) {
                (Some(a), Some(b)) => Some(Tensor::cat(vec![a, b], 0)),
                _ => None,
            },
        }
    }
}
