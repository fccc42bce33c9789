//! One shard's turn in a step: runs on the tracked weights, attacks on the plain ones.

use burn::tensor::Tensor;
use mr_attacks::{AttackConfig, Goal, Meter, ThreatModel, Victim};
use mr_models::{Cache, Hook, Input, Labels, Model, Network, Pass, Place, Site};
use rand_chacha::ChaCha8Rng;

use crate::error::TrainError;
use crate::source::Batch;

/// One shard's turn in a step.
pub(crate) struct Turn<'a> {
    /// The network with constant weights, in evaluation mode: what attacks see.
    pub(crate) network: &'a Network,
    /// The same with its weights tracked: what is run and descended.
    pub(crate) tracked: &'a Network,
    pub(crate) batch: Batch,
    /// Examples of all shards together.
    pub(crate) batch_size: usize,
    /// Seed of the attacks of this step.
    pub(crate) seed: u64,
    /// Sites whose activations regularizers read.
    pub(crate) sites: &'a [String],
    /// What dropout draws from. Every run of a turn draws the same, so that their differences are
    /// those of their inputs.
    pub(crate) dropout: ChaCha8Rng,
    /// Share of the run that is done.
    pub(crate) done: f64,
    /// What an attack made of the batch: made once, should the batch be descended from several weights.
    pub(crate) found: Option<Attacked>,
    /// A perturbation `[batch, coordinate]` that the step before left.
    pub(crate) carried: Option<Tensor<2>>,
    /// An input whose gradient the loss wants too.
    pub(crate) leaf: Option<Tensor<4>>,
    /// The first run, which leaves the running statistics.
    pub(crate) first: Option<Pass>,
}

/// What an attack made of a batch.
#[derive(Debug, Clone)]
pub(crate) struct Attacked {
    /// What the network takes.
    pub(crate) input: Input,
    /// What is added at a site `[batch, position, channel]`, and its name.
    pub(crate) added: Option<(String, Tensor<3>)>,
}

impl Attacked {
    /// Points `[batch, coordinate]` of a threat as what the network takes.
    fn new(threat: &ThreatModel, input: &Input, points: Tensor<2>, network: &Network) -> Self {
        match &threat.place {
            Place::Input => {
                let shape = input.real().dims();
                Self {
                    input: Input::Real(points.reshape(shape)),
                    added: None,
                }
            }
            Place::Site(name) => {
                let site = network
                    .spec()
                    .site(name)
                    .expect("the threat fits the model");
                let shape = [input.batch(), site.positions, site.channels];
                Self {
                    input: input.clone(),
                    added: Some((name.clone(), points.reshape(shape))),
                }
            }
        }
    }

    /// The clean batch, then the attacked one, as one batch.
    pub(crate) fn after_clean(self, clean: &Input) -> Self {
        Self {
            input: Input::Real(Tensor::cat(vec![clean.real(), self.input.real()], 0)),
            added: self.added.map(|(site, added)| {
                let nothing = added.zeros_like();
                (site, Tensor::cat(vec![nothing, added], 0))
            }),
        }
    }
}

impl Turn<'_> {
    /// Runs the tracked network in training mode: logits `[batch, position, class]` and the
    /// activations of the wanted sites.
    pub(crate) fn run(
        &mut self,
        input: &Input,
        added: Option<&(String, Tensor<3>)>,
    ) -> Result<(Tensor<3>, Cache), TrainError> {
        let mut pass = Pass::training(self.dropout.clone());
        let mut passing = Passing {
            cache: Cache::of(self.tracked.spec(), self.sites)?,
            added,
        };
        let logits = self.tracked.run_training(input, &mut passing, &mut pass);
        self.first.get_or_insert(pass);
        Ok((logits, passing.cache))
    }

    /// What an attack on the plain network in evaluation mode makes of the batch, brought back into
    /// the threat. It climbs to its last step: an example that is misclassified already can become
    /// worse.
    pub(crate) fn attacked(
        &mut self,
        threat: &ThreatModel,
        attack: &AttackConfig,
    ) -> Result<Attacked, TrainError> {
        let labels = self.batch.labels.clone();
        let objective = match attack {
            AttackConfig::Pgd(pgd) => pgd.objective.as_str(),
            AttackConfig::Fgsm(fgsm) => &fgsm.objective,
            _ => "any",
        };
        let labels = self.with_reference(labels, objective);
        let climbing = attack.to_the_end();
        self.search(threat, labels, |victim| {
            Ok(climbing.attack().run(victim)?)
        })
    }

    /// What a search makes of the batch, brought back into the threat.
    pub(crate) fn search(
        &mut self,
        threat: &ThreatModel,
        labels: Labels,
        search: impl FnOnce(&Victim<'_>) -> Result<Tensor<2>, TrainError>,
    ) -> Result<Attacked, TrainError> {
        if let Some(found) = &self.found {
            return Ok(found.clone());
        }
        let meter = Meter::default();
        let input = self.batch.input.clone();
        let victim = Victim::new(
            self.network,
            threat,
            &Goal::Untargeted,
            (input.clone(), labels),
            self.batch.examples.clone(),
            self.seed,
            &meter,
        );
        let points = threat.project(victim.origin(), search(&victim)?);
        let attacked = Attacked::new(threat, &input, points, self.network);
        self.found = Some(attacked.clone());
        Ok(attacked)
    }

    /// With clean logits where an objective measures from them.
    fn with_reference(&self, labels: Labels, objective: &str) -> Labels {
        if matches!(objective, "cross-entropy" | "margin" | "dlr") {
            return labels;
        }
        labels.with_reference(self.network.logits(&self.batch.input))
    }
}

/// Adds a perturbation at a site, and records what is wanted, perturbed.
struct Passing<'a> {
    cache: Cache,
    added: Option<&'a (String, Tensor<3>)>,
}

impl Passing<'_> {
    fn addition(&self, site: &Site) -> Option<&Tensor<3>> {
        let (name, added) = self.added?;
        (*name == site.name).then_some(added)
    }
}

impl Hook for Passing<'_> {
    fn wants(&self, site: &Site) -> bool {
        self.cache.wants(site) || self.addition(site).is_some()
    }

    fn at(&mut self, site: &Site, activation: Tensor<3>) -> Tensor<3> {
        let activation = match self.addition(site) {
            Some(added) => activation + added.clone(),
            None => activation,
        };
        if self.cache.wants(site) {
            self.cache.at(site, activation)
        } else {
            activation
        }
    }
}
