use std::sync::Arc;

use burn::tensor::Device;
use mr_models::data::{DataConfig, Split, load};
use mr_models::{Architecture, Mlp, Network};

use super::*;
use crate::{EvaluationConfig, Fixed, evaluate};

fn net() -> Network {
    let mlp = Mlp {
        hidden: vec![16],
        ..Mlp::default()
    };
    Network::init(Architecture::Mlp(mlp), 1, &Device::flex()).unwrap()
}

/// Clothes, labelled as the net sees them, so that there is something to break.
fn clothes(count: usize) -> Dataset {
    let data = load(&DataConfig::default(), Split::Test).unwrap();
    let rows: Vec<usize> = (0..count).collect();
    let logits = net().logits(&data.input(&rows, &Device::flex()));
    let seen = mr_models::predictions(&logits)
        .iter()
        .map(|p| p[0])
        .collect();
    let values = rows.iter().flat_map(|&row| data.image(row)).collect();
    let names = data.class_names().to_vec();
    Dataset::of_floats("clothes", data.shape(), names, values, seen).unwrap()
}

fn fitted(threads: usize, norm: Norm, epsilon: f32) -> (Vec<f32>, Vec<FitProgress>) {
    let config = FitConfig {
        epochs: 3,
        batch_size: 70,
        threads,
        ..FitConfig::default()
    };
    let threat = ThreatModel::new(norm, epsilon);
    let mut told = Vec::new();
    let tell = &mut |progress: FitProgress| {
        told.push(progress);
        true
    };
    let found = fit_universal(
        &net(),
        &clothes(200),
        &threat,
        &Goal::Untargeted,
        &config,
        tell,
    );
    (found.unwrap(), told)
}

/// What is fitted breaks more than noise of the same size, and lies in the ball.
#[test]
fn it_breaks_more_than_noise() {
    let epsilon = 0.1;
    let (found, told) = fitted(1, Norm::Linf, epsilon);
    assert_eq!(told.len(), 9);
    assert_eq!(told[8].done, told[8].total);
    assert!(found.iter().all(|v| v.abs() <= epsilon));
    let noise: Vec<f32> = (0..784)
        .map(|at: u32| {
            if at.wrapping_mul(2_654_435_761) >> 31 == 0 {
                epsilon
            } else {
                -epsilon
            }
        })
        .collect();
    let robust = |perturbation: Vec<f32>| {
        let fixed = Fixed {
            perturbation: Arc::from(perturbation),
        };
        let threat = ThreatModel::new(Norm::Linf, epsilon);
        let config = EvaluationConfig::default();
        evaluate(
            &net(),
            &clothes(200),
            &threat,
            &Goal::Untargeted,
            &[&fixed],
            &config,
        )
        .unwrap()
        .robust_accuracy()
    };
    let (own, random) = (robust(found), robust(noise));
    assert!(own < random, "{own} {random}");
}

#[test]
fn threads_do_not_matter_and_every_norm_has_its_ball() {
    for (norm, epsilon) in [
        (Norm::Linf, 0.1),
        (Norm::L2, 1.5),
        (Norm::L1, 10.0),
        (Norm::L0, 20.0),
    ] {
        let (found, _) = fitted(1, norm, epsilon);
        assert_eq!(fitted(3, norm, epsilon).0, found, "{norm}");
        let threat = ThreatModel {
            bounds: [-1.0, 1.0],
            ..ThreatModel::new(norm, epsilon)
        };
        let row = |values: Vec<f32>| {
            let shape = [1, values.len()];
            Tensor::<2>::from_data(TensorData::new(values, shape), &Device::flex())
        };
        assert_eq!(
            threat.contains(&row(vec![0.0; 784]), &row(found)),
            [true],
            "{norm}"
        );
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let refused = |threat: ThreatModel, config: FitConfig| {
        let data = clothes(10);
        let quiet = &mut |_: FitProgress| true;
        let found = fit_universal(&net(), &data, &threat, &Goal::Untargeted, &config, quiet);
        found.unwrap_err().to_string()
    };
    let unbounded = refused(ThreatModel::unbounded(Norm::L2), FitConfig::default());
    assert!(
        unbounded.contains("give it a finite epsilon"),
        "{unbounded}"
    );
    let none = FitConfig {
        epochs: 0,
        ..FitConfig::default()
    };
    let threat = ThreatModel::new(Norm::Linf, 0.1);
    assert_eq!(
        refused(threat.clone(), none),
        "epochs is 0, must be at least 1"
    );
    let fixed = Fixed {
        perturbation: Arc::from([0.0; 3]),
    };
    let error = crate::Attack::fits(&fixed, net().spec(), &threat).unwrap_err();
    assert!(error.to_string().contains("is 3, must be 784"), "{error}");
}
