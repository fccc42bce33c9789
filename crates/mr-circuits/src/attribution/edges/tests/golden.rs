//! Edge attribution against its definitions, by automatic differentiation over TransformerLens's hooks:
//! `fixtures/generate/edge_attribution.py`.

use std::path::PathBuf;

use burn::tensor::{Device, Tensor, TensorData};
use mr_models::objective::CrossEntropy;
use mr_models::{Architecture, Input, Labels, Network, read_tensors};
use serde_json::Value;

use super::*;
use crate::pair::Pair;

fn fixture(name: &str) -> PathBuf {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/golden");
    PathBuf::from(folder).join(name)
}

fn json(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(fixture(name)).unwrap()).unwrap()
}

fn network(file: &str) -> Network {
    let all = json("transformers.json");
    let mut nets = all["models"].as_array().unwrap().iter();
    let net = nets.find(|net| net["file"] == file).unwrap();
    let architecture: Architecture = serde_json::from_value(net["architecture"].clone()).unwrap();
    let (tensors, _) = read_tensors(&fixture(file)).unwrap();
    let weights = tensors.into_iter().filter_map(|(name, shape, values)| {
        let name = name.strip_prefix("weights/")?;
        Some((name.to_string(), shape, values))
    });
    Network::with_weights(architecture, weights.collect(), &Device::flex()).unwrap()
}

fn tokens(rows: &Value) -> Vec<Vec<usize>> {
    serde_json::from_value(rows.clone()).unwrap()
}

#[test]
fn scores_are_those_of_the_definitions() {
    let golden = json("edge_attribution.json");
    let nets = golden["models"].as_array().unwrap();
    assert_eq!(nets.len(), 5);
    let device = Device::flex();
    for net in nets {
        let file = net["file"].as_str().unwrap();
        let network = network(file);
        let input = |name: &str| Input::of_tokens(&tokens(&net[name]), &device).unwrap();
        let pair = Pair::new(input("clean"), input("corrupt")).unwrap();
        let rows = tokens(&net["labels"]);
        let flat: Vec<i64> = rows.iter().flatten().map(|&label| label as i64).collect();
        let data = TensorData::new(flat, [rows.len(), rows[0].len()]);
        let labels = Labels {
            truth: Tensor::from_data(data, &device),
            ..Labels::of_classes(&[0, 0, 0], &device)
        };
        let steps = net["steps"].as_u64().unwrap() as usize;
        for (name, path) in [
            ("clean", Path::Clean),
            ("inputs", Path::Inputs(steps)),
            ("activations", Path::Activations(steps)),
        ] {
            let found = edge_attribution(&network, &pair, &labels, &CrossEntropy, path).unwrap();
            let expected = net["scores"][name].as_object().unwrap();
            assert_eq!(found.scores.len(), expected.len(), "{file}");
            let largest = expected.values().filter_map(Value::as_f64).map(f64::abs);
            let largest = largest.fold(0.0, f64::max);
            for &(edge, score) in &found.scores {
                let edge = found.wiring.name(edge);
                let value = expected[&edge].as_f64().unwrap();
                // Where large parts cancel, what 32 bits lose of them stays.
                let tolerance = 1e-3 * value.abs() + 1e-5 * largest;
                let off = (f64::from(score) - value).abs();
                assert!(off < tolerance, "{file} {name} {edge}: {score} for {value}");
            }
        }
    }
}
