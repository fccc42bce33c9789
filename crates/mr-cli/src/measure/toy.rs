//! The toy model of superposition: what its weights hold, and what an attack costs it.

use anyhow::{Result, bail};
use burn::tensor::Tensor;
use mr_metrics::superposition::FeatureWeights;
use mr_metrics::{
    Damage, ExperimentRecord, Losses, Number, Series, Vulnerability, attack_directions,
    attack_size, stats,
};
use mr_models::data::Dataset;
use mr_models::objective::{CrossEntropy, SquaredError};
use mr_models::{
    Architecture, Cache, Input, Labels, Model, Network, Objective, Toy, ToyActivation, predictions,
};

use super::MeasureConfig;
use crate::subject::Subject;

pub(super) fn measure(
    subject: &Subject,
    toy: &Toy,
    data: &Dataset,
    config: &MeasureConfig,
    record: &mut ExperimentRecord,
) -> Result<()> {
    let w = subject.network.weights().get::<2>("W");
    if config.superposition {
        superposition(&w, config.strong, record)?;
    }
    if config.vulnerability {
        let share = config.attack_size;
        if !(share.is_finite() && share > 0.0) {
            bail!("measure.attack_size is {share}, must be a finite number above 0");
        }
        let rows: Vec<usize> = (0..data.len()).collect();
        let clean = data.input(&rows, &subject.network.device()).real();
        let clean: Tensor<2> = clean.reshape([data.len(), toy.features]);
        let lambda = attack_size(&clean, share)?;
        if lambda == 0.0 {
            bail!(
                "`{}`: every example is zero: an attack has no size",
                data.name()
            );
        }
        let directions = attack_directions(&w, lambda);
        if toy.classes == 0 {
            let attacked = Attacked {
                network: &subject.network,
                clean: &clean,
                importance: importance(subject, toy.features),
            };
            autoencoder(&attacked, toy, &directions, lambda, record)?;
        } else {
            classifier(&subject.network, data, &clean, &directions, lambda, record)?;
        }
    }
    Ok(())
}

fn superposition(w: &Tensor<2>, strong: f64, record: &mut ExperimentRecord) -> Result<()> {
    let weights = FeatureWeights::new(w)?;
    let summary = weights.summary(strong)?;
    let norms = weights.norms();
    let capacity: Vec<f64> = weights
        .capacity()
        .into_iter()
        .zip(norms)
        .filter_map(|(capacity, &norm)| (norm > strong).then_some(capacity))
        .collect();
    let m = summary.hidden as f64;
    let squares: f64 = norms.iter().map(|norm| norm * norm).sum();
    for (name, value) in [
        (
            "features_per_dimension",
            Some(summary.features_per_dimension),
        ),
        ("dimensions_per_feature", weights.dimensions_per_feature()),
        ("strong_features", Some(summary.strong_features as f64)),
        ("dimensionality_median", summary.dimensionality_median),
        ("capacity_median", stats::median(&capacity).ok()),
        ("interference_median", summary.interference_median),
        ("coherence_max", summary.coherence_max),
        ("coherence_mean", summary.coherence_mean),
        ("sum_squared_norms", Some(squares)),
        ("F_w", Some(summary.effective_features)),
        ("F_w_per_dimension", Some(summary.effective_features / m)),
        ("F_w_by_norm", Some(summary.effective_features_by_norm)),
    ] {
        let number = Number {
            value,
            ..Number::default()
        };
        record.number(&format!("superposition.{name}"), number);
    }
    let mut order: Vec<usize> = (0..norms.len()).collect();
    order.sort_by(|&a, &b| norms[b].total_cmp(&norms[a]));
    for (name, values) in [
        ("norms", norms.to_vec()),
        ("dimensionality", weights.dimensionality()),
        ("interference", weights.interference()),
    ] {
        let x = (1..=order.len()).map(|rank| rank as f64).collect();
        let y = order.iter().map(|&feature| values[feature]).collect();
        let series = Series::new("feature, strongest first", x, y);
        record.curve(&format!("superposition.{name}"), series)?;
    }
    Ok(())
}

/// The weight of each feature in the loss that the toy was trained with.
fn importance(subject: &Subject, features: usize) -> Vec<f32> {
    let loss = subject
        .trained
        .get("train")
        .and_then(|train| train.get("loss"));
    let base = loss
        .and_then(|loss| loss.get("importance_base"))
        .and_then(serde_json::Value::as_f64)
        .unwrap_or(1.0);
    (0..features).map(|i| base.powi(i as i32) as f32).collect()
}

/// A toy autoencoder and what it is attacked on.
struct Attacked<'a> {
    network: &'a Network,
    /// `[example, feature]`.
    clean: &'a Tensor<2>,
    importance: Vec<f32>,
}

impl Attacked<'_> {
    /// The loss of each point `[example]`, measured from the clean inputs.
    fn losses(&self, directions: &Tensor<2>) -> Result<Losses> {
        let [count, features] = self.clean.dims();
        let reference = self.clean.clone().reshape([count, 1, features]);
        let labels = Labels::of_classes(&vec![0; count], &self.clean.device());
        let labels = labels.with_reference(reference);
        let error = SquaredError {
            importance: self.importance.clone(),
        };
        Ok(Losses::under(self.clean, directions, |x| {
            let output = run(self.network, x);
            error.value(&output, &Cache::default(), &labels)
        })?)
    }
}

fn run(network: &Network, x: Tensor<2>) -> Tensor<3> {
    let [count, features] = x.dims();
    network.logits(&Input::Real(x.reshape([count, features, 1, 1])))
}

fn autoencoder(
    attacked: &Attacked<'_>,
    toy: &Toy,
    directions: &Tensor<2>,
    lambda: f64,
    record: &mut ExperimentRecord,
) -> Result<()> {
    let damage = attacked.losses(directions)?.damage();
    let network = without_superposition(toy, attacked.clean)?;
    let unit = attack_directions(&network.weights().get::<2>("W"), lambda);
    let control = Attacked {
        network: &network,
        clean: attacked.clean,
        importance: attacked.importance.clone(),
    };
    let control = control.losses(&unit)?.damage();
    type Pick = fn(&Damage) -> f64;
    let picks: [(&str, Pick); 2] = [
        ("one_direction", |damage| damage.one_direction),
        ("worst_per_sample", |damage| damage.worst_per_sample),
    ];
    for (name, pick) in picks {
        let model = [damage.clean, pick(&damage)];
        let v = Vulnerability::new(model, [control.clean, pick(&control)], lambda)?;
        v.add_to(record, &format!("vulnerability.{name}"));
    }
    Ok(())
}

/// The toy without superposition: its hidden units hold the first features, one each, and the
/// others are given their mean.
fn without_superposition(toy: &Toy, clean: &Tensor<2>) -> Result<Network> {
    let (n, m) = (toy.features, toy.hidden);
    let mut w = vec![0.0; m * n];
    for i in 0..m.min(n) {
        w[i * n + i] = 1.0;
    }
    let mut b = mr_models::floats(clean.clone().mean_dim(0));
    for bias in b.iter_mut().take(m) {
        *bias = 0.0;
    }
    let architecture = Architecture::Toy(Toy {
        activation: ToyActivation::Relu,
        ..toy.clone()
    });
    let named = vec![
        ("W".to_string(), vec![m, n], w),
        ("b".to_string(), vec![n], b),
    ];
    Ok(Network::with_weights(architecture, named, &clean.device())?)
}

fn classifier(
    network: &Network,
    data: &Dataset,
    clean: &Tensor<2>,
    directions: &Tensor<2>,
    lambda: f64,
    record: &mut ExperimentRecord,
) -> Result<()> {
    let device = clean.device();
    let labels = Labels::of_classes(data.labels(), &device);
    let damage = Losses::under(clean, directions, |x| {
        CrossEntropy.value(&run(network, x), &Cache::default(), &labels)
    })?
    .damage();
    let wrong = Losses::under(clean, directions, |x| {
        let predicted = predictions(&run(network, x));
        let wrong: Vec<f32> = predicted
            .iter()
            .zip(data.labels())
            .map(|(predicted, label)| f32::from(u8::from(predicted[0] != *label)))
            .collect();
        Tensor::from_floats(wrong.as_slice(), &device)
    })?
    .damage();
    for (name, attacked, wrong) in [
        ("one_direction", damage.one_direction, wrong.one_direction),
        (
            "worst_per_sample",
            damage.worst_per_sample,
            wrong.worst_per_sample,
        ),
    ] {
        let raw = attacked - damage.clean;
        for (piece, value) in [
            ("per_lambda2", raw / (lambda * lambda)),
            ("raw", raw),
            ("clean", damage.clean),
            ("attacked", attacked),
            ("lambda", lambda),
            ("accuracy", 1.0 - wrong),
        ] {
            record.number(&format!("vulnerability.{name}_{piece}"), value);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use mr_metrics::RecordKind;
    use mr_models::data::SparseFeatures;
    use serde_json::json;

    use super::*;

    fn number(record: &ExperimentRecord, name: &str) -> f64 {
        record.numbers[name].value.unwrap()
    }

    /// One hidden unit that holds two features as an antipodal pair: `W = [1, -1]`, `b = 0`.
    #[test]
    fn an_antipodal_pair_is_harmed_twice_where_it_holds_nothing() {
        let device = Device::flex();
        let toy = Toy {
            features: 2,
            hidden: 1,
            ..Toy::default()
        };
        let named = vec![
            ("W".to_string(), vec![1, 2], vec![1.0, -1.0]),
            ("b".to_string(), vec![2], vec![0.0; 2]),
        ];
        let network =
            Network::with_weights(Architecture::Toy(toy.clone()), named, &device).unwrap();
        // Inputs of one feature each: [1, 0] and [0, 1]. W^T W = [[1, -1], [-1, 1]], so both
        // directions are lambda / sqrt 2 (1, -1) and its negative; their overlap with W is
        // sqrt 2 lambda. x' of [1, 0] is [1 + sqrt 2 lambda, 0] or [1 - sqrt 2 lambda, 0]: either
        // way the loss is 2 lambda^2. Without superposition it is lambda^2.
        let clean = Tensor::<2>::from_floats([[1.0, 0.0], [0.0, 1.0]], &device);
        let lambda = 0.1;
        let w = network.weights().get::<2>("W");
        let attacked = Attacked {
            network: &network,
            clean: &clean,
            importance: vec![1.0; 2],
        };
        let mut record = ExperimentRecord::new(RecordKind::Measure, "a", json!({}), 0, "flex");
        let directions = attack_directions(&w, lambda);
        autoencoder(&attacked, &toy, &directions, lambda, &mut record).unwrap();
        for name in [
            "vulnerability.one_direction",
            "vulnerability.worst_per_sample",
        ] {
            assert!((number(&record, name) - 2.0).abs() < 1e-4);
            assert!((number(&record, &format!("{name}_per_lambda2")) - 2.0).abs() < 1e-4);
            assert!((number(&record, &format!("{name}_control_raw")) - 0.01).abs() < 1e-6);
        }
        superposition(&w, 0.5, &mut record).unwrap();
        assert_eq!(number(&record, "superposition.features_per_dimension"), 2.0);
        assert_eq!(number(&record, "superposition.dimensionality_median"), 0.5);
        assert!((number(&record, "superposition.F_w") - 2.0).abs() < 1e-12);
    }

    #[test]
    fn a_model_without_superposition_has_vulnerability_1() {
        let device = Device::flex();
        let toy = Toy {
            features: 20,
            hidden: 5,
            ..Toy::default()
        };
        let features = SparseFeatures::new(20, 0.3, 1).unwrap();
        let clean = features.input(0, 500, &device).real().reshape([500, 20]);
        let network = without_superposition(&toy, &clean).unwrap();
        let attacked = Attacked {
            network: &network,
            clean: &clean,
            importance: vec![1.0; 20],
        };
        let lambda = attack_size(&clean, 0.1).unwrap();
        let directions = attack_directions(&network.weights().get::<2>("W"), lambda);
        let damage = attacked.losses(&directions).unwrap().damage();
        let raw = damage.one_direction - damage.clean;
        assert!((raw / (lambda * lambda) - 1.0).abs() < 1e-3);
        assert!((damage.worst_per_sample - damage.one_direction).abs() < 1e-5);
    }
}
