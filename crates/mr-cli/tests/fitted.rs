//! `mr universal` and `mr patch` from end to end.

mod support;

use mr_metrics::ExperimentRecord;
use mr_models::read_tensors;
use support::{Lab, number};

#[test]
fn a_universal_perturbation_is_fitted_judged_and_kept() {
    let lab = Lab::new();
    lab.net();
    let words = "universal --model net --epsilon 0.2 --fit-limit 200 --limit 100 --epochs 20";
    let found = lab.json(&format!("{words} --out there"));
    let (clean, robust) = (
        number(&found, "clean_accuracy"),
        number(&found, "robust_accuracy"),
    );
    assert!(robust < 0.8 * clean, "{robust} of {clean}");
    assert_eq!(
        (&found["n"], &found["fitted_to"]),
        (&100.into(), &200.into())
    );
    let (tensors, _) = read_tensors(&lab.path("there/perturbation.safetensors")).unwrap();
    let (name, shape, values) = &tensors[0];
    assert_eq!(
        (name.as_str(), &shape[..]),
        ("perturbation", &[1, 28, 28][..])
    );
    let largest = values
        .iter()
        .fold(0.0f32, |most, value| most.max(value.abs()));
    assert!(largest <= 0.2 + 1e-6 && largest > 0.1, "{largest}");
    assert_eq!(&lab.read("there/perturbation.png")[1..4], b"PNG");
    let record = ExperimentRecord::read(&lab.path("there/record.json")).unwrap();
    assert_eq!(record.artifacts["picture"], "perturbation.png");
    assert_eq!(record.config["threat"]["norm"], "Linf");
    // Batches and threads change nothing; a smaller ball does.
    let same = lab.json(&format!("{words} --batch-size 7 --threads 1"));
    assert_eq!(same["numbers"], found["numbers"]);
    let none = lab.json(&words.replace("0.2", "0"));
    assert_eq!(
        number(&none, "robust_accuracy"),
        number(&none, "clean_accuracy")
    );
    // At a site there is no picture.
    let site = "--place linear1.hook_out --norm l2 --epsilon 3 --out site";
    lab.json(&format!(
        "universal --model net --fit-limit 50 --limit 50 {site}"
    ));
    assert!(!lab.path("site/perturbation.png").exists());
    let (tensors, _) = read_tensors(&lab.path("site/perturbation.safetensors")).unwrap();
    assert_eq!(tensors[0].1, [1, 16]);
}

#[test]
fn a_patch_is_fitted_judged_and_kept() {
    let lab = Lab::new();
    lab.net();
    let words = "patch --model net --fit-limit 200 --limit 100 --epochs 20";
    let found = lab.json(&format!("{words} --size 10x12 --at 8,9 --out there"));
    let (clean, robust) = (
        number(&found, "clean_accuracy"),
        number(&found, "robust_accuracy"),
    );
    assert!(robust < 0.8 * clean, "{robust} of {clean}");
    let (tensors, _) = read_tensors(&lab.path("there/patch.safetensors")).unwrap();
    assert_eq!(tensors[0].1, [1, 10, 12]);
    assert!(tensors[0].2.iter().all(|value| (0.0..=1.0).contains(value)));
    assert_eq!(&lab.read("there/patch.png")[1..4], b"PNG");
    let place = &found["config"]["patch"]["place"];
    assert_eq!(place, &serde_json::json!({"at": {"top": 8, "left": 9}}));
    // The worst of several places is no better than one.
    let anywhere = |places: u32| {
        let found = lab.json(&format!("{words} --size 8 --places {places}"));
        number(&found, "robust_accuracy")
    };
    assert!(anywhere(5) <= anywhere(1));
}

#[test]
fn what_cannot_be_fitted_is_told() {
    let lab = Lab::new();
    lab.net();
    for (words, expected) in [
        ("universal --model net", "error: no threat: give --epsilon"),
        (
            "universal --model net --epsilon inf",
            "error: a universal perturbation searches inside a ball",
        ),
        (
            "universal --model net --epsilon 0.1 --epochs 0",
            "error: epochs is 0, must be at least 1",
        ),
        (
            "universal --model net --epsilon 0.1 --fit-limit 0",
            "error: the data to fit to: ",
        ),
        (
            "patch --model net --size 5y5",
            "error: --size 5y5: must be as 5x8, or as 6",
        ),
        (
            "patch --model net --at 3",
            "error: --at 3: must be a row and a column, as 0,4",
        ),
        ("patch --model net --size 8 --at 25,0", "error: "),
        (
            "patch --model net --places 0",
            "error: places is 0, must be at least 1",
        ),
        (
            "patch --model net --target 11",
            "error: target is 11, must be a class below 10",
        ),
    ] {
        let said = lab.error(words);
        assert!(said.starts_with(expected), "{words}: {said}");
    }
}
