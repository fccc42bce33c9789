//! Sweeps against TransformerLens's own.

use burn::tensor::Device;
use mr_circuits::{Direction, Grid, Pair, Question, Sweep};
use mr_models::{Input, Labels, ModelSpec, class_tensor, objective};
use serde_json::Value;

use crate::nets::{close, json};
use crate::transformers;

/// What 32 bits lose in two layers.
const TOLERANCE: f32 = 1e-4;

fn classes(value: &Value) -> Vec<usize> {
    serde_json::from_value(value.clone()).unwrap()
}

#[test]
fn patching_sweeps_find_what_transformer_lens_finds() {
    let device = Device::flex();
    let golden = json("patching.json");
    let golden = golden["models"].as_array().unwrap();
    assert_eq!(golden.len(), 5);
    let nets = transformers::all();
    let mut compared = 0;
    for expected in golden {
        let file = expected["file"].as_str().unwrap();
        let lens = nets.iter().find(|lens| lens.file == file).unwrap();
        let net = lens.network(&device);
        let tokens = expected["tokens"].as_array().unwrap();
        let tokens: Vec<Vec<usize>> = tokens.iter().map(classes).collect();
        let corrupt = Input::of_tokens(&tokens, &device);
        let pair = Pair::new(lens.input(&device), corrupt.unwrap()).unwrap();
        let [more, less] = ["more", "less"].map(|which| classes(&expected[which]));
        let labels = Labels::of_classes(&more, &device).with_target(class_tensor(&less, &device));
        let last = objective::by_name("last(answer-difference)").unwrap();
        let question = Question::new(&net, last.as_ref(), &labels);
        let sized: ModelSpec = mr_models::Model::spec(&net).of_length(5).unwrap();
        let mean = |values: &[f32]| values.iter().sum::<f32>() / values.len() as f32;
        for (what, grid) in [
            ("heads", Grid::heads(&sized, "z")),
            ("heads_k", Grid::heads(&sized, "k")),
            ("resid_pre", Grid::positions(&sized, "resid_pre")),
            ("mlp_out", Grid::positions(&sized, "mlp_out")),
        ] {
            if expected[what].is_null() {
                continue;
            }
            let direction = Direction::Denoise;
            let spots = grid.unwrap().spots();
            let found = Sweep::default().patch(question, &pair, direction, &spots, &mut |_, _| {});
            let found = found.unwrap();
            let of = |name: &str| expected[name].as_f64().unwrap() as f32;
            let runs = [mean(&found.donor), mean(&found.base)];
            close(file, &runs, &[of("clean"), of("corrupt")], TOLERANCE);
            let means: Vec<f32> = found.patched.iter().map(|values| mean(values)).collect();
            let rows = expected[what].as_array().unwrap().iter();
            let rows: Vec<Vec<f32>> = rows
                .map(|row| serde_json::from_value(row.clone()).unwrap())
                .collect();
            close(
                &format!("{file}, {what}"),
                &means,
                &rows.concat(),
                TOLERANCE,
            );
            compared += 1;
        }
    }
    assert_eq!(compared, 5 + 4 + 5 + 3);
}
