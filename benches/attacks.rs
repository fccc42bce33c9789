//! Steps of PGD.

#![expect(missing_docs, reason = "criterion's macro makes a function public")]

#[path = "../tests/device/mod.rs"]
mod device;

use burn::tensor::Device;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use mr_attacks::{EvaluationConfig, Goal, Norm, Pgd, ThreatModel, evaluate};
use mr_models::data::Dataset;
use mr_models::{Architecture, Model, Network, ResNet, predictions};

const STEPS: usize = 10;

/// Grey images, labelled as the net sees them: none is broken by so small a ball, so every step is
/// taken by all of them.
fn unbroken(net: &Network, shape: [usize; 3], count: usize, device: &Device) -> Dataset {
    let names: Vec<String> = (0..10).map(|class| class.to_string()).collect();
    let values: Vec<f32> = (0..count * shape.iter().product::<usize>())
        .map(|i| 0.3 + 0.4 * ((i * 7919) % 101) as f32 / 100.0)
        .collect();
    let blank = vec![0; count];
    let data = Dataset::of_floats("grey", shape, names.clone(), values.clone(), blank)
        .expect("grey is in the box");
    let all: Vec<usize> = (0..count).collect();
    let seen = predictions(&net.logits(&data.input(&all, device)));
    let labels = seen.into_iter().map(|positions| positions[0]).collect();
    Dataset::of_floats("grey", shape, names, values, labels).expect("grey is in the box")
}

fn pgd(criterion: &mut Criterion) {
    let device = device::device();
    let resnet = Architecture::Resnet(ResNet {
        width: 32,
        ..ResNet::default()
    });
    let mut group = criterion.benchmark_group(format!("pgd{STEPS} {}", device::name()));
    group.sample_size(10);
    for (name, architecture, shape, count) in [
        (
            "lenet5 128x1x28x28",
            Architecture::lenet5(),
            [1, 28, 28],
            128,
        ),
        ("resnet18w32 8x3x32x32", resnet, [3, 32, 32], 8),
    ] {
        let net = Network::init(architecture, 0, &device).expect("the settings are valid");
        let data = unbroken(&net, shape, count, &device);
        let attack = Pgd {
            steps: STEPS,
            stop_early: false,
            ..Pgd::default()
        };
        let threat = ThreatModel::new(Norm::Linf, 1e-4);
        for threads in [1, 2] {
            let config = EvaluationConfig {
                threads,
                batch_size: count.div_ceil(threads),
                ..EvaluationConfig::default()
            };
            let id = BenchmarkId::new(name, format!("{threads} threads"));
            group.bench_function(id, |bencher| {
                bencher.iter(|| {
                    evaluate(&net, &data, &threat, &Goal::Untargeted, &[&attack], &config)
                        .expect("the net fits the data")
                        .robust_accuracy()
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, pgd);
criterion_main!(benches);
