//! Curves over the size of a perturbation: attacks beside each other, and certificates below attacks.

mod support;

use mr_metrics::ExperimentRecord;
use predicates::str::contains;
use serde_json::Value;
use support::Lab;

fn text(lab: &Lab, file: &str) -> String {
    String::from_utf8(lab.read(file)).unwrap()
}

#[test]
fn attacks_are_compared_and_drawn() {
    let lab = Lab::new();
    lab.net();
    lab.write(
        "attacks.toml",
        "[[attack]]\ntype = \"pgd\"\nsteps = 2\n[[attack]]\ntype = \"pgd\"\nsteps = 10\n\
         [[attack]]\ntype = \"fgsm\"",
    );
    let words = "bench-attacks --model net --limit 40 --epsilon 0.05 --config attacks.toml";
    let found = lab.json(&format!("{words} --plot attacks.svg --out compared"));
    let lines = found["attacks"].as_array().unwrap();
    let names: Vec<&str> = lines
        .iter()
        .map(|l| l["attack"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        ["pgd", "pgd-2", "fgsm"],
        "each has a name of its own"
    );
    let best = lines.iter().map(|l| l["optimality"].as_f64().unwrap());
    assert!(best.fold(0.0, f64::max) > 0.9);
    let record = ExperimentRecord::read(&lab.path("compared/record.json")).unwrap();
    assert_eq!(record.tables["attacks"].rows.len(), 3);
    assert_eq!(record.artifacts["plot"], "attacks.svg");
    // What attacks leave at the radius is the end of the curve.
    for line in lines {
        let name = line["attack"].as_str().unwrap();
        let curve = &record.series[&format!("robust.{name}")];
        assert_eq!(*curve.y.last().unwrap(), line["robust_accuracy"].as_f64());
    }
    let drawn = text(&lab, "attacks.svg");
    assert!(drawn.contains(">pgd-2</text>"), "{drawn}");
    assert_eq!(text(&lab, "compared/attacks.svg"), drawn);

    // A flag picks from the file, which keeps the settings of what is picked.
    let one = lab.json(&format!("{words} --attacks fgsm"));
    assert_eq!(one["config"]["attack"][0]["type"], "fgsm");
    assert_eq!(
        one["attacks"][0]["robust_accuracy"],
        lines[2]["robust_accuracy"]
    );
    let attacked =
        lab.json("attack --model net --limit 40 --epsilon 0.05 --config attacks.toml --out both");
    assert_eq!(attacked["attempts"].as_array().unwrap().len(), 3);
    let record = ExperimentRecord::read(&lab.path("both/record.json")).unwrap();
    let after: Vec<&str> = record
        .numbers
        .keys()
        .filter_map(|n| n.strip_prefix("robust_after."))
        .collect();
    assert_eq!(after, ["fgsm", "pgd", "pgd-2"]);

    let error = lab.error("bench-attacks --model net --epsilon 0.1 --attacks pgd,fgsmm");
    assert!(
        error.contains("unknown attack `fgsmm`; did you mean fgsm"),
        "{error}"
    );
    lab.mr("bench-attacks --model net --epsilon 0.1,0.2")
        .assert()
        .code(2)
        .stderr(contains(
            "mr attack and mr certify take several as --epsilons",
        ));
}

#[test]
fn certificates_lie_below_attacks_at_every_radius() {
    let lab = Lab::new();
    lab.net();
    let words = "certify --model net --limit 60 --epsilons 0.02,0.002,0.01 --attack pgd";
    let found = lab.json(&format!(
        "{words} --set attack.steps=5 --plot a.svg --out certified"
    ));
    let share = |at: &Value, name: &str| at[name].as_f64().unwrap();
    let curve = found["curve"].as_array().unwrap();
    let radii: Vec<f64> = curve.iter().map(|at| share(at, "epsilon")).collect();
    assert_eq!(radii, [0.002, 0.01, 0.02]);
    for pair in curve.windows(2) {
        for name in ["certified_accuracy", "robust_accuracy"] {
            assert!(share(&pair[1], name) <= share(&pair[0], name), "{found:#}");
        }
    }
    for at in curve {
        assert!(share(at, "certified_accuracy") <= share(at, "robust_accuracy"));
        assert!(share(at, "robust_accuracy") <= share(&found, "clean_accuracy"));
    }
    // The largest radius is that of the threat.
    for name in ["certified_accuracy", "robust_accuracy"] {
        assert_eq!(found[name], curve[2][name]);
    }
    assert_eq!(found["epsilon"], 0.02);
    let alone = lab.json("certify --model net --limit 60 --epsilon 0.01");
    assert_eq!(alone["certified_accuracy"], curve[1]["certified_accuracy"]);
    assert!(alone.get("curve").is_none() && alone.get("robust_accuracy").is_none());
    let record = ExperimentRecord::read(&lab.path("certified/record.json")).unwrap();
    assert_eq!(record.series["certified_curve"].x, radii);
    assert_eq!(record.series["security_curve"].x, radii);
    assert!(record.warnings.is_empty());
    let drawn = text(&lab, "a.svg");
    assert!(drawn.contains(">attacked</text>") && drawn.contains(">certified</text>"));
    assert_eq!(text(&lab, "certified/certified.svg"), drawn);
}

/// The noise of smoothing is drawn once, and proves at each radius what it would there alone.
#[test]
fn smoothing_has_one_radius_for_all_of_a_curve() {
    let lab = Lab::new();
    lab.net();
    let words = "certify --model net --limit 8 --method smoothing --sigma 0.1 --n 200";
    let found = lab.json(&format!("{words} --epsilons 0.02,0.1 --plot a.svg"));
    for at in found["curve"].as_array().unwrap() {
        let alone = lab.json(&format!("{words} --epsilon {}", at["epsilon"]));
        assert_eq!(at["certified_accuracy"], alone["certified_accuracy"]);
    }
    // Nothing was attacked: all that is known from above is the clean accuracy.
    assert!(text(&lab, "a.svg").contains(">clean</text>"));
}

/// Another network to transfer from is another evaluation: its state is not gone on with.
#[test]
fn a_state_knows_what_was_transferred_from() {
    let lab = Lab::new();
    lab.net();
    lab.run("train --config net.toml --seed 1 --out one");
    lab.run("train --config net.toml --seed 2 --out two");
    let words = "attack --model net --limit 20 --epsilon 0.1 --steps 3 --state states";
    let one = lab.json(&format!("{words} --transfer-from one"));
    let again = lab.json(&format!("{words} --transfer-from one"));
    assert_eq!(one["robust_accuracy"], again["robust_accuracy"]);
    let error = lab.error(&format!("{words} --transfer-from two"));
    assert!(error.contains("transfer_from"), "{error}");
    // And so is its record.
    lab.run("attack --model net --limit 20 --epsilon 0.1 --steps 3 --transfer-from one --out run");
    let error = lab.error(
        "attack --model net --limit 20 --epsilon 0.1 --steps 3 --transfer-from two --out run",
    );
    assert!(
        error.contains("its transfer_from is \"one\", not \"two\""),
        "{error}"
    );
}

/// `mr measure` attacks as `mr attack` does: ensembles by their members, and a curve from distances
/// where there is no ball.
#[test]
fn what_is_measured_under_attack_is_what_an_attack_finds() {
    let lab = Lab::new();
    lab.net();
    lab.write(
        "both.toml",
        "epsilons = [0.5, 1.0]\n[threat]\nnorm = \"L2\"\nepsilon = \"inf\"\n[attack]\ntype = \"fmn\"\n\
         [data]\nlimit = 30\n[measure]\neffective_features = false\nspectrum = false\nsaliency = false",
    );
    let attacked = lab.json("attack --model net --config both.toml");
    let measured = lab.json("measure --model net --config both.toml");
    for at in attacked["curve"].as_array().unwrap() {
        let epsilon = at["epsilon"].as_f64().unwrap();
        let number = &measured["numbers"][format!("robust_at.{epsilon}")]["value"];
        assert_eq!(number, &at["robust_accuracy"], "{epsilon}");
    }
    assert_eq!(
        measured["numbers"]["robust_accuracy"]["value"],
        attacked["robust_accuracy"]
    );
}
