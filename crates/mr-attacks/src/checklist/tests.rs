use burn::tensor::Device;
use mr_models::data::{DataConfig, Split, load};
use mr_models::{Architecture, DefenceConfig, Defended, Mlp, Network};

use super::bench::{length, missed, quantile};
use super::*;

fn net() -> Network {
    let mlp = Mlp {
        hidden: vec![16],
        ..Mlp::default()
    };
    Network::init(Architecture::Mlp(mlp), 0, &Device::flex()).unwrap()
}

fn clothes(count: usize) -> Dataset {
    let data = load(&DataConfig::default(), Split::Test).unwrap();
    data.take(count).unwrap()
}

fn small() -> ChecklistConfig {
    ChecklistConfig {
        steps: 4,
        restarts: 1,
        queries: 4,
        samples: 4,
        ..ChecklistConfig::default()
    }
}

fn run(
    model: &dyn Model,
    data: &Dataset,
    epsilon: f32,
    config: &ChecklistConfig,
) -> Result<Checklist, AttackError> {
    let threat = ThreatModel::new(Norm::Linf, epsilon);
    let examined = Examined {
        model,
        source: None,
        data,
        threat: &threat,
    };
    run_checklist(examined, config, None, &mut |_| true)
}

#[test]
fn verdicts_by_hand() {
    use Verdict::{Fail, Pass, Suspicious};
    for (value, verdict) in [
        (0.1, Pass),
        (0.2, Suspicious),
        (0.21, Fail),
        (f64::NAN, Fail),
    ] {
        assert_eq!(Verdict::of(value, [0.1, 0.2]), verdict, "{value}");
    }
    // One example is chance, two are at most suspicious, however few there are.
    for (count, total, verdict) in [
        (1, 2, Pass),
        (2, 4, Suspicious),
        (3, 6, Fail),
        (3, 30, Pass),
        (3, 29, Suspicious),
        (9, 44, Fail),
    ] {
        let found = Verdict::of_share(count, total, [0.1, 0.2]);
        assert_eq!(found, verdict, "{count} of {total}");
    }
}

#[test]
fn numbers_by_hand() {
    assert_eq!(quantile(&[3.0, 1.0, 2.0], 0.5), 2.0);
    assert_eq!(quantile(&[3.0, 1.0], 1.0), 3.0);
    assert!(quantile(&[], 0.5).is_nan());
    assert_eq!(length(&[3.0, -4.0]), 5.0);
    assert_eq!(missed(&[true, true, false], &[true, false, false]), 1);
    let whole_of = |norm, epsilon| whole(&ThreatModel::new(norm, epsilon), 16).epsilon;
    assert_eq!(whole_of(Norm::Linf, 0.1), 1.0);
    assert_eq!(whole_of(Norm::L2, 0.1), 4.0);
    assert_eq!(whole_of(Norm::L1, 0.1), 16.0);
    assert_eq!(whole_of(Norm::L0, 3.0), 16.0);
    let site = ThreatModel::new(Norm::L2, 0.5).at(Place::site("linear1.hook_out"));
    assert_eq!(whole(&site, 16).epsilon, 50.0);
}

#[test]
fn a_radius_of_0_and_a_model_that_knows_nothing_are_not_judged() {
    let data = clothes(30);
    let checklist = run(&net(), &data, 0.0, &small()).unwrap();
    for name in ["ascent", "restarts", "black box"] {
        let verdict = checklist.item(name).unwrap().verdict;
        assert_eq!(verdict, Verdict::NotApplicable, "{name}");
    }
    let gradients = checklist.item("gradients").unwrap();
    assert_eq!(gradients.verdict, Verdict::Pass, "{gradients:?}");
    let wrong: Vec<usize> = {
        let device = Device::flex();
        let all: Vec<usize> = (0..data.len()).collect();
        let predicted = mr_models::predictions(&net().logits(&data.input(&all, &device)));
        all.into_iter()
            .filter(|&i| predicted[i][0] != data.labels()[i])
            .collect()
    };
    let checklist = run(&net(), &data.subset(&wrong).unwrap(), 0.1, &small()).unwrap();
    assert_eq!((checklist.examples, checklist.right), (wrong.len(), 0));
    assert_eq!(checklist.verdict, Verdict::NotApplicable);
}

#[test]
fn settings_are_checked_and_a_run_can_be_stopped() {
    let data = clothes(5);
    let said = |config: &ChecklistConfig, epsilon| {
        let found = run(&net(), &data, epsilon, config);
        found.unwrap_err().to_string()
    };
    let none = ChecklistConfig {
        queries: 0,
        ..small()
    };
    assert_eq!(said(&none, 0.1), "queries is 0, must be at least 1");
    assert!(said(&small(), f32::INFINITY).contains("must be finite"));
    let threat = ThreatModel::new(Norm::Linf, 0.1);
    let examined = Examined {
        model: &net(),
        source: None,
        data: &data,
        threat: &threat,
    };
    let stopped = run_checklist(examined, &small(), None, &mut |at| at.done.len() < 3);
    assert!(matches!(stopped, Err(AttackError::Stopped)));
}

/// Bit for bit: items count examples, and an example's fate is its own.
#[test]
fn batch_size_and_threads_change_nothing() {
    let data = clothes(40);
    let noisy: DefenceConfig = "noise=0.05".parse().unwrap();
    let defended = Defended::by_config(net(), &[noisy]).unwrap();
    for model in [&net() as &dyn Model, &defended] {
        let whole = run(model, &data, 0.05, &small()).unwrap();
        for (batch_size, threads) in [(1, 2), (7, 1)] {
            let config = ChecklistConfig {
                batch_size,
                threads,
                ..small()
            };
            assert_eq!(run(model, &data, 0.05, &config).unwrap(), whole);
        }
    }
}

/// Stopped within any item it goes on to the same answers, and asks no finished item again.
#[test]
fn a_stopped_run_goes_on() {
    let (net, data) = (net(), clothes(20));
    let threat = ThreatModel::new(Norm::Linf, 0.05);
    let examined = Examined {
        model: &net,
        source: None,
        data: &data,
        threat: &threat,
    };
    let whole = run(&net, &data, 0.05, &small()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checklist.json");
    let journal = || Journal::new(&path, serde_json::json!({ "seed": 0 }));
    for stop in [1, 4, 11] {
        let mut seen = Vec::new();
        let stopped = run_checklist(examined, &small(), Some(&journal()), &mut |at| {
            seen.push(at.done.len());
            at.done.len() < stop
        });
        assert!(matches!(stopped, Err(AttackError::Stopped)));
        assert_eq!(seen.last(), Some(&stop));
    }
    let mut asked = Vec::new();
    let found = run_checklist(examined, &small(), Some(&journal()), &mut |at| {
        asked.push(at.item.to_string());
        true
    });
    assert_eq!(found.unwrap(), whole);
    asked.dedup();
    assert_eq!(asked, ["clean", "transfer"]);
    let other = Journal::new(&path, serde_json::json!({ "seed": 1 }));
    let error = run_checklist(examined, &small(), Some(&other), &mut |_| true).unwrap_err();
    assert!(error.to_string().contains("seed was 0, is 1"), "{error}");
}

/// JSON knows no NaN.
#[test]
fn evidence_that_is_no_number_comes_back() {
    let item = Item::new("a", "b?").with("nan", f64::NAN).with("half", 0.5);
    let text = serde_json::to_string(&item).unwrap();
    let back: Item = serde_json::from_str(&text).unwrap();
    assert!(back.evidence["nan"].is_nan());
    assert_eq!(back.evidence["half"], 0.5);
}
