//! The same numbers as PyTorch.

use burn::tensor::{Device, Tensor, TensorData};
use mr_attacks::{
    Attack, Direction, Fgsm, Goal, Meter, Norm, Pgd, Schedule, Targets, ThreatModel, Victim,
};
use mr_models::{
    Architecture, Input, Labels, Model, Network, Place, class_tensor, floats, objective,
    run_with_cache, value_and_grad,
};
use serde_json::Value;

use crate::nets::{all, close, json};

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

struct Tiny {
    net: Network,
    input: Tensor<2>,
    labels: Vec<usize>,
    targets: Vec<usize>,
    runs: Vec<Value>,
}

fn rows(value: &Value) -> Tensor<2> {
    let rows: Vec<Vec<f32>> = serde_json::from_value(value.clone()).unwrap();
    let shape = [rows.len(), rows[0].len()];
    Tensor::from_data(TensorData::new(rows.concat(), shape), &Device::flex())
}

fn tiny() -> Tiny {
    let golden = json("pgd_tiny.json");
    let architecture: Architecture =
        serde_json::from_value(golden["architecture"].clone()).unwrap();
    let weights = golden["weights"].as_object().unwrap();
    let named = weights
        .iter()
        .map(|(name, values)| {
            if values[0].is_array() {
                let tensor = rows(values);
                (name.clone(), tensor.dims().to_vec(), floats(tensor))
            } else {
                let values: Vec<f32> = serde_json::from_value(values.clone()).unwrap();
                (name.clone(), vec![values.len()], values)
            }
        })
        .collect();
    Tiny {
        net: Network::with_weights(architecture, named, &Device::flex()).unwrap(),
        input: rows(&golden["input"]),
        labels: serde_json::from_value(golden["labels"].clone()).unwrap(),
        targets: serde_json::from_value(golden["targets"].clone()).unwrap(),
        runs: golden["runs"].as_array().unwrap().clone(),
    }
}

impl Tiny {
    /// Where an attack that may go `epsilon` far ends, from the clean points.
    fn attacked(&self, run: &Value, attack: &dyn Attack) -> Vec<f32> {
        let device = Device::flex();
        let norm: Norm = run["norm"].as_str().unwrap().parse().unwrap();
        let threat = ThreatModel::new(norm, run["epsilon"].as_f64().unwrap() as f32);
        let targeted = run["target"].as_bool().unwrap();
        let goal = if targeted {
            Goal::Targeted(Targets::Next)
        } else {
            Goal::Untargeted
        };
        let mut labels = Labels::of_classes(&self.labels, &device);
        if targeted {
            labels = labels.with_target(class_tensor(&self.targets, &device));
        }
        let [batch, width] = self.input.dims();
        let input = Input::Real(self.input.clone().reshape([batch, 1, 2, width / 2]));
        let meter = Meter::default();
        let examples = (0..batch as u64).collect();
        let victim = Victim::new(
            &self.net,
            &threat,
            &goal,
            (input, labels),
            examples,
            0,
            &meter,
        );
        floats(attack.run(&victim).unwrap())
    }
}

fn pgd(run: &Value, steps: usize) -> Pgd {
    Pgd {
        steps,
        step_size: Some(run["step_size"].as_f64().unwrap() as f32),
        schedule: match run["schedule"].as_str().unwrap() {
            "cosine" => Schedule::Cosine,
            _ => Schedule::Constant,
        },
        direction: match run["direction"].as_str().unwrap() {
            "gradient" => Direction::Gradient,
            _ => Direction::Steepest,
        },
        momentum: run["momentum"].as_f64().unwrap() as f32,
        random_start: false,
        objective: run["objective"].as_str().unwrap().into(),
        stop_early: false,
        ..Pgd::default()
    }
}

/// A step against every step of the golden path, from the golden point before it: a run that begins
/// elsewhere, or moves more coordinates than one, is told apart by its first step.
#[test]
fn fgsm_and_every_point_of_pgd() {
    let tiny = tiny();
    let mut checked = 0;
    for run in &tiny.runs {
        let name = run["name"].as_str().unwrap();
        let steps = run["steps"].as_u64().unwrap() as usize;
        // Our L1 step moves 1 % of the coordinates: one of these eight.
        if run["start"].as_bool().unwrap() || run["coordinates"] == 2 {
            continue;
        }
        let points = run["points"].as_array().unwrap();
        if steps == 1 {
            let fgsm = tiny.attacked(run, &Fgsm::default());
            close(name, &fgsm, &floats(rows(&points[1])), TOLERANCE);
            checked += 1;
            continue;
        }
        // A cosine schedule depends on the whole length.
        let first = if run["schedule"] == "cosine" {
            steps
        } else {
            1
        };
        for (step, point) in points.iter().enumerate().skip(first) {
            let found = tiny.attacked(run, &pgd(run, step));
            let what = format!("{name} after {step}");
            close(&what, &found, &floats(rows(point)), TOLERANCE);
        }
        checked += 1;
    }
    assert_eq!(checked, 11);
}

#[test]
fn projections_into_ball_and_box() {
    let golden = json("projections.json");
    let cases = golden["ball_and_box"].as_array().unwrap();
    assert_eq!(cases.len(), 8);
    for case in cases {
        let row = |key: &str| rows(&Value::Array(vec![case[key].clone()]));
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
