//! A killed run resumes to the bits of an unkilled one; a checkpoint of another run is refused.

use std::ops::ControlFlow;
use std::path::Path;

use burn::tensor::Device;
use mr_attacks::{AttackConfig, Norm, Pgd, ThreatModel};
use mr_models::data::{DataConfig, Dataset, SparseFeatures, Split, load};
use mr_models::{Architecture, ConvNet, Mlp, Network, Toy};
use mr_train::{
    Adversarial, Answer, Augmentation, CHECKPOINT, Canary, CheckpointConfig, Ending, Fast, Free,
    IntervalBounds, LossConfig, Mart, Mix, OptimizerConfig, Reconstruction, Regularizer,
    ScheduleConfig, ScheduleKind, Sgd, TrainConfig, TrainError, Trained, Trainer, TrainingData,
    Validation, WeightPerturbation,
};

fn images() -> Dataset {
    let data = load(&DataConfig::default(), Split::Train).unwrap();
    data.take(200).unwrap()
}

/// BatchNorm and dropout.
fn convnet() -> Network {
    let convnet = ConvNet {
        widths: vec![4, 4],
        hidden: vec![8],
        batch_norm: true,
        dropout: 0.3,
        ..ConvNet::default()
    };
    Network::init(Architecture::Convnet(convnet), 1, &Device::flex()).unwrap()
}

fn pgd(steps: usize) -> AttackConfig {
    AttackConfig::Pgd(Pgd {
        steps,
        ..Pgd::default()
    })
}

/// Momentum, augmentation, a schedule, regularisers, half-adversarial loss, validation under attack.
fn everything() -> TrainConfig {
    let threat = ThreatModel::new(Norm::Linf, 0.05);
    TrainConfig {
        seed: 5,
        epochs: Some(3),
        batch_size: 32,
        loss: LossConfig::Adversarial(Adversarial {
            mix: Mix::Half,
            threat: threat.clone(),
            attack: pgd(2),
        }),
        optimizer: OptimizerConfig::Sgd(Sgd {
            lr: 0.05,
            ..Sgd::default()
        }),
        schedule: ScheduleConfig {
            kind: ScheduleKind::Cosine,
            warmup: 3,
            ..ScheduleConfig::default()
        },
        augmentation: Augmentation {
            crop: 2,
            flip: true,
        },
        regularizers: vec![
            Regularizer::WeightL1 {
                lambda: 1e-5,
                weight: None,
            },
            Regularizer::ActivationL1 {
                site: "conv2.hook_out".into(),
                lambda: 1e-5,
            },
        ],
        validation: Some(Validation {
            examples: 40,
            threat: Some(threat),
            attack: pgd(2),
            ..Validation::default()
        }),
        checkpoint: CheckpointConfig {
            every_steps: 3,
            every_seconds: 1e9,
        },
        ..TrainConfig::default()
    }
}

fn model_bytes(trained: &Trained, folder: &Path) -> Vec<u8> {
    let path = folder.join("model.safetensors");
    mr_models::save(&trained.network, &serde_json::Map::new(), &path).unwrap();
    std::fs::read(path).unwrap()
}

/// Trains without a break, then with a kill between checkpoints and one stop, and compares.
fn resumes<'a>(config: &TrainConfig, network: &Network, data: impl Into<TrainingData<'a>>) {
    let data = data.into();
    let folder = |name: &str| {
        let folder = tempfile::Builder::new().prefix(name).tempdir();
        folder.unwrap()
    };
    let (whole, cut, killed) = (folder("whole"), folder("cut"), folder("killed"));
    let trainer = || Trainer::new(config.clone(), network.clone(), data.clone()).unwrap();
    let expected = trainer()
        .resume_or_start(whole.path())
        .unwrap()
        .run(&mut |_| ControlFlow::Continue(()))
        .unwrap();
    assert_eq!(expected.ending, Ending::Complete);

    // What a kill after step 8 leaves is the checkpoint of step 6; then a stop at step 11.
    let mut copy = |progress: mr_train::TrainProgress<'_>| {
        if progress.step == 8 {
            let left = cut.path().join(CHECKPOINT);
            std::fs::copy(left, killed.path().join(CHECKPOINT)).unwrap();
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    };
    let stopped = trainer()
        .resume_or_start(cut.path())
        .unwrap()
        .run(&mut copy)
        .unwrap();
    assert_eq!(stopped.ending, Ending::Stopped);
    let resumed = trainer().resume_or_start(killed.path()).unwrap();
    assert_eq!(resumed.step(), 6);
    let mut stop = |progress: mr_train::TrainProgress<'_>| {
        if progress.step == 11 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    resumed.run(&mut stop).unwrap();
    let resumed = trainer().resume_or_start(killed.path()).unwrap();
    assert_eq!(resumed.step(), 11);
    let found = resumed.run(&mut |_| ControlFlow::Continue(())).unwrap();

    assert_eq!(found.history, expected.history);
    assert_eq!(found.step, expected.step);
    let bytes = model_bytes(&expected, whole.path());
    assert!(
        bytes == model_bytes(&found, killed.path()),
        "the networks differ"
    );
    let checkpoint = |folder: &Path| std::fs::read(folder.join(CHECKPOINT)).unwrap();
    let same = checkpoint(whole.path()) == checkpoint(killed.path());
    assert!(same, "the checkpoints differ");
    // A finished run is not trained again.
    let again = trainer().resume_or_start(killed.path()).unwrap();
    let again = again.run(&mut |_| panic!("no step is left")).unwrap();
    assert!(bytes == model_bytes(&again, killed.path()));
}

#[test]
fn a_convnet_with_everything_on() {
    let data = images();
    resumes(&everything(), &convnet(), &data);
}

#[test]
fn an_mlp_with_adamw() {
    let data = images();
    let mlp = Mlp {
        hidden: vec![16],
        dropout: 0.2,
        ..Mlp::default()
    };
    let network = Network::init(Architecture::Mlp(mlp), 1, &Device::flex()).unwrap();
    let config = TrainConfig {
        steps: Some(20),
        batch_size: 30,
        shards: 3,
        checkpoint: everything().checkpoint,
        ..TrainConfig::default()
    };
    resumes(&config, &network, &data);
}

/// Each loss that makes examples of its own, with weights that move and what a validation would keep.
#[test]
fn the_robust_losses() {
    let data = images();
    let threat = ThreatModel::new(Norm::Linf, 0.05);
    let canary = Canary {
        examples: 30,
        steps: 2,
        then: Answer::Stop,
        ..Canary::default()
    };
    let fast = Fast {
        threat: threat.clone(),
        canary,
        ..Fast::default()
    };
    let free = Free {
        threat: threat.clone(),
        replays: 4,
    };
    let mart = Mart {
        threat: threat.clone(),
        attack: pgd(2),
        ..Mart::default()
    };
    let bounds = IntervalBounds {
        threat,
        ..IntervalBounds::default()
    };
    let moving = |loss| TrainConfig {
        weight_perturbation: Some(WeightPerturbation {
            warmup: 0.3,
            ..WeightPerturbation::default()
        }),
        ..of(loss)
    };
    for config in [
        of(LossConfig::Fast(fast.clone())),
        of(LossConfig::Free(free)),
        of(LossConfig::Ibp(bounds)),
        moving(LossConfig::Mart(mart)),
        moving(everything().loss),
    ] {
        resumes(&config, &convnet(), &data);
        let found = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            pool.build().unwrap().install(|| {
                let trainer = Trainer::new(config.clone(), convnet(), &data).unwrap();
                let trained = trainer.run(&mut |_| ControlFlow::Continue(())).unwrap();
                (trained.history, trained.network.weights().to_host())
            })
        };
        assert!(found(1) == found(3), "{:?}", config.loss);
    }
}

/// A loss with momentum and augmentation, and nothing held out but by itself.
fn of(loss: LossConfig) -> TrainConfig {
    TrainConfig {
        loss,
        validation: None,
        regularizers: Vec::new(),
        ..everything()
    }
}

#[test]
fn a_toy_on_a_stream_under_attack() {
    let toy = Toy {
        features: 8,
        hidden: 3,
        ..Toy::default()
    };
    let network = Network::init(Architecture::Toy(toy), 1, &Device::flex()).unwrap();
    let config = TrainConfig {
        steps: Some(1000),
        batch_size: 16,
        loss: LossConfig::Reconstruction(Reconstruction {
            importance_base: 0.9,
            rho: 0.1,
            ..Reconstruction::default()
        }),
        checkpoint: everything().checkpoint,
        ..TrainConfig::default()
    };
    resumes(&config, &network, SparseFeatures::new(8, 0.3, 2).unwrap());
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let data = images();
    let train = || {
        let trainer = Trainer::new(everything(), convnet(), &data).unwrap();
        let trained = trainer.run(&mut |_| ControlFlow::Continue(())).unwrap();
        trained.network.weights().to_host()
    };
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let one = pool(1).unwrap().install(train);
    let three = pool(3).unwrap().install(train);
    assert!(one == three);
}

#[test]
fn a_checkpoint_of_another_run_is_refused_by_what_differs() {
    let data = images();
    let folder = tempfile::tempdir().unwrap();
    let start = |config: TrainConfig, network: Network, data: &Dataset| {
        let trainer = Trainer::new(config, network, data).unwrap();
        trainer.resume_or_start(folder.path()).map(|_| ())
    };
    start(everything(), convnet(), &data).unwrap();
    let other = TrainConfig {
        batch_size: 33,
        ..everything()
    };
    let error = start(other, convnet(), &data).unwrap_err();
    assert!(matches!(error, TrainError::OtherRun { .. }));
    let said = error.to_string();
    assert!(
        said.contains("another run: train.batch_size is 32 there and 33 here;"),
        "{said}"
    );
    let fewer = data.take(150).unwrap();
    let said = start(everything(), convnet(), &fewer)
        .unwrap_err()
        .to_string();
    assert!(
        said.contains("data.examples is 200 there and 150 here"),
        "{said}"
    );
    let weights = Network::init(convnet().architecture().clone(), 2, &Device::flex()).unwrap();
    let said = start(everything(), weights, &data).unwrap_err().to_string();
    assert!(said.contains("run: initial_weights is \""), "{said}");
    // When it writes checkpoints is no part of what a run is.
    let often = TrainConfig {
        checkpoint: CheckpointConfig::default(),
        ..everything()
    };
    start(often, convnet(), &data).unwrap();
}

#[test]
fn an_unwritable_folder_is_told_at_once_and_the_last_checkpoint_survives() {
    let data = images();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let trainer = || Trainer::new(everything(), convnet(), &data).unwrap();
    let error = trainer().resume_or_start(&file.join("run")).err().unwrap();
    assert!(matches!(error, TrainError::Write(_)), "{error}");

    // The folder is lost on the way: the run fails, and what was copied before is whole.
    let run = folder.path().join("run");
    let kept = folder.path().join(CHECKPOINT);
    let mut lose = |progress: mr_train::TrainProgress<'_>| {
        if progress.step == 5 {
            std::fs::rename(run.join(CHECKPOINT), &kept).unwrap();
            std::fs::remove_dir(&run).unwrap();
            std::fs::write(&run, "").unwrap();
        }
        ControlFlow::Continue(())
    };
    let error = trainer().resume_or_start(&run).unwrap().run(&mut lose);
    assert!(matches!(error.unwrap_err(), TrainError::Write(_)));
    let resumed = trainer().resume_or_start(folder.path()).unwrap();
    assert_eq!(resumed.step(), 3);
}

#[test]
fn divergence_is_named_and_spoils_no_checkpoint() {
    let data = images();
    let folder = tempfile::tempdir().unwrap();
    let config = TrainConfig {
        steps: Some(400),
        batch_size: 20,
        optimizer: OptimizerConfig::Sgd(Sgd {
            lr: 1e18,
            ..Sgd::default()
        }),
        checkpoint: everything().checkpoint,
        ..TrainConfig::default()
    };
    let trainer = || Trainer::new(config.clone(), convnet(), &data).unwrap();
    let trainer_in = || trainer().resume_or_start(folder.path()).unwrap();
    let error = trainer_in()
        .run(&mut |_| ControlFlow::Continue(()))
        .unwrap_err();
    let TrainError::Diverged { step, loss } = error else {
        panic!("{error}")
    };
    assert!(step < 10 && !loss.is_finite(), "{step}: {loss}");
    assert!(trainer_in().step() <= step, "the last good state is there");
}
