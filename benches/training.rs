//! Steps of training.

#![expect(missing_docs, reason = "criterion's macro makes a function public")]

use std::ops::ControlFlow;

use burn::tensor::Device;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use mr_models::data::{DataConfig, Split, load};
use mr_models::{Architecture, Network, Toy};
use mr_train::{LossConfig, Reconstruction, TrainConfig, Trainer, TrainingData};

const STEPS: usize = 10;
const TOY_STEPS: usize = 500;

fn lenet5(criterion: &mut Criterion) {
    let device = Device::flex();
    let data = load(&DataConfig::default(), Split::Train).expect("the data are compiled in");
    let net = Network::init(Architecture::lenet5(), 0, &device).expect("the settings are valid");
    let config = TrainConfig {
        steps: Some(STEPS),
        ..TrainConfig::default()
    };
    let mut group = criterion.benchmark_group("train flex");
    group.sample_size(10);
    let id = BenchmarkId::new("lenet5 128x1x28x28", format!("{STEPS} steps"));
    group.bench_function(id, |bencher| {
        bencher.iter(|| {
            let trainer = Trainer::new(config.clone(), net.clone(), &data);
            let trainer = trainer.expect("the net fits the data");
            let trained = trainer.run(&mut |_| ControlFlow::Continue(()));
            trained
                .expect("ten steps do not diverge")
                .network
                .weights()
                .to_host()
        });
    });
    group.finish();
}

fn toy(criterion: &mut Criterion) {
    let device = Device::flex();
    let net = Network::init(Architecture::Toy(Toy::default()), 0, &device);
    let net = net.expect("the settings are valid");
    let features = DataConfig::named("sparse-features").sparse_features();
    let features = features.expect("the settings are valid");
    let config = TrainConfig {
        steps: Some(TOY_STEPS),
        batch_size: 1024,
        shards: 1,
        loss: LossConfig::Reconstruction(Reconstruction::default()),
        ..TrainConfig::default()
    };
    let mut group = criterion.benchmark_group("toy flex");
    group.sample_size(10);
    let id = BenchmarkId::new("n50 m10 batch 1024", format!("{TOY_STEPS} steps"));
    group.bench_function(id, |bencher| {
        bencher.iter(|| {
            let data = TrainingData::Sparse(features.clone());
            let trainer = Trainer::new(config.clone(), net.clone(), data);
            let trainer = trainer.expect("the net fits the data");
            let trained = trainer.run(&mut |_| ControlFlow::Continue(()));
            trained
                .expect("it does not diverge")
                .network
                .weights()
                .to_host()
        });
    });
    group.finish();
}

criterion_group!(benches, lenet5, toy);
criterion_main!(benches);
