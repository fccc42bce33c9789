//! One step: the loss of its shards, and the way down.

use burn::tensor::Tensor;
use mr_models::{Model, Network};

use crate::config::TrainConfig;
use crate::error::TrainError;
use crate::loss::Turn;
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
}

/// Where a step goes, or what one shard says of it.
#[derive(Debug)]
pub(crate) struct Descent {
    pub(crate) loss: Tensor<1>,
    pub(crate) gradients: Vec<Option<Tensor<1>>>,
    /// Running statistics by entry, weighted by the shard's share of the batch.
    pub(crate) statistics: Vec<Option<Tensor<1>>>,
}

impl Step<'_> {
    /// Loss, gradients and running statistics of the step, its shards spread over threads.
    pub(crate) fn descent(&self, pools: &Pools) -> Result<Descent, TrainError> {
        let shards = self.config.shards.min(self.source.batch_size());
        let parts = pools.map(shards, |shard| self.shard(shard, shards));
        // Always in the order of the shards, as sums of floats round.
        parts
            .into_iter()
            .reduce(|total, part| Ok(total?.plus(part?)))
            .expect("there is at least one shard")
    }

    fn shard(&self, shard: usize, shards: usize) -> Result<Descent, TrainError> {
        let size = self.source.batch_size();
        let range = size * shard / shards..size * (shard + 1) / shards;
        let share = range.len() as f64 / size as f64;
        let seed = self.config.seed;
        let tracked = self.network.tracked();
        let mut turn = Turn {
            network: self.network,
            tracked: &tracked,
            batch: self.source.draw(self.number, range, &self.network.device()),
            batch_size: size,
            seed: derived(seed, "attack", self.number),
            sites: self.sites,
            dropout: generator(seed, "dropout", self.number, shard as u64),
            first: None,
        };
        let (mut loss, cache) = self.config.loss.value(&mut turn)?;
        for regularizer in &self.config.regularizers {
            if let Some(more) = regularizer.on_activations(&cache) {
                loss = loss + more;
            }
        }
        loss = loss * share;
        if shard == 0 {
            for regularizer in &self.config.regularizers {
                if let Some(more) = regularizer.on_weights(tracked.weights()) {
                    loss = loss + more;
                }
            }
        }
        let statistics = self.statistics(turn, share);
        let value = loss.clone().inner();
        let mut gradients = loss.backward();
        Ok(Descent {
            loss: value,
            gradients: tracked.weights().gradients(&mut gradients),
            statistics,
        })
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
        }
    }
}
