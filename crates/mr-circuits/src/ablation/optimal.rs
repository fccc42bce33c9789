//! Optimal ablation.

use std::collections::BTreeMap;

use burn::tensor::{Tensor, TensorData};
use mr_models::objective::kl_divergence;
use mr_models::{Edge, Input, Joined, Model, Site, floats};

use super::Ablation;
use crate::adam::Adam;
use crate::cut::Cut;
use crate::error::CircuitError;
use crate::layered::Layered;

/// The constant of each writer that a network misses least, when these edges carry it: it minimises
/// KL(model || cut model), the mean over the inputs (Li & Janson 2024, eq. 3, whose loss may be any). What is
/// left of a cut's effect is then what the edges told apart, not that they carried something unusual.
///
/// Adam starts from the means over the inputs; `steps` of `learning_rate` times a writer's typical size. The
/// constants of the best step are given. `progress` is told how many steps of how many are done.
///
/// # Errors
/// [`CircuitError::Unwired`] if the network has no edges,
/// [`CircuitError::Divergence`] if the divergence is not finite.
///
/// # Panics
/// If an edge is not of the model's wiring.
pub fn optimal_ablation<M: Model + Clone>(
    model: M,
    input: &Input,
    edges: &[Edge],
    steps: usize,
    learning_rate: f32,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Ablation, CircuitError> {
    let spec = model.spec();
    spec.accepts(input)?;
    let means = Ablation::Mean(input.clone());
    let start = match &spec.wiring.joined {
        Joined::Stream => means.values(&model, &spec.wiring)?,
        Joined::Layers(_) => {
            let layered = Layered::of(&model)?;
            let sent = means.sent(&model, &layered)?;
            let joints = layered.joints.iter().zip(sent);
            let by_site =
                joints.map(|(linked, mean)| (linked.sites[0].name.clone(), Site::of_map(mean)));
            by_site.collect()
        }
    };
    let mut constants: BTreeMap<String, Vec<f32>> = start
        .into_iter()
        .map(|(site, mean)| (site, floats(mean)))
        .collect();
    let mut optimizers: BTreeMap<String, Adam> = BTreeMap::new();
    for (site, held) in &constants {
        let square = held.iter().map(|value| value * value).sum::<f32>() / held.len().max(1) as f32;
        let rate = learning_rate * square.sqrt().max(1e-3);
        optimizers.insert(site.clone(), Adam::new(held.len(), rate));
    }
    let whole = model.logits(input);
    let device = model.device();
    let cut = Cut::new(&model, edges, &means)?;
    let mut best = (f32::INFINITY, constants.clone());
    // One more pass than steps: the last constants are judged too.
    for step in 0..=steps {
        let leaves: BTreeMap<String, Tensor<3>> = constants
            .iter()
            .map(|(site, held)| {
                let data = TensorData::new(held.clone(), [1, 1, held.len()]);
                let leaf = Tensor::<3>::from_data(data, &device);
                (site.clone(), leaf.autodiff().require_grad())
            })
            .collect();
        let logits = cut.carrying(leaves.clone()).logits(input);
        let loss = kl_divergence(&whole, &logits).mean();
        let is_tracked = loss.is_tracked();
        let value = if is_tracked {
            floats(loss.clone().inner())[0]
        } else {
            floats(loss.clone())[0]
        };
        if !value.is_finite() {
            return Err(CircuitError::Divergence { value });
        }
        if value < best.0 {
            best = (value, constants.clone());
        }
        // Without a cut edge nothing depends on the constants.
        if !is_tracked || step == steps {
            break;
        }
        let mut gradients = loss.backward();
        for (site, leaf) in leaves {
            if let Some(slope) = leaf.grad_remove(&mut gradients)
                && let (Some(held), Some(adam)) =
                    (constants.get_mut(&site), optimizers.get_mut(&site))
            {
                adam.step(held, &floats(slope));
            }
        }
        progress(step + 1, steps);
    }
    Ok(Ablation::Optimal(best.1))
}

#[cfg(test)]
mod tests {
    use mr_models::NormKind;

    use super::*;
    use crate::attribution::tests::{net, pair};
    use crate::layered::tests::{self as layered, convnet, copy, resnet};

    #[test]
    fn learned_constants_are_missed_less_than_means_and_zeros() {
        let images = layered::pair();
        for (net, pair) in [
            (net(NormKind::Layer), pair()),
            (convnet(), images.clone()),
            (resnet(), images),
        ] {
            let input = pair.clean();
            let edges = net.spec().wiring.edges();
            let some: Vec<Edge> = edges.iter().copied().step_by(3).collect();
            let far = |ablation: &Ablation| {
                let cut = Cut::new(&net, &some, ablation).unwrap();
                let kl = kl_divergence(&net.logits(input), &cut.logits(input));
                floats(kl).iter().sum::<f32>()
            };
            let learn = |edges: &[Edge], steps| {
                optimal_ablation(&net, input, edges, steps, 0.1, &mut |_, _| {}).unwrap()
            };
            let mean = far(&Ablation::Mean(input.clone()));
            let optimal = far(&learn(&some, 40));
            assert!(optimal < 0.9 * mean, "{optimal} of {mean}");
            assert!(optimal < far(&Ablation::Zero));
            assert!((far(&learn(&some, 0)) - mean).abs() < 1e-5);
            assert!(matches!(learn(&[], 3), Ablation::Optimal(_)));
        }
    }

    /// The logits of a net that copies are (1, 2) and (5, 2): with one constant c in place of the first input
    /// they are (c, 2), and KL is least where the first class has the mean of its probabilities, .2689 and
    /// .9526. That is at log odds c - 2 of .4505.
    #[test]
    fn the_constant_of_one_edge_is_that_of_hand() {
        let net = copy();
        let rows = [[1.0, 2.0], [5.0, 2.0]].map(|row| layered::input(row).real());
        let input: Input = Tensor::cat(rows.to_vec(), 0).into();
        let edge = net.spec().wiring.edge("input.c0->linear1.n0").unwrap();
        let found = optimal_ablation(&net, &input, &[edge], 200, 0.02, &mut |_, _| {});
        let Ablation::Optimal(constants) = found.unwrap() else {
            panic!("another ablation")
        };
        let [constant, untouched] = constants["input"][..] else {
            panic!("two channels")
        };
        assert!((constant - 2.4505).abs() < 1e-2, "{constant}");
        assert_eq!(untouched, 2.0);
    }
}
