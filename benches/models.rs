//! What hooks cost over a plain forward pass.

#![expect(missing_docs, reason = "criterion's macro makes a function public")]

use std::hint::black_box;

use burn::tensor::{Device, Tensor};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use mr_models::{Architecture, Cache, Input, Model, Network, ResNet, floats};

fn nets(device: &Device) -> Vec<(&'static str, Network, Input)> {
    let resnet = Architecture::Resnet(ResNet {
        width: 16,
        depth: 10,
        ..ResNet::default()
    });
    [
        ("lenet5 32x1x28x28", Architecture::lenet5(), [32, 1, 28, 28]),
        ("resnet10w16 8x3x32x32", resnet, [8, 3, 32, 32]),
    ]
    .into_iter()
    .map(|(name, architecture, shape)| {
        let net = Network::init(architecture, 0, device).expect("the settings are valid");
        (name, net, Tensor::<4>::ones(shape, device).into())
    })
    .collect()
}

fn hooks(criterion: &mut Criterion) {
    let device = Device::flex();
    let mut group = criterion.benchmark_group("forward flex");
    group.sample_size(20);
    for (name, net, input) in nets(&device) {
        // Reading the logits back waits for everything before them.
        group.bench_function(BenchmarkId::new("idle hook", name), |bencher| {
            bencher.iter(|| floats(net.logits(black_box(&input))));
        });
        group.bench_function(BenchmarkId::new("full cache", name), |bencher| {
            bencher.iter(|| {
                let mut cache = Cache::of_all(net.spec());
                let logits = floats(net.run(black_box(&input), &mut cache));
                black_box(cache);
                logits
            });
        });
    }
    group.finish();
}

criterion_group!(benches, hooks);
criterion_main!(benches);
