//! Steps of training: of a classifier, of one under attack, and of the toy model of superposition.

#![expect(missing_docs, reason = "criterion's macro makes a function public")]

#[path = "../tests/device/mod.rs"]
mod device;

use std::ops::ControlFlow;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use mr_attacks::{AttackConfig, Norm, Pgd, ThreatModel};
use mr_models::data::{DataConfig, Dataset, SparseFeatures, Split, load};
use mr_models::{Architecture, Network, ResNet, Toy};
use mr_train::{Adversarial, LossConfig, Reconstruction, TrainConfig, Trainer, TrainingData};

/// A whole run of the steps that `config` names; its end reads the weights, which waits for them.
fn run<'a>(
    criterion: &mut Criterion,
    (name, shape): (&str, &str),
    config: &TrainConfig,
    architecture: Architecture,
    data: impl Into<TrainingData<'a>>,
) {
    let steps = config.steps.expect("a bench says how long it is");
    let net = Network::init(architecture, 0, &device::device()).expect("the settings are valid");
    let data = data.into();
    let mut group = criterion.benchmark_group(format!("train {}", device::name()));
    group.sample_size(10);
    group.throughput(Throughput::Elements(steps as u64));
    let id = BenchmarkId::new(name, format!("{shape}, {steps} steps"));
    group.bench_function(id, |bencher| {
        bencher.iter_batched(
            || Trainer::new(config.clone(), net.clone(), data.clone()).expect("they fit"),
            |trainer| {
                let trained = trainer.run(&mut |_| ControlFlow::Continue(()));
                trained.expect("a few steps do not diverge")
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn config(steps: usize, batch_size: usize, loss: LossConfig) -> TrainConfig {
    TrainConfig {
        steps: Some(steps),
        batch_size,
        loss,
        ..TrainConfig::default()
    }
}

fn lenet5(criterion: &mut Criterion) {
    let data = load(&DataConfig::default(), Split::Train).expect("the data are compiled in");
    let standard = config(10, 128, LossConfig::CrossEntropy);
    let shape = ("lenet5", "128x1x28x28");
    run(criterion, shape, &standard, Architecture::lenet5(), &data);
    let adversarial = LossConfig::Adversarial(Adversarial {
        threat: ThreatModel::new(Norm::Linf, 0.1),
        attack: AttackConfig::Pgd(Pgd {
            steps: 7,
            ..Pgd::default()
        }),
        ..Adversarial::default()
    });
    let adversarial = config(2, 128, adversarial);
    let shape = ("lenet5 on pgd7", "128x1x28x28");
    run(
        criterion,
        shape,
        &adversarial,
        Architecture::lenet5(),
        &data,
    );
}

fn resnet(criterion: &mut Criterion) {
    let architecture = Architecture::Resnet(ResNet {
        width: 32,
        ..ResNet::default()
    });
    let names = (0..10).map(|class| class.to_string()).collect();
    let bytes = (0..8 * 3072).map(|i| (i * 7919 % 251) as u8).collect();
    let data = Dataset::of_bytes("grey", [3, 32, 32], names, bytes, (0..8).collect());
    let data = data.expect("there is a label for each image");
    let config = config(2, 8, LossConfig::CrossEntropy);
    run(
        criterion,
        ("resnet18w32", "8x3x32x32"),
        &config,
        architecture,
        &data,
    );
}

fn toy(criterion: &mut Criterion) {
    let features = SparseFeatures::new(50, 0.1, 0).expect("the settings are valid");
    let config = TrainConfig {
        shards: 1,
        ..config(
            200,
            1024,
            LossConfig::Reconstruction(Reconstruction::default()),
        )
    };
    let architecture = Architecture::Toy(Toy::default());
    run(
        criterion,
        ("toy", "1024x50, 10 hidden"),
        &config,
        architecture,
        features,
    );
}

criterion_group!(benches, lenet5, resnet, toy);
criterion_main!(benches);
