//! Causal scrubbing.

use std::fmt;
use std::sync::Arc;

use burn::tensor::{Int, Tensor};
use mr_models::{
    Cache, Edit, Input, Intervened, Labels, Model, Objective, Region, Rewrite, floats,
    run_with_cache,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::error::CircuitError;

/// What a value is said to depend on: equal numbers of two examples say that it may be exchanged.
type Feature = Arc<dyn Fn(usize) -> u64 + Send + Sync>;

/// What a hypothesis says of one part of a network: all that matters of it is a feature of the example,
/// and it gets that from its parents alone.
///
/// What lies between a part and its parents belongs to the part. A part without parents reads the input.
#[derive(Clone)]
pub struct Claim {
    site: String,
    region: Region,
    feature: Feature,
    parents: Vec<Claim>,
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = format!("{}{}", self.site, self.region);
        f.debug_tuple(&place).field(&self.parents).finish()
    }
}

impl Claim {
    /// That nothing of a part of a site matters but a feature, which the number of an example gives.
    pub fn new(
        site: impl Into<String>,
        region: Region,
        feature: impl Fn(usize) -> u64 + Send + Sync + 'static,
    ) -> Self {
        Self {
            site: site.into(),
            region,
            feature: Arc::new(feature),
            parents: Vec::new(),
        }
    }

    /// That it gets this from these parts alone.
    #[must_use]
    pub fn from(mut self, parents: Vec<Claim>) -> Self {
        self.parents = parents;
        self
    }
}

/// How a hypothesis fares.
#[derive(Debug, Clone, PartialEq)]
pub struct Scrubbed {
    /// The mean objective of the network itself.
    pub whole: f64,
    /// The mean where outputs and labels belong to different examples: nothing is explained.
    pub random: f64,
    /// The mean of the scrubbed network over all samples: the scrubbed expectation.
    pub scrubbed: f64,
    /// The objective of each sample.
    pub samples: Vec<f32>,
}

impl Scrubbed {
    /// `(scrubbed - random) / (whole - random)`: the fraction of the loss that the hypothesis recovers; 1
    /// where it explains all, 0 where it explains nothing, below 0 where it is worse than nothing.
    pub fn recovered(&self) -> f64 {
        (self.scrubbed - self.random) / (self.whole - self.random)
    }
}

/// Tests a hypothesis about a network on a data set (Chan et al. 2022, the algorithm of their section
/// "causal scrubbing"): every part is computed from its parents as they are for *other* examples, which
/// agree on what is said to matter, and from the rest of the network as it is for a random example. The
/// objective should not change.
///
/// For each of `count` reference examples, which are drawn with their labels, and recursively from the
/// logits down: one random example is drawn for everything that a part reads besides its parents; for each
/// parent, an example with the same feature as the part's own; the parent is scrubbed with that as its
/// reference; and the part is computed from both. `parents` are those of the logits. The same part in two
/// places of the hypothesis is scrubbed twice, so that the hypothesis is a tree.
///
/// # Errors
/// [`CircuitError::Model`] for an unknown site, a region that it does not have, or an objective that does
/// not fit or reads activations; [`CircuitError::Scrubbing`] for no examples or samples.
pub fn scrub(
    model: &dyn Model,
    input: &Input,
    labels: &Labels,
    objective: &dyn Objective,
    parents: &[Claim],
    count: usize,
    seed: u64,
) -> Result<Scrubbed, CircuitError> {
    objective.fits(model.spec())?;
    let examples = input.batch();
    if examples == 0 || count == 0 || !objective.sites().is_empty() {
        return Err(CircuitError::Scrubbing(format!(
            "{examples} examples, {count} samples and the objective `{}`: must be 1 or more of each, and an \
             objective of logits alone",
            objective.name()
        )));
    }
    let run = Scrubbing {
        model,
        input,
        examples,
        seed,
    };
    let judge = |logits: &Tensor<3>, references: &[usize]| {
        let labels = labels.select(run.indices(references));
        floats(objective.value(logits, &Cache::default(), &labels))
    };
    let mean =
        |values: &[f32]| values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len() as f64;
    let everything: Vec<usize> = (0..examples).collect();
    let logits = model.logits(input);
    let whole = mean(&judge(&logits, &everything));
    let references: Vec<usize> = (0..count)
        .map(|sample| run.draw(&[], sample, "", None))
        .collect();
    let others = run.randoms(&[], count);
    let random = mean(&judge(&logits.select(0, run.indices(&others)), &references));
    let scrubbed = run.part(&[], parents, &references)?;
    let values = judge(
        &scrubbed.logits(&input.select(run.indices(&others))),
        &references,
    );
    Ok(Scrubbed {
        whole,
        random,
        scrubbed: mean(&values),
        samples: values,
    })
}

struct Scrubbing<'a> {
    model: &'a dyn Model,
    input: &'a Input,
    examples: usize,
    seed: u64,
}

impl Scrubbing<'_> {
    fn indices(&self, examples: &[usize]) -> Tensor<1, Int> {
        let indices: Vec<i64> = examples.iter().map(|&example| example as i64).collect();
        Tensor::<1, Int>::from_data(indices.as_slice(), &self.model.device())
    }

    /// The network with the parents of one part as scrubbed for these references.
    fn part(
        &self,
        path: &[usize],
        parents: &[Claim],
        references: &[usize],
    ) -> Result<Intervened<&dyn Model>, CircuitError> {
        let mut edits = Vec::with_capacity(parents.len());
        for (number, parent) in parents.iter().enumerate() {
            let path = [path, &[number]].concat();
            let agreeing: Vec<usize> = references
                .iter()
                .enumerate()
                .map(|(sample, &reference)| {
                    self.draw(&path, sample, "agreeing", Some((parent, reference)))
                })
                .collect();
            let patch = Rewrite::patch(self.scrubbed(&path, parent, &agreeing)?);
            edits.push(Edit::at(&parent.site, patch).within(parent.region.clone()));
        }
        Ok(Intervened::new(self.model, edits)?)
    }

    /// What a part holds, scrubbed for these references.
    fn scrubbed(
        &self,
        path: &[usize],
        claim: &Claim,
        references: &[usize],
    ) -> Result<Tensor<3>, CircuitError> {
        claim.region.fits(self.model.spec().site(&claim.site)?)?;
        let part = self.part(path, &claim.parents, references)?;
        let rest = if claim.parents.is_empty() {
            references.to_vec()
        } else {
            self.randoms(path, references.len())
        };
        let input = self.input.select(self.indices(&rest));
        let (_, cache) = run_with_cache(&part, &input, &[&claim.site])?;
        Ok(claim.region.cut(cache.get(&claim.site)?))
    }

    /// For each sample, the example of everything that a part reads besides its parents.
    fn randoms(&self, path: &[usize], count: usize) -> Vec<usize> {
        (0..count)
            .map(|sample| self.draw(path, sample, "random", None))
            .collect()
    }

    /// An example drawn for one sample at one place of the hypothesis: any, or one of those on which a
    /// claim says the same as on the reference. Keyed by what it is for, so that more samples change
    /// nothing in those before.
    fn draw(
        &self,
        path: &[usize],
        sample: usize,
        purpose: &str,
        agreeing: Option<(&Claim, usize)>,
    ) -> usize {
        let mut key = 0xcbf2_9ce4_8422_2325_u64;
        let bytes = path.iter().chain([&sample]).flat_map(|n| n.to_le_bytes());
        for byte in bytes.chain(purpose.bytes()) {
            key = (key ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(key);
        match agreeing {
            None => rng.random_range(0..self.examples),
            Some((claim, reference)) => {
                let wanted = (claim.feature)(reference);
                let alike: Vec<usize> = (0..self.examples)
                    .filter(|&example| (claim.feature)(example) == wanted)
                    .collect();
                alike[rng.random_range(0..alike.len())]
            }
        }
    }
}

#[cfg(test)]
mod tests;
