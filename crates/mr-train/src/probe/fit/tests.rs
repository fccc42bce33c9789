use serde::Deserialize;

use super::*;
use crate::dictionary::Activations;
use crate::probe::{control_labels, folds};
use crate::random::generator;

#[derive(Deserialize)]
struct Golden {
    x: Vec<Vec<f32>>,
    labels: Vec<usize>,
    ridge: Vec<Fit>,
    logistic: Vec<Fit>,
    discriminant: Fit,
    nearest: Nearest,
}

#[derive(Deserialize)]
struct Fit {
    #[serde(default)]
    lambda: f64,
    weights: Vec<Vec<f64>>,
    bias: Vec<f64>,
    accuracy: f64,
    log_loss: Option<f64>,
}

#[derive(Deserialize)]
struct Nearest {
    means: Vec<Vec<f64>>,
    predicted: Vec<usize>,
}

fn golden() -> Golden {
    let text = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../fixtures/golden/probes.json"
    ));
    serde_json::from_str(text).unwrap()
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("class {i}")).collect()
}

fn labelled(values: Vec<f32>, width: usize) -> Labelled {
    Labelled {
        site: "s".into(),
        samples: Activations::new(values, width).unwrap(),
        per_example: 1,
    }
}

fn config(kind: ProbeKind, lambda: f64, scaled: bool) -> ProbeConfig {
    ProbeConfig {
        kind,
        lambda,
        scaled,
        tolerance: 1e-10,
        ..ProbeConfig::default()
    }
}

fn fitted(of: &Labelled, labels: &[usize], config: &ProbeConfig) -> FittedProbe {
    let rows: Vec<usize> = (0..labels.len()).collect();
    let count = labels.iter().max().unwrap() + 1;
    fit_probe(of, labels, &rows, &names(count), config).unwrap()
}

fn near(what: &str, found: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        let error = (f64::from(*found) - expected).abs();
        assert!(error < tolerance, "{what}: {found} is not {expected}");
    }
}

#[test]
fn weights_and_accuracies_are_those_of_scikit_learn() {
    let golden = golden();
    let of = labelled(golden.x.concat(), 3);
    let right = |probe: &Probe| {
        let judged = probe.judge(of.samples.values(), &golden.labels);
        let right = judged.right.iter().filter(|&&right| right).count();
        let loss = judged.log_loss.iter().sum::<f64>() / 36.0;
        (right as f64 / 36.0, loss)
    };
    let of_kind = |kind, fit: &Fit, scaled| {
        let found = fitted(&of, &golden.labels, &config(kind, fit.lambda, scaled));
        assert!(found.converged);
        let probe = found.probe;
        let what = format!("{kind:?} at {}", fit.lambda);
        // Scores are known up to what all outputs have in common, which changes no answer. Probes are
        // stored in single precision.
        let apart = |rows: Vec<f64>| -> Vec<f64> {
            let width = rows.len() / 3;
            let mean = |at: usize| (0..3).map(|k| rows[k * width + at]).sum::<f64>() / 3.0;
            let all = rows.iter().enumerate();
            all.map(|(at, value)| value - mean(at % width)).collect()
        };
        let wide = |values: &[f32]| values.iter().map(|&v| f64::from(v)).collect();
        let far = |found: Vec<f64>, expected: Vec<f64>| {
            let pairs = found.iter().zip(&expected);
            pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
        };
        let weights = far(apart(wide(probe.weights())), apart(fit.weights.concat()));
        let bias = far(apart(wide(probe.bias())), apart(fit.bias.clone()));
        assert!(weights < 2e-6 && bias < 2e-6, "{what}: {weights}, {bias}");
        let (accuracy, loss) = right(&probe);
        assert!((accuracy - fit.accuracy).abs() < 1e-9, "{what}");
        if let Some(expected) = fit.log_loss {
            assert!((loss - expected).abs() < 1e-6, "{what}: {loss}");
        }
    };
    for fit in &golden.ridge {
        of_kind(ProbeKind::Linear, fit, false);
    }
    for fit in &golden.logistic {
        of_kind(ProbeKind::Logistic, fit, false);
    }
    // Without a penalty the scale of the samples changes nothing.
    of_kind(ProbeKind::Linear, &golden.ridge[1], true);
    of_kind(ProbeKind::MassMean, &golden.discriminant, true);
    of_kind(ProbeKind::MassMean, &golden.discriminant, false);

    let nearest = fitted(
        &of,
        &golden.labels,
        &config(ProbeKind::MeanDifference, 0.0, true),
    )
    .probe;
    let means = golden.nearest.means.concat();
    near("means", nearest.means().unwrap(), &means, 1e-6);
    let judged = nearest.judge(of.samples.values(), &golden.labels);
    assert_eq!(judged.predicted, golden.nearest.predicted);
}

#[test]
fn the_difference_of_two_means_is_the_direction_and_its_middle_the_boundary() {
    // Means (1, 0) and (3, 4).
    let of = labelled(vec![0.0, 0.0, 2.0, 0.0, 3.0, 3.0, 3.0, 5.0], 2);
    let found = fitted(
        &of,
        &[0, 0, 1, 1],
        &config(ProbeKind::MeanDifference, 0.0, true),
    );
    let direction = found.probe.direction(1);
    near("direction", &direction, &[2.0, 4.0], 1e-6);
    let scores = found.probe.scores(&[2.0, 2.0]);
    assert!((scores[0] - scores[1]).abs() < 1e-6, "{scores:?}");
}

/// Features that hold a label: its sign along the first, noise along the others.
fn planted(count: usize, width: usize, seed: u64) -> (Labelled, Vec<usize>) {
    use rand::Rng;
    let mut rng = generator(seed, "planted", 0, 0);
    let mut values = Vec::new();
    let mut labels = Vec::new();
    for i in 0..count {
        let label = i % 2;
        labels.push(label);
        for feature in 0..width {
            let noise: f32 = rng.random_range(-1.0..1.0);
            let sign = if label == 1 { 2.0 } else { -2.0 };
            values.push(if feature == 0 { sign + noise } else { noise });
        }
    }
    (labelled(values, width), labels)
}

#[test]
fn a_planted_concept_is_read_and_noise_is_not() {
    let (of, labels) = planted(300, 8, 0);
    let folds = folds(&labels, 5, 0).unwrap();
    let kinds = [
        ProbeKind::Linear,
        ProbeKind::Logistic,
        ProbeKind::MeanDifference,
        ProbeKind::MassMean,
        ProbeKind::Cav,
    ];
    for kind in kinds {
        let config = config(kind, 1e-2, true);
        let held = held_out(&of, &labels, &folds, &names(2), &config).unwrap();
        assert!(held.judged.right.iter().all(|&right| right), "{kind:?}");
        let direction = fitted(&of, &labels, &config).probe.direction(1);
        let length = direction.iter().map(|v| v * v).sum::<f32>().sqrt();
        assert!(direction[0] / length > 0.97, "{kind:?}: {direction:?}");
        // Labels that nothing tells: chance is 150 of 300, three standard deviations 26.
        let drawn = control_labels(&(0..300).collect::<Vec<_>>(), &labels, 1);
        let held = held_out(&of, &drawn, &folds, &names(2), &config).unwrap();
        let right = held.judged.right.iter().filter(|&&right| right).count();
        assert!((124..=176).contains(&right), "{kind:?}: {right}");
    }
}

#[test]
fn a_site_that_knows_types_by_heart_is_not_selective() {
    // One feature per type, ten examples of each: the control task is learned as well as the task.
    let types: Vec<usize> = (0..200).map(|i| i % 20).collect();
    let labels: Vec<usize> = types.iter().map(|kind| kind % 2).collect();
    let mut values = vec![0.0; 200 * 20];
    for (row, &kind) in types.iter().enumerate() {
        values[row * 20 + kind] = 1.0;
    }
    let of = labelled(values, 20);
    let folds = folds(&labels, 4, 0).unwrap();
    let control = control_labels(&types, &labels, 0);
    assert_ne!(control, labels);
    for task in [&labels, &control] {
        let config = config(ProbeKind::Logistic, 1e-3, true);
        let held = held_out(&of, task, &folds, &names(2), &config).unwrap();
        assert_eq!(held.by_example(1), vec![1.0; 200]);
    }
}

#[test]
fn fits_have_the_same_bits_in_any_pool() {
    let (of, labels) = planted(300, 8, 1);
    for kind in [ProbeKind::Linear, ProbeKind::Logistic, ProbeKind::MassMean] {
        let fit = || fitted(&of, &labels, &config(kind, 1e-2, true)).probe;
        let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let one = pool(1).unwrap().install(fit);
        assert_eq!(one, pool(3).unwrap().install(fit));
    }
}

#[test]
fn positions_of_an_example_are_held_out_together() {
    // Two samples per example, told apart by nothing but their example: leaking one would teach the other.
    let values: Vec<f32> = (0..40)
        .flat_map(|example| [example as f32, example as f32])
        .collect();
    let of = Labelled {
        per_example: 2,
        ..labelled(values, 1)
    };
    let labels: Vec<usize> = (0..80).map(|sample| sample / 2 % 2).collect();
    let by_example: Vec<usize> = (0..40).map(|example| example % 2).collect();
    let folds = folds(&by_example, 4, 0).unwrap();
    let held = held_out(&of, &labels, &folds, &names(2), &ProbeConfig::default()).unwrap();
    let shares = held.by_example(2);
    assert!(
        shares.iter().all(|&share| share == 0.0 || share == 1.0),
        "{shares:?}"
    );
}

#[test]
fn what_cannot_be_fitted_is_refused() {
    let (of, labels) = planted(10, 20, 0);
    let rows: Vec<usize> = (0..10).collect();
    let ask = |labels: &[usize], outputs, config: &ProbeConfig| {
        fit_probe(&of, labels, &rows, &names(outputs), config)
            .unwrap_err()
            .to_string()
    };
    let linear = config(ProbeKind::Linear, 0.0, true);
    assert!(ask(&labels, 2, &linear).contains("set lambda above 0"));
    assert!(ask(&labels[1..], 2, &linear).contains("9 labels for 10 samples"));
    assert!(ask(&labels, 1, &linear).contains("label 1 of 1 outputs"));
    let means = config(ProbeKind::MeanDifference, 0.0, true);
    assert!(ask(&labels, 3, &means).contains("no sample of `class 2`"));
    let negative = config(ProbeKind::Logistic, -1.0, true);
    assert!(ask(&labels, 2, &negative).contains("lambda is -1"));
}
