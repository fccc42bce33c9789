//! `mr circuit damage` and `mr visualize` from end to end.

mod support;

use mr_metrics::ExperimentRecord;
use support::Lab;

#[test]
fn shares_add_up_and_restored_parts_are_clean() {
    let lab = Lab::new();
    lab.net();
    let words = "circuit damage --model net --limit 40 --epsilon 0.2 --steps 5 --random 2 --json \
                 --out damaged --plot restored.svg";
    let found: serde_json::Value = serde_json::from_slice(&lab.run(words).stdout).unwrap();
    let number = |name: &str| {
        let value = found["numbers"][name]["value"].as_f64();
        value.unwrap_or_else(|| panic!("{name} is no number: {found}"))
    };
    assert_eq!(found["kind"], "damage");
    assert!(number("broken") >= 2.0);
    for site in ["linear1.hook_out", "edges.linear1.hook_pre"] {
        assert!(number(&format!("{site}.completeness_error")) < 0.01);
        assert!(number(&format!("{site}.change")) > 0.0);
    }
    let record = ExperimentRecord::read(&lab.path("damaged/record.json")).unwrap();
    for name in ["own", "restored", "random"] {
        let curve = &record.series[&format!("linear1.hook_out.{name}")];
        // Broken with no part restored, right with all.
        assert_eq!(curve.y.first(), Some(&Some(0.0)));
        assert_eq!(curve.y.last(), Some(&Some(1.0)));
    }
    assert!(lab.read("restored.svg").starts_with(b"<svg"));
    assert!(lab.path("damaged/restored-edges.svg").is_file());
    let other = lab.run(
        "circuit damage --model net --limit 40 --epsilon 0.2 --steps 5 --random 2 --json --threads 1 \
         --batch-size 7 --against net",
    );
    let other: serde_json::Value = serde_json::from_slice(&other.stdout).unwrap();
    let other = |name: &str| other["numbers"][name]["value"].as_f64().unwrap();
    let share = "linear1.hook_out.change";
    assert!((other(share) - number(share)).abs() < 1e-5);
    // The same network is like itself.
    assert!((other("against.linear1.hook_out.cka_clean") - 1.0).abs() < 1e-6);
    assert!(other("against.linear1.hook_out.cka_shuffled") < 0.9);
}

#[test]
fn what_cannot_be_damaged_is_told() {
    let lab = Lab::new();
    lab.net();
    let said = |words: &str| {
        let output = lab.mr(words).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{words}");
        String::from_utf8(output.stderr).unwrap()
    };
    let damage = "circuit damage --model net --limit 20";
    assert!(said(damage).contains("--epsilon"));
    assert!(said(&format!("{damage} --epsilon 0")).contains("raise --epsilon"));
    let site = said(&format!("{damage} --epsilon 0.2 --site linear1.hook_ou"));
    assert!(site.contains("did you mean linear1.hook_out"), "{site}");
    assert!(said("visualize --model net").contains("nothing to see"));
    let flat = said("visualize --model net --site linear1.hook_out --dissect");
    assert!(flat.contains("no map"), "{flat}");
}

#[test]
fn a_class_is_seen() {
    let lab = Lab::new();
    lab.net();
    let words = "visualize --model net --class 3 --images 2 --steps 20 --png seen.png --json";
    let found: serde_json::Value = serde_json::from_slice(&lab.run(words).stdout).unwrap();
    let rows = found["tables"]["visualized"]["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    for row in rows {
        assert!(row[3].as_f64() > row[2].as_f64(), "{row}");
    }
    assert!(lab.read("seen.png").starts_with(b"\x89PNG"));
}
