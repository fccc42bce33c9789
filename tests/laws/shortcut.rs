//! A model's own way back to the input is that of the graph.

use burn::tensor::{Device, Tensor};
use mr_models::objective::{CrossEntropy, Dlr, Margin};
use mr_models::{
    Architecture, Hook, Input, InputKind, Labels, Model, ModelSpec, Network, Objective, Place,
    floats, value_and_grad,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::windowed::{Images, nets};

/// A network that knows no shortcut.
struct Plain<'a>(&'a Network);

impl Model for Plain<'_> {
    fn spec(&self) -> &ModelSpec {
        self.0.spec()
    }

    fn device(&self) -> Device {
        self.0.device()
    }

    fn run(&self, input: &Input, hook: &mut dyn Hook) -> Tensor<3> {
        self.0.run(input, hook)
    }
}

fn close(found: &[f32], expected: &[f32], what: &str) {
    let largest = expected.iter().fold(1e-3_f32, |all, v| all.max(v.abs()));
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        let off = (found - expected).abs();
        assert!(
            off < 1e-5 * largest.max(1.0),
            "{what}: {found} for {expected}"
        );
    }
}

#[test]
fn the_way_back_is_that_of_the_graph() {
    let lenet = Network::init(Architecture::lenet5(), 2, &Device::flex()).unwrap();
    for net in nets().into_iter().chain([lenet]) {
        let InputKind::Real { shape } = net.spec().input else {
            panic!("images")
        };
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let input = Images::random(shape, 11, &mut rng).input();
        let classes: Vec<usize> = (0..11).map(|_| rng.random_range(0..10)).collect();
        let labels = Labels::of_classes(&classes, &Device::flex());
        for objective in [&CrossEntropy as &dyn Objective, &Margin, &Dlr] {
            assert!(net.shortcut(&input).is_some());
            let places = [Place::Input];
            let short = value_and_grad(&net, &input, &labels, objective, &places).unwrap();
            let long = value_and_grad(&Plain(&net), &input, &labels, objective, &places).unwrap();
            let what = objective.name();
            close(
                &floats(short.logits.clone()),
                &floats(long.logits.clone()),
                &what,
            );
            close(
                &floats(short.values.clone()),
                &floats(long.values.clone()),
                &what,
            );
            close(
                &floats(short.input().clone()),
                &floats(long.input().clone()),
                &what,
            );
        }
    }
}
