use burn::tensor::{Device, TensorData};
use mr_models::{Architecture, Input, Labels, Network};
use serde_json::Value;

use super::*;
use crate::attack::tests::{
    finds_the_smallest, finds_the_smallest_at_the_logits, finds_the_target, judge, refused,
};
use crate::goal::Goal;
use crate::victim::Meter;

/// FAB stays within its overshoot and step back: half a percent above the smallest.
#[test]
fn a_linear_net_is_broken_at_the_smallest_distance() {
    for norm in [Norm::Linf, Norm::L2, Norm::L1] {
        for targets in [0, 1, 2] {
            let fab = Fab {
                targets,
                ..Fab::default()
            };
            finds_the_smallest(&fab, norm, 1e-2);
        }
    }
}

#[test]
fn a_target_is_reached_at_its_own_distance() {
    for norm in [Norm::Linf, Norm::L2, Norm::L1] {
        finds_the_target(&Fab::default(), norm, 1e-2);
        finds_the_smallest_at_the_logits(&Fab::default(), norm, 1e-2);
    }
}

#[test]
fn an_example_in_the_ball_is_done() {
    let threat = ThreatModel::new(Norm::Linf, 0.2);
    let found = judge(&Fab::default(), &threat, &Goal::Untargeted).unwrap();
    // One step towards two sides, and at the second the first side says that it is there.
    assert!(found.examples[0].success);
    assert!(found.counts.backwards <= 3, "{:?}", found.counts);
}

#[test]
fn restarts_never_make_it_worse() {
    let once = Fab {
        steps: 3,
        ..Fab::default()
    };
    let again = Fab {
        restarts: 4,
        ..once.clone()
    };
    for norm in [Norm::Linf, Norm::L2, Norm::L1] {
        let of = |fab: &Fab| {
            let found = judge(fab, &ThreatModel::unbounded(norm), &Goal::Untargeted).unwrap();
            found.examples[0].distance.unwrap()
        };
        assert!(of(&again) <= of(&once));
    }
}

fn golden(file: &str) -> Value {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/golden/");
    serde_json::from_slice(&std::fs::read(format!("{folder}{file}")).unwrap()).unwrap()
}

fn read<T: serde::de::DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap()
}

/// The net of `pgd_tiny.json`, its input and labels.
fn tiny() -> (Network, Vec<Vec<f32>>, Vec<usize>) {
    let golden = golden("pgd_tiny.json");
    let entry = |(name, values): (&String, &Value)| {
        if values[0].is_array() {
            let rows: Vec<Vec<f32>> = read(values);
            (name.clone(), vec![rows.len(), rows[0].len()], rows.concat())
        } else {
            let row: Vec<f32> = read(values);
            (name.clone(), vec![row.len()], row)
        }
    };
    let weights = golden["weights"].as_object().unwrap();
    let architecture: Architecture = read(&golden["architecture"]);
    let weights = weights.iter().map(entry).collect();
    let net = Network::with_weights(architecture, weights, &Device::flex()).unwrap();
    (net, read(&golden["input"]), read(&golden["labels"]))
}

/// The reference's distances after every so many steps. Ours may be smaller where a point that went
/// back is a success still, and the reference does not look.
#[test]
fn the_distances_of_the_reference() {
    let (net, input, labels) = tiny();
    let device = Device::flex();
    let shape = [input.len(), 1, 2, 4];
    let input = Tensor::from_data(TensorData::new(input.concat(), shape), &device);
    let golden = golden("fab_tiny.json");
    let runs = golden["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 9);
    let (mut checked, mut smaller) = (0, 0);
    for run in runs {
        let threat = ThreatModel::unbounded(run["norm"].as_str().unwrap().parse().unwrap());
        let (meter, goal) = (Meter::default(), Goal::Untargeted);
        let batch = (
            Input::Real(input.clone()),
            Labels::of_classes(&labels, &device),
        );
        let victim = Victim::new(&net, &threat, &goal, batch, vec![0, 1, 2], 0, &meter);
        let classes = wrong_classes(&victim);
        let boundary = match run["rank"].as_u64() {
            None => Boundary::between(classes.into_iter()),
            Some(rank) => Boundary::between(std::iter::once(classes[rank as usize - 2].clone())),
        };
        let steps: Vec<usize> = read(&golden["steps"]);
        for (steps, expected) in steps.iter().zip(run["distances"].as_array().unwrap()) {
            let fab = Fab {
                steps: *steps,
                ..Fab::default()
            };
            let mut nearest = Nearest::new(&victim);
            fab.runs(&victim, &boundary, 0, &mut nearest).unwrap();
            let expected: Vec<Option<f32>> = read(expected);
            for (row, expected) in expected.iter().enumerate() {
                let found = nearest.distance(row);
                let expected = expected.unwrap_or(f32::INFINITY);
                let same = found == expected || (found / expected - 1.0).abs() < 1e-5;
                assert!(same || found < expected, "{run} {steps} {row}: {found}");
                checked += 1;
                smaller += usize::from(!same);
            }
        }
    }
    assert_eq!((checked, smaller), (135, 14));
}

#[test]
fn senseless_settings_are_refused() {
    let default = Fab::default();
    assert_eq!(
        refused(&default, Norm::L0),
        "fab knows the norms Linf, L2, L1, not L0"
    );
    let steps = Fab {
        steps: 0,
        ..default.clone()
    };
    assert_eq!(refused(&steps, Norm::L2), "steps is 0, must be at least 1");
    let beta = Fab {
        beta: 1.5,
        ..default
    };
    assert_eq!(refused(&beta, Norm::L2), "beta is 1.5, must be in [0, 1]");
}
