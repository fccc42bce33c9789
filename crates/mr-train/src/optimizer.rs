//! Steps of an optimizer on a network's weights, and its state as numbers.

use std::collections::BTreeMap;

use burn::optim::{
    AdamW, AdamWConfig, Optimizer as Rule, RecordState, Sgd, SgdConfig, StateSink, StateSource,
    decay::WeightDecayConfig, momentum::MomentumConfig,
};
use burn::tensor::{Device, Tensor, TensorData};
use mr_models::Weights;

use crate::config::OptimizerConfig;

/// burn's rule of an optimizer, applied to each flattened weight, with a state for each.
pub(crate) enum Optimizer {
    Sgd(Stepper<Sgd>),
    AdamW(Stepper<AdamW>),
}

pub(crate) struct Stepper<R: Rule> {
    rule: R,
    states: Vec<Option<R::State<1>>>,
}

/// An optimizer's state: numbers by name, each name starting with that of a weight.
#[derive(Debug, Default)]
pub(crate) struct OptimizerState {
    pub(crate) tensors: Vec<(String, Vec<f32>)>,
    pub(crate) counts: BTreeMap<String, u64>,
}

impl Optimizer {
    pub(crate) fn new(config: &OptimizerConfig, weights: &Weights) -> Self {
        let count = weights.entries().len();
        match config {
            OptimizerConfig::Sgd(sgd) => {
                let momentum = (sgd.momentum > 0.0).then(|| {
                    MomentumConfig::new()
                        .with_momentum(sgd.momentum)
                        .with_dampening(0.0)
                        .with_nesterov(sgd.nesterov)
                });
                let decay = (sgd.weight_decay > 0.0)
                    .then(|| WeightDecayConfig::new(sgd.weight_decay as f32));
                let config = SgdConfig::new()
                    .with_momentum(momentum)
                    .with_weight_decay(decay);
                Self::Sgd(Stepper::new(config.build(), count))
            }
            OptimizerConfig::AdamW(adam) => {
                let config = AdamWConfig::new()
                    .with_beta_1(adam.betas[0] as f32)
                    .with_beta_2(adam.betas[1] as f32)
                    .with_epsilon(adam.eps as f32)
                    .with_weight_decay(adam.weight_decay as f32);
                Self::AdamW(Stepper::new(config.build(), count))
            }
        }
    }

    /// The weights after a step down these gradients, which are by entry.
    pub(crate) fn step(
        &mut self,
        lr: f64,
        weights: &Weights,
        gradients: Vec<Option<Tensor<1>>>,
    ) -> Weights {
        match self {
            Self::Sgd(stepper) => stepper.step(lr, weights, gradients),
            Self::AdamW(stepper) => stepper.step(lr, weights, gradients),
        }
    }

    pub(crate) fn state(&self, weights: &Weights) -> OptimizerState {
        match self {
            Self::Sgd(stepper) => stepper.state(weights),
            Self::AdamW(stepper) => stepper.state(weights),
        }
    }

    /// Goes on from a state; weights that it does not name start anew.
    pub(crate) fn restore(&mut self, state: OptimizerState, weights: &Weights, device: &Device) {
        match self {
            Self::Sgd(stepper) => stepper.restore(state, weights, device),
            Self::AdamW(stepper) => stepper.restore(state, weights, device),
        }
    }
}

impl<R: Rule> Stepper<R> {
    fn new(rule: R, count: usize) -> Self {
        Self {
            rule,
            states: (0..count).map(|_| None).collect(),
        }
    }

    fn step(&mut self, lr: f64, weights: &Weights, gradients: Vec<Option<Tensor<1>>>) -> Weights {
        let mut each = self.states.iter_mut().zip(gradients);
        weights.map(|entry| {
            let (state, gradient) = each.next().expect("one state and gradient per entry");
            let values = entry.values.clone();
            let Some(gradient) = gradient else {
                return values;
            };
            let (values, after) = self.rule.step(lr, values, gradient, state.take());
            *state = after;
            values
        })
    }

    fn state(&self, weights: &Weights) -> OptimizerState {
        let mut sink = StateSink::default();
        for (state, entry) in self.states.iter().zip(weights.entries()) {
            if let Some(state) = state {
                state.state_flatten(&entry.name, &mut sink);
            }
        }
        OptimizerState {
            tensors: sink
                .tensors
                .into_iter()
                .map(|(name, data)| {
                    let values = data.try_into_vec_as::<f32>();
                    (name, values.expect("a float tensor converts to f32"))
                })
                .collect(),
            counts: sink
                .scalars
                .into_iter()
                .map(|(name, count)| {
                    let count = u64::try_from(count);
                    (
                        name,
                        count.expect("the rules count steps, and nothing else"),
                    )
                })
                .collect(),
        }
    }

    fn restore(&mut self, state: OptimizerState, weights: &Weights, device: &Device) {
        let counts = state.counts.into_iter();
        let mut source =
            StateSource::new(counts.map(|(name, count)| (name, count.into())).collect());
        for (name, values) in state.tensors {
            let length = values.len();
            source.insert_tensor(name, TensorData::new(values, [length]));
        }
        for (state, entry) in self.states.iter_mut().zip(weights.entries()) {
            *state = R::State::<1>::state_unflatten(&entry.name, &mut source, device);
        }
    }
}

#[cfg(test)]
mod tests {
    use mr_models::floats;

    use super::*;
    use crate::config;

    fn one(values: &[f32]) -> Weights {
        let mut weights = Weights::default();
        weights.push("w", &[values.len()], values.to_vec(), true, &Device::flex());
        weights
    }

    fn step(optimizer: &mut Optimizer, weights: &Weights, gradient: f32) -> Weights {
        let gradient = Tensor::from_floats([gradient], &Device::flex());
        optimizer.step(0.1, weights, vec![Some(gradient)])
    }

    fn value(weights: &Weights) -> f32 {
        floats(weights.get::<1>("w"))[0]
    }

    #[test]
    fn momentum_by_hand() {
        let sgd = |nesterov| {
            OptimizerConfig::Sgd(config::Sgd {
                momentum: 0.5,
                nesterov,
                ..config::Sgd::default()
            })
        };
        // v = 1, then 0.5 + 1 = 1.5: w = 1 - 0.1 - 0.15.
        let mut weights = one(&[1.0]);
        let mut optimizer = Optimizer::new(&sgd(false), &weights);
        for _ in 0..2 {
            weights = step(&mut optimizer, &weights, 1.0);
        }
        assert!((value(&weights) - 0.75).abs() < 1e-6);
        // 1 + 0.5 * 1 = 1.5, then 1 + 0.5 * 1.5 = 1.75: w = 1 - 0.15 - 0.175.
        let mut weights = one(&[1.0]);
        let mut optimizer = Optimizer::new(&sgd(true), &weights);
        for _ in 0..2 {
            weights = step(&mut optimizer, &weights, 1.0);
        }
        assert!((value(&weights) - 0.675).abs() < 1e-6);
    }

    #[test]
    fn a_restored_optimizer_goes_on_to_the_same_bits() {
        let device = Device::flex();
        let sgd = |momentum| {
            OptimizerConfig::Sgd(config::Sgd {
                momentum,
                ..config::Sgd::default()
            })
        };
        for config in [OptimizerConfig::default(), sgd(0.9), sgd(0.0)] {
            let mut weights = one(&[1.0]);
            let mut optimizer = Optimizer::new(&config, &weights);
            for i in 0..3 {
                weights = step(&mut optimizer, &weights, 0.3 + i as f32);
            }
            let mut again = Optimizer::new(&config, &weights);
            again.restore(optimizer.state(&weights), &weights, &device);
            let expected = step(&mut optimizer, &weights, -0.7);
            let found = step(&mut again, &weights, -0.7);
            assert_eq!(value(&found), value(&expected));
        }
    }

    #[test]
    fn a_weight_without_gradient_stays() {
        let weights = one(&[1.0]);
        let mut optimizer = Optimizer::new(&OptimizerConfig::default(), &weights);
        let after = optimizer.step(0.1, &weights, vec![None]);
        assert_eq!(value(&after), 1.0);
    }
}
