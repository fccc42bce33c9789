//! Tiny nets whose attacked points PyTorch gave; see `fixtures/README.md`.

use burn::tensor::{Device, Tensor, TensorData};
use mr_attacks::{
    Attack, AttackConfig, Bim, Direction, Fgsm, Goal, Meter, MiFgsm, Norm, Pgd, Schedule, Targets,
    ThreatModel, Victim,
};
use mr_models::{Architecture, Input, Labels, Model, Network, class_tensor, floats};
use serde_json::Value;

use crate::nets::{close, json};

pub(crate) struct Tiny {
    net: Network,
    input: Tensor<2>,
    labels: Vec<usize>,
    targets: Vec<usize>,
    pub(crate) runs: Vec<Value>,
}

/// Rows of numbers as a tensor.
pub(crate) fn rows(value: &Value, device: &Device) -> Tensor<2> {
    let rows: Vec<Vec<f32>> = serde_json::from_value(value.clone()).unwrap();
    let shape = [rows.len(), rows[0].len()];
    Tensor::from_data(TensorData::new(rows.concat(), shape), device)
}

/// The net of a golden file, and what attacks on it found.
pub(crate) fn tiny(file: &str, device: &Device) -> Tiny {
    let golden = json(file);
    let architecture: Architecture =
        serde_json::from_value(golden["architecture"].clone()).unwrap();
    let weights = golden["weights"].as_object().unwrap();
    let named = weights
        .iter()
        .map(|(name, values)| {
            if values[0].is_array() {
                let tensor = rows(values, device);
                (name.clone(), tensor.dims().to_vec(), floats(tensor))
            } else {
                let values: Vec<f32> = serde_json::from_value(values.clone()).unwrap();
                (name.clone(), vec![values.len()], values)
            }
        })
        .collect();
    Tiny {
        net: Network::with_weights(architecture, named, device).unwrap(),
        input: rows(&golden["input"], device),
        labels: serde_json::from_value(golden["labels"].clone()).unwrap(),
        targets: serde_json::from_value(golden["targets"].clone()).unwrap(),
        runs: golden["runs"].as_array().unwrap().clone(),
    }
}

impl Tiny {
    /// Where an attack leads from the clean points, and whether each example reaches the goal there.
    pub(crate) fn attacked(&self, run: &Value, attack: &dyn Attack) -> (Vec<f32>, Vec<bool>) {
        let device = self.net.device();
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
        let points = attack.run(&victim).unwrap();
        let reached = victim.reached(&victim.logits(&points));
        (floats(points), reached)
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

/// The same as BIM, or with momentum as MI-FGSM.
fn named(run: &Value, steps: usize) -> AttackConfig {
    let step_size = Some(run["step_size"].as_f64().unwrap() as f32);
    let objective = run["objective"].as_str().unwrap().into();
    let momentum = run["momentum"].as_f64().unwrap() as f32;
    if momentum == 0.0 {
        AttackConfig::Bim(Bim {
            steps,
            step_size,
            objective,
            stop_early: false,
        })
    } else {
        AttackConfig::MiFgsm(MiFgsm {
            steps,
            step_size,
            momentum,
            objective,
            stop_early: false,
        })
    }
}

/// FGSM's point, and the points and decisions of PGD of every length: of 1 step, of 2, ...
pub(crate) fn fgsm_and_every_point_of_pgd(device: &Device, tolerance: f32) {
    let tiny = tiny("pgd_tiny.json", device);
    let mut checked = 0;
    for run in &tiny.runs {
        let name = run["name"].as_str().unwrap();
        let steps = run["steps"].as_u64().unwrap() as usize;
        // Left out are runs from a given start (ours is drawn), and an L1 step of two coordinates:
        // ours moves 1 % of them, one of these eight.
        if run["start"].as_bool().unwrap() || run["coordinates"] == 2 {
            continue;
        }
        let agree = |what: &str, attack: &dyn Attack, step: usize| {
            let (points, reached) = tiny.attacked(run, attack);
            let expected = floats(rows(&run["points"][step], device));
            close(what, &points, &expected, tolerance);
            let expected: Vec<bool> = serde_json::from_value(run["reached"][step].clone()).unwrap();
            assert_eq!(reached, expected, "{what}");
        };
        if steps == 1 {
            agree(name, &Fgsm::default(), 1);
        } else {
            // A cosine schedule depends on the whole length.
            let shortest = if run["schedule"] == "cosine" {
                steps
            } else {
                1
            };
            for steps in shortest..=steps {
                agree(&format!("{name} after {steps}"), &pgd(run, steps), steps);
                if run["direction"] == "steepest" && run["schedule"] == "constant" {
                    let what = format!("{name} after {steps}, by its other name");
                    agree(&what, named(run, steps).attack(), steps);
                }
            }
        }
        checked += 1;
    }
    assert_eq!(checked, 11);
}
