//! Known answers from PyTorch (fixtures/generate/measures.py, torch.optim and torch.autograd in
//! double precision; versions stand in the file). Tolerances are those of single precision, with a
//! margin of a few roundings.

use burn::tensor::{Device, Tensor};
use mr_attacks::{Norm, ThreatModel};
use mr_models::{Architecture, Input, Labels, Network, Weights, floats};
use serde_json::Value;

use crate::config::{OptimizerConfig, ScheduleConfig, ScheduleKind};
use crate::loss::{Adversarial, InputGradient, LossConfig, Mart, Mix, Trades, Turn};
use crate::optimizer::Optimizer;
use crate::random::generator;
use crate::source::Batch;

fn measures(part: &str) -> Value {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../fixtures/golden/measures.json"
    );
    let text = std::fs::read_to_string(path).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()[part].clone()
}

fn numbers(value: &Value) -> Vec<f32> {
    match value {
        Value::Array(values) => values.iter().flat_map(numbers).collect(),
        other => vec![other.as_f64().unwrap() as f32],
    }
}

fn matrix(value: &Value) -> Tensor<2> {
    let rows = value.as_array().unwrap().len();
    let values = numbers(value);
    let columns = values.len() / rows;
    Tensor::<1>::from_floats(values.as_slice(), &Device::flex()).reshape([rows, columns])
}

fn close(what: &str, found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let reach = tolerance * (1.0 + expected.abs());
        assert!(
            (found - expected).abs() < reach,
            "{what} {i}: {found}, not {expected}"
        );
    }
}

#[test]
fn optimizers_walk_as_those_of_torch() {
    let golden = measures("optimisers");
    let a = matrix(&golden["A"]);
    let centre = Tensor::<1>::from_floats(numbers(&golden["c"]).as_slice(), &Device::flex());
    for run in golden["runs"].as_array().unwrap() {
        let mut settings = run.as_object().unwrap().clone();
        let path = settings.remove("path").unwrap();
        let name = settings.remove("optimiser").unwrap();
        settings.insert("type".into(), name.clone());
        if name == "sgd" {
            settings.entry("momentum").or_insert(0.0.into());
        }
        let config: OptimizerConfig = serde_json::from_value(Value::Object(settings)).unwrap();
        let mut weights = Weights::default();
        weights.push("w", &[3], numbers(&golden["start"]), true, &Device::flex());
        let mut optimizer = Optimizer::new(&config, &weights);
        for expected in path.as_array().unwrap() {
            let away = weights.get::<1>("w") - centre.clone();
            let gradient = a.clone().matmul(away.reshape([3, 1])).reshape([3]);
            weights = optimizer.step(config.lr(), &weights, vec![Some(gradient)]);
            let what = format!("{config:?}");
            close(
                &what,
                &floats(weights.get::<1>("w")),
                &numbers(expected),
                1e-5,
            );
        }
    }
}

#[test]
fn schedules_fall_as_those_of_torch() {
    let golden = measures("schedules");
    let base = golden["base"].as_f64().unwrap();
    let rates = |schedule: &ScheduleConfig| -> Vec<f32> {
        (0..=10)
            .map(|step| (base * schedule.share(step, 10)) as f32)
            .collect()
    };
    let cosine = |floor| ScheduleConfig {
        kind: ScheduleKind::Cosine,
        floor,
        ..ScheduleConfig::default()
    };
    let step = |milestones: &[f64], factor| ScheduleConfig {
        kind: ScheduleKind::Step,
        milestones: milestones.to_vec(),
        factor,
        ..ScheduleConfig::default()
    };
    for (name, schedule) in [
        ("cosine", cosine(0.0)),
        ("cosine_floor", cosine(0.1)),
        ("step", step(&[0.3, 0.6, 0.9], 0.1)),
        ("milestones", step(&[0.4, 0.7], 0.5)),
    ] {
        let expected = numbers(&golden[name]["rates"]);
        close(name, &rates(&schedule), &expected, 1e-7);
    }
}

#[test]
fn trades_and_mart_have_the_value_and_both_gradients_of_torch() {
    let golden = measures("robust_losses");
    let cases = golden["cases"].as_array().unwrap().iter();
    for (case, name) in cases.flat_map(|case| [(case, "trades"), (case, "mart")]) {
        let leaf = |name: &str| {
            let [rows, classes] = matrix(&case[name]).dims();
            let logits = matrix(&case[name]).reshape([rows, 1, classes]);
            logits.autodiff().require_grad()
        };
        let (natural, adversarial) = (leaf("natural"), leaf("adversarial"));
        let labels: Vec<usize> = serde_json::from_value(case["labels"].clone()).unwrap();
        let labels = Labels::of_classes(&labels, &Device::flex());
        let beta = case["beta"].as_f64().unwrap();
        let loss = if name == "trades" {
            let trades = Trades {
                beta,
                ..Trades::default()
            };
            trades.loss(&natural, &adversarial, &labels)
        } else {
            let mart = Mart {
                beta,
                ..Mart::default()
            };
            mart.loss(&natural, &adversarial, &labels)
        };
        let golden = &case[name];
        let value = floats(loss.clone().inner());
        close(name, &value, &numbers(&golden["value"]), 1e-5);
        let mut gradients = loss.backward();
        for (leaf, part) in [(natural, "natural"), (adversarial, "adversarial")] {
            let found = floats(leaf.grad_remove(&mut gradients).unwrap());
            let expected = numbers(&golden[format!("gradient_{part}")]);
            close(&format!("{name} {part}"), &found, &expected, 1e-5);
        }
    }
}

/// The loss of a shard that is a whole batch, and its gradient by weight.
pub(crate) fn descent(
    loss: &LossConfig,
    network: &Network,
    batch: Batch,
) -> (f32, Vec<(String, Vec<f32>)>) {
    let tracked = network.tracked();
    let mut turn = Turn {
        network,
        tracked: &tracked,
        batch_size: batch.examples.len(),
        batch,
        seed: 0,
        sites: &[],
        dropout: generator(0, "dropout", 0, 0),
        done: 1.0,
        found: None,
        carried: None,
        leaf: None,
        first: None,
    };
    let (value, _) = loss.value(&mut turn).unwrap();
    let plain = floats(value.clone().inner())[0];
    let mut gradients = value.backward();
    let gradients = tracked.weights().gradients(&mut gradients);
    let names = tracked
        .weights()
        .entries()
        .iter()
        .map(|entry| entry.name.clone());
    let each = names.zip(gradients.into_iter().map(|g| floats(g.unwrap())));
    (plain, each.collect())
}

/// The tiny network of the input gradients, and its batch of four.
fn tiny(golden: &Value) -> (Network, Batch) {
    let architecture: Architecture =
        serde_json::from_value(golden["architecture"].clone()).unwrap();
    let named = golden["weights"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, values)| {
            let shape = match &values[0] {
                Value::Array(row) => vec![values.as_array().unwrap().len(), row.len()],
                _ => vec![values.as_array().unwrap().len()],
            };
            (name.clone(), shape, numbers(values))
        });
    let network = Network::with_weights(architecture, named.collect(), &Device::flex()).unwrap();
    let labels: Vec<usize> = serde_json::from_value(golden["labels"].clone()).unwrap();
    let batch = Batch {
        input: Input::Real(matrix(&golden["input"]).reshape([4, 1, 1, 4])),
        labels: Labels::of_classes(&labels, &Device::flex()),
        mask: None,
        examples: vec![0, 1, 2, 3],
    };
    (network, batch)
}

#[test]
fn the_input_gradient_penalty_is_that_of_torch() {
    let golden = measures("input_gradients");
    let (network, _) = tiny(&golden);
    let batch = || tiny(&golden).1;
    let lambda = golden["lambda"].as_f64().unwrap();
    let (clean, clean_gradients) = descent(&LossConfig::CrossEntropy, &network, batch());
    close("loss", &[clean], &numbers(&golden["loss"]), 1e-6);
    // A slope over h is a difference of two losses of about 3, rounded at 2e-7 each.
    for (case, tolerance) in golden["finite_difference"]["cases"]
        .as_array()
        .unwrap()
        .iter()
        .zip([1e-4, 1e-3, 1e-2])
    {
        let step = case["h"].as_f64().unwrap();
        let loss = LossConfig::InputGradient(InputGradient { lambda, step });
        let (value, gradients) = descent(&loss, &network, batch());
        close(
            "penalty",
            &[value - clean],
            &numbers(&case["penalty"]),
            tolerance,
        );
        for ((name, found), (_, clean)) in gradients.iter().zip(&clean_gradients) {
            let found: Vec<f32> = found.iter().zip(clean).map(|(a, b)| a - b).collect();
            let expected = numbers(&case["weight_gradient"][name]);
            close(name, &found, &expected, tolerance);
        }
    }
    let nothing = LossConfig::InputGradient(InputGradient {
        lambda: 0.0,
        step: 0.01,
    });
    close(
        "lambda 0",
        &[descent(&nothing, &network, batch()).0],
        &[clean],
        1e-6,
    );
}

#[test]
fn adversarial_losses_are_made_of_their_halves() {
    let golden = measures("input_gradients");
    let loss = |loss: LossConfig| {
        let (network, batch) = tiny(&golden);
        descent(&loss, &network, batch).0
    };
    let threat = ThreatModel::new(Norm::Linf, 0.05);
    let adversarial = |mix| {
        loss(LossConfig::Adversarial(Adversarial {
            mix,
            threat: threat.clone(),
            ..Adversarial::default()
        }))
    };
    let clean = loss(LossConfig::CrossEntropy);
    let (full, half) = (adversarial(Mix::Full), adversarial(Mix::Half));
    assert!(full > clean + 0.1, "{full} {clean}");
    close("half", &[half], &[0.5 * (clean + full)], 1e-5);
    // To first order the loss grows by epsilon times the l1 norm of its gradient.
    let slope: f32 = numbers(&golden["input_gradient_of_loss"])
        .iter()
        .map(|g| g.abs())
        .sum();
    close("linear growth", &[full - clean], &[0.05 * slope], 0.1);
    let trades = |beta| {
        loss(LossConfig::Trades(Trades {
            beta,
            threat: threat.clone(),
            ..Trades::default()
        }))
    };
    close("beta 0", &[trades(0.0)], &[clean], 1e-5);
    let (one, two) = (trades(1.0) - clean, trades(2.0) - clean);
    assert!(one > 0.001, "{one}");
    close("beta", &[two], &[2.0 * one], 1e-5);
}
