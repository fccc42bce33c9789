use burn::tensor::Device;
use mr_models::data::{DataConfig, Split, load};
use mr_models::{Architecture, Mlp, Network};

use super::*;
use crate::attack::Pgd;

/// Two inputs that pass unchanged; the margin of class 0 is 3 h0 - 4 h1.
fn net() -> Network {
    let mlp = Mlp {
        input: [2, 1, 1],
        hidden: vec![2],
        classes: 2,
        ..Mlp::default()
    };
    let named = vec![
        (
            "linear1.weight".into(),
            vec![2, 2],
            vec![1.0, 0.0, 0.0, 1.0],
        ),
        ("linear1.bias".into(), vec![2], vec![0.0; 2]),
        (
            "linear2.weight".into(),
            vec![2, 2],
            vec![1.0, 2.0, 4.0, -2.0],
        ),
        ("linear2.bias".into(), vec![2], vec![0.0; 2]),
    ];
    Network::with_weights(Architecture::Mlp(mlp), named, &Device::flex()).unwrap()
}

/// An input of L2 length 0.5 and margin -0.7.
fn data() -> Dataset {
    let classes = vec!["a".into(), "b".into()];
    Dataset::of_floats("one", [2, 1, 1], classes, vec![0.3, 0.4], vec![0]).unwrap()
}

fn measured(config: &GainConfig) -> Vec<Gain> {
    let running = EvaluationConfig::default();
    // Long steps forget where they started.
    let pgd = Pgd {
        step_size: Some(0.2),
        ..Pgd::default()
    };
    let (gains, counts) = gain(&net(), &data(), config, &pgd, &running, &mut |_, _| true).unwrap();
    assert!(counts.forwards >= 2 && counts.backwards >= 1);
    gains
}

#[test]
fn the_gain_of_a_linear_map_is_the_dual_norm_of_the_difference_of_its_rows() {
    for (norm, slope, size) in [
        (Norm::L2, 5.0, 0.5),
        (Norm::Linf, 7.0, 0.4),
        (Norm::L1, 4.0, 0.7),
    ] {
        let config = GainConfig {
            norm,
            fraction: 0.0,
            ..GainConfig::default()
        };
        let gains = measured(&config);
        let places: Vec<String> = gains.iter().map(|gain| gain.place.to_string()).collect();
        assert_eq!(
            places[..3],
            ["input", "linear1.hook_pre", "linear1.hook_out"]
        );
        for gain in &gains[..3] {
            assert!((gain.slopes[0] - slope).abs() < 1e-5, "{norm} {gain:?}");
            assert!((gain.sizes[0] - size).abs() < 1e-6, "{norm} {gain:?}");
            assert!((gain.relative()[0] - slope * size).abs() < 1e-5);
            assert_eq!(gain.attacked, None);
        }
    }
}

#[test]
fn an_attack_at_a_linear_place_moves_the_margin_by_slope_times_radius() {
    let at = |fraction| {
        let config = GainConfig {
            places: vec![Place::site("linear1.hook_out")],
            fraction,
            ..GainConfig::default()
        };
        measured(&config).remove(0).attacked.unwrap()
    };
    let near = at(0.1);
    assert!((near.epsilon - 0.05).abs() < 1e-7);
    assert!((near.examples[0].before + 0.7).abs() < 1e-6);
    assert!((near.examples[0].rise() - 0.25).abs() < 1e-5, "{near:?}");
    assert_eq!(near.robust_accuracy(), 1.0);
    // 0.15 * 5 is more than the margin of 0.7.
    let far = at(0.3);
    assert!((far.examples[0].rise() - 0.75).abs() < 1e-5, "{far:?}");
    assert_eq!(far.robust_accuracy(), 0.0);
}

#[test]
fn gains_do_not_depend_on_batches_or_threads() {
    let mlp = Mlp {
        hidden: vec![20],
        ..Mlp::default()
    };
    let net = Network::init(Architecture::Mlp(mlp), 3, &Device::flex()).unwrap();
    let data = load(&DataConfig::default(), Split::Test)
        .unwrap()
        .take(7)
        .unwrap();
    let pgd = Pgd {
        steps: 3,
        ..Pgd::default()
    };
    let of = |batch_size, threads| {
        let running = EvaluationConfig {
            batch_size,
            threads,
            ..EvaluationConfig::default()
        };
        let config = GainConfig::default();
        gain(&net, &data, &config, &pgd, &running, &mut |_, _| true).unwrap()
    };
    assert_eq!(of(7, 1), of(2, 3));
}

#[test]
fn what_has_no_meaning_is_refused() {
    let refused = |config: GainConfig| {
        let running = EvaluationConfig::default();
        let pgd = Pgd::default();
        let found = gain(&net(), &data(), &config, &pgd, &running, &mut |_, _| true);
        found.unwrap_err().to_string()
    };
    let l0 = GainConfig {
        norm: Norm::L0,
        ..GainConfig::default()
    };
    assert!(refused(l0).contains("valid norms: Linf, L2, L1"));
    let negative = GainConfig {
        fraction: -1.0,
        ..GainConfig::default()
    };
    assert_eq!(
        refused(negative),
        "fraction is -1, must be a finite number, at least 0"
    );
    let elsewhere = GainConfig {
        places: vec![Place::site("linear1.hook_ou")],
        ..GainConfig::default()
    };
    assert!(refused(elsewhere).contains("did you mean linear1.hook_out"));
}
