use burn::tensor::{Device, Distribution};

use super::*;
use crate::{Arrangement, BatchTopK, Gated, JumpRelu, Matryoshka, Relu, SaeConfig, TopK};

const COUNT: usize = 300;

fn draw(rows: usize, columns: usize) -> Vec<f32> {
    let normal = Distribution::Normal(0.0, 1.0);
    floats(Tensor::<2>::random(
        [rows, columns],
        normal,
        &Device::flex(),
    ))
}

/// A dictionary all of whose weights are drawn, so that nothing is 0 by chance.
fn drawn(config: SaeConfig) -> Sae {
    let sae = Sae::init(config, 3, &Device::flex()).unwrap();
    let noise = Distribution::Normal(0.0, 0.2);
    let weights = sae.weights().map(|entry| {
        let change = Tensor::random(entry.values.dims(), noise, &Device::flex());
        if entry.trainable {
            entry.values.clone() + change
        } else {
            entry.values.clone()
        }
    });
    sae.with_weights(weights)
}

fn close(found: f64, expected: f64, scale: f64, what: &str) {
    let far = (found - expected).abs() > 3e-6 * scale.max(1e-3);
    assert!(!far, "{what}: {found}, expected {expected}");
}

/// Holds a step against the definition, and one thread against three.
fn check(config: SaeConfig, revival: Revival) {
    let name = format!("{config:?}");
    let sae = drawn(config);
    let x = draw(COUNT, sae.d_in());
    let target = if sae.d_out() == sae.d_in() {
        x.clone()
    } else {
        draw(COUNT, sae.d_out())
    };
    let dead: Vec<bool> = (0..sae.d_sae()).map(|latent| latent % 4 == 1).collect();
    let strength = Strength {
        sparsity: 0.3,
        revival,
        dead: Some(&dead),
    };
    let host = |threads| sae.step(&x, &target, &strength, Means::Host(Workers::new(threads)));
    let mut found = host(1);
    assert_eq!(
        found,
        host(3),
        "{name}: the bits do not depend on the threads"
    );
    let mut expected = sae.step(&x, &target, &strength, Means::Device);
    let total = expected.total;
    for (found, expected) in found.parts().into_iter().zip(expected.parts()) {
        close(*found, *expected, total, &name);
    }
    assert_eq!(found.active, expected.active, "{name}");
    for ((found, expected), entry) in found
        .gradients
        .iter()
        .zip(&expected.gradients)
        .zip(sae.weights().entries())
    {
        let what = format!("{name}, {}", entry.name);
        match (found, expected) {
            (Some(found), Some(expected)) => {
                assert_eq!(found.len(), expected.len(), "{what}");
                let scale = expected.iter().fold(0.0f32, |most, v| most.max(v.abs()));
                assert!(scale > 0.0, "{what}: no gradient to compare");
                for (a, b) in found.iter().zip(expected) {
                    close(f64::from(*a), f64::from(*b), f64::from(scale), &what);
                }
            }
            (found, expected) => assert_eq!(found, expected, "{what}"),
        }
    }
}

fn plain(rescale: bool) -> Vec<SaeConfig> {
    let top = TopK { k: 4, rescale };
    let batch = BatchTopK {
        rescale,
        ..BatchTopK::new(4.5)
    };
    let nested = Matryoshka {
        rescale,
        ..Matryoshka::new(5.0, vec![10, 20])
    };
    vec![
        SaeConfig::new(9, 40, top),
        SaeConfig::new(9, 40, batch),
        SaeConfig::new(9, 40, nested),
    ]
}

#[test]
fn sparse_steps_have_the_dense_value_and_gradient() {
    for config in plain(true).into_iter().chain(plain(false)) {
        check(config.clone(), Revival::None);
        let uncentred = SaeConfig {
            subtract_bias: false,
            ..config.clone()
        };
        check(uncentred, Revival::None);
        let scale = Normalization::ExpectedAverage { scale: 0.7 };
        check(
            SaeConfig {
                normalization: scale,
                ..config.clone()
            },
            Revival::None,
        );
        let skip = false;
        let transcoder = config
            .clone()
            .arranged(Arrangement::Transcoder { d_out: 5, skip });
        check(transcoder, Revival::None);
        check(
            config.arranged(Arrangement::Crosscoder { parts: 3 }),
            Revival::None,
        );
    }
}

#[test]
fn dead_latents_have_the_dense_gradient_too() {
    for config in plain(true).into_iter().chain(plain(false)) {
        for k in [None, Some(3), Some(30)] {
            check(
                config.clone(),
                Revival::AuxK {
                    k,
                    coefficient: 0.5,
                },
            );
        }
    }
}

#[test]
fn what_has_no_sparse_step_is_the_definition_by_shards() {
    let with = |kind: Kind| SaeConfig::new(9, 40, kind);
    for kind in [
        Relu::default().into(),
        Gated::default().into(),
        JumpRelu::default().into(),
    ] {
        check(with(kind), Revival::Ghost { coefficient: 0.1 });
    }
    let skip = true;
    check(
        with(TopK::new(4).into()).arranged(Arrangement::Transcoder { d_out: 5, skip }),
        Revival::None,
    );
    let normalization = Normalization::LayerNorm;
    check(
        SaeConfig {
            normalization,
            ..with(TopK::new(4).into())
        },
        Revival::None,
    );
}

#[test]
fn shards_are_summed_by_their_shares() {
    let sae = drawn(SaeConfig::new(4, 8, Relu::default()));
    let x = draw(SHARD + SHARD / 2, 4);
    let strength = Strength::of(0.1);
    let parts = sae.step(&x, &x, &strength, Means::Host(Workers::new(2)));
    let whole = sae.step(&x, &x, &strength, Means::Device);
    close(parts.total, whole.total, whole.total, "total");
    assert_eq!((parts.active, parts.least), (whole.active, whole.least));
}
