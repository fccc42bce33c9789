//! What a training step of a dictionary costs.

#![expect(missing_docs, reason = "criterion's macro makes a function public")]

#[path = "../tests/device/mod.rs"]
mod device;

use burn::tensor::{Distribution, Tensor};
use criterion::{Criterion, criterion_group, criterion_main};
use mr_models::{Workers, floats};
use mr_sae::{BatchTopK, Kind, Means, Relu, Sae, SaeConfig, Strength, TopK};

/// That of the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn steps(criterion: &mut Criterion) {
    let device = device::device();
    let mut group = criterion.benchmark_group(format!("dictionaries {}", device::name()));
    group.sample_size(10);
    for (d_in, d_sae, batch) in [(256, 2048, 1024), (512, 4096, 4096)] {
        let normal = Distribution::Normal(0.0, 1.0);
        let x = floats(Tensor::<2>::random([batch, d_in], normal, &device));
        let kinds: [Kind; 3] = [
            TopK::new(32).into(),
            BatchTopK::new(32.0).into(),
            Relu::default().into(),
        ];
        for kind in kinds {
            let name = format!(
                "gradient of {}, {d_in} to {d_sae}, batch {batch}",
                kind.name()
            );
            let config = SaeConfig::new(d_in, d_sae, kind);
            let sae = Sae::init(config, 0, &device).expect("the settings are valid");
            group.bench_function(name, |bencher| {
                let means = Means::Host(Workers::new(0));
                bencher.iter(|| sae.step(&x, &x, &Strength::of(0.01), means));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, steps);
criterion_main!(benches);
