use super::*;

fn small(hierarchy: bool, correlation: bool) -> PlantedConfig {
    PlantedConfig {
        features: 20,
        width: 12,
        hierarchy: hierarchy.then_some(Hierarchy {
            roots: 2,
            branching: 3,
            depth: 1,
            exclusive: false,
            compensate: true,
        }),
        correlation: correlation.then_some(Correlation {
            rank: 2,
            scale: 0.4,
        }),
        rates: Rates {
            exponent: 0.5,
            most: 0.4,
            least: 0.05,
        },
        ..PlantedConfig::default()
    }
}

/// How often each feature is on, and each pair.
fn counted(planted: &Planted, count: usize) -> (Vec<f64>, Vec<f64>) {
    let features = planted.config().features;
    let batch = planted.batch(0, count);
    let (mut on, mut both) = (vec![0.0; features], vec![0.0; features * features]);
    for row in batch.coefficients.chunks(features) {
        for i in (0..features).filter(|&i| row[i] > 0.0) {
            on[i] += 1.0 / count as f64;
            for j in (0..features).filter(|&j| row[j] > 0.0) {
                both[i * features + j] += 1.0 / count as f64;
            }
        }
    }
    (on, both)
}

#[test]
fn an_example_is_the_same_in_any_batch() {
    let planted = Planted::new(small(true, true), 3).unwrap();
    let whole = planted.batch(0, 30);
    let part = planted.batch(11, 7);
    assert_eq!(whole.activations[11 * 12..18 * 12], part.activations);
    assert_eq!(whole.coefficients[11 * 20..18 * 20], part.coefficients);
    assert_eq!(planted.activations(11, 7), part.activations);
    let other = planted.clone().stream(1);
    assert_eq!(other.directions(), planted.directions());
    assert_ne!(other.batch(0, 30), whole);
    assert_ne!(
        Planted::new(small(true, true), 4).unwrap().batch(0, 30),
        whole
    );
    assert!(
        planted
            .batch(1 << 50, 1)
            .activations
            .iter()
            .all(|v| v.is_finite())
    );
}

#[test]
fn activations_are_the_sum_of_what_is_on() {
    let planted = Planted::new(small(true, true), 0).unwrap();
    let batch = planted.batch(5, 40);
    for (x, code) in batch
        .activations
        .chunks(12)
        .zip(batch.coefficients.chunks(20))
    {
        for (channel, &value) in x.iter().enumerate() {
            let directions = planted.directions().chunks(12);
            let sum: f32 = code
                .iter()
                .zip(directions)
                .map(|(c, d)| c * d[channel])
                .sum();
            assert!((planted.bias()[channel] + sum - value).abs() < 1e-4);
        }
    }
    let norm: f32 = planted.bias().iter().map(|v| v * v).sum();
    assert!((norm.sqrt() - 10.0).abs() < 1e-4);
}

#[test]
fn features_are_on_as_often_as_they_should_with_a_hierarchy_too() {
    for (hierarchy, correlation) in [(false, false), (true, false), (false, true)] {
        let planted = Planted::new(small(hierarchy, correlation), 1).unwrap();
        let count = 20_000;
        let (on, _) = counted(&planted, count);
        for (found, rate) in on.iter().zip(planted.rates()) {
            // Five standard errors.
            let error = (rate * (1.0 - rate) / count as f64).sqrt();
            assert!((found - rate).abs() < 5.0 * error, "{found} is not {rate}");
        }
    }
    let rates = Planted::new(small(false, false), 1).unwrap();
    let rates = rates.rates();
    assert_eq!(rates[0], 0.4);
    assert!((rates[19] - 0.05).abs() < 1e-12);
    let third = (3.0_f64.powf(-0.5) - 20.0_f64.powf(-0.5)) / (1.0 - 20.0_f64.powf(-0.5));
    assert!((rates[2] - 0.05 - 0.35 * third).abs() < 1e-12);
}

#[test]
fn children_are_on_only_with_their_parents() {
    let planted = Planted::new(PlantedConfig::default(), 0).unwrap();
    let parents = planted.parents();
    assert_eq!(parents.iter().flatten().count(), 4 * (4 + 16 + 64));
    let batch = planted.batch(0, 500);
    for row in batch.coefficients.chunks(512) {
        let mut children = vec![0; 512];
        for (feature, parent) in parents.iter().enumerate() {
            if let Some(parent) = parent.filter(|_| row[feature] > 0.0) {
                assert!(row[parent] > 0.0);
                children[parent] += 1;
            }
        }
        assert!(children.iter().all(|count| *count <= 1), "siblings exclude");
    }
    let total = batch.coefficients.iter().filter(|c| **c > 0.0).count();
    assert_eq!(planted.l0(500), total as f64 / 500.0);
}

#[test]
fn a_copula_makes_features_go_together() {
    let mut config = small(false, true);
    config.features = 2;
    config.rates.least = 0.4;
    config.correlation = Some(Correlation {
        rank: 1,
        scale: 100.0,
    });
    // Numbers share 0.99 of their variance, with one sign or the other.
    let planted = Planted::new(config.clone(), 0).unwrap();
    let (on, both) = counted(&planted, 5000);
    let together = both[1] / on[0];
    assert!(!(0.1..0.9).contains(&together), "{together}");
    config.correlation = None;
    let (on, both) = counted(&Planted::new(config, 0).unwrap(), 5000);
    assert!((both[1] / on[0] - 0.4).abs() < 0.06);
}

#[test]
fn settings_are_checked() {
    let error = |change: fn(&mut PlantedConfig)| {
        let mut config = small(true, true);
        change(&mut config);
        Planted::new(config, 0).unwrap_err().to_string()
    };
    assert_eq!(
        error(|c| c.features = 0),
        "features is 0, must be from 1 to 16777216"
    );
    assert!(error(|c| c.rates.most = 1.0).starts_with("most is 1"));
    assert!(error(|c| c.rates.least = 0.5).starts_with("least is 0.5"));
    assert!(error(|c| c.rates.exponent = f64::NAN).starts_with("exponent is NaN"));
    assert!(error(|c| c.bias = -1.0).starts_with("bias is -1"));
    assert!(error(|c| c.magnitudes[1] = f32::INFINITY).starts_with("magnitudes is inf"));
    assert!(
        error(|c| c.correlation = Some(Correlation {
            rank: 0,
            scale: 1.0
        }))
        .starts_with("rank is 0")
    );
}

#[test]
fn the_easy_regime_has_equal_independent_orthogonal_features() {
    let planted = Planted::new(PlantedConfig::easy(8, 16, 0.1), 0).unwrap();
    assert!(
        planted
            .rates()
            .iter()
            .all(|&rate| (rate - 0.1).abs() < 1e-12)
    );
    assert!(planted.parents().iter().all(Option::is_none));
    assert!((planted.l0(4000) - 0.8).abs() < 0.08);
}
