//! One suite on tiny nets, pointed at a device by name: `MR_TEST_DEVICE=ndarray cargo test --test
//! parity --features ndarray`. What every device must give is what PyTorch gave.

mod device;
#[path = "laws/nets.rs"]
mod nets;
#[path = "laws/tiny.rs"]
mod tiny;
#[path = "laws/training.rs"]
mod training;

use std::ops::ControlFlow;

use burn::tensor::Device;
use device::{device, name, named};
use mr_attacks::{
    Attack, Evaluation, EvaluationConfig, Fgsm, Goal, Norm, Pgd, ThreatModel, evaluate,
};
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

#[test]
fn an_unknown_device_is_said() {
    let error = named("wgpuu").unwrap_err();
    assert_eq!(error, "unknown device `wgpuu`; did you mean wgpu?");
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

#[test]
fn fgsm_and_every_point_of_pgd() {
    tiny::fgsm_and_every_point_of_pgd(&device(), tolerance());
}

#[test]
fn weights_and_running_statistics_after_three_steps() {
    training::three_steps(&device(), tolerance());
}

#[test]
fn weights_after_three_steps_down_robust_losses() {
    training::three_robust_steps(&device(), tolerance());
}

/// What the CPU decides, every device decides, from the same random starts: of a net that has learned a
/// little, whose margins are far from rounding.
#[test]
fn attacks_decide_as_on_the_cpu() {
    let data = |split, count| {
        let whole = load(&DataConfig::default(), split).unwrap();
        whole.take(count).unwrap()
    };
    let mlp = Architecture::Mlp(Mlp {
        hidden: vec![12],
        ..Mlp::default()
    });
    let config = TrainConfig {
        steps: Some(60),
        ..TrainConfig::default()
    };
    let net = Network::init(mlp, 2, &Device::flex()).unwrap();
    let net = Trainer::new(config, net, &data(Split::Train, 600))
        .unwrap()
        .run(&mut |_| ControlFlow::Continue(()))
        .unwrap()
        .network;
    let test = data(Split::Test, 24);
    let pgd = Pgd {
        steps: 4,
        restarts: 2,
        ..Pgd::default()
    };
    for (norm, epsilon) in [(Norm::Linf, 0.04), (Norm::L2, 1.0), (Norm::L1, 8.0)] {
        let decided = |device: &Device| {
            let net = net.to_device(device);
            let threat = ThreatModel::new(norm, epsilon);
            let config = EvaluationConfig {
                threads: 1,
                ..EvaluationConfig::default()
            };
            let attacks: [&dyn Attack; 2] = [&Fgsm::default(), &pgd];
            evaluate(&net, &test, &threat, &Goal::Untargeted, &attacks, &config).unwrap()
        };
        let (found, expected) = (decided(&device()), decided(&Device::flex()));
        let decisions = |found: &Evaluation| -> Vec<_> {
            let each = found.examples.iter();
            each.map(|e| (e.clean, e.success, e.adversarial, e.attack.clone()))
                .collect()
        };
        assert_eq!(decisions(&found), decisions(&expected), "{norm}");
        let [clean, robust] = [expected.clean_accuracy(), expected.robust_accuracy()];
        assert!(
            clean > 0.6 && robust > 0.1 && robust < clean - 0.1,
            "{norm} {clean} {robust}"
        );
    }
}
