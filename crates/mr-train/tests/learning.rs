//! Training teaches: losses fall, regularisers bite, validation picks and stops.

use std::ops::ControlFlow;

use burn::tensor::Device;
use mr_attacks::{AttackConfig, EvaluationConfig, Goal, Norm, Pgd, ThreatModel, evaluate};
use mr_models::data::{DataConfig, Dataset, SparseFeatures, Split};
use mr_models::{Architecture, Mlp, Network, Toy, floats};
use mr_train::{
    Adversarial, Ending, InputGradient, LossConfig, Mix, OptimizerConfig, Reconstruction,
    Regularizer, Sgd, Trades, TrainConfig, Trained, Trainer, Validation, Vectors,
};

/// Two classes of 4 values: the first two are bright in class 0, the last two in class 1.
fn blobs(count: usize) -> Dataset {
    let bytes = (0..count * 4)
        .map(|i| {
            let (example, value) = (i / 4, i % 4);
            let bright = (value < 2) == (example % 2 == 0);
            let noise = (example * 37 + value * 11) % 60;
            (if bright { 150 } else { 60 } + noise) as u8
        })
        .collect();
    let labels = (0..count).map(|i| i % 2).collect();
    let names = vec!["left".into(), "right".into()];
    Dataset::of_bytes("blobs", [1, 1, 4], names, bytes, labels).unwrap()
}

fn mlp() -> Network {
    let mlp = Mlp {
        input: [1, 1, 4],
        hidden: vec![8],
        classes: 2,
        ..Mlp::default()
    };
    Network::init(Architecture::Mlp(mlp), 0, &Device::flex()).unwrap()
}

fn toy() -> Network {
    let toy = Toy {
        features: 6,
        hidden: 2,
        ..Toy::default()
    };
    Network::init(Architecture::Toy(toy), 0, &Device::flex()).unwrap()
}

fn short(loss: LossConfig) -> TrainConfig {
    TrainConfig {
        epochs: Some(20),
        batch_size: 20,
        loss,
        optimizer: OptimizerConfig::Sgd(Sgd::default()),
        ..TrainConfig::default()
    }
}

fn train(config: TrainConfig, data: &Dataset) -> Trained {
    let trainer = Trainer::new(config, mlp(), data).unwrap();
    trainer.run(&mut |_| ControlFlow::Continue(())).unwrap()
}

#[test]
fn every_loss_learns_and_loses_less() {
    let data = blobs(100);
    let threat = ThreatModel::new(Norm::Linf, 0.05);
    let attack = AttackConfig::Pgd(Pgd {
        steps: 3,
        ..Pgd::default()
    });
    let adversarial = |mix| {
        LossConfig::Adversarial(Adversarial {
            mix,
            threat: threat.clone(),
            attack: attack.clone(),
        })
    };
    for loss in [
        LossConfig::CrossEntropy,
        adversarial(Mix::Full),
        adversarial(Mix::Half),
        LossConfig::Trades(Trades {
            threat: threat.clone(),
            steps: 3,
            ..Trades::default()
        }),
        LossConfig::InputGradient(InputGradient {
            lambda: 1.0,
            ..InputGradient::default()
        }),
    ] {
        let said = format!("{loss:?}");
        let losses = train(short(loss), &data).history.losses;
        let (first, last) = (losses[0].loss, losses[losses.len() - 1].loss);
        assert!(first > 0.5 && last < 0.3, "{said}: {first} to {last}");
    }
}

#[test]
fn an_attack_of_no_reach_is_standard_training() {
    let data = blobs(60);
    let weights = |loss| train(short(loss), &data).network.weights().to_host();
    let nothing = LossConfig::Adversarial(Adversarial {
        threat: ThreatModel::new(Norm::Linf, 0.0),
        ..Adversarial::default()
    });
    assert_eq!(weights(nothing), weights(LossConfig::CrossEntropy));
}

#[test]
fn a_latent_attack_trains_too() {
    let data = blobs(60);
    let threat = ThreatModel::new(Norm::L2, 0.2);
    let config = short(LossConfig::Adversarial(Adversarial {
        mix: Mix::Half,
        threat: threat.at(mr_attacks::Place::site("linear1.hook_out")),
        ..Adversarial::default()
    }));
    let losses = train(config, &data).history.losses;
    assert!(losses[losses.len() - 1].loss < 0.3, "{losses:?}");
}

#[test]
fn shards_descend_the_same_loss() {
    let data = blobs(60);
    let weights = |shards| {
        let config = TrainConfig {
            steps: Some(3),
            shards,
            ..short(LossConfig::CrossEntropy)
        };
        let config = TrainConfig {
            epochs: None,
            ..config
        };
        let trained = train(config, &data);
        floats(trained.network.weights().get::<2>("linear1.weight"))
    };
    for (one, seven) in weights(1).iter().zip(weights(7)) {
        assert!((one - seven).abs() < 1e-6, "{one} and {seven}");
    }
}

#[test]
fn the_first_step_of_sgd_is_by_hand() {
    // One example, one step of plain SGD on the last bias: w -= lr (p - onehot).
    let data = blobs(2).take(1).unwrap();
    let config = TrainConfig {
        steps: Some(1),
        epochs: None,
        optimizer: OptimizerConfig::Sgd(Sgd {
            lr: 0.5,
            momentum: 0.0,
            ..Sgd::default()
        }),
        ..short(LossConfig::CrossEntropy)
    };
    let before = mlp();
    let input = data.input(&[0], &Device::flex());
    let z = floats(mr_models::Model::logits(&before, &input));
    let p = 1.0 / (1.0 + (z[1] - z[0]).exp());
    let bias = |network: &Network| floats(network.weights().get::<1>("linear2.bias"));
    let (was, is) = (bias(&before), bias(&train(config, &data).network));
    assert!((is[0] - (was[0] - 0.5 * (p - 1.0))).abs() < 1e-6);
    assert!((is[1] - (was[1] - 0.5 * (1.0 - p))).abs() < 1e-6);
}

#[test]
fn importance_decides_what_a_toy_keeps() {
    let config = TrainConfig {
        steps: Some(1500),
        batch_size: 256,
        loss: LossConfig::Reconstruction(Reconstruction {
            importance_base: 0.5,
            ..Reconstruction::default()
        }),
        ..TrainConfig::default()
    };
    let features = SparseFeatures::new(6, 1.0, 0).unwrap();
    let trainer = Trainer::new(config, toy(), features).unwrap();
    let trained = trainer.run(&mut |_| ControlFlow::Continue(())).unwrap();
    let w = floats(trained.network.weights().get::<2>("W"));
    let norm = |i: usize| (w[i] * w[i] + w[6 + i] * w[6 + i]).sqrt();
    // Dense features leave no room for superposition: the two most important ones are kept.
    assert!(norm(0) > 0.9 && norm(1) > 0.9, "{} {}", norm(0), norm(1));
    assert!((2..6).all(|i| norm(i) < 0.3), "{w:?}");
}

#[test]
fn interference_and_l1_are_lowered_by_their_regularizers() {
    let features = || SparseFeatures::new(6, 0.1, 0).unwrap();
    let w = |regularizers: Vec<Regularizer>| {
        let config = TrainConfig {
            steps: Some(800),
            batch_size: 128,
            loss: LossConfig::Reconstruction(Reconstruction::default()),
            regularizers,
            ..TrainConfig::default()
        };
        let trainer = Trainer::new(config, toy(), features()).unwrap();
        let trained = trainer.run(&mut |_| ControlFlow::Continue(())).unwrap();
        floats(trained.network.weights().get::<2>("W"))
    };
    let l1 = |w: &[f32]| w.iter().map(|w| w.abs()).sum::<f32>();
    // (wh_i . wh_j)^2 over all pairs of columns.
    let interference = |w: &[f32]| {
        let unit: Vec<[f32; 2]> = (0..6)
            .map(|i| {
                let norm = (w[i] * w[i] + w[6 + i] * w[6 + i]).sqrt();
                [w[i] / norm, w[6 + i] / norm]
            })
            .collect();
        let mut sum = 0.0;
        for i in 0..6 {
            for j in 0..6 {
                if i != j {
                    sum += (unit[i][0] * unit[j][0] + unit[i][1] * unit[j][1]).powi(2);
                }
            }
        }
        sum
    };
    let plain = w(vec![]);
    let sparse = w(vec![Regularizer::WeightL1 {
        lambda: 0.02,
        weight: Some("W".into()),
    }]);
    assert!(
        l1(&sparse) < 0.7 * l1(&plain),
        "{} {}",
        l1(&sparse),
        l1(&plain)
    );
    let apart = w(vec![Regularizer::Interference {
        weight: "W".into(),
        lambda: 0.1,
        of: Vectors::Columns,
    }]);
    // Six directions in a plane cannot have less than 6 * 6 / 2 - 6 = 12 (a tight frame).
    let (with, without) = (interference(&apart), interference(&plain));
    assert!(with < 12.1 && with < without, "{with} {without}");
}

#[test]
fn validation_keeps_the_best_state_and_loses_patience() {
    let data = blobs(100);
    let config = TrainConfig {
        epochs: Some(50),
        validation: Some(Validation {
            examples: 20,
            patience: Some(3),
            threat: Some(ThreatModel::new(Norm::Linf, 0.05)),
            ..Validation::default()
        }),
        ..short(LossConfig::CrossEntropy)
    };
    let trained = train(config.clone(), &data);
    assert_eq!(trained.ending, Ending::Early);
    let judged = &trained.history.judgements;
    let best = judged.iter().map(|j| j.robust.unwrap()).max().unwrap();
    let first = judged.iter().find(|j| j.robust == Some(best)).unwrap();
    assert_eq!(trained.step, first.step, "the first of the best");
    assert_eq!(
        judged.len(),
        first.step / 4 + 3,
        "three judgements later it stops"
    );
    assert!(
        judged
            .iter()
            .all(|j| j.examples == 20 && j.robust <= Some(j.clean))
    );
    let clean = TrainConfig {
        epochs: Some(2),
        validation: Some(Validation {
            examples: 20,
            ..Validation::default()
        }),
        ..config
    };
    let trained = train(clean, &data);
    assert!(
        trained
            .history
            .judgements
            .iter()
            .all(|j| j.robust.is_none())
    );
    assert_eq!(trained.ending, Ending::Complete);
}

#[test]
fn what_does_not_fit_is_refused() {
    let data = blobs(10);
    let said = |config: TrainConfig, network: Network, data: &Dataset| {
        let error = Trainer::new(config, network, data).err().unwrap();
        error.to_string()
    };
    assert_eq!(
        said(TrainConfig::default(), toy(), &data),
        "`blobs` has examples of [1, 1, 4] (channel, height, width), the model takes [6, 1, 1]"
    );
    let reconstruction = short(LossConfig::Reconstruction(Reconstruction::default()));
    assert!(said(reconstruction, mlp(), &data).contains("is for autoencoders"));
    let three = vec!["a".into(), "b".into(), "c".into()];
    let more = Dataset::of_bytes("more", [1, 1, 4], three, vec![0; 4], vec![2]).unwrap();
    assert_eq!(
        said(TrainConfig::default(), mlp(), &more),
        "`more` has class 2, the model knows 2 classes"
    );
    let negative = LossConfig::Adversarial(Adversarial {
        threat: ThreatModel::new(Norm::Linf, -0.1),
        ..Adversarial::default()
    });
    assert!(said(short(negative), mlp(), &data).contains("epsilon is -0.1"));
    let features = SparseFeatures::new(6, 0.1, 0).unwrap();
    let error = Trainer::new(TrainConfig::default(), toy(), features)
        .err()
        .unwrap();
    assert!(
        error.to_string().contains("only the loss `reconstruction`"),
        "{error}"
    );
}

#[test]
fn adversarial_training_raises_robust_accuracy_on_real_images() {
    let load = |split, count| {
        let data = mr_models::data::load(&DataConfig::default(), split).unwrap();
        data.take(count).unwrap()
    };
    let (images, test) = (load(Split::Train, 2000), load(Split::Test, 300));
    let threat = ThreatModel::new(Norm::Linf, 0.1);
    let judged = |loss| {
        let mlp = Mlp {
            hidden: vec![32],
            ..Mlp::default()
        };
        let network = Network::init(Architecture::Mlp(mlp), 0, &Device::flex()).unwrap();
        let config = TrainConfig {
            epochs: Some(8),
            batch_size: 64,
            loss,
            ..TrainConfig::default()
        };
        let trainer = Trainer::new(config, network, &images).unwrap();
        let trained = trainer.run(&mut |_| ControlFlow::Continue(())).unwrap();
        let pgd = Pgd {
            steps: 10,
            ..Pgd::default()
        };
        let (goal, config) = (Goal::Untargeted, EvaluationConfig::default());
        let found = evaluate(&trained.network, &test, &threat, &goal, &[&pgd], &config).unwrap();
        (found.clean_accuracy(), found.robust_accuracy())
    };
    let (clean, robust) = judged(LossConfig::CrossEntropy);
    let (half_clean, half_robust) = judged(LossConfig::Adversarial(Adversarial {
        mix: Mix::Half,
        threat: threat.clone(),
        attack: AttackConfig::Pgd(Pgd {
            steps: 5,
            ..Pgd::default()
        }),
    }));
    assert!(clean > 0.75 && half_clean > 0.6, "{clean} {half_clean}");
    assert!(half_robust > robust + 0.2, "{robust} to {half_robust}");
}
