//! Findings, end to end: a TOML of findings, invented records, verdicts, plots and tables.

use mr_metrics::finding::{Findings, Outcome, OutcomeResult, Records, Status, Verdicts};
use mr_metrics::{ExperimentRecord, MetricError, RecordKind, Series};
use serde_json::json;

const FINDINGS: &str = include_str!("data/findings.toml");

/// A made-up toy whose fpd is 0.99, 1.9 and 4.5 by density, give or take a hundredth per seed.
fn toy(density: f64, activation: &str, seed: u64) -> ExperimentRecord {
    let config = json!({
        "model": {"arch": "toy", "activation": activation},
        "data": {"density": density},
    });
    let name = format!("toy-{activation}-{density}-{seed}");
    let mut record = ExperimentRecord::new(RecordKind::Measure, name, config, seed, "flex");
    let jitter = 0.01 * seed as f64;
    let fpd = match density {
        1.0 => 0.97,
        0.5 => 1.9,
        _ => 4.5,
    } + jitter;
    let relu = activation == "relu";
    record.number("fpd", fpd);
    record.number("dimensionality_median", if relu { 1.0 / fpd } else { 1.0 });
    record.number(
        "vulnerability_by_lambda2",
        if relu { 0.7 * fpd } else { 1.0 },
    );
    record.number("raw", 0.2 * density);
    let loss = vec![1.0, 0.5 + jitter, 0.1];
    let series = Series::new("step", vec![0.0, 100.0, 200.0], loss);
    record.curve("loss", series).unwrap();
    record
}

fn all_runs(seeds: u64) -> Vec<ExperimentRecord> {
    let mut records = others(seeds);
    for seed in 0..seeds {
        for density in [1.0, 0.5, 0.1] {
            records.push(toy(density, "relu", seed));
        }
        records.push(toy(0.1, "linear", seed));
    }
    records
}

/// Made-up dictionaries and adversarially trained toys, for the other two findings.
fn others(seeds: u64) -> Vec<ExperimentRecord> {
    let mut records = Vec::new();
    for seed in 0..seeds {
        let jitter = 0.01 * seed as f64;
        for (lambda, density, fpd) in [(0.1, 1.0, 1.0), (0.1, 0.5, 1.8), (0.1, 0.1, 4.0)]
            .into_iter()
            .chain([(0.01, 0.5, 1.8), (0.01, 0.1, 4.0)])
        {
            let config = json!({"lambda": lambda, "density": density});
            let kind = RecordKind::Measure;
            let mut record = ExperimentRecord::new(kind, "dictionary", config, seed, "flex");
            record.number("fpd", fpd + jitter);
            record.number("effective_features_w", 5.0 * fpd);
            let inflation = if lambda < 0.1 { 2.0 } else { 1.0 };
            record.number("effective_features", inflation * (5.0 * fpd + jitter));
            records.push(record);
        }
        for (rho, fpd) in [(0.0, 6.0), (0.3, 2.5), (0.8, 1.1)] {
            let config = json!({"rho": rho});
            let kind = RecordKind::Train;
            let mut record = ExperimentRecord::new(kind, "toy-adversarial", config, seed, "flex");
            record.number("fpd", fpd + jitter);
            record.number("effective_features_w_per_dimension", 2.5 + jitter);
            record.number("clean_accuracy", 0.98 - 0.05 * rho);
            record.number("robust_accuracy", 0.2 + 0.6 * rho);
            records.push(record);
        }
    }
    records
}

fn evaluate(records: &[ExperimentRecord]) -> Verdicts {
    let findings = Findings::from_toml(FINDINGS).unwrap();
    findings.evaluate(&Records::new(records))
}

fn outcome<'a>(outcomes: &'a [Outcome], name: &str) -> &'a Outcome {
    outcomes
        .iter()
        .find(|outcome| outcome.name == name)
        .unwrap()
}

#[test]
fn findings_that_hold_are_replicated_and_say_what_was_seen() {
    let verdicts = evaluate(&all_runs(5));
    for verdict in &verdicts.verdicts {
        assert_eq!(verdict.status, Status::Replicated, "{verdict}");
        assert!(verdict.cautions.is_empty(), "{verdict}");
    }
    assert!(verdicts.all_replicated());

    let phases = &verdicts.verdicts[0];
    let dense = &outcome(&phases.checks, "one feature per dimension when dense");
    let observed = dense.observed.unwrap();
    assert_eq!(observed.n, 5);
    assert!((observed.value - 0.99).abs() < 1e-9);
    assert!(
        dense
            .sentence
            .starts_with("the mean of numbers.fpd over 5 seeds is 0.99 (95 % interval 0.97"),
        "{}",
        dense.sentence
    );
    assert!(
        dense.sentence.ends_with("; demanded: within 0.05 of 1"),
        "{}",
        dense.sentence
    );

    let twins = &verdicts.verdicts[3];
    let matched = &twins.controls[0];
    assert!(
        (matched.observed.unwrap().value + 0.04).abs() < 1e-9,
        "{twins}"
    );
    assert!(matched.sentence.contains("clean_accuracy"), "{twins}");

    let vulnerability = &verdicts.verdicts[1];
    let raw = vulnerability
        .checks
        .iter()
        .find(|check| check.informative)
        .unwrap();
    assert!((raw.observed.unwrap().value - 0.02).abs() < 1e-12);
    let spearman = outcome(
        &vulnerability.checks,
        "vulnerability follows features per dimension",
    );
    assert!((spearman.observed.unwrap().value - 1.0).abs() < 1e-9);
    // Each of the two has p = 1 / 2001; Holm doubles the smaller.
    assert_eq!(spearman.p, Some(2.0 / 2001.0));
    assert!(
        spearman.sentence.contains("(Holm-corrected over 2)"),
        "{}",
        spearman.sentence
    );
    let difference = outcome(
        &vulnerability.checks,
        "superposition costs more than the linear model",
    );
    assert!(
        difference.sentence.contains("paired over 5 seeds"),
        "{}",
        difference.sentence
    );
}

#[test]
fn a_failed_check_is_a_result() {
    let mut records = all_runs(5);
    for record in &mut records {
        if record.config["data"]["density"] == 0.1 && record.seed == 3 {
            record.number("fpd", 3.9);
        }
    }
    let phases = &evaluate(&records).verdicts[0];
    assert_eq!(phases.status, Status::NotReplicated, "{phases}");
    let sparse = outcome(
        &phases.checks,
        "features per dimension when sparse, in every seed",
    );
    assert_eq!(sparse.result, OutcomeResult::Failed);
    assert!(sparse.sentence.contains("lowest"), "{}", sparse.sentence);
}

#[test]
fn a_failed_control_makes_a_finding_invalid() {
    let mut records = all_runs(5);
    for record in &mut records {
        if record.config["model"]["activation"] == "linear" {
            record.number("vulnerability_by_lambda2", 2.0);
        }
    }
    let vulnerability = &evaluate(&records).verdicts[1];
    assert_eq!(vulnerability.status, Status::Invalid, "{vulnerability}");

    let mut records = all_runs(2);
    for record in &mut records {
        let loss = Series::new("step", vec![0.0, 1.0], vec![0.1, 0.9]);
        record.curve("loss", loss).unwrap();
    }
    let phases = &evaluate(&records).verdicts[0];
    assert_eq!(phases.status, Status::Invalid);
    assert!(
        phases.controls[0]
            .sentence
            .contains("it goes the wrong way from 0 to 1"),
        "{}",
        phases.controls[0].sentence
    );
}

#[test]
fn missing_records_and_metrics_make_a_finding_invalid_with_the_reason() {
    let none = evaluate(&[]);
    assert_eq!(none.count(Status::Invalid), 4);
    assert_eq!(none.verdicts[0].checks[0].sentence, "no record was given");

    let mut records = all_runs(5);
    records.retain(|record| record.config["data"]["density"] != 1.0);
    let phases = &evaluate(&records).verdicts[0];
    assert_eq!(phases.status, Status::Invalid);
    let sentence = &phases.checks[0].sentence;
    assert!(
        sentence.contains("config.data.density is 0.5, 0.1"),
        "{sentence}"
    );

    // One run without its number must not be left out in silence.
    let mut records = all_runs(5);
    let first = records.iter_mut().find(|r| r.name == "toy-relu-1-0");
    first.unwrap().number("fpd", f64::NAN);
    let phases = &evaluate(&records).verdicts[0];
    assert_eq!(phases.checks[0].result, OutcomeResult::Missing);
    let sentence = &phases.checks[0].sentence;
    assert!(sentence.contains("toy-relu-1-0"), "{sentence}");
}

#[test]
fn one_seed_has_values_cautions_and_no_interval() {
    let verdicts = evaluate(&all_runs(1));
    let phases = &verdicts.verdicts[0];
    assert_eq!(phases.status, Status::Replicated, "{phases}");
    assert_eq!(phases.checks[0].observed.unwrap().ends(), None);
    assert!(phases.cautions[0].contains("1 seed, fewer than the 5"));
    // A demand on a whole interval cannot be met without one.
    let vulnerability = &verdicts.verdicts[1];
    let difference = &vulnerability.checks[3];
    assert_eq!(difference.result, OutcomeResult::Failed, "{difference:?}");
}

#[test]
fn plots_and_tables_come_ready_to_draw() {
    let findings = Findings::from_toml(FINDINGS).unwrap();
    let records = Records::new(&all_runs(3));
    let phases = &findings.findings[0];

    let plot = phases.plots[0].data(&records, findings.bootstrap).unwrap();
    assert_eq!(
        (plot.x_label.as_str(), plot.groups.len()),
        ("density 1 - S", 1)
    );
    let line = &plot.groups[0];
    assert_eq!(line.x, [0.1, 0.5, 1.0]);
    assert!((line.y[0] - 4.51).abs() < 1e-9);
    assert!(line.low[0].unwrap() < line.y[0] && line.y[0] < line.high[0].unwrap());
    assert_eq!(line.n, [3, 3, 3]);

    let losses = phases.plots[1].data(&records, findings.bootstrap).unwrap();
    let names: Vec<&str> = losses
        .groups
        .iter()
        .map(|group| group.name.as_str())
        .collect();
    assert_eq!(names, ["density = 0.1", "density = 0.5", "density = 1"]);
    assert_eq!(losses.x_label, "step");
    assert_eq!(losses.groups[0].x, [0.0, 100.0, 200.0]);

    let scatter = findings.findings[1].plots[0]
        .data(&records, findings.bootstrap)
        .unwrap();
    let names: Vec<&str> = scatter
        .groups
        .iter()
        .map(|group| group.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "vulnerability_by_lambda2, activation = linear",
            "raw, activation = linear",
            "vulnerability_by_lambda2, activation = relu",
            "raw, activation = relu",
        ]
    );
    assert_eq!(scatter.groups[2].x.len(), 9);

    let table = phases.tables[0].data(&records, findings.bootstrap).unwrap();
    assert_eq!(
        table.columns,
        ["features per dimension", "median D", "absent"]
    );
    assert_eq!(table.rows[0].name, "density = 0.1");
    assert_eq!(table.rows[0].seeds, 3);
    assert!((table.rows[0].cells[0].unwrap().value - 4.51).abs() < 1e-9);
    assert!(table.rows[0].cells[2].is_none());

    let empty = phases.plots[0].data(&Records::default(), findings.bootstrap);
    assert!(matches!(empty, Err(MetricError::NoRecord(_))));
    let one = Records::new(&all_runs(1));
    let single = phases.plots[0].data(&one, findings.bootstrap).unwrap();
    assert_eq!(single.groups[0].low, [None, None, None]);
}

#[test]
fn verdicts_come_back_from_their_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("verdicts.json");
    let verdicts = evaluate(&all_runs(3));
    verdicts.write(&path).unwrap();
    assert_eq!(Verdicts::read(&path).unwrap(), verdicts);
    assert_eq!(evaluate(&all_runs(3)), verdicts);
}

#[test]
fn what_cannot_be_judged_is_refused_with_its_place() {
    let head = "[[finding]]\nid = \"a\"\ntitle = \"\"\nclaim = \"\"\nsource = \"\"\n";
    let check = |body: &str| format!("{head}[[finding.checks]]\nname = \"c\"\n{body}");
    for (text, complaint) in [
        (
            check("test = \"value\"\nmetric = \"m\"\n"),
            "demands nothing",
        ),
        (
            check("test = \"value\"\nmetric = \"m\"\nmust = { min = 1 }\nmean = 2\n"),
            "unknown field `mean`",
        ),
        (
            check("test = \"size\"\nmetric = \"m\"\n"),
            "unknown variant `size`",
        ),
        (
            check("test = \"ratio\"\nmetric = \"m\"\nmust = { min = 1 }\n"),
            "compares a selection with itself",
        ),
        (
            check("test = \"monotone\"\nmetric = \"m\"\ndirection = \"falls\"\n"),
            "either `metric` and `along`, or `series`",
        ),
        (
            check("test = \"value\"\nmetric = \"m\"\ninformative = true\n"),
            "no check that could fail",
        ),
        (
            check("test = \"value\"\nmetric = \"m\"\nmust = {}\n"),
            "an empty demand",
        ),
        (
            check("test = \"value\"\nmetric = \"m\"\nmust = { min = 1 }\nwhere.config.d = 1\n"),
            "one quoted key",
        ),
        (
            format!("{head}colour = 1\nchecks = []\n"),
            "unknown field `colour`",
        ),
        (
            format!("[bootstrap]\nlevel = 2.0\n{head}checks = []\n"),
            "confidence level is 2",
        ),
    ] {
        let error = Findings::from_toml(&text).unwrap_err().to_string();
        assert!(error.contains(complaint), "{complaint}: {error}");
    }
}
