//! The same numbers as PyTorch.

use burn::tensor::Device;
use mr_attacks::{Norm, ThreatModel};
use mr_models::{Model, Place, floats, objective, run_with_cache, value_and_grad};
use serde_json::Value;

use crate::nets::{all, close, json};
use crate::{tiny, training};

/// float32 differs from the float64 of the golden values by 5e-7 at most; kernels that sum in another
/// order need a little more.
const TOLERANCE: f32 = 1e-5;

#[test]
fn logits_sites_and_gradients_of_every_architecture() {
    let device = Device::flex();
    for golden in all() {
        let net = golden.network(&device);
        let input = golden.input(&device);
        let sites: Vec<String> = net.spec().sites.iter().map(|s| s.name.clone()).collect();
        let (logits, cache) = run_with_cache(&net, &input, &sites).unwrap();
        let name = &golden.file;
        close(name, &floats(logits), &golden.tensor("logits").1, TOLERANCE);
        for site in &net.spec().sites {
            let activation = cache.get(&site.name).unwrap();
            let (shape, values) = golden.tensor(&format!("site/{}", site.name));
            assert_eq!(activation.dims().to_vec(), *shape, "{name} {}", site.name);
            assert_eq!(activation.dims()[1..], [site.positions, site.channels]);
            let what = format!("{name} {}", site.name);
            close(&what, &floats(activation.clone()), values, TOLERANCE);
        }
        let mut places: Vec<Place> = sites.iter().map(Place::site).collect();
        places.push(Place::Input);
        let labels = golden.labels(&device);
        let at = value_and_grad(&net, &input, &labels, &objective::CrossEntropy, &places).unwrap();
        let gradient = floats(at.input().clone());
        close(name, &gradient, &golden.tensor("grad_input").1, TOLERANCE);
        for site in &sites {
            let expected = &golden.tensor(&format!("grad/{site}")).1;
            let what = format!("{name} gradient at {site}");
            close(&what, &floats(at.site(site).clone()), expected, TOLERANCE);
        }
    }
}

#[test]
fn fgsm_and_every_point_of_pgd() {
    tiny::fgsm_and_every_point_of_pgd(&Device::flex(), TOLERANCE);
}

#[test]
fn weights_and_running_statistics_after_three_steps() {
    training::three_steps(&Device::flex(), TOLERANCE);
}

#[test]
fn weights_after_three_steps_down_robust_losses() {
    training::three_robust_steps(&Device::flex(), TOLERANCE);
}

#[test]
fn projections_into_ball_and_box() {
    let golden = json("projections.json");
    let cases = golden["ball_and_box"].as_array().unwrap();
    assert_eq!(cases.len(), 8);
    for case in cases {
        let row = |key: &str| tiny::rows(&Value::Array(vec![case[key].clone()]), &Device::flex());
        let origin = row("origin");
        let point = origin.clone() + row("change");
        for norm in [Norm::Linf, Norm::L2, Norm::L1] {
            let threat = ThreatModel::new(norm, case["epsilon"].as_f64().unwrap() as f32);
            let found = threat.project(&origin, point.clone()) - origin.clone();
            let what = format!("{} {norm}", case["what"]);
            close(
                &what,
                &floats(found),
                &floats(row(&norm.to_string())),
                TOLERANCE,
            );
        }
    }
}
