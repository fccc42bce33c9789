//! Defended networks at the command line, and the checklist that sees through them.

mod support;

use mr_metrics::ExperimentRecord;
use serde_json::Value;
use support::Lab;

#[test]
fn a_defended_network_is_judged_attacked_and_told_in_the_record() {
    let lab = Lab::new();
    lab.net();
    let robust = |defence: &str| {
        let attack = "attack --model net --limit 60 --epsilon 0.1 --steps 10 --no-random-start";
        let found = lab.json(&format!("{attack} {defence}"));
        let accuracy = |name: &str| found[name].as_f64().unwrap();
        (accuracy("clean_accuracy"), accuracy("robust_accuracy"))
    };
    let (clean, masked) = robust("--defence quantize=8");
    assert_eq!(clean, masked, "no gradient, no attack");
    let (_, broken) = robust("--defence quantize=8,backward=identity");
    assert!(broken < 0.6 * clean, "{broken} of {clean}");

    let defences = "--defence noise=0.1 --defence softmax";
    let eval = |more: &str| lab.json(&format!("eval --model net --limit 60 {defences} {more}"));
    let judged = eval("--out judged");
    let record = ExperimentRecord::read(&lab.path("judged/record.json")).unwrap();
    let told = &record.config["trained"]["defence"];
    assert_eq!(told[0], serde_json::json!({"type": "noise", "sigma": 0.1}));
    assert_eq!(&judged["defence"], told);
    // What is drawn for an example does not depend on its batch.
    assert_eq!(judged["loss"], eval("--batch-size 7 --threads 2")["loss"]);
    assert_ne!(judged["loss"], eval("--seed 1")["loss"]);

    lab.write(
        "defended.toml",
        "[[defence]]\ntype = \"noise\"\nsigma = 0.1\n[[defence]]\ntype = \"softmax\"\n",
    );
    let by_file = lab.json("eval --model net --limit 60 --config defended.toml");
    assert_eq!(by_file["loss"], judged["loss"]);
}

#[test]
fn defences_that_cannot_be_are_told() {
    let lab = Lab::new();
    lab.net();
    for (words, expected) in [
        (
            "eval --model net --defence quantise=4",
            "error: --defence: unknown defence `quantise`; did you mean quantize, noise?",
        ),
        (
            "eval --model net --defence bits=0",
            "error: --defence: defence: bits is 0, must be from 1 to 16",
        ),
        (
            "eval --model net --defence noise=0.1,site=linear9.hook_out",
            "error: unknown site `linear9.hook_out`; did you mean linear1.hook_out",
        ),
        (
            "measure --model net --defence bits=3",
            "error: mr measure looks at the network alone",
        ),
        ("checklist --model net", "error: no threat: give --epsilon"),
        (
            "checklist --model net --epsilon inf",
            "error: epsilon is inf, must be finite",
        ),
    ] {
        let said = lab.error(words);
        assert!(said.starts_with(expected), "{words}: {said}");
    }
}

#[test]
fn the_checklist_passes_a_plain_network_and_fails_a_masked_one() {
    let lab = Lab::new();
    lab.net();
    let words = "checklist --model net --limit 60 --epsilon 0.05 --set checklist.queries=50";
    let found = lab.json(&format!("{words} --out checked"));
    assert_eq!(found["verdict"], "pass", "{found:#}");
    assert_eq!(found["items"].as_array().unwrap().len(), 12);
    let record = ExperimentRecord::read(&lab.path("checked/record.json")).unwrap();
    assert_eq!(record.tables["items"].rows.len(), 12);
    assert!(record.warnings.is_empty());
    assert_eq!(record.numbers["unbounded.left_standing"].value, Some(0.0));

    let output = lab
        .mr(&format!("{words} --defence quantize=4 --json"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "a failed check");
    let masked: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(masked["verdict"], "fail");
    // The network without its defence is what examples transfer from.
    let transfer = &masked["items"][11];
    assert_eq!(
        (&transfer["name"], &transfer["verdict"]),
        (&"transfer".into(), &"fail".into())
    );
}

/// What is finished is kept and not asked again; Ctrl-C prints it and ends with 130.
#[test]
#[cfg(unix)]
fn a_stopped_checklist_goes_on() {
    let lab = Lab::new();
    lab.net();
    let words = "checklist --model net --limit 40 --epsilon 0.05 --set checklist.queries=20";
    let whole = lab.json(&format!("{words} --state kept"));
    let read = || -> Value { serde_json::from_slice(&lab.read("kept/checklist.json")).unwrap() };
    let mut state = read();
    assert_eq!(state["items"].as_array().unwrap().len(), 12);
    // As if it had been killed after seven; an answer changed by hand is taken as it is.
    state["items"].as_array_mut().unwrap().truncate(7);
    state["items"][0]["sentence"] = "changed".into();
    lab.write("kept/checklist.json", state.to_string());
    let resumed = lab.json(&format!("{words} --state kept --batch-size 7"));
    assert_eq!(resumed["items"][0]["sentence"], "changed");
    for at in 1..12 {
        assert_eq!(resumed["items"][at], whole["items"][at]);
    }
    let said = lab.error(&format!("{words} --state kept --seed 5"));
    assert!(
        said.contains("holds another evaluation (checklist.seed was 0, is 5)"),
        "{said}"
    );

    // Square with so many queries takes a while for every example; it stops after one.
    let words = "checklist --model net --limit 60 --epsilon 0.001 --batch-size 1 --set checklist.queries=20000";
    let mut process = lab
        .process(&format!("{words} --state long"))
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let kept = lab.path("long/checklist.json");
    let done = || std::fs::read_to_string(&kept).is_ok_and(|text| text.contains("random points"));
    while !done() {
        assert!(process.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let sent = std::process::Command::new("kill")
        .args(["-INT", &process.id().to_string()])
        .status()
        .unwrap();
    assert!(sent.success());
    let output = process.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.contains("random points: ") && !said.contains("transfer: "),
        "{said}"
    );
}
