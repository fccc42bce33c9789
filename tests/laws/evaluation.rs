//! What an evaluation decides depends on the example alone, and a success is inside the threat.

use burn::tensor::Device;
use mr_attacks::{
    Attack, AttackError, Evaluation, EvaluationConfig, Fgsm, Goal, Judged, Norm, Pgd, Targets,
    ThreatModel, evaluate,
};
use mr_models::data::{DataConfig, Dataset, Split, load};
use mr_models::{Architecture, ConvNet, Mlp, Model, Network, ResNet, floats};
use mr_train::{TrainConfig, Trainer};
use proptest::prelude::*;

use crate::nets::all;

fn clothes(count: usize) -> Dataset {
    load(&DataConfig::default(), Split::Test)
        .unwrap()
        .take(count)
        .unwrap()
}

/// A net that has learned a little, so that there is something to break.
fn learned(architecture: Architecture) -> Network {
    let train = load(&DataConfig::default(), Split::Train)
        .unwrap()
        .take(600)
        .unwrap();
    let net = Network::init(architecture, 0, &Device::flex()).unwrap();
    let config = TrainConfig {
        epochs: Some(6),
        batch_size: 25,
        ..TrainConfig::default()
    };
    let trained = Trainer::new(config, net, &train)
        .unwrap()
        .run(&mut |_| std::ops::ControlFlow::Continue(()))
        .unwrap();
    trained.network
}

fn run(
    model: &dyn Model,
    data: &Dataset,
    norm: Norm,
    goal: &Goal,
    attacks: &[&dyn Attack],
    (batch_size, threads): (usize, usize),
) -> Evaluation {
    let epsilon = match norm {
        Norm::Linf => 0.03,
        Norm::L2 => 0.5,
        Norm::L1 => 5.0,
    };
    let config = EvaluationConfig {
        seed: 7,
        batch_size,
        threads,
        keep: true,
    };
    let threat = ThreatModel::new(norm, epsilon);
    evaluate(model, data, &threat, goal, attacks, &config).unwrap()
}

fn sorted(mut examples: Vec<Judged>) -> Vec<Judged> {
    examples.sort_by_key(|example| example.index);
    examples
}

/// Bit by bit: decisions, distances and adversarial points.
#[test]
fn batch_size_order_and_threads_change_no_bit() {
    let data = clothes(100);
    let order = data.order(5, 0);
    let shuffled = data.subset(&order).unwrap();
    let mlp = Mlp {
        hidden: vec![37, 20],
        ..Mlp::default()
    };
    let convnet = ConvNet {
        widths: vec![4, 6],
        hidden: vec![20],
        ..ConvNet::default()
    };
    let resnet = ResNet {
        input: [1, 28, 28],
        width: 4,
        depth: 6,
        stages: 2,
        ..ResNet::default()
    };
    let pgd = Pgd {
        steps: 4,
        restarts: 2,
        ..Pgd::default()
    };
    let attacks: [&dyn Attack; 2] = [&Fgsm::default(), &pgd];
    for architecture in [
        Architecture::Mlp(mlp),
        Architecture::Convnet(convnet),
        Architecture::Resnet(resnet),
    ] {
        let net = learned(architecture);
        for norm in [Norm::Linf, Norm::L2, Norm::L1] {
            let base = run(&net, &data, norm, &Goal::Untargeted, &attacks, (100, 1));
            let broken = base.clean_accuracy() - base.robust_accuracy();
            assert!(broken > 0.02, "{norm}: nothing was broken");
            for (batch, threads) in [(1, 1), (1, 4), (7, 2), (100, 2)] {
                let other = run(
                    &net,
                    &data,
                    norm,
                    &Goal::Untargeted,
                    &attacks,
                    (batch, threads),
                );
                assert_eq!(base.examples, other.examples, "{norm} {batch} {threads}");
                assert_eq!(base.points, other.points, "{norm} {batch} {threads}");
            }
            let other = run(&net, &shuffled, norm, &Goal::Untargeted, &attacks, (7, 2));
            assert_eq!(base.examples, sorted(other.examples), "{norm} shuffled");
        }
        let goal = Goal::Targeted(Targets::Random);
        let base = run(&net, &data, Norm::L2, &goal, &[&pgd], (100, 1));
        let other = run(&net, &shuffled, Norm::L2, &goal, &[&pgd], (13, 2));
        assert_eq!(base.examples, sorted(other.examples), "targeted");
    }
}

/// The running statistics count from the first pass on, whatever was run before.
#[test]
fn batchnorm_nets_do_not_change_when_they_are_attacked() {
    let device = Device::flex();
    let mut checked = 0;
    for golden in all() {
        let net = golden.network(&device);
        let entries = net.weights().entries();
        if !entries
            .iter()
            .any(|entry| entry.name.ends_with("running_mean"))
        {
            continue;
        }
        let before = net.weights().to_host();
        let input = golden.input(&device);
        let logits = floats(net.logits(&input));
        let labels = golden.labels(&device);
        let places = [mr_models::Place::Input];
        let objective = &mr_models::objective::CrossEntropy;
        let at = mr_models::value_and_grad(&net, &input, &labels, objective, &places).unwrap();
        assert_eq!(floats(at.logits), logits, "{}", golden.file);
        assert_eq!(floats(net.logits(&input)), logits, "{}", golden.file);
        assert_eq!(net.weights().to_host(), before, "{}", golden.file);
        checked += 1;
    }
    assert_eq!(checked, 3);
}

#[test]
fn an_example_that_is_wrong_already_is_broken_at_distance_zero_and_costs_one_pass() {
    let data = clothes(40);
    let net = Network::init(Architecture::Mlp(Mlp::default()), 1, &Device::flex()).unwrap();
    let wrong: Vec<usize> = {
        let found = run(&net, &data, Norm::Linf, &Goal::Untargeted, &[], (40, 1));
        let clean = found.clean_mask();
        (0..data.len()).filter(|&i| !clean[i]).collect()
    };
    let wrong = data.subset(&wrong).unwrap();
    let pgd = Pgd::default();
    let found = run(
        &net,
        &wrong,
        Norm::Linf,
        &Goal::Untargeted,
        &[&pgd],
        (16, 2),
    );
    assert!(
        found
            .examples
            .iter()
            .all(|e| e.success && e.distance == Some(0.0))
    );
    assert_eq!(found.counts.forwards, wrong.len() as u64);
    assert_eq!(found.counts.backwards, 0);
    assert_eq!(found.robust_accuracy(), 0.0);
}

#[test]
fn bad_settings_are_named() {
    let net = Network::init(Architecture::Mlp(Mlp::default()), 1, &Device::flex()).unwrap();
    let data = clothes(4);
    let refuse = |threat: ThreatModel, attack: &dyn Attack, batch_size| -> AttackError {
        let config = EvaluationConfig {
            batch_size,
            ..EvaluationConfig::default()
        };
        evaluate(&net, &data, &threat, &Goal::Untargeted, &[attack], &config).unwrap_err()
    };
    let linf = |epsilon| ThreatModel::new(Norm::Linf, epsilon);
    let pgd = Pgd::default();
    for (error, says) in [
        (refuse(linf(-0.1), &pgd, 8), "epsilon is -0.1"),
        (refuse(linf(f32::NAN), &pgd, 8), "epsilon is NaN"),
        (refuse(linf(0.1), &pgd, 0), "batch_size is 0"),
        (
            refuse(linf(0.1).at(mr_models::Place::site("linear1")), &pgd, 8),
            "unknown site `linear1`; did you mean",
        ),
        (
            refuse(
                linf(0.1),
                &Pgd {
                    steps: 0,
                    ..pgd.clone()
                },
                8,
            ),
            "steps is 0",
        ),
        (
            refuse(
                linf(0.1),
                &Fgsm {
                    objective: "dlrr".into(),
                },
                8,
            ),
            "unknown objective `dlrr`; did you mean dlr",
        ),
    ] {
        assert!(error.to_string().contains(says), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn success_implies_inside_the_threat(
        seed in 0_u64..1000,
        width in 1_usize..12,
        epsilon in prop_oneof![Just(0.0_f32), 0.0_f32..2.0],
        norm in prop_oneof![Just(Norm::Linf), Just(Norm::L2), Just(Norm::L1)],
        steps in 1_usize..6,
        step_size in 0.01_f32..3.0,
    ) {
        let mlp = Mlp { hidden: vec![width], ..Mlp::default() };
        let net = Network::init(Architecture::Mlp(mlp), seed, &Device::flex()).unwrap();
        let data = clothes(20);
        let pgd = Pgd { steps, step_size: Some(step_size), ..Pgd::default() };
        let config = EvaluationConfig { seed, keep: true, ..EvaluationConfig::default() };
        let threat = ThreatModel::new(norm, epsilon);
        let found =
            evaluate(&net, &data, &threat, &Goal::Untargeted, &[&pgd], &config).unwrap();
        let points = found.points.unwrap();
        for (i, example) in found.examples.iter().enumerate() {
            let point = &points[i * 784..(i + 1) * 784];
            prop_assert!(point.iter().all(|v| (0.0..=1.0).contains(v)));
            prop_assert_eq!(example.success, example.distance.is_some());
            prop_assert!(example.distance.is_none_or(|d| d <= epsilon * (1.0 + 1e-6) + 1e-6));
            if example.attack.is_some() {
                prop_assert!(epsilon > 0.0 && example.adversarial != example.label);
            }
        }
    }
}
