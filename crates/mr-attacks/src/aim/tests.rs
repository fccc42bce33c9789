use burn::tensor::Device;
use mr_models::data::{DataConfig, Split, load};
use mr_models::{Architecture, Mlp, Network, Place, objective};

use super::*;
use crate::attack::{Fgsm, Pgd, Schedule};
use crate::threat::Norm;

/// Two inputs, two hidden units, two classes, no biases.
fn net(first: [f32; 4], second: [f32; 4]) -> Network {
    let mlp = Mlp {
        input: [2, 1, 1],
        hidden: vec![2],
        classes: 2,
        ..Mlp::default()
    };
    let named = vec![
        ("linear1.weight".into(), vec![2, 2], first.to_vec()),
        ("linear1.bias".into(), vec![2], vec![0.0; 2]),
        ("linear2.weight".into(), vec![2, 2], second.to_vec()),
        ("linear2.bias".into(), vec![2], vec![0.0; 2]),
    ];
    Network::with_weights(Architecture::Mlp(mlp), named, &Device::flex()).unwrap()
}

/// One example of class 0 in the middle of the box.
fn middle() -> Dataset {
    let classes = vec!["a".into(), "b".into()];
    Dataset::of_floats("middle", [2, 1, 1], classes, vec![0.5, 0.5], vec![0]).unwrap()
}

/// Steps that reach across the ball, and small last ones, so that what is held is held closely.
fn pgd() -> Pgd {
    Pgd {
        steps: 100,
        step_size: Some(0.02),
        schedule: Schedule::Cosine,
        ..Pgd::default()
    }
}

fn one(net: &Network, threat: &ThreatModel, attack: &dyn ObjectiveAttack, what: &str) -> Aims {
    let config = EvaluationConfig {
        keep: true,
        ..EvaluationConfig::default()
    };
    let objective = objective::by_name(what).unwrap();
    let found = aim(
        net,
        &middle(),
        threat,
        attack,
        objective.as_ref(),
        &config,
        &mut |_| true,
    );
    found.unwrap()
}

fn linf() -> ThreatModel {
    ThreatModel::new(Norm::Linf, 0.1)
}

#[test]
fn a_unit_rises_by_epsilon_times_the_l1_norm_of_its_weights() {
    let net = net([1.0, -2.0, 0.0, 1.0], [1.0, 0.0, -1.0, 0.0]);
    let attacks: [&dyn ObjectiveAttack; 2] = [&Fgsm::default(), &pgd()];
    for attack in attacks {
        let found = one(&net, &linf(), attack, "raise(linear1.hook_pre[:, 0])");
        let aim = &found.examples[0];
        assert!((aim.before + 0.5).abs() < 1e-6, "{aim:?}");
        assert!((aim.rise() - 0.3).abs() < 1e-6, "{aim:?}");
        assert!((aim.distance - 0.1).abs() < 1e-6, "{aim:?}");
        let lowered = one(&net, &linf(), attack, "lower(linear1.hook_pre[:, 0])");
        assert!((lowered.examples[0].rise() - 0.3).abs() < 1e-6);
    }
    // In L2 by epsilon times the L2 norm.
    let threat = ThreatModel::new(Norm::L2, 0.1);
    let found = one(&net, &threat, &pgd(), "raise(linear1.hook_pre[:, 0])");
    assert!((found.examples[0].rise() - 0.1 * 5.0f32.sqrt()).abs() < 1e-5);
}

#[test]
fn features_move_while_the_logits_stay_where_the_net_has_a_null_space() {
    // The logits read unit 0 alone.
    let net = net([1.0, 0.0, 0.0, 1.0], [1.0, 0.0, -1.0, 0.0]);
    let free = one(&net, &linf(), &pgd(), "shift(linear1.hook_out)");
    let free = &free.examples[0];
    assert!((free.after - 0.02).abs() < 1e-4, "{free:?}");
    assert!(free.divergence > 3e-3, "{free:?}");
    let held = one(&net, &linf(), &pgd(), "shift(linear1.hook_out) - 10 kl");
    let held = &held.examples[0];
    assert!(held.before.abs() < 1e-6, "{held:?}");
    assert!((held.after - 0.01).abs() < 2e-4, "{held:?}");
    assert!(held.divergence < 1e-5, "{held:?}");
    assert!(held.keeps_prediction());
}

#[test]
fn the_logits_move_while_a_feature_stays() {
    // Unit 1 is the sum of the inputs; the margin is -2 x0.
    let net = net([1.0, 0.0, 1.0, 1.0], [1.0, 0.0, -1.0, 0.0]);
    let what = "margin - 10 shift(linear1.hook_out[:, 1])";
    let found = one(&net, &linf(), &pgd(), what);
    let aim = &found.examples[0];
    assert!((aim.before + 1.0).abs() < 1e-6, "{aim:?}");
    assert!((aim.after + 0.8).abs() < 2e-3, "{aim:?}");
    let points = found.points.unwrap();
    assert!(
        (points[0] - 0.4).abs() < 1e-3 && (points[1] - 0.6).abs() < 1e-2,
        "{points:?}"
    );
}

#[test]
fn a_site_can_be_attacked_and_the_attack_does_not_stop_where_the_class_changes() {
    // At the hidden layer there is no box: [0.5, 0.5] moves to [-0.5, 0.5], where the class is 1.
    let net = net([1.0, 0.0, 0.0, 1.0], [1.0, 0.0, -1.0, 0.0]);
    let threat = ThreatModel::new(Norm::Linf, 1.0).at(Place::site("linear1.hook_out"));
    let found = one(&net, &threat, &pgd(), "margin");
    let aim = &found.examples[0];
    assert_eq!((aim.clean, aim.adversarial), (0, 1));
    assert!((aim.after - 1.0).abs() < 1e-5, "{aim:?}");
    assert!(!aim.keeps_prediction());
}

#[test]
fn the_clean_example_is_kept_where_nothing_is_better() {
    let net = net([1.0, 0.0, 0.0, 1.0], [1.0, 0.0, -1.0, 0.0]);
    // No perturbation is better than none; and FGSM sees no slope of a shift.
    for (attack, what) in [
        (&pgd() as &dyn ObjectiveAttack, "stay(linear1.hook_out)"),
        (&Fgsm::default(), "shift(linear1.hook_out)"),
    ] {
        let found = one(&net, &linf(), attack, what);
        let aim = &found.examples[0];
        assert_eq!((aim.rise(), aim.distance, aim.divergence), (0.0, 0.0, 0.0));
        assert_eq!(found.points.unwrap(), [0.5, 0.5]);
    }
}

#[test]
fn what_becomes_of_an_example_depends_on_it_alone() {
    let mlp = Mlp {
        hidden: vec![20],
        ..Mlp::default()
    };
    let net = Network::init(Architecture::Mlp(mlp), 3, &Device::flex()).unwrap();
    let data = load(&DataConfig::default(), Split::Test)
        .unwrap()
        .take(11)
        .unwrap();
    let what = objective::by_name("shift(linear1.hook_out) - 10 kl").unwrap();
    let pgd = Pgd {
        steps: 4,
        ..Pgd::default()
    };
    let of = |data: &Dataset, batch_size, threads| {
        let config = EvaluationConfig {
            batch_size,
            threads,
            ..EvaluationConfig::default()
        };
        let found = aim(
            &net,
            data,
            &linf(),
            &pgd,
            what.as_ref(),
            &config,
            &mut |_| true,
        );
        found.unwrap().examples
    };
    let whole = of(&data, 11, 1);
    assert!(whole.iter().all(|aim| aim.rise() > 0.0));
    assert_eq!(whole, of(&data, 3, 3));
    let order = [4, 10, 0, 7];
    let some = of(&data.subset(&order).unwrap(), 2, 2);
    let expected: Vec<Aim> = order.iter().map(|&row| whole[row].clone()).collect();
    assert_eq!(some, expected);
}

#[test]
fn what_does_not_fit_is_refused_before_anything_runs() {
    let net = net([1.0, 0.0, 0.0, 1.0], [1.0, 0.0, -1.0, 0.0]);
    let refused = |threat: &ThreatModel, what: &str| {
        let config = EvaluationConfig::default();
        let what = objective::by_name(what).unwrap();
        let (data, pgd) = (middle(), pgd());
        let found = aim(
            &net,
            &data,
            threat,
            &pgd,
            what.as_ref(),
            &config,
            &mut |_| true,
        );
        found.unwrap_err().to_string()
    };
    assert!(refused(&linf(), "shift(linear1.hook_ot)").contains("did you mean linear1.hook_out"));
    assert!(refused(&linf(), "raise(linear1.hook_out[:, 2])").contains("channels 2..3"));
    assert!(refused(&ThreatModel::unbounded(Norm::L2), "margin").contains("finite epsilon"));
    let stopped = aim(
        &net,
        &middle(),
        &linf(),
        &pgd(),
        &objective::Margin,
        &EvaluationConfig::default(),
        &mut |_| false,
    );
    assert!(matches!(stopped, Err(AttackError::Stopped)));
}
