//! Robust losses on real images: they withstand, are certified, and overfitting to one step is seen.

use std::ops::ControlFlow;

use burn::tensor::Device;
use mr_attacks::{EvaluationConfig, Goal, Ibp, Norm, Pgd, ThreatModel, certify, evaluate};
use mr_models::data::{DataConfig, Dataset, Split};
use mr_models::{Architecture, ConvNet, Mlp, Network};
use mr_train::{
    Adversarial, Answer, Canary, Ending, Fast, Free, IntervalBounds, LossConfig, Mart, TrainConfig,
    Trained, Trainer, WeightPerturbation,
};

/// Where small nets that are trained for seconds still learn, and standard ones break.
const EPSILON: f32 = 0.07;

fn images(split: Split, count: usize) -> Dataset {
    let data = mr_models::data::load(&DataConfig::default(), split).unwrap();
    data.take(count).unwrap()
}

fn threat() -> ThreatModel {
    ThreatModel::new(Norm::Linf, EPSILON)
}

fn mlp() -> Architecture {
    Architecture::Mlp(Mlp {
        hidden: vec![32],
        ..Mlp::default()
    })
}

fn convnet() -> Architecture {
    Architecture::Convnet(ConvNet {
        widths: vec![4, 8],
        hidden: vec![16],
        ..ConvNet::default()
    })
}

fn train(architecture: Architecture, config: TrainConfig) -> Trained {
    let network = Network::init(architecture, 0, &Device::flex()).unwrap();
    let data = images(Split::Train, 2000);
    let trainer = Trainer::new(config, network, &data).unwrap();
    trainer.run(&mut |_| ControlFlow::Continue(())).unwrap()
}

fn config(loss: LossConfig) -> TrainConfig {
    TrainConfig {
        epochs: Some(8),
        batch_size: 64,
        loss,
        ..TrainConfig::default()
    }
}

fn pgd(steps: usize) -> mr_attacks::AttackConfig {
    mr_attacks::AttackConfig::Pgd(Pgd {
        steps,
        ..Pgd::default()
    })
}

/// Clean, robust and certified accuracy on 300 test images.
fn accuracies(network: &Network) -> [f64; 3] {
    let test = images(Split::Test, 300);
    let pgd = Pgd {
        steps: 10,
        ..Pgd::default()
    };
    let running = EvaluationConfig::default();
    let found = evaluate(
        network,
        &test,
        &threat(),
        &Goal::Untargeted,
        &[&pgd],
        &running,
    )
    .unwrap();
    let ibp = Ibp::default();
    let proven = certify(network, &test, &threat(), &ibp, &running, &mut |_| true).unwrap();
    for (robust, proven) in found.robust_mask().iter().zip(proven.certified_mask()) {
        assert!(*robust || !proven, "an attack beat a certificate");
    }
    let certified = proven.certified_mask().iter().filter(|&&set| set).count();
    [
        found.clean_accuracy(),
        found.robust_accuracy(),
        certified as f64 / 300.0,
    ]
}

#[test]
fn every_robust_loss_raises_robust_accuracy() {
    let [clean, robust, _] = accuracies(&train(mlp(), config(LossConfig::CrossEntropy)).network);
    assert!(clean > 0.75 && robust < 0.4, "{clean} {robust}");
    let mart = LossConfig::Mart(Mart {
        threat: threat(),
        attack: pgd(5),
        ..Mart::default()
    });
    let fast = LossConfig::Fast(Fast {
        threat: threat(),
        ..Fast::default()
    });
    let free = LossConfig::Free(Free {
        threat: threat(),
        replays: 4,
    });
    let moving = TrainConfig {
        weight_perturbation: Some(WeightPerturbation::default()),
        ..config(LossConfig::Adversarial(Adversarial {
            threat: threat(),
            attack: pgd(5),
            ..Adversarial::default()
        }))
    };
    for config in [config(mart), config(fast), config(free), moving] {
        let [kept, held, _] = accuracies(&train(mlp(), config.clone()).network);
        let loss = &config.loss;
        assert!(kept > 0.5, "{loss:?}: clean {kept}");
        assert!(held > robust + 0.05, "{loss:?}: {robust} to {held}");
    }
}

#[test]
fn interval_bounds_make_networks_that_are_certified() {
    for architecture in [mlp(), convnet()] {
        let [.., without] =
            accuracies(&train(architecture.clone(), config(LossConfig::CrossEntropy)).network);
        let bounds = LossConfig::Ibp(IntervalBounds {
            threat: threat(),
            ..IntervalBounds::default()
        });
        let trained = train(
            architecture,
            TrainConfig {
                epochs: Some(20),
                ..config(bounds)
            },
        );
        let [clean, robust, certified] = accuracies(&trained.network);
        assert!(without < 0.07, "{without}");
        assert!(
            certified > 0.35 && certified <= robust && robust <= clean,
            "{certified} {robust} {clean}"
        );
    }
}

#[test]
fn a_canary_tells_and_stops() {
    let canary = |gap, then| {
        LossConfig::Fast(Fast {
            threat: threat(),
            canary: Canary {
                examples: 100,
                gap,
                then,
                ..Canary::default()
            },
            ..Fast::default()
        })
    };
    let short = |loss| TrainConfig {
        epochs: Some(4),
        ..config(loss)
    };
    let watched = train(mlp(), short(canary(0.9, Answer::Stop)));
    assert_eq!(watched.ending, Ending::Complete);
    let seen = &watched.history.sightings;
    assert_eq!(seen.len(), 4);
    assert!(
        seen.iter()
            .all(|one| !one.overfitted && one.examples == 100)
    );
    // PGD finds what one step does not: a canary without patience for that stops.
    let apart = seen.iter().position(|one| one.many_steps < one.one_step);
    let apart = apart.expect("PGD is stronger than its first step");
    let stopped = train(mlp(), short(canary(0.0, Answer::Stop)));
    let per_epoch = seen[0].step;
    assert_eq!(stopped.history.sightings.len(), apart + 1);
    assert!(stopped.history.sightings[apart].overfitted);
    if apart < 3 {
        assert_eq!(stopped.ending, Ending::Early);
    }
    // It ends with the best state before, if there was one.
    let before = stopped.history.sightings[..apart].iter();
    let best = before.max_by_key(|one| (one.many_steps, std::cmp::Reverse(one.step)));
    assert_eq!(
        stopped.step,
        best.map_or((apart + 1) * per_epoch, |one| one.step)
    );
    // A warning changes nothing.
    let warned = train(mlp(), short(canary(0.0, Answer::Warn)));
    assert_eq!(warned.ending, Ending::Complete);
    assert!(warned.history.sightings[apart].overfitted);
    assert_eq!(
        warned.network.weights().to_host(),
        watched.network.weights().to_host()
    );
}

#[test]
fn settings_that_make_no_sense_are_named() {
    let data = images(Split::Train, 100);
    let said = |config: TrainConfig| {
        let network = Network::init(mlp(), 0, &Device::flex()).unwrap();
        Trainer::new(config, network, &data)
            .err()
            .unwrap()
            .to_string()
    };
    let loss = |text: &str| config(toml::from_str(text).unwrap());
    for (text, expected) in [
        ("type = \"mart\"\nbeta = -1.0", "loss.beta is -1, must be"),
        ("type = \"fast\"\nalpha = 0.0", "loss.alpha is 0, must be"),
        (
            "type = \"fast\"",
            "loss.canary.examples is 256, must be below 100",
        ),
        (
            "type = \"fast\"\ncanary = { gap = 1.0 }",
            "loss.canary.gap is 1, must be in [0, 1)",
        ),
        (
            "type = \"free\"\nreplays = 0",
            "loss.replays is 0, must be at least 1",
        ),
        (
            "type = \"free\"\nthreat = { norm = \"Linf\", epsilon = \"inf\" }",
            "loss.threat.epsilon is inf, must be a finite number",
        ),
        (
            "type = \"free\"\nthreat = { norm = \"L2\", epsilon = 1.0, place = \"linear1.hook_out\" }",
            "the loss `free` perturbs the input",
        ),
        (
            "type = \"ibp\"\nkappa = 2.0",
            "loss.kappa is 2, must be in [0, 1]",
        ),
        (
            "type = \"ibp\"\nwarmup = 0.9",
            "loss.ramp is 0.45, must be at most",
        ),
        (
            "type = \"ibp\"\nthreat = { norm = \"L0\", epsilon = 1.0 }",
            "ibp knows the norms Linf, L2, L1, not L0",
        ),
    ] {
        let found = said(loss(text));
        assert!(found.contains(expected), "{text}: {found}");
    }
    let free = TrainConfig {
        weight_perturbation: Some(WeightPerturbation::default()),
        ..loss("type = \"free\"")
    };
    assert!(said(free).contains("weight_perturbation is set, must be left out"));
}
