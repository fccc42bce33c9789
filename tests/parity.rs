//! One suite on tiny nets, pointed at a device by name: `MR_TEST_DEVICE=ndarray cargo test --test
//! parity --features ndarray`. What every device must give is what PyTorch gave.

#[path = "laws/nets.rs"]
mod nets;

use std::ops::ControlFlow;

use burn::tensor::Device;
use mr_attacks::{EvaluationConfig, Fgsm, Goal, Norm, Pgd, ThreatModel, evaluate};
use mr_models::data::{DataConfig, Split, load};
use mr_models::{
    Architecture, Mlp, Model, Network, Place, floats, objective, run_with_cache, value_and_grad,
};
use mr_train::{TrainConfig, Trainer};
use nets::{all, close};

/// Relative to the largest value of a tensor. CPUs differ in the order of sums; GPUs also in
/// exponentials, and may flush what is tiny.
fn tolerance() -> f32 {
    match name().as_str() {
        "flex" | "ndarray" => 1e-5,
        _ => 1e-4,
    }
}

fn name() -> String {
    std::env::var("MR_TEST_DEVICE").unwrap_or_else(|_| "flex".into())
}

fn device() -> Device {
    match name().as_str() {
        #[cfg(feature = "flex")]
        "flex" => Device::flex(),
        #[cfg(feature = "ndarray")]
        #[expect(deprecated, reason = "kept for parity until burn drops it")]
        "ndarray" => Device::ndarray(),
        #[cfg(any(feature = "wgpu", feature = "vulkan"))]
        "wgpu" | "vulkan" => Device::wgpu(burn::tensor::DeviceKind::DefaultDevice),
        #[cfg(feature = "cuda")]
        "cuda" => Device::cuda(0),
        other => panic!("MR_TEST_DEVICE={other}: no such device, or not built with its feature"),
    }
}

#[test]
fn forward_passes_and_gradients() {
    let device = device();
    for golden in all() {
        let net = golden.network(&device);
        let input = golden.input(&device);
        let sites: Vec<String> = net.spec().sites.iter().map(|s| s.name.clone()).collect();
        let (logits, cache) = run_with_cache(&net, &input, &sites).unwrap();
        let file = &golden.file;
        close(
            file,
            &floats(logits),
            &golden.tensor("logits").1,
            tolerance(),
        );
        let mut places: Vec<Place> = sites.iter().map(Place::site).collect();
        places.push(Place::Input);
        let labels = golden.labels(&device);
        let at = value_and_grad(&net, &input, &labels, &objective::CrossEntropy, &places).unwrap();
        let expected = &golden.tensor("grad_input").1;
        close(file, &floats(at.input().clone()), expected, tolerance());
        for site in sites {
            let what = format!("{file} {site}");
            let found = floats(cache.get(&site).unwrap().clone());
            let expected = &golden.tensor(&format!("site/{site}")).1;
            close(&what, &found, expected, tolerance());
            let found = floats(at.site(&site).clone());
            let expected = &golden.tensor(&format!("grad/{site}")).1;
            close(&what, &found, expected, tolerance());
        }
    }
}

fn mlp() -> Architecture {
    Architecture::Mlp(Mlp {
        hidden: vec![12],
        ..Mlp::default()
    })
}

/// What the CPU decides, every device decides; margins of a tiny net are far from rounding.
#[test]
fn attacks_decide_as_on_the_cpu() {
    let reference = Device::flex();
    let device = device();
    let data = load(&DataConfig::default(), Split::Test)
        .unwrap()
        .take(24)
        .unwrap();
    let pgd = Pgd {
        steps: 4,
        ..Pgd::default()
    };
    for norm in [Norm::Linf, Norm::L2, Norm::L1] {
        let epsilon = match norm {
            Norm::Linf => 0.02,
            Norm::L2 => 0.3,
            Norm::L1 => 3.0,
        };
        let decided = |device: &Device| {
            let net = Network::init(mlp(), 2, device).unwrap();
            let threat = ThreatModel::new(norm, epsilon);
            let config = EvaluationConfig {
                threads: 1,
                ..EvaluationConfig::default()
            };
            let goal = Goal::Untargeted;
            let attacks: [&dyn mr_attacks::Attack; 2] = [&Fgsm::default(), &pgd];
            let found = evaluate(&net, &data, &threat, &goal, &attacks, &config).unwrap();
            let decisions = found
                .examples
                .iter()
                .map(|e| (e.clean, e.success, e.adversarial));
            decisions.collect::<Vec<_>>()
        };
        let found = decided(&device);
        assert_eq!(found, decided(&reference), "{norm}");
    }
}

#[test]
fn a_few_training_steps_agree() {
    let data = load(&DataConfig::default(), Split::Train)
        .unwrap()
        .take(64)
        .unwrap();
    let fitted = |device: &Device| {
        let net = Network::init(mlp(), 2, device).unwrap();
        let config = TrainConfig {
            steps: Some(4),
            batch_size: 16,
            ..TrainConfig::default()
        };
        let trained = Trainer::new(config, net, &data)
            .unwrap()
            .run(&mut |_| ControlFlow::Continue(()))
            .unwrap();
        trained.network.weights().to_host()
    };
    let found = fitted(&device());
    for ((name, _, found), (_, _, expected)) in found.iter().zip(fitted(&Device::flex())) {
        // Adam divides by the size of a gradient: where that is nearly 0, rounding is not.
        close(name, found, &expected, 20.0 * tolerance());
    }
}
