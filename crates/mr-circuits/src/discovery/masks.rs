//! Learned masks.

use std::collections::BTreeMap;

use burn::tensor::activation::sigmoid;
use burn::tensor::{Tensor, TensorData};
use mr_models::objective::kl_divergence;
use mr_models::{Hook, Model, Site, Wiring, floats};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::ablation::Ablation;
use crate::adam::Adam;
use crate::attribution::EdgeScores;
use crate::circuit::{Circuit, Ranking};
use crate::cut::Cut;
use crate::error::CircuitError;
use crate::pair::Pair;

/// Temperature and stretch of hard concrete gates, as Louizos et al. (2018) set them.
const BETA: f32 = 2.0 / 3.0;
const LOW: f32 = -0.1;
const HIGH: f32 = 1.1;
/// Gates that are open almost surely.
const START: f32 = 2.0;

/// What closes gates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pressure {
    /// So much, in nats, for the expected share of open gates: subnetwork probing (Cao, Sanh & Rush 2021), here
    /// of edges.
    Penalty(f32),
    /// This share of edges in (0, 1) shall go, held by multipliers that rise while it is missed: edge pruning
    /// (Bhaskar et al. 2024). The share wanted grows over the first half of the steps.
    Sparsity(f32),
}

/// How masks are learned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MaskConfig {
    /// What closes gates.
    pub pressure: Pressure,
    /// Steps of Adam (Kingma & Ba 2015).
    pub steps: usize,
    /// Its learning rate.
    pub learning_rate: f32,
    /// Seed of the gates' noise.
    pub seed: u64,
}

impl Default for MaskConfig {
    fn default() -> Self {
        Self {
            pressure: Pressure::Sparsity(0.9),
            steps: 200,
            learning_rate: 0.1,
            seed: 0,
        }
    }
}

/// The circuit of the edges whose gates stay open when all edges are gated at once, and KL(model || circuit) on
/// the clean batch falls with what `pressure` asks (see [`Pressure`]). A gate is a hard concrete variable
/// (Louizos, Welling & Kingma 2018, eqs. 10-11): over a half-open one the reader gets a mixture of what is
/// written and what the ablation says. An edge's score is its gate without noise, in [0, 1]; edges above 1/2 are
/// kept, or under [`Pressure::Sparsity`] exactly as many as it asks, by their gates.
///
/// Deviations: gates are of edges alone, not of nodes too, one constant learning rate serves gates and
/// multipliers, and multipliers are held against the divergence as a share of that with every gate shut. `progress` is told how many steps of how many are done.
///
/// # Errors
/// [`CircuitError::Unwired`] if the network has no edges, [`CircuitError::Pressure`] for a share or a penalty out of range, [`CircuitError::Divergence`] if the
/// divergence is not finite.
pub fn learned_masks<M: Model>(
    model: M,
    pair: &Pair,
    ablation: &Ablation,
    config: &MaskConfig,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Circuit, CircuitError> {
    let valid = match config.pressure {
        Pressure::Penalty(penalty) => penalty > 0.0 && penalty.is_finite(),
        Pressure::Sparsity(share) => share > 0.0 && share < 1.0,
    };
    if !valid {
        return Err(CircuitError::Pressure {
            pressure: config.pressure,
        });
    }
    let wiring = model.spec().wiring.clone();
    model.spec().accepts(pair.clean())?;
    let whole = model.logits(pair.clean());
    let cut = Cut::new(&model, &[], ablation)?;
    let gated = |gates: Tensor<1>| match cut.written_instead() {
        Some(ablated) => model.run(pair.clean(), &mut Gating::new(&wiring, ablated, gates)),
        None => cut.closing(&(-gates + 1.0)).logits(pair.clean()),
    };
    let edges = wiring.edges();
    let count = edges.len();
    let device = model.device();
    let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
    let mut adam = Adam::new(count, config.learning_rate);
    let mut open = vec![START; count];
    let mut multipliers = [0.0_f32; 2];
    // What the multipliers are held against: a divergence of hundreds of nats would outweigh them for good.
    let shut = Tensor::<1>::zeros([count], &device);
    let all = floats(kl_divergence(&whole, &gated(shut)).mean())[0];
    if !all.is_finite() {
        return Err(CircuitError::Divergence { value: all });
    }
    let scale = all.max(f32::MIN_POSITIVE).recip().min(1e6);
    for step in 0..config.steps {
        let noise = (0..count).map(|_| {
            let u: f32 = rng.random_range(1e-6..1.0 - 1e-6);
            (u / (1.0 - u)).ln()
        });
        let noise: Vec<f32> = noise.collect();
        let vector = |values: &[f32]| {
            let data = TensorData::new(values.to_vec(), [count]);
            Tensor::<1>::from_data(data, &device)
        };
        let leaf = vector(&open).autodiff().require_grad();
        let soft = sigmoid((leaf.clone() + vector(&noise)) / BETA);
        let gates = (soft * (HIGH - LOW) + LOW).clamp(0.0, 1.0);
        let divergence = kl_divergence(&whole, &gated(gates)).mean();
        // The probability that a gate is not closed.
        let share = sigmoid(leaf.clone() - BETA * (-LOW / HIGH).ln()).mean();
        let loss = match config.pressure {
            Pressure::Penalty(penalty) => divergence + share * penalty,
            Pressure::Sparsity(wanted) => {
                let risen = (2.0 * (step + 1) as f32 / config.steps as f32).min(1.0);
                let missed = share - (1.0 - wanted * risen);
                let now = floats(missed.clone().inner())[0];
                let loss = divergence * scale
                    + missed.clone() * multipliers[0]
                    + missed.clone() * missed * multipliers[1];
                // They climb where the loss descends.
                multipliers[0] += config.learning_rate * now;
                multipliers[1] += config.learning_rate * now * now;
                loss
            }
        };
        let value = floats(loss.clone().inner())[0];
        if !value.is_finite() {
            return Err(CircuitError::Divergence { value });
        }
        let mut gradients = loss.backward();
        let slope = leaf.grad_remove(&mut gradients);
        adam.step(&mut open, &slope.map_or_else(|| vec![0.0; count], floats));
        progress(step + 1, config.steps);
    }
    let gate = |open: f32| ((1.0 / (1.0 + (-open).exp())) * (HIGH - LOW) + LOW).clamp(0.0, 1.0);
    match config.pressure {
        Pressure::Penalty(_) => {
            let scored = edges.into_iter().zip(open.iter().map(|&open| gate(open)));
            let scores = EdgeScores {
                wiring,
                scores: scored.collect(),
            };
            Circuit::above(scores, 0.5, Ranking::Signed)
        }
        Pressure::Sparsity(wanted) => {
            let n = ((1.0 - wanted) * count as f32).round() as usize;
            // Gates that are shut or open all the way would tie: they are ranked by what opens them.
            let scored = edges.into_iter().zip(open.iter().copied());
            let scores = EdgeScores {
                wiring,
                scores: scored.collect(),
            };
            let kept = Circuit::top(scores.clone(), n, Ranking::Signed)?.kept();
            let gates = scores.scores.iter().map(|&(edge, open)| (edge, gate(open)));
            let scores = EdgeScores {
                scores: gates.collect(),
                ..scores
            };
            Circuit::new(scores, &kept)
        }
    }
}

/// Mixes what writers write with what stands in for it, edge by edge.
struct Gating<'a> {
    wiring: &'a Wiring,
    ablated: &'a BTreeMap<String, Tensor<3>>,
    gates: Tensor<1>,
    /// By reader, its edges among the gates: they lie one after the other.
    edges: Vec<std::ops::Range<usize>>,
    /// By writer so far, what it wrote less what stands in for it, `[1, row]`.
    differences: Vec<Tensor<2>>,
}

impl<'a> Gating<'a> {
    fn new(wiring: &'a Wiring, ablated: &'a BTreeMap<String, Tensor<3>>, gates: Tensor<1>) -> Self {
        let mut edges = vec![0..0; wiring.readers.len()];
        for (at, edge) in wiring.edges().into_iter().enumerate() {
            let own = &mut edges[edge.reader];
            if own.end == 0 {
                *own = at..at;
            }
            own.end = at + 1;
        }
        Self {
            wiring,
            ablated,
            gates,
            edges,
            differences: Vec::new(),
        }
    }
}

impl Hook for Gating<'_> {
    fn wants(&self, site: &Site) -> bool {
        let mut ports = self.wiring.writers.iter().chain(&self.wiring.readers);
        ports.any(|port| port.site == site.name)
    }

    fn at(&mut self, site: &Site, mut activation: Tensor<3>) -> Tensor<3> {
        let [batch, positions, _] = activation.dims();
        let mut seen = Vec::new();
        for (reader, port) in self.wiring.readers.iter().enumerate() {
            // Heads that share keys and values share the gates of the first of them.
            if port.site != site.name || seen.contains(&port.channels) {
                continue;
            }
            seen.push(port.channels.clone());
            let own = self.edges[reader].clone();
            let open = self.gates.clone().narrow(0, own.start, own.len());
            let closed: Tensor<1> = -open + 1.0;
            let all = Tensor::cat(self.differences[..own.len()].to_vec(), 0);
            let lost = closed.unsqueeze::<2>().matmul(all);
            let lost = lost.reshape([batch, positions, port.channels.len()]);
            let place = [0..batch, 0..positions, port.channels.clone()];
            let left = activation.clone().slice_dim(2, port.channels.clone()) - lost;
            activation = activation.slice_assign(place, left);
        }
        for port in self
            .wiring
            .writers
            .iter()
            .filter(|port| port.site == site.name)
        {
            let mut instead = self.ablated[&port.site].clone();
            if instead.dims()[1] > 1 {
                instead = instead.narrow(1, 0, positions);
            }
            let difference = activation.clone() - instead;
            let difference = difference.slice_dim(2, port.channels.clone());
            self.differences
                .push(difference.flatten::<1>(0, 2).unsqueeze());
        }
        activation
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use mr_models::data::{Repeated, Task};
    use mr_models::{Edge, NormKind, objective};

    use super::*;
    use crate::Faithfulness;
    use crate::attribution::tests::{net, pair, shared};
    use crate::layered::tests::{self as layered, convnet, resnet};

    fn masks(config: &MaskConfig) -> Circuit {
        let resampled = Ablation::Resample(pair().corrupt().clone());
        let net = net(NormKind::Layer);
        learned_masks(&net, &pair(), &resampled, config, &mut |_, _| {}).unwrap()
    }

    fn divergence(circuit: &Circuit) -> f32 {
        let resampled = Ablation::Resample(pair().corrupt().clone());
        let net = net(NormKind::Layer);
        let cut = Cut::new(&net, &circuit.cut_edges(), &resampled).unwrap();
        let logits = cut.logits(pair().clean());
        floats(kl_divergence(&net.logits(pair().clean()), &logits))
            .iter()
            .sum()
    }

    /// Gates that are all shut are the network with every edge cut, and those that are all open the network.
    #[test]
    fn gates_at_their_ends_cut_or_leave() {
        for net in [net(NormKind::Layer), shared()] {
            let wiring = &net.spec().wiring;
            let resampled = Ablation::Resample(pair().corrupt().clone());
            let ablated = resampled.values(&net, wiring).unwrap();
            let run = |gate: f32| {
                let gates = Tensor::full([wiring.edges().len()], gate, &net.device());
                floats(net.run(pair().clean(), &mut Gating::new(wiring, &ablated, gates)))
            };
            let corrupt = floats(net.logits(pair().corrupt()));
            for (found, expected) in run(0.0).iter().zip(&corrupt) {
                assert!((found - expected).abs() < 1e-4, "{found} for {expected}");
            }
            assert_eq!(run(1.0), floats(net.logits(pair().clean())));
        }
        for net in [convnet(), resnet()] {
            let pair = layered::pair();
            let resampled = Ablation::Resample(pair.corrupt().clone());
            let cut = Cut::new(&net, &[], &resampled).unwrap();
            let edges = net.spec().wiring.edges();
            let run = |closed: &[f32]| {
                let closed = Tensor::<1>::from_floats(closed, &net.device());
                floats(cut.closing(&closed).logits(pair.clean()))
            };
            let corrupt = floats(net.logits(pair.corrupt()));
            for (found, expected) in run(&vec![1.0; edges.len()]).iter().zip(&corrupt) {
                assert!((found - expected).abs() < 1e-4, "{found} for {expected}");
            }
            let open = vec![0.0; edges.len()];
            assert_eq!(run(&open), floats(net.logits(pair.clean())));
            // One gate is one edge.
            for (at, &edge) in edges.iter().enumerate().step_by(7) {
                let mut closed = open.clone();
                closed[at] = 1.0;
                let alone = floats(cut.with(&[edge]).logits(pair.clean()));
                for (found, expected) in run(&closed).iter().zip(&alone) {
                    assert!((found - expected).abs() < 1e-5, "{found} for {expected}");
                }
            }
        }
    }

    #[test]
    fn masks_between_layers_keep_what_matters() {
        let (net, pair) = (resnet(), layered::pair());
        let resampled = Ablation::Resample(pair.corrupt().clone());
        let config = MaskConfig {
            pressure: Pressure::Sparsity(0.5),
            steps: 60,
            ..MaskConfig::default()
        };
        let found = learned_masks(&net, &pair, &resampled, &config, &mut |_, _| {}).unwrap();
        assert_eq!(found.len(), found.edges().div_ceil(2));
        let far = |edges: &[Edge]| {
            let cut = Cut::new(&net, edges, &resampled).unwrap();
            let kl = kl_divergence(&net.logits(pair.clean()), &cut.logits(pair.clean()));
            floats(kl).iter().sum::<f32>()
        };
        let (kept, gone) = (far(&found.cut_edges()), far(&found.kept()));
        assert!(kept < gone / 2.0, "{kept} and {gone}");
    }

    #[test]
    fn the_edges_that_masks_keep_do_more_than_as_many_others() {
        let config = MaskConfig {
            pressure: Pressure::Sparsity(0.6),
            steps: 60,
            ..MaskConfig::default()
        };
        let found = masks(&config);
        assert_eq!(
            found.len(),
            (0.4_f32 * found.edges() as f32).round() as usize
        );
        assert_eq!(found, masks(&config));
        let worst = EdgeScores {
            wiring: found.wiring().clone(),
            scores: found
                .scores()
                .scores
                .iter()
                .map(|&(edge, s)| (edge, -s))
                .collect(),
        };
        let worst = Circuit::top(worst, found.len(), Ranking::Signed).unwrap();
        assert!(divergence(&found) < divergence(&worst) / 2.0);
    }

    /// The divergences of a trained network are hundreds of nats: the share that shall go is held all the same.
    #[test]
    fn masks_of_a_trained_network_keep_what_it_does() {
        let path = "../../fixtures/golden/induction.safetensors";
        let device = Device::flex();
        let net = mr_models::load(std::path::Path::new(path), None, &device);
        let net = net.unwrap().network;
        let task = Task::Repeated(Repeated::new(32, 20).unwrap());
        let prompts = task.prompts(0, 1, 8).unwrap();
        let pair = Pair::new(prompts.clean(&device), prompts.corrupt(&device)).unwrap();
        let resampled = Ablation::Resample(pair.corrupt().clone());
        let config = MaskConfig {
            pressure: Pressure::Sparsity(0.7),
            steps: 100,
            ..MaskConfig::default()
        };
        let found = learned_masks(&net, &pair, &resampled, &config, &mut |_, _| {}).unwrap();
        let labels = prompts.labels(32, &device).unwrap();
        let (clean, answers) = (pair.clean(), &objective::AnswerDifference);
        let measure = Faithfulness::new(&net, clean, &labels, answers, &resampled).unwrap();
        let faithfulness = measure.of(&found).unwrap().faithfulness;
        assert!(
            faithfulness > 0.5,
            "{faithfulness} of {} edges",
            found.len()
        );
    }

    #[test]
    fn a_large_penalty_shuts_every_gate_and_a_small_one_few() {
        let with = |penalty| {
            masks(&MaskConfig {
                pressure: Pressure::Penalty(penalty),
                steps: 40,
                learning_rate: 0.3,
                ..MaskConfig::default()
            })
        };
        assert!(with(1e4).is_empty());
        let many = with(1e-6);
        assert!(
            many.len() > many.edges() / 2,
            "{} of {}",
            many.len(),
            many.edges()
        );
        let net = net(NormKind::Layer);
        let config = MaskConfig {
            pressure: Pressure::Sparsity(1.0),
            ..MaskConfig::default()
        };
        let error = learned_masks(&net, &pair(), &Ablation::Zero, &config, &mut |_, _| {});
        assert!(error.unwrap_err().to_string().contains("between 0 and 1"));
    }
}
