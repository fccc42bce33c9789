//! Auto-PGD finds the points that its authors' own code finds.

use burn::tensor::Device;
use mr_attacks::Apgd;
use mr_models::floats;
use serde_json::Value;

use crate::nets::close;
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
        large_radii: run["large_radii"].as_bool().unwrap(),
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
