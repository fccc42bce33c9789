//! Known answers, and the law: certified <= true <= attacked.

use burn::tensor::{Device, Tensor, TensorData};
use mr_models::data::Dataset;
use mr_models::{Architecture, ConvNet, Input, Mlp, Model, Network, ResNet, floats};
use proptest::prelude::*;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::*;
use crate::{Apgd, Area, Attack, EvaluationConfig, Fgsm, Goal, Pgd, evaluate};

/// Examples of a shape, with the classes that the network gives them, so that all are right.
fn examples(network: &Network, shape: [usize; 3], count: usize, seed: u64) -> Dataset {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let width: usize = shape.iter().product();
    let pixels: Vec<f32> = (0..count * width)
        .map(|_| rng.random_range(0.0..=1.0))
        .collect();
    let [channels, height, width] = shape;
    let data = TensorData::new(pixels.clone(), [count, channels, height, width]);
    let input = Input::Real(Tensor::from_data(data, &Device::flex()));
    let labels = mr_models::predictions(&network.logits(&input));
    let labels = labels.into_iter().map(|row| row[0]).collect();
    dataset(shape, pixels, labels, network.spec().classes)
}

fn dataset(shape: [usize; 3], pixels: Vec<f32>, labels: Vec<usize>, classes: usize) -> Dataset {
    let names = (0..classes).map(|class| class.to_string()).collect();
    Dataset::of_floats("made up", shape, names, pixels, labels).unwrap()
}

fn certified(
    network: &Network,
    data: &Dataset,
    threat: &ThreatModel,
    certifier: &dyn Certifier,
) -> Certificates {
    let config = EvaluationConfig::default();
    certify(network, data, threat, certifier, &config, &mut |_| true).unwrap()
}

fn margins(certificates: &Certificates) -> Vec<f32> {
    let margin = |one: &Certificate| one.margin.unwrap();
    certificates.examples.iter().map(margin).collect()
}

/// x in R^2, h = ReLU([[1, 1], [1, -1]] x + [-1, 0]), z = [[1, 0], [0, 1]] h + [1, 0].
fn two_two_two() -> Network {
    let mlp = Mlp {
        input: [2, 1, 1],
        hidden: vec![2],
        classes: 2,
        ..Mlp::default()
    };
    let named = vec![
        ("linear1.weight".into(), vec![2, 2], vec![1., 1., 1., -1.]),
        ("linear1.bias".into(), vec![2], vec![-1., 0.]),
        ("linear2.weight".into(), vec![2, 2], vec![1., 0., 0., 1.]),
        ("linear2.bias".into(), vec![2], vec![1., 0.]),
    ];
    Network::with_weights(Architecture::Mlp(mlp), named, &Device::flex()).unwrap()
}

#[test]
fn known_margins_of_a_net_of_two_neurons() {
    let network = two_two_two();
    let data = dataset([2, 1, 1], vec![0.5, 0.4], vec![0], 2);
    let margin = |certifier: &dyn Certifier, norm, epsilon| {
        let threat = ThreatModel::new(norm, epsilon);
        margins(&certified(&network, &data, &threat, certifier))[0]
    };
    let near = |found: f32, expected: f32| {
        // Rounding is paid for: some 1e-5 of it.
        assert!((found - expected).abs() < 3e-5, "{found}, not {expected}");
    };
    let (ibp, crown) = (Ibp::default(), Crown::default());
    // Linf .1: pre-activations in [-.3, .1] and [-.1, .3]; h in [0, .1] x [0, .3]; the margin
    // z_0 - z_1 = h_1 - h_2 + 1 is at least 0 - .3 + 1.
    near(margin(&ibp, Norm::Linf, 0.1), 0.7);
    // h_1 >= 0 (-l > u: slope 0), h_2 <= .75 (z_2 + .1): the margin is at least
    // 1 - .75 (x_1 - x_2) - .075, with x_1 - x_2 at most .3.
    near(margin(&crown, Norm::Linf, 0.1), 0.7);
    // L2 .1: the interval of the enclosing box, and z_2 in .1 -+ .1 sqrt 2, so that
    // h_2 <= s (z_2 - l) with s = u / (u - l), whose highest value is u = .1 + .1 sqrt 2.
    near(margin(&ibp, Norm::L2, 0.1), 0.7);
    near(margin(&crown, Norm::L2, 0.1), 1.0 - (0.1 + 0.02f32.sqrt()));
    // L1 .1: z_2 in .1 -+ .1, so h_2 <= .2.
    near(margin(&crown, Norm::L1, 0.1), 0.8);
    // Nothing moves: the margin itself, 1 - .1.
    near(margin(&ibp, Norm::Linf, 0.0), 0.9);
    near(margin(&crown, Norm::L2, 0.0), 0.9);
    // The box of pixels ends the ball: x in [0, 1]^2, h in [0, 1] x [0, 1].
    near(margin(&ibp, Norm::Linf, 5.0), 0.0);
}

#[test]
fn a_linear_network_is_certified_exactly() {
    // z_0 - z_1 = 2 x_1 - x_2 + .1 at (.5, .5) is .6; Linf .1 takes .3, L2 .1 takes .1 sqrt 5, L1 .1
    // takes .2.
    let mlp = Mlp {
        input: [2, 1, 1],
        hidden: vec![],
        classes: 2,
        ..Mlp::default()
    };
    let named = vec![
        ("linear1.weight".into(), vec![2, 2], vec![1., 0., -1., 1.]),
        ("linear1.bias".into(), vec![2], vec![0.1, 0.]),
    ];
    let network = Network::with_weights(Architecture::Mlp(mlp), named, &Device::flex()).unwrap();
    let data = dataset([2, 1, 1], vec![0.5, 0.5], vec![0], 2);
    for (norm, expected) in [
        (Norm::Linf, 0.3),
        (Norm::L2, 0.6 - 0.05f32.sqrt()),
        (Norm::L1, 0.4),
    ] {
        let threat = ThreatModel::new(norm, 0.1);
        let found = margins(&certified(&network, &data, &threat, &Crown::default()))[0];
        assert!((found - expected).abs() < 3e-5, "{norm}: {found}");
    }
    // A wrong label is certified by nothing.
    let wrong = dataset([2, 1, 1], vec![0.5, 0.5], vec![1], 2);
    let found = certified(
        &network,
        &wrong,
        &ThreatModel::new(Norm::Linf, 0.0),
        &Ibp::default(),
    );
    assert!(!found.examples[0].certified && found.clean_mask() == [false]);
}

#[test]
fn pixels_outside_an_area_stay() {
    // Only x_1 moves: z_0 - z_1 of the 2-2-2 net is 1 + ReLU(-.1 + d) - ReLU(.1 + d), d in -+ .05.
    let network = two_two_two();
    let mlp = Mlp {
        input: [1, 1, 2],
        hidden: vec![2],
        classes: 2,
        ..Mlp::default()
    };
    let named = network.weights().to_host();
    let network = Network::with_weights(Architecture::Mlp(mlp), named, &Device::flex()).unwrap();
    let data = dataset([1, 1, 2], vec![0.5, 0.4], vec![0], 2);
    let first = Area {
        picture: [1, 2],
        top: 0,
        left: 0,
        height: 1,
        width: 1,
    };
    let threat = ThreatModel::new(Norm::Linf, 0.05).within(first);
    for certifier in [&Ibp::default() as &dyn Certifier, &Crown::default()] {
        let found = margins(&certified(&network, &data, &threat, certifier))[0];
        assert!((found - 0.85).abs() < 3e-5, "{found}");
    }
}

fn small(kind: u8, seed: u64) -> (Network, [usize; 3]) {
    let shape = [2, 4, 5];
    let normalization = Some(mr_models::Normalization {
        mean: vec![0.4, 0.5],
        std: vec![0.3, 0.2],
    });
    let architecture = match kind {
        0 => Architecture::Mlp(Mlp {
            input: shape,
            hidden: vec![8, 7, 6],
            classes: 3,
            normalization,
            ..Mlp::default()
        }),
        1 => Architecture::Convnet(ConvNet {
            input: shape,
            widths: vec![3, 4],
            hidden: vec![5],
            classes: 3,
            batch_norm: true,
            normalization,
            ..ConvNet::default()
        }),
        _ => Architecture::Resnet(ResNet {
            input: shape,
            width: 3,
            depth: 6,
            stages: 2,
            classes: 3,
            normalization,
        }),
    };
    (
        Network::init(architecture, seed, &Device::flex()).unwrap(),
        shape,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn no_attack_beats_a_certificate(kind in 0..3u8, seed in 0..1000u64, scale in 0.0..1.0f32) {
        let (network, shape) = small(kind, seed);
        let data = examples(&network, shape, 12, seed);
        let pgd = Pgd { steps: 20, restarts: 3, objective: "margin".into(), ..Pgd::default() };
        let apgd = Apgd { steps: 20, targets: 2, ..Apgd::default() };
        let attacks: [&dyn Attack; 3] = [&Fgsm::default(), &pgd, &apgd];
        for (norm, largest) in [(Norm::Linf, 0.05), (Norm::L2, 0.3), (Norm::L1, 0.8)] {
            let threat = ThreatModel::new(norm, scale * scale * largest);
            let config = EvaluationConfig::default();
            let broken = evaluate(&network, &data, &threat, &Goal::Untargeted, &attacks, &config);
            let robust = broken.unwrap().robust_mask();
            let ibp = certified(&network, &data, &threat, &Ibp::default());
            let holds = |proven: Vec<bool>| {
                proven.iter().zip(&robust).all(|(&proven, &robust)| robust || !proven)
            };
            prop_assert!(holds(ibp.certified_mask()), "{norm}: an attack beat ibp");
            if kind > 0 {
                continue;
            }
            let crown = certified(&network, &data, &threat, &Crown::default());
            prop_assert!(holds(crown.certified_mask()), "{norm}: an attack beat crown");
            for (ibp, crown) in margins(&ibp).iter().zip(margins(&crown)) {
                // Both pay for rounding, each in its own way.
                prop_assert!(*ibp <= crown + 1e-4, "{norm}: ibp {ibp}, crown {crown}");
            }
        }
    }

    #[test]
    fn margins_in_the_ball_are_never_below_the_bound(kind in 0..3u8, seed in 0..1000u64) {
        let (network, shape) = small(kind, seed);
        let data = examples(&network, shape, 4, seed);
        let threat = ThreatModel::new(Norm::Linf, 0.02);
        let ibp = margins(&certified(&network, &data, &threat, &Ibp::default()));
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        for _ in 0..20 {
            let width: usize = shape.iter().product();
            let mut pixels = Vec::new();
            for row in 0..4 {
                // Corners of the ball, where linear functions are lowest.
                pixels.extend(data.image(row).iter().map(|v| {
                    let sign = if rng.random_bool(0.5) { 0.02f32 } else { -0.02 };
                    (v + sign).clamp(0.0, 1.0)
                }));
            }
            prop_assert_eq!(pixels.len(), 4 * width);
            let input = TensorData::new(pixels, [4, shape[0], shape[1], shape[2]]);
            let input = Input::Real(Tensor::from_data(input, &Device::flex()));
            let logits = floats(network.logits(&input));
            for (row, bound) in ibp.iter().enumerate() {
                let z = &logits[row * 3..row * 3 + 3];
                let label = data.labels()[row];
                let others = (0..3).filter(|&class| class != label);
                let margin = others.map(|class| z[label] - z[class]).fold(f32::MAX, f32::min);
                prop_assert!(margin >= *bound, "{margin} below {bound}");
            }
        }
    }
}

#[test]
fn crown_is_tighter_where_neurons_cancel() {
    let (network, shape) = small(0, 3);
    let data = examples(&network, shape, 30, 5);
    let threat = ThreatModel::new(Norm::Linf, 0.02);
    let ibp = margins(&certified(&network, &data, &threat, &Ibp::default()));
    let crown = margins(&certified(&network, &data, &threat, &Crown::default()));
    let proven = crown.iter().filter(|margin| **margin > 0.0).count();
    assert!((5..30).contains(&proven), "{proven} of 30");
    let mean = |values: &[f32]| values.iter().sum::<f32>() / values.len() as f32;
    assert!(
        mean(&crown) > mean(&ibp) + 0.01,
        "{} {}",
        mean(&ibp),
        mean(&crown)
    );
}

#[test]
fn batches_and_threads_change_no_certificate() {
    let smoothing = Smoothing {
        n: 60,
        n0: 10,
        ..Smoothing::default()
    };
    for (kind, certifier) in [
        (0, &Crown::default() as &dyn Certifier),
        (1, &Ibp::default()),
        (1, &smoothing),
    ] {
        let (network, shape) = small(kind, 1);
        let data = examples(&network, shape, 9, 2);
        let threat = ThreatModel::new(Norm::L2, 0.05);
        let run = |batch_size, threads| {
            let config = EvaluationConfig {
                batch_size,
                threads,
                ..EvaluationConfig::default()
            };
            certify(&network, &data, &threat, certifier, &config, &mut |_| true).unwrap()
        };
        let whole = run(9, 1);
        assert_eq!(whole, run(2, 3));
        assert_eq!(whole, run(1, 1));
    }
    let (network, shape) = small(1, 1);
    let data = examples(&network, shape, 2, 2);
    let threat = ThreatModel::new(Norm::L2, 0.05);
    let small_batch = Smoothing {
        batch: 7,
        ..smoothing.clone()
    };
    let of = |smoothing: &Smoothing| certified(&network, &data, &threat, smoothing);
    assert_eq!(of(&smoothing), of(&small_batch));
}

#[test]
fn smoothing_is_sure_of_a_constant_and_abstains_between_two_classes() {
    // Logits (0, b) whatever the input; with b = 0 and weights, an even coin.
    let network = |weight: f32, bias: f32| {
        let mlp = Mlp {
            input: [1, 1, 1],
            hidden: vec![],
            classes: 2,
            ..Mlp::default()
        };
        let named = vec![
            ("linear1.weight".into(), vec![2, 1], vec![0.0, weight]),
            ("linear1.bias".into(), vec![2], vec![0.0, bias]),
        ];
        Network::with_weights(Architecture::Mlp(mlp), named, &Device::flex()).unwrap()
    };
    let data = dataset([1, 1, 1], vec![0.5], vec![1], 2);
    let smoothing = Smoothing::default();
    let threat = ThreatModel::new(Norm::L2, 0.5);
    let sure = certified(&network(0.0, 1.0), &data, &threat, &smoothing);
    let radius = sure.examples[0].radius.unwrap();
    // .25 Phi^-1(.001^(1 / 1000))
    assert!((radius - 0.25 * 2.461_8).abs() < 1e-3, "{radius}");
    assert!(sure.examples[0].certified);
    let coin = certified(&network(1.0, -0.5), &data, &threat, &smoothing);
    assert_eq!(coin.examples[0].clean, None);
    assert!(!coin.examples[0].certified);
    let image = Tensor::<1>::from_floats([0.5], &Device::flex()).reshape([1, 1, 1, 1]);
    let class = |net: &Network| smoothing.predict(net, &image, 0, 0).unwrap();
    assert_eq!(class(&network(0.0, 1.0)), Some(1));
    assert_eq!(class(&network(1.0, -0.5)), None);
    // Finite at the example, and not at all of its copies: no class is counted for those.
    let odd = network(3e38, 0.0);
    let config = EvaluationConfig::default();
    let refused = certify(&odd, &data, &threat, &smoothing, &config, &mut |_| true);
    assert!(
        matches!(refused, Err(AttackError::NotFinite { .. })),
        "{refused:?}"
    );
    // A half-space at distance .25 = sigma: Phi^-1(p) is 1, and no bound may say more.
    let half = certified(&network(1.0, -0.25), &data, &threat, &smoothing);
    let radius = half.examples[0].radius.unwrap();
    assert!(radius < 0.25 && radius > 0.2, "{radius}");
}

#[test]
fn what_does_not_fit_is_named() {
    let (convnet, shape) = small(1, 0);
    let data = examples(&convnet, shape, 2, 0);
    let refused = |certifier: &dyn Certifier, threat: ThreatModel| {
        let config = EvaluationConfig::default();
        let found = certify(&convnet, &data, &threat, certifier, &config, &mut |_| true);
        found.unwrap_err().to_string()
    };
    let linf = || ThreatModel::new(Norm::Linf, 0.1);
    assert_eq!(
        refused(&Crown::default(), linf()),
        "crown bounds perceptrons (mlp), not a convnet; the methods ibp and smoothing know it"
    );
    let said = refused(&Ibp::default(), ThreatModel::new(Norm::Linf, -0.1));
    assert!(
        said.starts_with("epsilon is -0.1, must be a number, at least 0"),
        "{said}"
    );
    let said = refused(&Ibp::default(), ThreatModel::unbounded(Norm::L2));
    assert!(said.contains("finite epsilon"), "{said}");
    let said = refused(&Ibp::default(), ThreatModel::new(Norm::L0, 1.0));
    assert!(said.contains("Linf, L2, L1, not L0"), "{said}");
    let said = refused(&Ibp::default(), linf().at(Place::site("conv1.hook_out")));
    assert!(said.contains("not of a site"), "{said}");
    let smoothing = |change: &dyn Fn(&mut Smoothing)| {
        let mut smoothing = Smoothing::default();
        change(&mut smoothing);
        refused(&smoothing, linf())
    };
    assert_eq!(
        smoothing(&|s| s.sigma = 0.0),
        "sigma is 0, must be a finite number above 0"
    );
    assert_eq!(
        smoothing(&|s| s.n = 0),
        "n is 0, must be from 1 to 4294967295"
    );
    assert_eq!(
        smoothing(&|s| s.alpha = 1.0),
        "alpha is 1, must be in (0, 1)"
    );
    let unknown = CertifierConfig::by_name("crow").unwrap_err().to_string();
    assert_eq!(unknown, "unknown method `crow`; did you mean crown?");
}
