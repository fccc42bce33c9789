//! Dictionaries of other libraries, read here, give what these make of the same activations.

use std::path::PathBuf;

use burn::tensor::{Device, Tensor, TensorData};
use mr_models::{floats, read_tensors};
use mr_sae::{Codes, Dictionary, Format, Kind, Loss, Revival, Sae, Strength, open};
use serde_json::Value;

fn folder() -> PathBuf {
    PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../fixtures/golden"
    ))
}

fn golden(name: &str) -> Value {
    let text = std::fs::read_to_string(folder().join(name)).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn numbers(value: &Value) -> Vec<f32> {
    match value {
        Value::Array(values) => values.iter().flat_map(numbers).collect(),
        value => vec![value.as_f64().unwrap() as f32],
    }
}

fn x(golden: &Value) -> Tensor<2> {
    let values = numbers(&golden["x"]);
    let rows = golden["x"].as_array().unwrap().len();
    let shape = [rows, values.len() / rows];
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}

fn opened(name: &str) -> Sae {
    let folder = folder().join("saelens").join(name);
    open(&folder, &Device::flex()).unwrap().sae
}

fn near(what: &str, found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (a, b) in found.iter().zip(expected) {
        assert!(
            (a - b).abs() < 1e-5 * b.abs().max(1.0),
            "{what}: {a} is not {b}"
        );
    }
}

#[test]
fn codes_reconstructions_and_measures_are_those_of_saelens() {
    let golden = golden("saelens.json");
    let x = x(&golden);
    let cases = golden["inference"].as_array().unwrap();
    assert_eq!(cases.len(), 15);
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let sae = opened(name);
        let codes = sae.encode(x.clone());
        near(name, &floats(codes.clone()), &numbers(&case["codes"]));
        if !case["decoded"].is_null() {
            near(
                name,
                &floats(sae.decode(codes.clone())),
                &numbers(&case["decoded"]),
            );
        }
        let made = sae.reconstruct(x.clone());
        near(
            name,
            &floats(made.clone()),
            &numbers(&case["reconstruction"]),
        );
        let active = floats(codes).iter().filter(|&&code| code > 0.0).count();
        near(
            name,
            &[active as f32 / x.dims()[0] as f32],
            &numbers(&case["l0"]),
        );
        if let Some(expected) = case["explained_variance"].as_f64() {
            let total = (x.clone() - x.clone().mean_dim(0)).square().sum();
            let missing = (x.clone() - made).square().sum();
            let found = 1.0 - floats(missing)[0] / floats(total)[0];
            near(name, &[found], &[expected as f32]);
        }
    }
}

#[test]
fn files_of_older_saelens_and_of_sparsify_do_what_they_did_there() {
    let golden = golden("dictionaries.json");
    let x = x(&golden);
    let cases = golden["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 9);
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let folder = folder().join("dictionaries").join(name);
        let opened = open(&folder, &Device::flex()).unwrap();
        let sparsify = name.starts_with("sparsify");
        let format = if sparsify {
            Format::Sparsify
        } else {
            Format::SaeLensOld
        };
        assert_eq!(opened.format, format, "{name}");
        let codes = floats(opened.sae.encode(x.clone()));
        near(name, &codes, &numbers(&case["codes"]));
        let made = floats(opened.sae.reconstruct(x.clone()));
        near(name, &made, &numbers(&case["reconstruction"]));
    }
}

/// What the settings of SAELens's training classes are here.
fn strength<'a>(name: &str, case: &Value, dead: &'a [bool]) -> Strength<'a> {
    let coefficient = case["coefficients"].as_object().unwrap().values().next();
    let revival = match name {
        "topk" | "batchtopk" | "matryoshka" => Revival::AuxK {
            k: None,
            coefficient: 1.0,
        },
        "topk_plain" => Revival::AuxK {
            k: None,
            coefficient: 0.5,
        },
        "jumprelu_tanh" => Revival::PreActivation { coefficient: 0.1 },
        _ => Revival::None,
    };
    Strength {
        sparsity: coefficient.map_or(0.0, |c| c.as_f64().unwrap() as f32),
        revival,
        dead: Some(dead),
    }
}

/// The parts as SAELens names them.
fn parts(sae: &Sae, loss: &Loss, expected: &Value) -> Vec<(&'static str, f32, f32)> {
    let of = |names: &[&str]| -> f32 {
        let fields = expected.as_object().unwrap();
        let sums = fields
            .iter()
            .filter(|(name, _)| names.iter().any(|n| name.starts_with(n)));
        sums.map(|(_, value)| value.as_f64().unwrap() as f32).sum()
    };
    let one = |tensor: &Tensor<1>| floats(tensor.clone())[0];
    let (auxiliary, revival): (&[&str], &[&str]) = match sae.config().kind {
        Kind::Gated(_) => (&["auxiliary_reconstruction"], &[]),
        _ => (&["inner_mse"], &["auxiliary_reconstruction", "pre_act"]),
    };
    vec![
        ("error", one(&loss.squared_error), of(&["mse_loss"])),
        ("sparsity", one(&loss.sparsity), of(&["l1_loss", "l0_loss"])),
        ("auxiliary", one(&loss.auxiliary), of(auxiliary)),
        ("revival", one(&loss.revival), of(revival)),
    ]
}

#[test]
fn losses_and_gradients_are_those_of_saelens() {
    let golden = golden("saelens.json");
    let x = x(&golden);
    let mut dead = vec![false; 24];
    for latent in numbers(&golden["dead"]) {
        dead[latent as usize] = true;
    }
    let (gradients, _) = read_tensors(&folder().join("saelens_gradients.safetensors")).unwrap();
    let cases = golden["training"].as_array().unwrap();
    assert_eq!(cases.len(), 9);
    let mut compared = 0;
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let sae = opened(&format!("training_{name}"));
        let tracked = sae.with_weights(sae.weights().tracked());
        let loss = tracked.loss(&x, &x, &strength(name, case, &dead));
        near(name, &floats(loss.codes.clone()), &numbers(&case["codes"]));
        for (part, found, expected) in parts(&sae, &loss, &case["parts"]) {
            near(&format!("{name}: {part}"), &[found], &[expected]);
        }
        near(name, &floats(loss.total.clone()), &numbers(&case["loss"]));
        let after = sae.follow(Codes::of(loss.codes.clone().inner()).least());
        if let Some(expected) = case["threshold_after"].as_f64() {
            let threshold = floats(after.weights().get::<1>("threshold"));
            near(name, &threshold[..1], &[expected as f32]);
        }
        let found = tracked.weights().gradients(&mut loss.total.backward());
        for (entry, gradient) in sae.weights().entries().iter().zip(found) {
            let full = format!("{name}/{}", entry.name);
            let Some((_, _, expected)) = gradients.iter().find(|(name, ..)| *name == full) else {
                assert!(!entry.trainable, "no golden gradient of {full}");
                continue;
            };
            let found = gradient.map_or(vec![0.0; expected.len()], floats);
            // Sums of a few hundred products in another order.
            let scale = expected.iter().fold(1.0f32, |most, v| most.max(v.abs()));
            for (a, b) in found.iter().zip(expected) {
                assert!((a - b).abs() < 1e-5 * scale, "{full}: {a} is not {b}");
            }
            compared += 1;
        }
    }
    assert_eq!(
        compared,
        gradients.len(),
        "every golden gradient is compared"
    );
}

#[test]
fn ghost_gradients_are_those_of_plain_pytorch() {
    let (golden, held) = (
        self::golden("ghost_gradients.json"),
        self::golden("saelens.json"),
    );
    let x = x(&held);
    let mut dead = vec![false; 24];
    for latent in numbers(&held["dead"]) {
        dead[latent as usize] = true;
    }
    let sae = opened("training_standard");
    let tracked = sae.with_weights(sae.weights().tracked());
    let strength = Strength {
        sparsity: 0.0,
        revival: Revival::Ghost { coefficient: 1.0 },
        dead: Some(&dead),
    };
    let loss = tracked.loss(&x, &x, &strength);
    let term = floats(loss.revival.clone())[0];
    // Whether the batch, each sample or each channel is balanced is of no account to the value.
    for (form, expected) in golden["terms"].as_object().unwrap() {
        near(form, &[term], &numbers(expected));
    }
    let found = tracked.weights().gradients(&mut loss.revival.backward());
    for (entry, gradient) in sae.weights().entries().iter().zip(found) {
        let expected = numbers(&golden["gradients"][&entry.name]);
        let found = floats(gradient.unwrap());
        let scale = expected.iter().fold(1.0f32, |most, v| most.max(v.abs()));
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(&expected) {
            assert!(
                (a - b).abs() < 1e-5 * scale,
                "{}: {a} is not {b}",
                entry.name
            );
        }
    }
}
