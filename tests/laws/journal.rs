//! An evaluation that was stopped goes on to the outcome of one that never was.

use std::time::Duration;

use burn::tensor::Device;
use mr_attacks::{
    Attack, AttackError, Evaluation, EvaluationConfig, Fgsm, Goal, Journal, Norm, Pgd, ThreatModel,
    Watch, evaluate, evaluate_with,
};
use mr_models::data::{DataConfig, Dataset, Split, load};
use mr_models::{Architecture, Mlp, Network};
use serde_json::json;

fn net(seed: u64) -> Network {
    let mlp = Mlp {
        hidden: vec![12],
        ..Mlp::default()
    };
    Network::init(Architecture::Mlp(mlp), seed, &Device::flex()).unwrap()
}

fn clothes(count: usize) -> Dataset {
    load(&DataConfig::default(), Split::Test)
        .unwrap()
        .take(count)
        .unwrap()
}

fn attacks() -> Vec<Box<dyn Attack>> {
    let pgd = Pgd {
        steps: 3,
        restarts: 2,
        ..Pgd::default()
    };
    let momentum = Pgd {
        momentum: 1.0,
        ..pgd.clone()
    };
    vec![Box::new(Fgsm::default()), Box::new(pgd), Box::new(momentum)]
}

/// Small enough that each attack finds something that those before it left.
fn threat() -> ThreatModel {
    ThreatModel::new(Norm::Linf, 0.004)
}

fn config(batch_size: usize, threads: usize) -> EvaluationConfig {
    EvaluationConfig {
        seed: 3,
        batch_size,
        threads,
        keep: true,
        ..EvaluationConfig::default()
    }
}

/// Runs on from a journal until so many batches were told of.
fn run(
    net: &Network,
    data: &Dataset,
    journal: &Journal,
    config: &EvaluationConfig,
    stop_after: usize,
) -> Result<Evaluation, AttackError> {
    let attacks = attacks();
    let attacks: Vec<&dyn Attack> = attacks.iter().map(|attack| &**attack).collect();
    let mut told = 0;
    let watch = Watch {
        journal: Some(journal),
        progress: &mut |_| {
            told += 1;
            told < stop_after
        },
    };
    evaluate_with(
        net,
        data,
        &threat(),
        &Goal::Untargeted,
        &attacks,
        config,
        watch,
    )
}

/// Stopped after every number of batches, gone on with in batches of another size, twice.
#[test]
fn stopped_anywhere_it_goes_on_to_the_same_outcome() {
    let (net, data) = (net(1), clothes(300));
    let attacks = attacks();
    let attacks: Vec<&dyn Attack> = attacks.iter().map(|attack| &**attack).collect();
    let goal = Goal::Untargeted;
    let whole = evaluate(&net, &data, &threat(), &goal, &attacks, &config(5, 1)).unwrap();
    assert!(whole.attempts.iter().all(|attempt| attempt.attacked > 0));
    let folder = tempfile::tempdir().unwrap();
    let clean = data.len().div_ceil(5);
    let batches = whole
        .attempts
        .iter()
        .map(|attempt| attempt.attacked.div_ceil(5));
    let last = clean + batches.sum::<usize>();
    assert!(last > clean + 5, "{last} batches");
    for stop_after in clean..last {
        let path = folder.path().join(format!("{stop_after}.json"));
        let journal = || Journal::new(&path, json!({"of": "this"})).every(Duration::ZERO);
        let stopped = run(&net, &data, &journal(), &config(5, 1), stop_after);
        assert!(matches!(stopped, Err(AttackError::Stopped)), "{stop_after}");
        let again = run(&net, &data, &journal(), &config(7, 2), 45);
        assert!(matches!(again, Err(AttackError::Stopped) | Ok(_)));
        let found = run(&net, &data, &journal(), &config(9, 2), usize::MAX).unwrap();
        assert!(found == whole, "stopped after {stop_after}");
        // Once finished, nothing is left to do.
        let after = run(&net, &data, &journal(), &config(9, 2), usize::MAX).unwrap();
        assert!(after == whole, "finished, {stop_after}");
    }
}

/// Whoever waits sees which attack is at work, and on how many examples, before any of it is done.
#[test]
fn an_attack_is_told_of_before_its_first_batch() {
    let (net, data) = (net(1), clothes(40));
    let attacks = attacks();
    let attacks: Vec<&dyn Attack> = attacks.iter().map(|attack| &**attack).collect();
    let mut told: Vec<(String, usize, usize)> = Vec::new();
    let watch = Watch {
        journal: None,
        progress: &mut |now| {
            told.push((now.attack.into(), now.done, now.total));
            true
        },
    };
    let goal = Goal::Untargeted;
    let config = config(16, 1);
    let found = evaluate_with(&net, &data, &threat(), &goal, &attacks, &config, watch).unwrap();
    let mut begun = told.iter().filter(|(_, done, _)| *done == 0);
    let mut ended = told
        .iter()
        .filter(|(attack, done, total)| attack != "clean" && done == total);
    for attempt in found.attempts.iter().filter(|attempt| attempt.attacked > 0) {
        let (attack, _, total) = begun.next().unwrap();
        assert_eq!((attack, *total), (&attempt.attack, attempt.attacked));
        assert_eq!(ended.next().unwrap().0, attempt.attack);
    }
    assert!(begun.next().is_none() && ended.next().is_none());
}

fn refusal(journal: &Journal, net: &Network, data: &Dataset) -> String {
    let error = run(net, data, journal, &config(16, 1), usize::MAX);
    error.map(|_| ()).unwrap_err().to_string()
}

#[test]
fn what_holds_another_evaluation_is_left_alone() {
    let (one, data) = (net(1), clothes(40));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    let journal = Journal::new(&path, json!({"threat": {"epsilon": 0.1}}));
    run(&one, &data, &journal, &config(16, 1), usize::MAX).unwrap();
    let bytes = std::fs::read(&path).unwrap();

    let other = Journal::new(&path, json!({"threat": {"epsilon": 0.2}}));
    let said = refusal(&other, &one, &data);
    assert!(said.contains("threat.epsilon was 0.1, is 0.2"), "{said}");
    let said = refusal(&journal, &net(2), &data);
    assert!(
        said.contains("does not hold what this model makes"),
        "{said}"
    );
    let said = refusal(&journal, &one, &clothes(30));
    assert!(
        said.contains("does not hold what this model makes"),
        "{said}"
    );
    assert_eq!(std::fs::read(&path).unwrap(), bytes);

    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let said = refusal(&journal, &one, &data);
    assert!(said.contains("is no state of an evaluation"), "{said}");
    let folder_there = Journal::new(folder.path(), json!({}));
    assert!(refusal(&folder_there, &one, &data).contains("cannot be read"));
}
