//! A few steps of training, weight by weight as PyTorch makes them; see `fixtures/README.md`.

use std::ops::ControlFlow;

use burn::tensor::Device;
use mr_models::data::Dataset;
use mr_models::{Architecture, InputKind, Model, Network, read_tensors};
use mr_train::{OptimizerConfig, Sgd, TrainConfig, Trainer};

use crate::nets::{all, close, fixture, json};

/// Weights, BatchNorm's running statistics and the mean loss after the golden steps.
pub(crate) fn three_steps(device: &Device, tolerance: f32) {
    golden_steps("training", device, tolerance);
}

/// The same down robust losses: perturbed weights, replayed batches, interval bounds.
pub(crate) fn three_robust_steps(device: &Device, tolerance: f32) {
    golden_steps("robust_training", device, tolerance);
}

fn golden_steps(file: &str, device: &Device, tolerance: f32) {
    let golden = json(&format!("{file}.json"));
    let (expected, _) = read_tensors(&fixture(&format!("{file}.safetensors"))).unwrap();
    let nets = all();
    let setting = |name: &str| golden["settings"][name].as_f64().unwrap();
    let config = TrainConfig {
        steps: Some(golden["steps"].as_u64().unwrap() as usize),
        batch_size: 3,
        shards: 1,
        optimizer: OptimizerConfig::Sgd(Sgd {
            lr: setting("lr"),
            momentum: setting("momentum"),
            weight_decay: setting("weight_decay"),
            nesterov: false,
        }),
        ..TrainConfig::default()
    };
    let mut checked = 0;
    for run in golden["runs"].as_array().unwrap() {
        let name = run["name"].as_str().unwrap();
        let start = nets.iter().find(|net| run["file"] == net.file).unwrap();
        let architecture: Architecture =
            serde_json::from_value(run["architecture"].clone()).unwrap();
        let net = Network::with_weights(
            architecture,
            start.network(device).weights().to_host(),
            device,
        )
        .unwrap();
        let InputKind::Real { shape } = net.spec().input else {
            panic!("{name} takes tokens")
        };
        let classes = (0..net.spec().classes).map(|i| i.to_string()).collect();
        let values = start.tensor("input").1.clone();
        let data = Dataset::of_floats(name, shape, classes, values, start.labels.clone()).unwrap();
        let mut config = serde_json::to_value(&config).unwrap();
        for (key, value) in run["train"].as_object().into_iter().flatten() {
            config[key] = value.clone();
        }
        let config: TrainConfig = serde_json::from_value(config).unwrap();
        let trained = Trainer::new(config, net, &data)
            .unwrap()
            .run(&mut |_| ControlFlow::Continue(()))
            .unwrap();
        let losses: Vec<f32> = trained.history.losses.iter().map(|at| at.loss).collect();
        let golden_losses: Vec<f32> = serde_json::from_value(run["losses"].clone()).unwrap();
        close(name, &losses, &golden_losses, tolerance);
        for (weight, _, found) in trained.network.weights().to_host() {
            let what = format!("{name}/{weight}");
            let (_, _, expected) = expected.iter().find(|(name, ..)| *name == what).unwrap();
            close(&what, &found, expected, tolerance);
            checked += 1;
        }
    }
    assert_eq!(checked, expected.len());
}
