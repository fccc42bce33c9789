//! What circuits cost: edge attribution over all edges of a transformer, and patching all its heads.

#![expect(missing_docs, reason = "criterion's macro makes a function public")]

#[path = "../tests/device/mod.rs"]
mod device;

use burn::tensor::Device;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use mr_circuits::{Direction, Grid, Pair, Path, Question, Sweep, edge_attribution};
use mr_models::objective::{LogitDifference, by_name};
use mr_models::{
    Architecture, Cache, Input, Labels, Model, Network, Transformer, TransformerInput,
    class_tensor, floats,
};

/// That of the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn net(device: &Device) -> Network {
    let transformer = Transformer {
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
    };
    let architecture = Architecture::Transformer(transformer);
    Network::init(architecture, 0, device).expect("the settings are valid")
}

/// 32 sequences of 64 tokens.
fn tokens(step: usize, device: &Device) -> Input {
    let sequence = |example: usize| (0..64).map(move |at| (131 * example + step * at) % 1000);
    let all: Vec<Vec<usize>> = (0..32).map(|example| sequence(example).collect()).collect();
    Input::of_tokens(&all, device).expect("the sequences have one length")
}

fn edges(criterion: &mut Criterion) {
    let device = device::device();
    let net = net(&device);
    let pair = Pair::new(tokens(37, &device), tokens(53, &device)).expect("they have one shape");
    let labels = Labels::of_classes(&[0; 32], &device);
    let difference = LogitDifference { more: 1, less: 2 };
    let shape = "transformer 4 layers 256 wide 32x64";
    let mut group = criterion.benchmark_group(format!("edges {}", device::name()));
    group.sample_size(10);
    group.bench_function(BenchmarkId::new("forward", shape), |bencher| {
        bencher.iter(|| floats(net.logits(pair.clean())));
    });
    for (name, path) in [("EAP", Path::Clean), ("EAP-IG, 5 inputs", Path::Inputs(5))] {
        group.bench_function(BenchmarkId::new(name, shape), |bencher| {
            bencher.iter(|| {
                edge_attribution(&net, &pair, &labels, &difference, path).expect("it has edges")
            });
        });
    }
    group.finish();
}

fn heads(criterion: &mut Criterion) {
    let device = device::device();
    let net = net(&device);
    let pair = Pair::new(tokens(37, &device), tokens(53, &device)).expect("they have one shape");
    let classes = |step: usize| (0..32).map(|at| step * at % 1000).collect::<Vec<usize>>();
    let labels =
        Labels::of_classes(&classes(7), &device).with_target(class_tensor(&classes(11), &device));
    let last = by_name("last(answer-difference)").expect("this is an objective");
    let question = Question::new(&net, last.as_ref(), &labels);
    let spots = Grid::heads(net.spec(), "z").expect("it has heads").spots();
    let shape = "transformer 4 layers 256 wide 32x64";
    let mut group = criterion.benchmark_group(format!("heads {}", device::name()));
    group.sample_size(10);
    group.bench_function(BenchmarkId::new("forward", shape), |bencher| {
        bencher.iter(|| floats(net.logits(pair.clean())));
    });
    group.bench_function(BenchmarkId::new("full cache", shape), |bencher| {
        bencher.iter(|| {
            let mut cache = Cache::of_all(net.spec());
            let logits = floats(net.run(pair.clean(), &mut cache));
            (cache, logits)
        });
    });
    group.bench_function(BenchmarkId::new("patch all 32 heads", shape), |bencher| {
        bencher.iter(|| {
            let sweep = Sweep::default();
            let found = sweep.patch(question, &pair, Direction::Noise, &spots, &mut |_, _| {});
            found.expect("the spots are its own")
        });
    });
    group.finish();
}

criterion_group!(benches, edges, heads);
criterion_main!(benches);
