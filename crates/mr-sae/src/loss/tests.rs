//! Gradients of every loss against central differences, and of what has no derivative against the
//! formula of its pseudo-derivative.

use burn::tensor::{Device, Tensor, TensorData};
use mr_models::floats;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::config::{Arrangement, SaeConfig};
use crate::dictionary::Dictionary;
use crate::kind::{BatchTopK, Gated, JumpRelu, Kind, L0Penalty, Matryoshka, Relu, TopK};
use crate::loss::Strength;
use crate::normalization::Normalization;
use crate::revival::Revival;
use crate::sae::Sae;

const SAMPLES: usize = 6;
const WIDTH: usize = 4;
const LATENTS: usize = 6;

fn drawn(rng: &mut ChaCha8Rng, count: usize) -> Vec<f32> {
    (0..count).map(|_| rng.random_range(-1.0f32..1.0)).collect()
}

fn tensor(values: Vec<f32>, shape: [usize; 2]) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}

/// A dictionary with nothing at zero, activations and what is to be made of them.
fn drawn_case(config: SaeConfig, seed: u64) -> (Sae, Tensor<2>, Tensor<2>) {
    let device = Device::flex();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let sae = Sae::init(config, 0, &device).unwrap();
    let sae = sae.with_weights(sae.weights().map(|entry| {
        let count = entry.shape.iter().product();
        let values = drawn(&mut rng, count);
        let values = match entry.name.as_str() {
            "threshold" => values.into_iter().map(|v| 0.2 + 0.1 * v).collect(),
            _ => values,
        };
        Tensor::from_data(TensorData::new(values, [count]), &device)
    }));
    let x = tensor(drawn(&mut rng, SAMPLES * WIDTH), [SAMPLES, WIDTH]);
    let target = if sae.config().writes_what_it_reads() {
        x.clone()
    } else {
        tensor(
            drawn(&mut rng, SAMPLES * sae.d_out()),
            [SAMPLES, sae.d_out()],
        )
    };
    (sae, x, target)
}

/// The dictionary with one number of a weight moved.
fn moved(sae: &Sae, name: &str, at: usize, by: f32) -> Sae {
    let entry = sae
        .weights()
        .entries()
        .iter()
        .find(|entry| entry.name == name);
    let mut values = floats(entry.unwrap().values.clone());
    values[at] += by;
    let mut weights = sae.weights().clone();
    weights.set(
        name,
        Tensor::from_floats(values.as_slice(), &Device::flex()),
    );
    sae.with_weights(weights)
}

/// On which side of its kinks each latent is, and which are chosen.
fn sides(sae: &Sae, x: &Tensor<2>, target: &Tensor<2>) -> Vec<bool> {
    let (projection, _) = sae.project(x.clone());
    let mut values = floats(sae.loss(x, target, &Strength::of(0.0)).codes);
    values.extend(floats(sae.pre_activations(x.clone())));
    if sae.weights().contains("b_gate") {
        let gate = sae.per_latent("b_gate", projection.dims());
        values.extend(floats(projection + gate));
    }
    values.into_iter().map(|value| value > 0.0).collect()
}

/// Compares the gradient of each weight but those of `except` with central differences of the total, in
/// the first drawn case where no difference steps over a kink.
fn differences(config: SaeConfig, strength: &Strength, except: &[&str]) {
    let step = 2e-3;
    let places = |sae: &Sae| -> Vec<(String, usize)> {
        let entries = sae.weights().entries().iter();
        let wanted = entries.filter(|e| e.trainable && !except.contains(&e.name.as_str()));
        wanted
            .flat_map(|e| (0..e.shape.iter().product()).map(|at| (e.name.clone(), at)))
            .collect()
    };
    let (sae, x, target) = (5..200)
        .map(|seed| drawn_case(config.clone(), seed))
        .find(|(sae, x, target)| {
            let here = sides(sae, x, target);
            places(sae).iter().all(|(name, at)| {
                [-step, step]
                    .iter()
                    .all(|&by| sides(&moved(sae, name, *at, by), x, target) == here)
            })
        })
        .expect("some case is off its kinks");
    let tracked = sae.with_weights(sae.weights().tracked());
    let total = tracked.loss(&x, &target, strength).total;
    let mut gradients = total.backward();
    let gradients = tracked.weights().gradients(&mut gradients);
    let named: Vec<(String, Vec<f32>)> = sae
        .weights()
        .entries()
        .iter()
        .zip(gradients)
        .map(|(entry, gradient)| {
            let zeros = || vec![0.0; entry.shape.iter().product()];
            (entry.name.clone(), gradient.map_or_else(zeros, floats))
        })
        .collect();
    let value = |sae: &Sae| f64::from(floats(sae.loss(&x, &target, strength).total)[0]);
    let places = places(&sae);
    let mut steep = 0;
    for (name, at) in &places {
        let slope = named.iter().find(|(other, _)| other == name).unwrap().1[*at];
        let difference =
            value(&moved(&sae, name, *at, step)) - value(&moved(&sae, name, *at, -step));
        let found = difference / f64::from(2.0 * step);
        assert!(
            (found - f64::from(slope)).abs() < 5e-3 * f64::from(slope).abs().max(1.0),
            "{config:?}: `{name}`[{at}] has slope {slope}, differences give {found}"
        );
        steep += usize::from(slope != 0.0);
    }
    assert!(
        3 * steep > places.len(),
        "of {} slopes of {config:?} only {steep} are not zero",
        places.len()
    );
}

fn kinds() -> Vec<Kind> {
    let penalty = L0Penalty::Tanh { scale: 0.7 };
    vec![
        Relu::default().into(),
        Relu { weighted: false }.into(),
        // A frozen decoder is no derivative.
        Gated {
            frozen_decoder: false,
        }
        .into(),
        TopK::new(2).into(),
        TopK {
            k: 3,
            rescale: false,
        }
        .into(),
        BatchTopK::new(2.4).into(),
        Matryoshka::new(2.5, vec![2, 3]).into(),
        JumpRelu {
            penalty,
            ..JumpRelu::default()
        }
        .into(),
    ]
}

#[test]
fn gradients_of_every_kind_are_those_of_differences() {
    let arrangements = [
        Arrangement::Autoencoder,
        Arrangement::Tied,
        Arrangement::Transcoder {
            d_out: 3,
            skip: true,
        },
        Arrangement::Crosscoder { parts: 2 },
    ];
    for arrangement in arrangements {
        for kind in kinds() {
            let config = SaeConfig::new(WIDTH, LATENTS, kind).arranged(arrangement);
            differences(config, &Strength::of(0.3), &["threshold"]);
        }
    }
}

#[test]
fn gradients_through_normalisations_are_those_of_differences() {
    for normalization in [
        Normalization::ExpectedAverage { scale: 1.7 },
        Normalization::ConstantNorm,
        Normalization::LayerNorm,
    ] {
        let mut config = SaeConfig::new(WIDTH, LATENTS, TopK::new(3));
        config.normalization = normalization;
        differences(config, &Strength::of(0.3), &[]);
    }
}

#[test]
fn gradients_of_terms_for_the_dead_are_those_of_differences_where_they_are_derivatives() {
    let dead = [true, false, true, true, false, false];
    let strength = |revival| Strength {
        sparsity: 0.1,
        revival,
        dead: Some(&dead),
    };
    let config = SaeConfig::new(WIDTH, LATENTS, Relu::default());
    differences(
        config.clone(),
        &strength(Revival::PreActivation { coefficient: 0.5 }),
        &[],
    );
    // What is left is a constant to gradients: differences of the term alone, with residuals held, are
    // those of a dictionary whose other terms do not move, which the decoder's bias and the living
    // move. The dead latents' encoder moves the term only, if they are not active otherwise.
    let (sae, x, _) = drawn_case(config, 9);
    let mut weights = sae.weights().clone();
    let far = Tensor::from_floats([-9.0, 0.3, -9.0, -9.0, 0.2, 0.4], &Device::flex());
    weights.set("b_enc", far);
    let sae = sae.with_weights(weights);
    let strength = strength(Revival::AuxK {
        k: Some(2),
        coefficient: 0.5,
    });
    let tracked = sae.with_weights(sae.weights().tracked());
    let loss = tracked.loss(&x, &x, &strength);
    let mut gradients = loss.total.backward();
    let slopes = tracked.weights().gradients(&mut gradients);
    let at = sae
        .weights()
        .entries()
        .iter()
        .position(|e| e.name == "b_enc")
        .unwrap();
    let slopes = floats(slopes[at].clone().unwrap());
    for (latent, &slope) in slopes
        .iter()
        .enumerate()
        .filter(|(latent, _)| dead[*latent])
    {
        let term = |by: f32| {
            let loss = moved(&sae, "b_enc", latent, by).loss(&x, &x, &strength);
            f64::from(floats(loss.revival)[0])
        };
        let found = (term(0.01) - term(-0.01)) / 0.02;
        let off = (found - f64::from(slope)).abs();
        assert!(
            off < 5e-3 * found.abs().max(1.0),
            "{latent}: {slope}, differences give {found}"
        );
    }
}

/// W_dec = [[1, 0], [0, 2], [-1, 1]], W_enc = [[1, 0, -1], [0, 2, 1]], b_dec = [1, 0],
/// b_enc = [0, -1, 0.5], thresholds 1.2: pre-activations [1, 3, 1.5] and [-1, -1, 1.5], codes [0, 3, 1.5]
/// and [0, 0, 1.5], errors [-2.5, 5.5] and [-0.5, 1.5].
fn slopes(to_input: bool) -> (Vec<f32>, Vec<f32>) {
    let device = Device::flex();
    let kind = JumpRelu {
        threshold: 1.2,
        bandwidth: 1.0,
        to_input,
        ..JumpRelu::default()
    };
    let sae = Sae::init(SaeConfig::new(2, 3, kind), 0, &device).unwrap();
    let sae = sae.with_weights(sae.weights().map(|entry| {
        let values: &[f32] = match entry.name.as_str() {
            "W_dec" => &[1.0, 0.0, 0.0, 2.0, -1.0, 1.0],
            "W_enc" => &[1.0, 0.0, -1.0, 0.0, 2.0, 1.0],
            "b_dec" => &[1.0, 0.0],
            "b_enc" => &[0.0, -1.0, 0.5],
            _ => return entry.values.clone(),
        };
        Tensor::from_floats(values, &device)
    }));
    let x = tensor(vec![2.0, 2.0, 0.0, 0.0], [2, 2]);
    let tracked = sae.with_weights(sae.weights().tracked());
    let total = tracked.loss(&x, &x, &Strength::of(0.1)).total;
    let gradients = tracked.weights().gradients(&mut total.backward());
    let of = |name: &str| {
        let at = sae.weights().entries().iter().position(|e| e.name == name);
        floats(gradients[at.unwrap()].clone().unwrap())
    };
    (of("threshold"), of("b_enc"))
}

#[test]
fn thresholds_get_the_pseudo_derivatives_of_the_paper() {
    // Slopes by codes: -2.5, 11, 8 and -0.5, 3, 2. Within half a bandwidth of the threshold are 1 and
    // both 1.5: -1.2 / 1 times the slope, and -0.1 / 2 of the penalty for each.
    let near = |found: Vec<f32>, expected: [f32; 3]| {
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() < 1e-4, "{found:?} is not {expected:?}");
        }
    };
    let (threshold, bias) = slopes(false);
    near(threshold, [2.95, 0.0, -12.1]);
    near(bias, [0.0, 11.0, 10.0]);
    let (threshold, bias) = slopes(true);
    near(threshold, [2.95, 0.0, -12.1]);
    near(bias, [-2.95, 11.0, 22.1]);
}

#[test]
fn a_frozen_decoder_gets_nothing_from_the_gate() {
    let slope = |frozen_decoder: bool| {
        let config = SaeConfig::new(WIDTH, LATENTS, Gated { frozen_decoder });
        let (sae, x, _) = drawn_case(config, 5);
        let tracked = sae.with_weights(sae.weights().tracked());
        let auxiliary = tracked.loss(&x, &x, &Strength::of(0.0)).auxiliary;
        let mut gradients = auxiliary.backward();
        let gradients = tracked.weights().gradients(&mut gradients);
        let at = sae
            .weights()
            .entries()
            .iter()
            .position(|e| e.name == "W_dec");
        gradients[at.unwrap()]
            .clone()
            .map_or(0.0, |g| floats(g.abs().sum())[0])
    };
    assert_eq!(slope(true), 0.0);
    assert!(slope(false) > 0.1);
}

#[test]
fn a_projected_gradient_turns_rows_and_does_not_lengthen_them() {
    let rows = tensor(vec![3.0, 4.0, 0.0, 0.0], [2, 2]);
    let gradient = tensor(vec![1.0, 2.0, 5.0, 6.0], [2, 2]);
    let left = floats(crate::off_rows(gradient, rows.clone()));
    // (1, 2) . (0.6, 0.8) = 2.2.
    for (a, b) in left.iter().zip([1.0 - 1.32, 2.0 - 1.76, 5.0, 6.0]) {
        assert!((a - b).abs() < 1e-5, "{left:?}");
    }
    let unit = floats(crate::unit_rows(rows));
    for (a, b) in unit.iter().zip([0.6, 0.8, 0.0, 0.0]) {
        assert!((a - b).abs() < 1e-6, "{unit:?}");
    }
}

#[test]
fn gradients_of_reconstructions_reach_the_input() {
    for kind in kinds() {
        let config = SaeConfig::new(WIDTH, LATENTS, kind);
        let (sae, x, _) = drawn_case(config.clone(), 11);
        let input = x.clone().autodiff().require_grad();
        let value = sae.reconstruct(input.clone()).square().sum();
        let mut gradients = value.backward();
        let slopes = floats(input.grad_remove(&mut gradients).unwrap());
        let step = 1e-3;
        let here = floats(sae.encode(x.clone()));
        let mut compared = 0;
        for (at, &slope) in slopes.iter().enumerate() {
            let moved = |by: f32| {
                let mut values = floats(x.clone());
                values[at] += by;
                let x = tensor(values, [SAMPLES, WIDTH]);
                let codes = floats(sae.encode(x.clone()));
                let same = codes
                    .iter()
                    .zip(&here)
                    .all(|(a, b)| (*a > 0.0) == (*b > 0.0));
                let value = f64::from(floats(sae.reconstruct(x).square().sum())[0]);
                same.then_some(value)
            };
            // Over a kink there is no derivative.
            let (Some(above), Some(below)) = (moved(step), moved(-step)) else {
                continue;
            };
            let found = (above - below) / f64::from(2.0 * step);
            let off = (found - f64::from(slope)).abs();
            assert!(
                off < 1e-2 * f64::from(slope).abs().max(1.0),
                "{config:?}: {at} has slope {slope}, differences give {found}"
            );
            compared += 1;
        }
        assert!(
            compared + 4 >= slopes.len(),
            "{config:?}: only {compared} are compared"
        );
    }
}
