//! Optimal ablation.

use std::collections::BTreeMap;

use burn::tensor::{Tensor, TensorData};
use mr_models::objective::kl_divergence;
use mr_models::{Edge, Input, Joined, Model, floats};

use super::Ablation;
use crate::adam::Adam;
use crate::cut::Cut;
use crate::error::CircuitError;

/// The constant of each writer that a network misses least, when these edges carry it: it minimises
/// KL(model || cut model), the mean over the inputs (Li & Janson 2024, eq. 3, whose loss may be any). What is
/// left of a cut's effect is then what the edges told apart, not that they carried something unusual.
///
/// Adam starts from the means over the inputs; `steps` of `learning_rate` times a writer's typical size. The
/// constants of the best step are given. `progress` is told how many steps of how many are done.
///
/// # Errors
/// [`CircuitError::Unwired`] or [`CircuitError::Unstreamed`] if the network has no residual stream,
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
    if spec.wiring.joined != Joined::Stream {
        return Err(CircuitError::Unstreamed {
            network: spec.name.clone(),
        });
    }
    spec.accepts(input)?;
    let means = Ablation::Mean(input.clone());
    let start = means.values(&model, &spec.wiring)?;
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

    #[test]
    fn learned_constants_are_missed_less_than_means_and_zeros() {
        let (net, pair) = (net(NormKind::Layer), pair());
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
