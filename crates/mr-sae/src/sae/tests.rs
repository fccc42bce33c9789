//! Dictionaries whose codes and losses can be computed by hand.

use burn::tensor::{Device, Tensor};
use mr_models::floats;

use super::*;
use crate::config::Arrangement;
use crate::kind::{BatchTopK, Gated, JumpRelu, L0Penalty, Matryoshka, Relu, TopK};
use crate::loss::Strength;
use crate::normalization::Normalization;
use crate::revival::Revival;

/// W_dec = [[1, 0], [0, 2], [-1, 1]], W_enc = [[1, 0, -1], [0, 2, 1]], b_dec = [1, 0],
/// b_enc = [0, -1, 0.5].
fn known(kind: impl Into<Kind>) -> Sae {
    arranged(kind, Arrangement::Autoencoder)
}

fn arranged(kind: impl Into<Kind>, arrangement: Arrangement) -> Sae {
    let device = Device::flex();
    let config = SaeConfig::new(2, 3, kind).arranged(arrangement);
    let sae = Sae::init(config, 0, &device).unwrap();
    let weights = sae.weights().map(|entry| {
        let values: &[f32] = match entry.name.as_str() {
            "W_dec" => &[1.0, 0.0, 0.0, 2.0, -1.0, 1.0],
            "W_enc" => &[1.0, 0.0, -1.0, 0.0, 2.0, 1.0],
            "b_dec" => &[1.0, 0.0],
            "b_enc" | "b_gate" => &[0.0, -1.0, 0.5],
            "b_mag" => &[0.0, 0.0, 2.0],
            "r_mag" => &[std::f32::consts::LN_2, 0.0, 0.0],
            "W_skip" => &[0.0, 1.0, 10.0, 0.0],
            _ => return entry.values.clone(),
        };
        Tensor::from_floats(values, &device)
    });
    sae.with_weights(weights)
}

/// Centred: [1, 2] and [-1, 0]; projected: [1, 4, 1] and [-1, 0, 1]; with b_enc: [1, 3, 1.5] and
/// [-1, -1, 1.5].
fn x() -> Tensor<2> {
    rows(&[[2.0, 2.0], [0.0, 0.0]])
}

fn rows<const D: usize>(rows: &[[f32; D]]) -> Tensor<2> {
    let device = Device::flex();
    Tensor::<1>::from_floats(rows.concat().as_slice(), &device).reshape([rows.len(), D])
}

fn one(loss: Tensor<1>) -> f32 {
    floats(loss)[0]
}

fn near(found: impl AsRef<[f32]>, expected: &[f32]) {
    let found = found.as_ref();
    assert_eq!(found.len(), expected.len());
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() < 1e-5, "{found:?} is not {expected:?}");
    }
}

const ROOT2: f32 = std::f32::consts::SQRT_2;

#[test]
fn a_relu_codes_and_costs_what_the_equations_say() {
    let sae = known(Relu::default());
    let z = sae.encode(x());
    near(floats(z.clone()), &[1.0, 3.0, 1.5, 0.0, 0.0, 1.5]);
    near(floats(sae.decode(z)), &[0.5, 7.5, -0.5, 1.5]);
    near(floats(sae.reconstruct(x())), &[0.5, 7.5, -0.5, 1.5]);
    // Errors [1.5, -5.5] and [0.5, -1.5]; norms 1, 2 and sqrt(2).
    let loss = sae.loss(&x(), &x(), &Strength::of(0.1));
    assert_eq!(one(loss.squared_error), 17.5);
    let cost = 0.5 * (7.0 + 3.0 * ROOT2);
    near(
        [one(loss.sparsity), one(loss.total)],
        &[0.1 * cost, 17.5 + 0.1 * cost],
    );
    let plain = known(Relu { weighted: false });
    let loss = plain.loss(&x(), &x(), &Strength::of(0.1));
    near([one(loss.sparsity)], &[0.1 * 7.0 / 2.0]);
}

#[test]
fn a_tied_one_reads_with_the_transpose_and_has_no_decoder_bias() {
    let sae = arranged(Relu::default(), Arrangement::Tied);
    let names: Vec<&str> = sae
        .weights()
        .entries()
        .iter()
        .map(|e| e.name.as_str())
        .collect();
    assert_eq!(names, ["b_enc", "W_dec"]);
    let z = sae.encode(rows(&[[1.0, 2.0]]));
    near(floats(z.clone()), &[1.0, 3.0, 1.5]);
    near(floats(sae.decode(z)), &[-0.5, 7.5]);
}

#[test]
fn a_gate_decides_and_the_magnitude_says_how_much() {
    let sae = known(Gated::default());
    // Gates [1, 3, 1.5] and [-1, -1, 1.5]; magnitudes [2, 4, 3] and [-2, 0, 3].
    let z = sae.encode(x());
    near(floats(z), &[2.0, 4.0, 3.0, 0.0, 0.0, 3.0]);
    let loss = sae.loss(&x(), &x(), &Strength::of(1.0));
    // By the gate alone it writes what the ReLU does.
    near([one(loss.auxiliary)], &[17.5]);
    near([one(loss.sparsity)], &[0.5 * (7.0 + 3.0 * ROOT2)]);
    // Codes write [0, 11] and [-2, 3]: errors [2, -9] and [2, -3].
    near([one(loss.squared_error)], &[(4.0 + 81.0 + 4.0 + 9.0) / 2.0]);
}

#[test]
fn the_k_largest_are_compared_plain_or_by_what_they_write() {
    let plain = known(TopK {
        k: 1,
        rescale: false,
    });
    near(floats(plain.encode(x())), &[0.0, 3.0, 0.0, 0.0, 0.0, 1.5]);
    // [1, 6, 1.5 sqrt(2)]: in units of norms.
    let sae = known(TopK::new(2));
    let z = sae.encode(x());
    near(
        floats(z.clone()),
        &[0.0, 6.0, 1.5 * ROOT2, 0.0, 0.0, 1.5 * ROOT2],
    );
    near(floats(sae.decode(z)), &[-0.5, 7.5, -0.5, 1.5]);
    near(
        floats(sae.directions()),
        &[1.0, 0.0, 0.0, 1.0, -1.0 / ROOT2, 1.0 / ROOT2],
    );
}

#[test]
fn a_batch_is_chosen_from_as_a_whole_and_leaves_a_threshold() {
    let kind = BatchTopK {
        rescale: false,
        rate: 0.25,
        ..BatchTopK::new(1.0)
    };
    let sae = known(kind);
    // Of [1, 3, 1.5] and [0, 0, 1.5] two: 3 and the first 1.5.
    let loss = sae.loss(&x(), &x(), &Strength::of(1.0));
    near(floats(loss.codes.clone()), &[0.0, 3.0, 1.5, 0.0, 0.0, 0.0]);
    assert_eq!(one(loss.sparsity), 0.0);
    // In use: what is above the threshold, 0 at first.
    near(floats(sae.encode(x())), &[1.0, 3.0, 1.5, 0.0, 0.0, 1.5]);
    let after = sae.follow(Some(1.5)).follow(Some(1.5));
    near(floats(after.weights().get::<1>("threshold")), &[0.65625; 3]);
    let mut later = after;
    for _ in 0..6 {
        later = later.follow(Some(1.5));
    }
    near(floats(later.encode(x())), &[0.0, 3.0, 1.5, 0.0, 0.0, 1.5]);
    // A batch without activity leaves it alone.
    let idle = later.follow(None);
    assert_eq!(later.weights().to_host(), idle.weights().to_host());
    assert_eq!(
        known(TopK::new(1))
            .follow(Some(1.5))
            .weights()
            .entries()
            .len(),
        4
    );
}

#[test]
fn prefixes_of_a_matryoshka_reconstruct_alone() {
    let kind = Matryoshka {
        rescale: false,
        ..Matryoshka::new(1.0, vec![1, 2])
    };
    let sae = known(kind);
    let loss = sae.loss(&x(), &x(), &Strength::of(1.0));
    // Codes [0, 3, 1.5] and 0. Latent 0 alone writes [1, 0] and [1, 0], the first two [1, 6] and
    // [1, 0], all [-0.5, 7.5] and [1, 0].
    near(
        [one(loss.auxiliary)],
        &[(1.0 + 4.0 + 1.0) / 2.0 + (1.0 + 16.0 + 1.0) / 2.0],
    );
    near([one(loss.squared_error)], &[(6.25 + 30.25 + 1.0) / 2.0]);
}

#[test]
fn a_threshold_cuts_and_costs_by_number() {
    let kind = JumpRelu {
        threshold: 1.2,
        bandwidth: 0.5,
        ..JumpRelu::default()
    };
    let sae = known(kind);
    near(floats(sae.encode(x())), &[0.0, 3.0, 1.5, 0.0, 0.0, 1.5]);
    let loss = sae.loss(&x(), &x(), &Strength::of(0.1));
    near(floats(loss.codes), &[0.0, 3.0, 1.5, 0.0, 0.0, 1.5]);
    near([one(loss.sparsity)], &[0.15]);
    let cost = |penalty| {
        one(known(JumpRelu { penalty, ..kind })
            .loss(&x(), &x(), &Strength::of(1.0))
            .sparsity)
    };
    let tanh = |v: f32| (0.2 * v).tanh();
    near(
        [
            cost(L0Penalty::Tanh { scale: 0.2 }),
            cost(L0Penalty::Quadratic { target: 1.0 }),
        ],
        &[0.5 * (tanh(6.0) + 2.0 * tanh(1.5 * ROOT2)), 1.0],
    );
    let below = sae.with_weights(sae.weights().map(|entry| -entry.values.clone()));
    near(
        floats(below.constrained(false).weights().get::<1>("threshold")),
        &[0.0; 3],
    );
}

#[test]
fn a_skip_transcoder_adds_a_linear_map_of_what_it_reads() {
    let skip = arranged(
        Relu::default(),
        Arrangement::Transcoder {
            d_out: 2,
            skip: true,
        },
    );
    // Nothing is subtracted: pre-activations [2, 3, 0.5] and [0, -1, 0.5].
    let z = skip.encode(x());
    near(floats(z.clone()), &[2.0, 3.0, 0.5, 0.0, 0.0, 0.5]);
    near(floats(skip.decode(z)), &[2.5, 6.5, 0.5, 0.5]);
    near(floats(skip.reconstruct(x())), &[4.5, 26.5, 0.5, 0.5]);
    let target = rows(&[[4.0, 26.0], [0.5, 0.5]]);
    near(
        [one(skip.loss(&x(), &target, &Strength::of(0.0)).total)],
        &[0.25],
    );
    let wide = SaeConfig::new(2, 3, Relu::default());
    let wide = wide.arranged(Arrangement::Transcoder {
        d_out: 5,
        skip: true,
    });
    let wide = Sae::init(wide, 0, &Device::flex()).unwrap();
    assert_eq!(wide.reconstruct(x()).dims(), [2, 5]);
    assert_eq!((wide.d_out(), wide.directions().dims()), (5, [3, 5]));
}

#[test]
fn a_crosscoder_weighs_a_latent_by_the_sum_of_its_parts() {
    let sae = arranged(Relu::default(), Arrangement::Crosscoder { parts: 2 });
    // Parts of one channel: norms 1, 2 and 1 + 1.
    near(floats(sae.decoder_norms()), &[1.0, 2.0, 2.0]);
    let loss = sae.loss(&x(), &x(), &Strength::of(1.0));
    near([one(loss.sparsity)], &[(1.0 + 6.0 + 3.0 + 3.0) / 2.0]);
}

#[test]
fn dead_latents_reconstruct_what_the_living_left() {
    let sae = known(TopK {
        k: 1,
        rescale: false,
    });
    let dead = [true, false, true];
    let loss = |revival| {
        let strength = Strength {
            sparsity: 0.0,
            revival,
            dead: Some(&dead),
        };
        one(sae.loss(&x(), &x(), &strength).revival)
    };
    // Latents 1 and 2 write [1, 6] and [-0.5, 1.5]; left are [1, -4] and [0.5, -1.5].
    // The larger dead one is latent 2, 1.5 in both: it writes [-1.5, 1.5].
    let aux = ((2.5f32).powi(2) + (5.5f32).powi(2) + 4.0 + 9.0) / 2.0;
    let coefficient = 0.5;
    near(
        [loss(Revival::AuxK {
            k: None,
            coefficient,
        })],
        &[0.5 * aux],
    );
    // Both are asked for and there are two: with latent 0, [-0.5, 1.5] and [-2.5, 1.5].
    let both = (2.25f32 + 30.25 + 9.0 + 9.0) / 2.0;
    near(
        [loss(Revival::AuxK {
            k: Some(4),
            coefficient,
        })],
        &[0.5 * 0.5 * both],
    );
    // Ghosts weigh as much as the squared error: (17 + 2.5) / 2.
    let ghost = loss(Revival::Ghost { coefficient });
    assert!((ghost - 0.5 * 9.75).abs() < 1e-4, "{ghost}");
    // Below 0 are latents 0 and 1 of the second sample; dead and short is latent 0, of norm 1.
    near([loss(Revival::PreActivation { coefficient })], &[0.5 * 0.5]);
    let alive = Strength {
        sparsity: 0.0,
        revival: Revival::Ghost { coefficient },
        dead: Some(&[false; 3]),
    };
    assert_eq!(one(sae.loss(&x(), &x(), &alive).revival), 0.0);
}

#[test]
fn a_scaled_dictionary_is_the_plain_one_of_scaled_activations() {
    let plain = known(Relu::default());
    let mut config = plain.config().clone();
    config.normalization = Normalization::ExpectedAverage { scale: 2.0 };
    let scaled = Sae::of(config, plain.weights().clone());
    let half = x() / 2.0;
    near(
        floats(scaled.encode(half.clone())),
        &floats(plain.encode(x())),
    );
    near(
        floats(scaled.reconstruct(half.clone()) * 2.0),
        &floats(plain.reconstruct(x())),
    );
    near(
        floats(scaled.directions() * 2.0),
        &floats(plain.directions()),
    );
    let strength = Strength::of(0.3);
    let total = |sae: &Sae, x: &Tensor<2>| one(sae.loss(x, x, &strength).total);
    near([total(&scaled, &half)], &[total(&plain, &x())]);
}

#[test]
fn decoder_norms_fold_into_the_encoder_and_change_no_reconstruction() {
    let jump = JumpRelu {
        threshold: 1.2,
        ..JumpRelu::default()
    };
    let kinds: [Kind; 4] = [
        Relu::default().into(),
        Gated::default().into(),
        jump.into(),
        TopK::new(2).into(),
    ];
    for kind in kinds {
        let sae = known(kind);
        let folded = sae.fold_decoder_norms().unwrap();
        near(floats(folded.decoder_norms()), &[1.0; 3]);
        near(
            floats(folded.reconstruct(x())),
            &floats(sae.reconstruct(x())),
        );
    }
    let error = known(TopK {
        k: 1,
        rescale: false,
    })
    .fold_decoder_norms()
    .unwrap_err();
    assert!(error.to_string().starts_with("rescale is false"), "{error}");
}

#[test]
fn initial_weights_follow_the_seed_and_the_norm() {
    let config = SaeConfig::new(8, 24, Relu::default());
    let device = Device::flex();
    let sae = Sae::init(config.clone(), 3, &device).unwrap();
    near(floats(sae.decoder_norms()), &[1.0; 24]);
    let decoder = sae.weights().get::<2>("W_dec");
    assert_eq!(floats(sae.encoder()), floats(decoder.transpose()));
    let again = Sae::init(config.clone(), 3, &device).unwrap();
    assert_eq!(sae.weights().to_host(), again.weights().to_host());
    let other = Sae::init(config.clone(), 4, &device).unwrap();
    assert_ne!(sae.weights().to_host(), other.weights().to_host());
    let initial = Initial {
        decoder_norm: Some(0.1),
        centre: Some(vec![2.0; 8]),
    };
    let sae = Sae::init_with(config.clone(), &initial, 3, &device).unwrap();
    near(floats(sae.decoder_norms()), &[0.1; 24]);
    near(floats(sae.weights().get::<1>("b_dec")), &[2.0; 8]);
    let wrong = Initial {
        centre: Some(vec![2.0; 7]),
        ..initial
    };
    let error = Sae::init_with(config, &wrong, 3, &device).unwrap_err();
    assert_eq!(
        error.to_string(),
        "centre is 7 numbers, must be 8 finite numbers"
    );
}

#[test]
fn codes_that_were_changed_are_written_in_the_units_of_what_was_read() {
    let mut config = known(Relu::default()).config().clone();
    config.normalization = Normalization::LayerNorm;
    let sae = Sae::of(config, known(Relu::default()).weights().clone());
    // Mean 3, deviation sqrt(2): read as [-1, 1] / sqrt(2).
    let x = rows(&[[2.0, 4.0]]);
    let none = Tensor::zeros([1, 3], &Device::flex());
    // The bias alone is [1, 0].
    near(floats(sae.decode(none.clone())), &[1.0, 0.0]);
    near(floats(sae.decode_at(none, &x)), &[3.0 + ROOT2, 3.0]);
    let z = sae.encode(x.clone());
    near(floats(sae.decode_at(z, &x)), &floats(sae.reconstruct(x)));
}

#[test]
fn a_schedule_changes_settings_and_no_weights() {
    let sae = known(TopK::new(2));
    let one = sae.with_kind(TopK::new(1)).unwrap();
    assert_eq!(one.weights().to_host(), sae.weights().to_host());
    near(
        floats(one.encode(x())),
        &[0.0, 6.0, 0.0, 0.0, 0.0, 1.5 * ROOT2],
    );
    assert!(
        sae.with_kind(TopK::new(4))
            .unwrap_err()
            .to_string()
            .starts_with("k is 4")
    );
    let error = sae.with_kind(Relu::default()).unwrap_err().to_string();
    assert_eq!(error, "kind is relu, must be top-k, as the dictionary is");
}

fn every_kind() -> Vec<Kind> {
    vec![
        Relu::default().into(),
        Gated::default().into(),
        TopK::new(2).into(),
        BatchTopK::new(1.5).into(),
        Matryoshka::new(1.5, vec![1, 2]).into(),
        JumpRelu::default().into(),
    ]
}

#[test]
fn what_is_made_of_a_sample_does_not_depend_on_the_others() {
    let x = rows(&[[2.0, 2.0], [0.0, 0.0], [-1.0, 0.4], [0.3, 5.0]]);
    for kind in every_kind() {
        let sae = known(kind);
        let whole = floats(sae.reconstruct(x.clone()));
        for at in 0..4 {
            let alone = sae.reconstruct(x.clone().narrow(0, at, 1));
            near(floats(alone), &whole[2 * at..2 * at + 2]);
        }
    }
}

#[test]
fn codes_are_at_least_0_and_nan_stays_where_it_is() {
    let x = rows(&[[f32::NAN, 1.0], [0.3, -5.0]]);
    for kind in every_kind() {
        let codes = floats(known(kind.clone()).encode(x.clone()));
        assert!(
            codes[3..].iter().all(|&code| code >= 0.0),
            "{kind:?}: {codes:?}"
        );
    }
}

#[test]
fn weights_beyond_memory_are_refused() {
    let config = SaeConfig::new(1 << 20, 1 << 20, Relu::default());
    let error = Sae::init(config, 0, &Device::flex())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("1099511627776, must be at most 2147483648"),
        "{error}"
    );
}
