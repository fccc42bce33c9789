//! What a training step of a dictionary costs.

#![expect(missing_docs, reason = "criterion's macro makes a function public")]

#[path = "../tests/device/mod.rs"]
mod device;

use burn::tensor::{Distribution, Tensor};
use criterion::{Criterion, criterion_group, criterion_main};
use mr_models::{Workers, floats};
use mr_sae::sparse::{Rows, Selection, Terms};

/// That of the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn steps(criterion: &mut Criterion) {
    let device = device::device();
    let mut group = criterion.benchmark_group(format!("dictionaries {}", device::name()));
    group.sample_size(10);
    for (d_in, d_sae, batch) in [(256usize, 2048usize, 1024usize), (512, 4096, 4096)] {
        let draw = |rows, columns| -> Tensor<2> {
            Tensor::random([rows, columns], Distribution::Normal(0.0, 1.0), &device)
        };
        let x = floats(draw(batch, d_in));
        let encoder = draw(d_in, d_sae) / (d_in as f32).sqrt();
        let decoder = floats(encoder.clone().transpose());
        let (bias, centre) = (vec![0.0; d_sae], vec![0.0; d_in]);
        let rows = Rows { encoder: &encoder, bias: &bias, decoder: &decoder, centre: &centre, centred: true };
        let shape = format!("{d_in} to {d_sae}, batch {batch}");
        for (name, selection) in [("TopK", Selection::Sample(32)), ("BatchTopK", Selection::Batch(32))] {
            let terms = Terms { selection, prefixes: &[d_sae], revive: None };
            group.bench_function(format!("{name} 32, {shape}"), |bencher| {
                bencher.iter(|| rows.step(&x, &x, terms, Workers::new(0)));
            });
            group.bench_function(format!("{name} 32 encode, {shape}"), |bencher| {
                bencher.iter(|| rows.codes(&x, selection, Workers::new(0)));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, steps);
criterion_main!(benches);
