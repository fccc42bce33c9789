//! `mr aim` and `mr gain` from end to end.

mod support;

use mr_metrics::ExperimentRecord;
use mr_models::read_tensors;
use support::Lab;

/// `mr` with an argument that holds spaces.
fn aimed(lab: &Lab, objective: &str, words: &str) -> std::process::Output {
    let mut command = lab.mr(&format!("aim --model net --limit 20 {words}"));
    command.args(["--objective", objective]).output().unwrap()
}

fn found(lab: &Lab, objective: &str, words: &str) -> serde_json::Value {
    let output = aimed(lab, objective, &format!("{words} --json"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{objective}: {said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn features_move_and_logits_stay_and_the_converse() {
    let lab = Lab::new();
    lab.net();
    let at = "--epsilon 0.05 --steps 40 --schedule cosine";
    let number = |found: &serde_json::Value, name: &str| {
        let value = found["numbers"][name]["value"].as_f64();
        value.unwrap_or_else(|| panic!("{name} is no number: {found}"))
    };
    let free = found(&lab, "shift(linear1.hook_out)", at);
    let text = "shift(linear1.hook_out) - 100 kl";
    let out = format!("{at} --per-example --save moved.safetensors --out aimed");
    let held = found(&lab, text, &out);
    assert_eq!(held["objective"], text);
    assert_eq!((&held["n"], &held["kind"]), (&20.into(), &"aim".into()));
    assert!(number(&held, "after.median") > 0.0);
    assert!(number(&held, "divergence.mean") < 0.2 * number(&free, "divergence.mean"));
    assert!(number(&held, "predictions_kept") >= number(&free, "predictions_kept"));
    let record = ExperimentRecord::read(&lab.path("aimed/record.json")).unwrap();
    assert_eq!(record.config["objective"], text);
    let examples = held["examples"].as_array().unwrap();
    let (tensors, _) = read_tensors(&lab.path("moved.safetensors")).unwrap();
    let named = |name: &str| {
        &tensors
            .iter()
            .find(|(other, _, _)| other == name)
            .unwrap()
            .2
    };
    for (i, example) in examples.iter().enumerate() {
        let row = i * 784..(i + 1) * 784;
        let pairs = named("adversarial")[row.clone()]
            .iter()
            .zip(&named("clean")[row]);
        let distance = pairs.map(|(a, c)| (a - c).abs()).fold(0.0_f32, f32::max);
        let told = example["distance"].as_f64().unwrap() as f32;
        assert!((distance - told).abs() < 1e-6 && told <= 0.05 + 1e-6);
        assert!(example["after"].as_f64() >= example["before"].as_f64());
    }
    // Batches and threads change nothing.
    let same = found(
        &lab,
        text,
        &format!("{at} --per-example --batch-size 3 --threads 2"),
    );
    assert_eq!(same["examples"], held["examples"]);
    // A minus may stand first.
    let lowered = found(&lab, "-2 raise(linear1.hook_pre[:, 3])", at);
    assert_eq!(lowered["objective"], "-2 raise(linear1.hook_pre[:, 3])");
    assert!(number(&lowered, "rise.q1") > 0.0);
}

#[test]
fn what_cannot_be_aimed_at_is_one_line() {
    let lab = Lab::new();
    lab.net();
    let error = |objective: &str, words: &str| {
        let output = aimed(&lab, objective, words);
        assert_eq!(output.status.code(), Some(2), "{objective} {words}");
        String::from_utf8(output.stderr).unwrap()
    };
    for (objective, words, said) in [
        ("rase(a)", "--epsilon 0.1", "did you mean raise?"),
        (
            "raise(linear1.hook_ou)",
            "--epsilon 0.1",
            "unknown site `linear1.hook_ou`; did you mean linear1.hook_out",
        ),
        (
            "raise(linear1.hook_out[:, 16])",
            "--epsilon 0.1",
            "channels 16..17 of `linear1.hook_out`: it has 16",
        ),
        (
            "margin kl",
            "--epsilon 0.1",
            "at character 8: expected + or -, found `kl`",
        ),
        ("margin", "", "no threat: give --epsilon"),
        (
            "margin",
            "--epsilon 0.1 --attack pgdd",
            "unknown attack `pgdd`; did you mean pgd",
        ),
        ("margin", "--epsilon inf", "give it a finite epsilon"),
        (
            "margin",
            "--epsilon 0.1 --dictionary none.safetensors",
            "--dictionary",
        ),
    ] {
        let error = error(objective, words);
        assert!(error.contains(said), "{objective} {words}: {error}");
    }
    let error = lab.error("aim --model net --epsilon 0.1");
    assert!(error.contains("no objective: give --objective"), "{error}");
    // FGSM starts where a shift is flat.
    let output = aimed(
        &lab,
        "shift(linear1.hook_out)",
        "--epsilon 0.1 --attack fgsm",
    );
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("warning: `shift(linear1.hook_out)` did not rise"),
        "{said}"
    );
}

#[test]
fn gain_is_measured_at_every_place_and_drawn() {
    let lab = Lab::new();
    lab.net();
    let words = "gain --model net --limit 20 --steps 5";
    let gain = lab.json(&format!("{words} --out gained --plot gain.svg"));
    let table = &gain["tables"]["gain"];
    let rows = table["rows"].as_array().unwrap();
    let places: Vec<&str> = rows.iter().map(|row| row[0].as_str().unwrap()).collect();
    let all = [
        "input",
        "linear1.hook_pre",
        "linear1.hook_out",
        "linear2.hook_out",
    ];
    assert_eq!(places, all);
    // At the logits the margin is a difference of two: its gain is the square root of 2.
    let last = gain["numbers"]["linear2.hook_out.slope.median"]["value"].as_f64();
    assert!((last.unwrap() - 2.0_f64.sqrt()).abs() < 1e-6);
    for place in all {
        let rise = &gain["numbers"][format!("{place}.rise.median")]["value"];
        assert!(rise.as_f64().unwrap() > 0.0, "{place}");
    }
    let drawn = String::from_utf8(lab.read("gain.svg")).unwrap();
    assert!(drawn.starts_with("<svg") && drawn.contains(">linear1.hook_pre</text>"));
    assert_eq!(lab.read("gained/gain.svg"), drawn.as_bytes());
    let record = ExperimentRecord::read(&lab.path("gained/record.json")).unwrap();
    assert_eq!(record.series["relative_gain"].x.len(), 4);
    lab.run("report --records gained --out report.html");

    let few =
        lab.json("gain --model net --limit 20 --fraction 0 --place linear1.hook_out --norm linf");
    assert_eq!(few["tables"]["gain"]["rows"].as_array().unwrap().len(), 1);
    assert!(few["numbers"].get("linear1.hook_out.rise.median").is_none());
    let error = lab.error("gain --model net --norm l0");
    assert!(error.contains("L0"), "{error}");
    let error = lab.error("gain --model net --place linear1.hook_ou");
    assert!(error.contains("did you mean linear1.hook_out"), "{error}");
    let error = lab.error("gain --model net --fraction -1");
    assert!(
        error.contains("fraction is -1, must be a finite number, at least 0"),
        "{error}"
    );
}
