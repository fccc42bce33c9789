//! What a training step of a dictionary costs.

#![expect(missing_docs, reason = "criterion's macro makes a function public")]

#[path = "../tests/device/mod.rs"]
mod device;

use std::ops::ControlFlow;

use burn::tensor::{Distribution, Tensor};
use criterion::{Criterion, criterion_group, criterion_main};
use mr_models::floats;
use mr_sae::{BatchTopK, Kind, Relu, SaeConfig, TopK};
use mr_train::{Activations, FitConfig, FitLength, FitProgress, InMemory, Plan, fit, on_host};

/// That of the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Ten steps of Adam, from drawing the weights on: as the plain peers do them, without constraint on decoder rows.
fn steps(criterion: &mut Criterion) {
    let device = device::device();
    let mut group = criterion.benchmark_group(format!("dictionaries {}", device::name()));
    group.sample_size(10);
    for (d_in, d_sae, batch) in [(256, 2048, 1024), (512, 4096, 4096)] {
        let normal = Distribution::Normal(0.0, 1.0);
        let x = floats(Tensor::<2>::random([2 * batch, d_in], normal, &device));
        let samples = Activations::new(x, d_in).expect("they are finite");
        let stream = InMemory {
            activations: &samples,
            seed: 0,
        };
        let k = |k| TopK { k, rescale: false };
        let kinds: [Kind; 3] = [
            k(32).into(),
            BatchTopK::new(32.0).into(),
            Relu::default().into(),
        ];
        for kind in kinds {
            let name = format!(
                "10 steps of {}, {d_in} to {d_sae}, batch {batch}",
                kind.name()
            );
            let plan = Plan {
                name: "a".into(),
                dictionary: SaeConfig::new(d_in, d_sae, kind),
                fit: FitConfig {
                    sparsity: 0.01,
                    unit_norm: false,
                    ..FitConfig::default()
                },
            };
            let length = FitLength {
                steps: 10,
                batch_size: batch,
                ..FitLength::default()
            };
            group.bench_function(name, |bencher| {
                bencher.iter(|| {
                    let plans = std::slice::from_ref(&plan);
                    let mut go_on = |_: FitProgress<'_>| ControlFlow::Continue(());
                    fit(
                        plans,
                        &length,
                        &stream,
                        None,
                        on_host(),
                        &device,
                        &mut go_on,
                    )
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, steps);
criterion_main!(benches);
