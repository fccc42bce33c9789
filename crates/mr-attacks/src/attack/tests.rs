//! A linear net whose smallest perturbations are known, for tests.

use burn::tensor::Device;
use mr_models::data::Dataset;
use mr_models::{Architecture, Mlp, Network, Place};

use super::{Attack, AttackConfig};
use crate::error::AttackError;
use crate::evaluate::{EvaluationConfig, evaluate};
use crate::evaluation::Evaluation;
use crate::goal::{Goal, Targets};
use crate::threat::{Norm, ThreatModel};

/// `z_1 - z_0 = 3 x_0 - 4 x_1 - 0.5`, which is -1 at the middle of the box, and
/// `z_2 - z_0 = 1.5 x_2 + 1.5 x_3 - 2.7`, which is -1.2 there, and flatter.
pub(crate) fn net() -> Network {
    let architecture = Architecture::Mlp(Mlp {
        input: [1, 1, 4],
        hidden: Vec::new(),
        classes: 3,
        ..Mlp::default()
    });
    let weight = vec![0.0, 0.0, 0.0, 0.0, 3.0, -4.0, 0.0, 0.0, 0.0, 0.0, 1.5, 1.5];
    let named = vec![
        ("linear1.weight".into(), vec![3, 4], weight),
        ("linear1.bias".into(), vec![3], vec![0.0, -0.5, -2.7]),
    ];
    Network::with_weights(architecture, named, &Device::flex()).unwrap()
}

/// The distance from the middle of the box to class 1.
pub(super) fn smallest(norm: Norm) -> f32 {
    match norm {
        Norm::Linf => 1.0 / 7.0,
        Norm::L2 => 0.2,
        Norm::L1 => 0.25,
        Norm::L0 => 1.0,
    }
}

/// The distance from the middle of the box to class 2.
pub(super) fn smallest_to_class_2(norm: Norm) -> f32 {
    match norm {
        Norm::Linf => 0.4,
        Norm::L2 => 0.4 * 2f32.sqrt(),
        Norm::L1 => 0.8,
        Norm::L0 => 2.0,
    }
}

/// What an attack makes of two examples: the middle of the box, and one of class 1 that is said to be
/// of class 0.
pub(super) fn judge(
    attack: &dyn Attack,
    threat: &ThreatModel,
    goal: &Goal,
) -> Result<Evaluation, AttackError> {
    let names = (0..3).map(|class| class.to_string()).collect();
    let values = vec![0.5, 0.5, 0.5, 0.5, 1.0, 0.0, 0.5, 0.5];
    let data = Dataset::of_floats("two", [1, 1, 4], names, values, vec![0, 0]).unwrap();
    let config = EvaluationConfig {
        keep: true,
        ..EvaluationConfig::default()
    };
    evaluate(&net(), &data, threat, goal, &[attack], &config)
}

/// The distance at which an unbounded attack breaks the first example; the second is broken at 0.
pub(super) fn found(attack: &dyn Attack, norm: Norm) -> f32 {
    let found = judge(attack, &ThreatModel::unbounded(norm), &Goal::Untargeted).unwrap();
    assert_eq!(found.examples[1].distance, Some(0.0));
    assert_eq!(found.examples[0].adversarial, 1, "the nearest class");
    found.examples[0].distance.unwrap()
}

/// Asserts that an attack finds the smallest perturbation towards class 2, to this share of it.
pub(super) fn finds_the_target(attack: &dyn Attack, norm: Norm, share: f32) {
    let goal = Goal::Targeted(Targets::Class(2));
    let found = judge(attack, &ThreatModel::unbounded(norm), &goal).unwrap();
    let (best, distance) = (
        smallest_to_class_2(norm),
        found.examples[0].distance.unwrap(),
    );
    let what = format!("{} {norm}: {distance}, smallest {best}", attack.name());
    assert!(distance >= best * (1.0 - 1e-5), "{what}");
    assert!(distance <= best * (1.0 + share), "{what}");
    assert_eq!(found.examples[0].adversarial, 2, "{what}");
}

/// Asserts that an attack finds the smallest perturbation of the first example to this share of it, that
/// it breaks it in a ball just larger and not in one just smaller, and that a ball of radius 0 breaks
/// nothing.
pub(super) fn finds_the_smallest(attack: &dyn Attack, norm: Norm, share: f32) {
    let (best, distance) = (smallest(norm), found(attack, norm));
    let what = format!("{} {norm}: {distance}, smallest {best}", attack.name());
    assert!(distance >= best * (1.0 - 1e-5), "{what}");
    assert!(distance <= best * (1.0 + share), "{what}");
    let broken = |epsilon| {
        let threat = ThreatModel::new(norm, epsilon);
        let found = judge(attack, &threat, &Goal::Untargeted).unwrap();
        found.examples[0].success
    };
    assert!(broken(best * (1.0 + share) + 1e-4), "{what}");
    assert!(!broken(best * 0.99), "{what}");
    assert!(!broken(0.0), "{what}");
}

/// Asserts that an attack finds the smallest change of the logits themselves, where there is no box, to
/// this share of it: `z_1 - z_0` has to grow by 1, along a slope of 1 and -1.
pub(super) fn finds_the_smallest_at_the_logits(attack: &dyn Attack, norm: Norm, share: f32) {
    let best = match norm {
        Norm::Linf => 0.5,
        Norm::L2 => 0.5f32.sqrt(),
        Norm::L1 | Norm::L0 => 1.0,
    };
    let threat = ThreatModel::unbounded(norm).at(Place::site("linear1.hook_out"));
    let found = judge(attack, &threat, &Goal::Untargeted).unwrap();
    let distance = found.examples[0].distance.unwrap();
    let what = format!("{} {norm}: {distance}, smallest {best}", attack.name());
    assert!(distance >= best * (1.0 - 1e-5), "{what}");
    assert!(distance <= best * (1.0 + share), "{what}");
}

/// What an attack says of its settings under a threat of this norm.
pub(super) fn refused(attack: &dyn Attack, norm: Norm) -> String {
    let threat = ThreatModel::new(norm, 0.1);
    let refused = judge(attack, &threat, &Goal::Untargeted).unwrap_err();
    refused.to_string()
}

/// Of every attack that has an early stop, so that none is forgotten.
#[test]
fn to_the_end_nothing_stops_early() {
    for name in AttackConfig::NAMES {
        let attack = AttackConfig::by_name(name).unwrap().to_the_end();
        let settings = serde_json::to_value(&attack).unwrap();
        let stops = settings.get("stop_early");
        assert!(stops.is_none_or(|stops| stops == false), "{name}");
        assert_eq!(attack.to_the_end(), attack);
    }
}
