//! Auto-PGD finds the points that its authors' own code finds.

use burn::tensor::Device;
use mr_attacks::{Apgd, EvaluationConfig, Goal, Norm, ThreatModel, evaluate};
use mr_models::data::{DataCache, DataConfig, Split, load};
use mr_models::{Architecture, floats, load as load_net};
use serde_json::Value;

use crate::nets::{close, json};
use crate::tiny::{rows, tiny};

/// A step of a kept length amplifies rounding, of which the golden points have 1e-6 themselves.
const TOLERANCE: f32 = 1e-5;

/// The settings of a golden run.
fn apgd(run: &Value) -> Apgd {
    let objective = match run["objective"].as_str().unwrap() {
        "ce" => "cross-entropy",
        _ => "dlr",
    };
    Apgd {
        steps: run["steps"].as_u64().unwrap() as usize,
        objective: Some(objective.into()),
        targets: run["targets"].as_u64().unwrap() as usize,
        large_radii: run["large_radii"].as_bool().unwrap_or(false),
        random_start: false,
        compat: true,
        ..Apgd::default()
    }
}

#[test]
fn points_and_decisions_of_the_authors_code() {
    let device = Device::flex();
    let tiny = tiny("apgd_tiny.json", &device);
    assert_eq!(tiny.runs.len(), 11);
    for run in &tiny.runs {
        let what = format!(
            "{} {}, large radii: {}",
            run["norm"], run["objective"], run["large_radii"]
        );
        let all = apgd(run);
        // The golden points are those towards the likeliest wrong class.
        let one = Apgd {
            targets: all.targets.min(1),
            ..all.clone()
        };
        let full = Apgd {
            stop_early: false,
            ..one.clone()
        };
        let stable: Vec<usize> = serde_json::from_value(run["examples"].clone()).unwrap();
        let broken: Vec<bool> = serde_json::from_value(run["broken"].clone()).unwrap();
        for (attack, key) in [(&one, "first_adversarial"), (&full, "best_adversarial")] {
            let (points, reached) = tiny.attacked(run, attack);
            let width = points.len() / reached.len();
            let expected = floats(rows(&run[key], &device));
            for (at, &row) in stable.iter().enumerate() {
                let what = format!("{what}, {key} of {row}");
                assert_eq!(reached[row], broken[at], "{what}");
                // Where nothing is broken both are the point of largest objective.
                let point = &points[row * width..(row + 1) * width];
                let expected = &expected[at * width..(at + 1) * width];
                close(&what, point, expected, TOLERANCE);
            }
        }
        let (_, reached) = tiny.attacked(run, &all);
        let expected: Vec<bool> = serde_json::from_value(run["broken_by_all"].clone()).unwrap();
        assert_eq!(reached, expected, "{what}, all targets");
    }
}

/// The first 200 MNIST images on both LeNet5s. A run of 100 steps amplifies rounding, so that a few
/// images end elsewhere: of 3,582 decisions 17, none of them at a margin near 0. In Linf and L2 the
/// authors' code itself decides each of those otherwise with weights that are off by 1e-7 of themselves.
/// In L1 a single step may hang on which of two gradients is the steeper at the end of the top 20 %: image
/// 105 of the adversarially trained net the authors' code decides both ways with such weights, and image 96
/// of its DLR run, broken here alone, in 2 of 200 runs with pixels that are off by 1e-5 of themselves.
#[test]
#[ignore = "needs MNIST and the LeNet5 pair: `mr data fetch mnist lenet5`"]
fn decisions_of_the_authors_code_on_lenets() {
    let golden = json("apgd_lenet5.json");
    let count = golden["examples"].as_u64().unwrap() as usize;
    let data = load(&DataConfig::named("mnist"), Split::Test).unwrap();
    let data = data.take(count).unwrap();
    let cache = DataCache::platform().unwrap();
    for run in golden["runs"].as_array().unwrap() {
        let file = match run["model"].as_str().unwrap() {
            "standard" => "mnist_lenet5_clntrained.safetensors",
            _ => "mnist_lenet5_advtrained.safetensors",
        };
        let path = cache.file("lenet5", file).unwrap();
        let device = Device::flex();
        let net = load_net(&path, Some(&Architecture::lenet5()), &device).unwrap();
        let norm: Norm = run["norm"].as_str().unwrap().parse().unwrap();
        let epsilon = run["epsilon"].as_f64().unwrap() as f32;
        let list = |key: &str| -> Vec<usize> { serde_json::from_value(run[key].clone()).unwrap() };
        let found = evaluate(
            &net.network,
            &data,
            &ThreatModel::new(norm, epsilon),
            &Goal::Untargeted,
            &[&apgd(run)],
            &EvaluationConfig::default(),
        )
        .unwrap();
        let wrong = |i: &usize| found.examples[*i].distance == Some(0.0);
        let misclassified: Vec<usize> = (0..count).filter(wrong).collect();
        assert_eq!(misclassified, list("misclassified"));
        let broken = list("broken");
        let differ: Vec<usize> = (0..count)
            .filter(|i| !wrong(i) && found.examples[*i].success != broken.contains(i))
            .collect();
        let gained = differ.iter().filter(|i| !broken.contains(i)).count();
        println!(
            "{} {norm} {}: {} broken there, {} differ, {gained} of them broken here; {differ:?}, close {}",
            run["model"],
            run["objective"],
            broken.len(),
            differ.len(),
            run["close"]
        );
        assert!(differ.len() <= count / 50, "{differ:?}");
    }
}
