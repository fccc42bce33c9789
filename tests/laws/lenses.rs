//! Lenses against TransformerLens's own.

use std::collections::BTreeMap;

use burn::tensor::Device;
use mr_circuits::{Question, Streams, direct_attribution};
use mr_models::{Labels, class_tensor, floats, objective};
use serde_json::Value;

use crate::nets::{close, json};
use crate::transformers;

const TOLERANCE: f32 = 1e-4;

fn rows(value: &Value) -> Vec<Vec<f32>> {
    serde_json::from_value(value.clone()).unwrap()
}

/// The component of ours that one of theirs is part of.
fn ours(component: &str) -> String {
    if component.contains("embed") {
        return "input".into();
    }
    if component == "bias" {
        return "bias".into();
    }
    match component.strip_suffix("_mlp_out") {
        Some(layer) => format!("m{layer}"),
        None => component.replace('L', "a").replace('H', ".h"),
    }
}

#[test]
fn streams_and_components_say_what_transformer_lens_says() {
    let device = Device::flex();
    let golden = json("patching.json");
    let nets = transformers::all();
    let mut compared = 0;
    for expected in golden["models"].as_array().unwrap() {
        let file = expected["file"].as_str().unwrap();
        let lens = nets.iter().find(|lens| lens.file == file).unwrap();
        let (net, input) = (lens.network(&device), lens.input(&device));
        let streams = Streams::of(&net, &input).unwrap();
        for (layer, stream) in streams.values().iter().enumerate() {
            let logits = streams.unembedded(stream.clone());
            let last = floats(logits.narrow(1, 4, 1));
            for (example, found) in last.chunks(11).enumerate() {
                let expected = &rows(&expected["lens"][example])[layer];
                close(
                    &format!("{file}, layer {layer}"),
                    found,
                    expected,
                    TOLERANCE,
                );
                compared += 1;
            }
        }
        let [more, less] = ["more", "less"]
            .map(|which| serde_json::from_value::<Vec<usize>>(expected[which].clone()).unwrap());
        let labels = Labels::of_classes(&more, &device).with_target(class_tensor(&less, &device));
        let last = objective::by_name("last(answer-difference)").unwrap();
        let found = direct_attribution(Question::new(&net, last.as_ref(), &labels), &input);
        let found = found.unwrap();
        assert!(found.completeness_error() < TOLERANCE, "{file}");
        let mut theirs: BTreeMap<String, Vec<f32>> = BTreeMap::new();
        let components = expected["components"].as_array().unwrap().iter();
        for (component, values) in components.zip(rows(&expected["direct"])) {
            let sum = theirs
                .entry(ours(component.as_str().unwrap()))
                .or_insert(vec![0.0; 3]);
            sum.iter_mut()
                .zip(values)
                .for_each(|(sum, value)| *sum += value);
        }
        let mut bias = vec![0.0; 3];
        for (component, values) in found.components.iter().zip(&found.values) {
            if component.ends_with("bias") {
                bias.iter_mut()
                    .zip(values)
                    .for_each(|(sum, value)| *sum += value);
            } else {
                close(
                    &format!("{file}, {component}"),
                    values,
                    &theirs[component],
                    TOLERANCE,
                );
                compared += 1;
            }
        }
        close(&format!("{file}, terms"), &bias, &theirs["bias"], TOLERANCE);
    }
    assert_eq!(compared, 5 * 3 * 3 + 5 * 9 + 3 * 2);
}
