//! `mr corrupt` from end to end.

mod support;

use mr_metrics::ExperimentRecord;
use predicates::str::contains;
use support::{Lab, number};

#[test]
fn corruptions_and_turns_cost_accuracy() {
    let lab = Lab::new();
    lab.net();
    let words = "corrupt --model net --limit 60 --kinds contrast,impulse-noise --severities 1,5";
    let found = lab.json(&format!(
        "{words} --rotation 30 --translation 3 --random 4 --out there"
    ));
    let clean = number(&found, "clean_accuracy");
    let each = [
        "contrast-1",
        "contrast-5",
        "impulse-noise-1",
        "impulse-noise-5",
    ];
    let each = each.map(|name| number(&found, &format!("accuracy.{name}")));
    assert!(each[1] < clean, "{each:?} {clean}");
    let mean = each.iter().sum::<f64>() / 4.0;
    assert!((number(&found, "mean_corruption_accuracy") - mean).abs() < 1e-12);
    let least = each.iter().copied().fold(1.0, f64::min);
    assert!(number(&found, "worst_corruption_accuracy") <= least);
    assert!(number(&found, "spatial_accuracy") < clean);
    let record = ExperimentRecord::read(&lab.path("there/record.json")).unwrap();
    assert_eq!(record.tables["corruptions"].rows.len(), 4);
    assert_eq!(record.series["corruption_accuracy"].x, [1.0, 5.0]);
    // Batches and threads change nothing, and a file says the same as flags.
    std::fs::write(
        lab.path("corrupt.toml"),
        "[corrupt]\nkinds = [\"contrast\", \"impulse-noise\"]\nseverities = [1, 5]\n\
         [corrupt.spatial]\nsearch = { random = 4 }\n",
    )
    .unwrap();
    let same =
        lab.json("corrupt --model net --limit 60 --config corrupt.toml --batch-size 7 --threads 2");
    assert_eq!(same["numbers"], found["numbers"]);
}

/// The network takes grey images: every corruption but that of colours.
#[test]
fn all_are_those_that_images_allow() {
    let lab = Lab::new();
    lab.net();
    let mut said = lab.mr("corrupt --model net --limit 5 --severities 3");
    let said = said
        .assert()
        .success()
        .stdout(contains("elastic-transform"));
    let said = String::from_utf8_lossy(&said.get_output().stdout).into_owned();
    assert!(!said.contains("saturate"), "{said}");
    let turned = lab.json("corrupt --model net --limit 5 --kinds none --translation 2");
    assert!(turned["numbers"]["mean_corruption_accuracy"].is_null());
    assert!(number(&turned, "spatial_accuracy") <= number(&turned, "clean_accuracy"));
}

#[test]
fn what_cannot_be_tried_is_one_line() {
    let lab = Lab::new();
    lab.net();
    for (words, part) in [
        (
            "--kinds fogg",
            "unknown corruption `fogg`; did you mean fog?",
        ),
        (
            "--kinds fog --severities 0",
            "severity is 0, must be 1, 2, 3, 4 or 5",
        ),
        (
            "--kinds fog --severities 6",
            "severity is 6, must be 1, 2, 3, 4 or 5",
        ),
        ("--severities -1", "`corrupt.severities"),
        (
            "--kinds saturate",
            "saturate changes colours: it takes images of 3 channels, not 1",
        ),
        ("--kinds fog,fog", "fog-1 is given twice"),
        ("--kinds none", "nothing to try"),
        ("--rotation 200", "degrees is 200, must be from 0 to 180"),
        ("--translation -1", "pixels is -1, must be from 0 to 10000"),
        ("--rotation 3 --random 0", "random is 0, must be at least 1"),
        ("--random 3", "give --rotation or --translation"),
    ] {
        let output = lab
            .mr(&format!("corrupt --model net {words}"))
            .assert()
            .failure();
        let said = String::from_utf8_lossy(&output.get_output().stderr).into_owned();
        assert!(said.contains(part), "{words}: {said}");
        assert_eq!(said.trim().lines().count(), 1, "{words}: {said}");
    }
}
