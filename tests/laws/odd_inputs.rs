//! What is unusual is right or refused, and never a panic: few classes, pictures of any shape, a radius of
//! 0, one example, nothing left to attack.

use burn::tensor::Device;
use mr_attacks::{
    AttackConfig, AutoAttack, Evaluation, EvaluationConfig, Goal, Norm, ThreatModel, evaluate,
};
use mr_models::data::Dataset;
use mr_models::{Architecture, Mlp, Model, Network, predictions};

fn net(shape: [usize; 3], classes: usize) -> Network {
    let mlp = Mlp {
        input: shape,
        hidden: vec![6],
        classes,
        ..Mlp::default()
    };
    Network::init(Architecture::Mlp(mlp), 5, &Device::flex()).unwrap()
}

/// Pictures whose labels are what the net says, or what it does not.
fn pictures(net: &Network, shape: [usize; 3], count: usize, right: bool) -> Dataset {
    let width: usize = shape.iter().product();
    let classes = net.spec().classes;
    let value = |i: usize| ((i * 7919 + 13) % 101) as f32 / 100.0;
    let values: Vec<f32> = (0..count * width).map(value).collect();
    let names: Vec<String> = (0..classes).map(|class| class.to_string()).collect();
    let of = |labels: Vec<usize>| {
        Dataset::of_floats("pictures", shape, names.clone(), values.clone(), labels).unwrap()
    };
    let unlabelled = of(vec![0; count]);
    let rows: Vec<usize> = (0..count).collect();
    let logits = net.logits(&unlabelled.input(&rows, &net.device()));
    let said = predictions(&logits).into_iter().map(|row| row[0]);
    of(said
        .map(|class| if right { class } else { (class + 1) % classes })
        .collect())
}

/// Every attack that has a name, with few steps.
fn attacks() -> Vec<AttackConfig> {
    let short = |name: &str| {
        let mut table = serde_json::Map::new();
        table.insert("type".into(), name.into());
        let config: AttackConfig = serde_json::from_value(table.clone().into()).unwrap();
        let mut settings = serde_json::to_value(&config).unwrap();
        for (key, value) in [("steps", 3), ("queries", 9), ("max_evaluations", 40)] {
            if let Some(setting) = settings.get_mut(key) {
                *setting = value.into();
            }
        }
        serde_json::from_value(settings).unwrap()
    };
    let ensemble = AutoAttack::default();
    let members = ensemble.members(Norm::Linf).into_iter().map(|member| {
        let mut settings = serde_json::to_value(&member).unwrap();
        for key in ["steps", "queries"] {
            if let Some(setting) = settings.get_mut(key) {
                *setting = 3.into();
            }
        }
        serde_json::from_value(settings).unwrap()
    });
    let names = AttackConfig::NAMES
        .iter()
        .filter(|name| **name != "autoattack");
    names.map(|name| short(name)).chain(members).collect()
}

fn run(
    net: &Network,
    data: &Dataset,
    threat: &ThreatModel,
    attack: &AttackConfig,
) -> Option<Evaluation> {
    let attack = attack.attack();
    // What does not fit is refused beforehand, by a message that names it.
    if let Err(error) = attack.fits(net.spec(), threat) {
        assert!(!error.to_string().is_empty());
        return None;
    }
    let config = EvaluationConfig::default();
    let found = evaluate(net, data, threat, &Goal::Untargeted, &[attack], &config);
    Some(found.unwrap_or_else(|error| panic!("{}: {error}", attack.name())))
}

fn each(mut check: impl FnMut(&AttackConfig, Norm)) {
    for attack in attacks() {
        for norm in [Norm::Linf, Norm::L2, Norm::L1, Norm::L0] {
            check(&attack, norm);
        }
    }
}

#[test]
fn pictures_of_any_shape_and_any_number_of_classes() {
    for (shape, classes) in [
        ([1, 1, 1], 2),
        ([3, 1, 1], 3),
        ([1, 5, 2], 3),
        ([2, 3, 7], 4),
        ([1, 1, 9], 2),
    ] {
        let net = net(shape, classes);
        for count in [1, 3] {
            let data = pictures(&net, shape, count, true);
            each(|attack, norm| {
                let threat = ThreatModel::new(norm, if norm == Norm::L0 { 2.0 } else { 0.3 });
                if let Some(found) = run(&net, &data, &threat, attack) {
                    assert_eq!(found.examples.len(), count);
                    assert_eq!(found.clean_accuracy(), 1.0);
                }
            });
        }
    }
}

#[test]
fn a_radius_of_zero_breaks_nothing() {
    let net = net([1, 4, 4], 5);
    let data = pictures(&net, [1, 4, 4], 6, true);
    each(|attack, norm| {
        if let Some(found) = run(&net, &data, &ThreatModel::new(norm, 0.0), attack) {
            assert_eq!(found.robust_accuracy(), 1.0, "{attack:?} in {norm}");
        }
    });
}

/// They are broken at distance 0, and cost one pass each.
#[test]
fn where_all_is_wrong_nothing_is_attacked() {
    let net = net([1, 4, 4], 5);
    let data = pictures(&net, [1, 4, 4], 6, false);
    each(|attack, norm| {
        if let Some(found) = run(&net, &data, &ThreatModel::new(norm, 1.0), attack) {
            assert_eq!(found.clean_accuracy(), 0.0);
            assert!(found.examples.iter().all(|one| one.distance == Some(0.0)));
            assert_eq!((found.counts.forwards, found.counts.backwards), (6, 0));
        }
    });
}

/// The ensemble as one attack and its members one by one break the same examples.
#[test]
fn an_ensemble_is_its_members() {
    let net = net([1, 6, 6], 4);
    let data = pictures(&net, [1, 6, 6], 8, true);
    let threat = ThreatModel::new(Norm::Linf, 0.05);
    let ensemble = AutoAttack::default();
    let members = ensemble.members(threat.norm);
    let members: Vec<_> = members.iter().map(AttackConfig::attack).collect();
    let config = EvaluationConfig::default();
    let goal = Goal::Untargeted;
    let one = evaluate(&net, &data, &threat, &goal, &[&ensemble], &config).unwrap();
    let all = evaluate(&net, &data, &threat, &goal, &members, &config).unwrap();
    assert_eq!(one.robust_mask(), all.robust_mask());
    assert!(all.robust_accuracy() < 1.0, "something was broken");
    assert!(all.robust_accuracy() > 0.0, "not all was broken");
}
