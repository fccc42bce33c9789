//! What hooks cost over a plain forward pass.

#![expect(missing_docs, reason = "criterion's macro makes a function public")]

#[path = "../tests/device/mod.rs"]
mod device;

use std::hint::black_box;

use burn::tensor::activation::relu;
use burn::tensor::module::{conv2d, max_pool2d};
use burn::tensor::ops::{ConvOptions, MaxPoolOptions};
use burn::tensor::{Device, Tensor};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use mr_models::{
    Architecture, Cache, Input, Model, Network, ResNet, Transformer, TransformerInput, floats,
};

/// That of the binary: a cache is memory that the system's allocator would ask for anew each time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn nets(device: &Device) -> Vec<(&'static str, Network, Input)> {
    let resnet = Architecture::Resnet(ResNet {
        width: 16,
        depth: 10,
        ..ResNet::default()
    });
    let transformer = Architecture::Transformer(Transformer {
        input: TransformerInput::Tokens {
            vocabulary: 1000,
            context: 64,
            token_types: 0,
        },
        layers: 4,
        d_model: 256,
        heads: 8,
        d_mlp: 1024,
        ..Transformer::default()
    });
    let sequence = |example: usize| (0..64).map(move |at| (131 * example + 37 * at) % 1000);
    let tokens: Vec<Vec<usize>> = (0..32).map(|example| sequence(example).collect()).collect();
    let tokens = Input::of_tokens(&tokens, device).expect("the sequences have one length");
    let images = |shape: [usize; 4]| Tensor::<4>::ones(shape, device).into();
    [
        (
            "lenet5 32x1x28x28",
            Architecture::lenet5(),
            images([32, 1, 28, 28]),
        ),
        ("resnet10w16 8x3x32x32", resnet, images([8, 3, 32, 32])),
        ("transformer 4 layers 256 wide 32x64", transformer, tokens),
    ]
    .into_iter()
    .map(|(name, architecture, input)| {
        let net = Network::init(architecture, 0, device).expect("the settings are valid");
        (name, net, input)
    })
    .collect()
}

/// The LeNet5 in burn's own words, with neither sites nor hooks: what there would be without this crate.
fn bare_lenet5(net: &Network, input: &Input) -> Tensor<2> {
    let weights = net.weights();
    let convolved = |name: &str, x| {
        let weight = weights.get::<4>(&format!("{name}.weight"));
        let bias = weights.get::<1>(&format!("{name}.bias"));
        let options = ConvOptions::new([1, 1], [1, 1], [1, 1], 1);
        let x = relu(conv2d(x, weight, Some(bias), options));
        max_pool2d(x, MaxPoolOptions::new([2, 2]).with_stride([2, 2]))
    };
    let linear = |name: &str, x: Tensor<2>| {
        let weight = weights.get::<2>(&format!("{name}.weight"));
        let bias = weights.get::<1>(&format!("{name}.bias"));
        x.matmul(weight.transpose()) + bias.unsqueeze()
    };
    let x = convolved("conv2", convolved("conv1", input.real()));
    linear("linear2", relu(linear("linear1", x.flatten(1, 3))))
}

fn hooks(criterion: &mut Criterion) {
    let device = device::device();
    let mut group = criterion.benchmark_group(format!("forward {}", device::name()));
    group.sample_size(30);
    for (name, net, input) in nets(&device) {
        // Reading the logits back waits for everything before them.
        if name.starts_with("lenet5") {
            group.bench_function(BenchmarkId::new("no hook", name), |bencher| {
                bencher.iter(|| floats(bare_lenet5(&net, black_box(&input))));
            });
        }
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
