use burn::tensor::Device;
use mr_models::{Hook, Input, InputKind, Model, ModelSpec, Wiring, data::Dataset};

use super::*;
use crate::{EvaluationConfig, Goal, evaluate};

/// Says 1 where a weighted sum of the pixels is above a half.
struct Plane {
    spec: ModelSpec,
    weights: Vec<f32>,
}

impl Plane {
    fn new(weights: &[f32]) -> Self {
        Self {
            spec: ModelSpec {
                name: "plane".into(),
                input: InputKind::Real {
                    shape: [1, 1, weights.len()],
                },
                classes: 2,
                sites: Vec::new(),
                wiring: Wiring::default(),
            },
            weights: weights.to_vec(),
        }
    }
}

impl Model for Plane {
    fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    fn device(&self) -> Device {
        Device::flex()
    }

    fn run(&self, input: &Input, _hook: &mut dyn Hook) -> Tensor<3> {
        let points = input.real();
        let [batch, _, _, width] = points.dims();
        let weights = TensorData::new(self.weights.clone(), [1, width]);
        let weights = Tensor::<2>::from_data(weights, &self.device());
        let sum = (points.reshape([batch, width]) * weights).sum_dim(1);
        let sum = sum.reshape([batch, 1, 1]);
        Tensor::cat(vec![sum.clone() * -1.0 + 1.0, sum], 2)
    }
}

fn one(values: &[f32]) -> Dataset {
    let names = vec!["below".into(), "above".into()];
    let shape = [1, 1, values.len()];
    Dataset::of_floats("one", shape, names, values.to_vec(), vec![0]).unwrap()
}

fn found(norm: Norm, epsilon: f32, attack: &HopSkipJump) -> (Option<f32>, u64) {
    let model = Plane::new(&[0.6, 0.8, 0.0, 0.0]);
    let threat = ThreatModel::new(norm, epsilon);
    let config = EvaluationConfig::default();
    let data = one(&[0.2, 0.1, 0.5, 0.9]);
    let found = evaluate(
        &model,
        &data,
        &threat,
        &Goal::Untargeted,
        &[attack],
        &config,
    )
    .unwrap();
    (found.examples[0].distance, found.counts.forwards)
}

/// The sum is .2, the boundary at .5: .3 away in L2 (the weights have length 1), .3 / 1.4 in Linf.
#[test]
fn the_distance_to_a_plane() {
    let attack = HopSkipJump {
        steps: 20,
        ..HopSkipJump::default()
    };
    let (l2, _) = found(Norm::L2, f32::INFINITY, &attack);
    assert!((l2.unwrap() - 0.3).abs() < 0.006, "{l2:?}");
    assert!(l2.unwrap() >= 0.3 - 1e-5);
    // In four dimensions the binary search ends within gamma / 16 of the distance; take it finer.
    let fine = HopSkipJump {
        gamma: 0.01,
        ..attack
    };
    let (linf, _) = found(Norm::Linf, f32::INFINITY, &fine);
    assert!((linf.unwrap() - 0.3 / 1.4).abs() < 0.006, "{linf:?}");
    let (l2, _) = found(Norm::L2, f32::INFINITY, &fine);
    assert!((l2.unwrap() - 0.3).abs() < 0.003, "{l2:?}");
}

#[test]
fn inside_a_ball_it_stops_when_it_can_and_finds_nothing_where_there_is_nothing() {
    let attack = HopSkipJump {
        steps: 20,
        ..HopSkipJump::default()
    };
    let (near, few) = found(Norm::L2, 0.35, &attack);
    let (_, many) = found(Norm::L2, f32::INFINITY, &attack);
    assert!(near.unwrap() <= 0.35 && few < many, "{near:?} {few} {many}");
    assert_eq!(found(Norm::L2, 0.29, &attack).0, None);
}

#[test]
fn what_does_not_fit_is_refused() {
    let spec = Plane::new(&[1.0]).spec;
    let attack = HopSkipJump::default();
    let refused = |attack: &HopSkipJump, threat: &ThreatModel| {
        attack.fits(&spec, threat).unwrap_err().to_string()
    };
    let l1 = refused(&attack, &ThreatModel::new(Norm::L1, 1.0));
    assert_eq!(l1, "hop-skip-jump knows the norms L2, Linf, not L1");
    let site = ThreatModel::new(Norm::L2, 1.0).at(Place::site("middle"));
    assert!(refused(&attack, &site).contains("attack the input"));
    let l2 = ThreatModel::unbounded(Norm::L2);
    let none = HopSkipJump {
        starts: 0,
        ..attack.clone()
    };
    assert_eq!(refused(&none, &l2), "starts is 0, must be at least 1");
    let nan = HopSkipJump {
        gamma: f64::NAN,
        ..attack
    };
    assert!(refused(&nan, &l2).contains("gamma is NaN"));
}

/// Bright images are of class 1, which no noise is. The example's pixels are .2 and the boundary lies
/// where their mean is .9: 8 x .7 away in L2.
#[test]
fn a_targeted_search_starts_at_an_image_of_the_class() {
    let model = Plane::new(&[0.5 / 0.9 / 64.0; 64]);
    let names = vec!["dark".into(), "bright".into()];
    let pixels = [[0.2; 64], [0.97; 64], [0.3; 64]].concat();
    // The last is labelled as bright, but the model does not see it so.
    let data = Dataset::of_floats("two", [1, 1, 64], names, pixels, vec![0, 1, 1]).unwrap();
    let threat = ThreatModel::unbounded(Norm::L2);
    let goal = Goal::Targeted(crate::Targets::Class(1));
    let distance = |images: usize| {
        let attack = HopSkipJump {
            steps: 10,
            images,
            starts: 1,
            ..HopSkipJump::default()
        };
        let config = EvaluationConfig::default();
        let found = evaluate(&model, &data, &threat, &goal, &[&attack], &config).unwrap();
        found.examples[0].distance
    };
    assert_eq!(distance(0), None);
    let found = distance(10).unwrap();
    assert!((5.6 - 1e-4..5.7).contains(&found), "{found}");
}
