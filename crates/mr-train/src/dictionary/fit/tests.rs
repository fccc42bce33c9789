use burn::tensor::Tensor;
use mr_models::data::SparseFeatures;
use mr_models::floats;
use mr_sae::{
    Arrangement, BatchTopK, Dictionary, Gated, JumpRelu, Kind, Matryoshka, Normalization, Relu,
    Revival, SaeConfig, TopK,
};

use super::super::{Activations, InMemory};
use super::*;

/// Sparse features along ten axes.
fn axes(count: usize) -> Activations {
    let features = SparseFeatures::new(10, 0.2, 0).unwrap();
    Activations::new(features.batch(0, count), 10).unwrap()
}

fn plan(name: &str, kind: impl Into<Kind>, fit: FitConfig) -> Plan {
    Plan {
        name: name.into(),
        dictionary: SaeConfig::new(10, 24, kind),
        fit,
    }
}

fn short(steps: usize) -> FitLength {
    FitLength {
        steps,
        batch_size: 100,
        report: 50,
        checkpoint: 20,
        early_stop: None,
    }
}

fn run(plans: &[Plan], length: &FitLength, folder: Option<&Path>, stop: Option<usize>) -> Fitted {
    let samples = axes(1000);
    let stream = InMemory {
        activations: &samples,
        seed: 1,
    };
    let means = Means::Host(Workers::new(2));
    let mut tell = |progress: FitProgress<'_>| match stop {
        Some(step) if progress.step == step => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    fit(
        plans,
        length,
        &stream,
        folder,
        means,
        &Device::flex(),
        &mut tell,
    )
    .unwrap()
}

fn kinds() -> Vec<Plan> {
    let fit = |sparsity| FitConfig {
        sparsity,
        lr: 3e-3,
        ..FitConfig::default()
    };
    vec![
        plan("relu", Relu::default(), fit(0.1)),
        plan("gated", Gated::default(), fit(0.1)),
        plan("top-k", TopK::new(2), fit(0.0)),
        plan("batch", BatchTopK::new(2.0), fit(0.0)),
        plan("jump", JumpRelu::default(), fit(0.02)),
        plan("nested", Matryoshka::new(2.0, vec![12]), fit(0.0)),
    ]
}

/// Kinds whose coefficient follows L0.
fn steered() -> Vec<Plan> {
    let fit = FitConfig {
        l0: Some(1.5),
        sparsity: 0.1,
        sparsity_warmup: 200,
        decay: 150,
        lr: 3e-3,
        ..FitConfig::default()
    };
    vec![
        plan("relu to 1.5", Relu::default(), fit.clone()),
        plan("gated to 1.5", Gated::default(), fit.clone()),
        plan("jump to 1.5", JumpRelu::default(), fit),
    ]
}

#[test]
fn the_coefficient_follows_l0_to_what_is_wanted() {
    let fitted = run(&steered(), &short(600), None, None);
    for found in &fitted.dictionaries {
        let last = found.reports[11];
        let name = &found.plan.name;
        assert!((last.l0 / 1.5 - 1.0).abs() < 0.03, "{name}: {last:?}");
        assert!(last.explained > 0.3, "{name}: {last:?}");
        // In the end it stays, and is not what it began with.
        assert!((last.coefficient - 0.1).abs() > 1e-3, "{name}: {last:?}");
    }
    let stop = FitLength {
        early_stop: Some(EarlyStop::default()),
        ..short(10)
    };
    let samples = axes(200);
    let stream = InMemory {
        activations: &samples,
        seed: 0,
    };
    let error = fit_error(&steered(), &stop, &stream, None, on_host());
    assert!(error.starts_with("l0 is 1.5"), "{error}");
}

#[test]
fn every_kind_learns_from_one_stream() {
    let fitted = run(&kinds(), &short(400), None, None);
    assert!(!fitted.interrupted && fitted.steps == 400);
    for found in &fitted.dictionaries {
        let (first, last) = (found.reports[0], found.reports[7]);
        let name = &found.plan.name;
        assert_eq!((first.step, last.step), (50, 400));
        assert!(last.loss < 0.7 * first.loss, "{name}: {first:?} {last:?}");
        assert!(
            last.explained > 0.6 && last.explained < 1.0,
            "{name}: {last:?}"
        );
        assert!(last.l0 > 0.5 && last.l0 < 8.0, "{name}: {last:?}");
        let rows = found.sae.decoder_norms();
        for norm in floats(rows) {
            assert!((norm - 1.0).abs() < 1e-5, "{name}: a row of norm {norm}");
        }
    }
}

#[test]
fn a_killed_fit_goes_on_to_the_same_bits() {
    let fit = FitConfig {
        warmup: 10,
        decay: 10,
        normalize: true,
        centre: Centre::GeometricMedian,
        revival: Revival::AuxK {
            k: Some(4),
            coefficient: 0.1,
        },
        dead_after: 500,
        resample: Some(Resample {
            every: 15,
            until: 60,
            share: 0.2,
        }),
        ..FitConfig::default()
    };
    let mut plans = kinds();
    plans.extend(steered());
    plans.push(plan("all", TopK::new(1), fit.clone()));
    plans.push(plan(
        "k",
        TopK::new(2),
        FitConfig {
            first_k: Some(6.0),
            k_warmup: 50,
            ..fit
        },
    ));
    let length = short(70);
    let whole = run(&plans, &length, None, None);
    let folder = tempfile::tempdir().unwrap();
    let part = run(&plans, &length, Some(folder.path()), Some(33));
    assert!(part.interrupted && part.steps == 33);
    let rest = run(&plans, &length, Some(folder.path()), None);
    assert_eq!((rest.steps, rest.interrupted), (70, false));
    for (a, b) in whole.dictionaries.iter().zip(&rest.dictionaries) {
        assert_eq!(
            a.sae.weights().to_host(),
            b.sae.weights().to_host(),
            "{}",
            a.plan.name
        );
        assert_eq!(
            (&a.reports, &a.idle),
            (&b.reports, &b.idle),
            "{}",
            a.plan.name
        );
        assert_eq!(a.sae.config(), b.sae.config());
    }
    // A fit that is done gives what it gave.
    let again = run(&plans, &length, Some(folder.path()), None);
    let weights = |fitted: &Fitted| fitted.dictionaries[9].sae.weights().to_host();
    assert_eq!(weights(&again), weights(&whole));
    let samples = axes(1000);
    let stream = InMemory {
        activations: &samples,
        seed: 2,
    };
    let means = Means::Host(Workers::new(1));
    let other = fit_error(&plans, &length, &stream, Some(folder.path()), means);
    assert!(
        other.contains("stream.seed is 1 there and 2 here"),
        "{other}"
    );
}

fn fit_error(
    plans: &[Plan],
    length: &FitLength,
    stream: &dyn Stream,
    folder: Option<&Path>,
    means: Means,
) -> String {
    let mut tell = |_: FitProgress<'_>| ControlFlow::Continue(());
    let found = super::fit(
        plans,
        length,
        stream,
        folder,
        means,
        &Device::flex(),
        &mut tell,
    );
    found.unwrap_err().to_string()
}

#[test]
fn bits_do_not_depend_on_threads() {
    let samples = axes(600);
    let stream = InMemory {
        activations: &samples,
        seed: 0,
    };
    let weights = |threads| {
        let mut tell = |_: FitProgress<'_>| ControlFlow::Continue(());
        let means = Means::Host(Workers::new(threads));
        let length = FitLength {
            batch_size: 500,
            ..short(5)
        };
        let fitted = fit(
            &kinds(),
            &length,
            &stream,
            None,
            means,
            &Device::flex(),
            &mut tell,
        );
        let fitted = fitted.unwrap();
        let each = fitted.dictionaries.iter();
        each.map(|found| found.sae.weights().to_host())
            .collect::<Vec<_>>()
    };
    assert_eq!(weights(1), weights(3));
}

#[test]
fn dead_latents_are_drawn_anew() {
    let fit = FitConfig {
        dead_after: 300,
        resample: Some(Resample {
            every: 10,
            until: 20,
            share: 0.5,
        }),
        ..FitConfig::default()
    };
    let plan = Plan {
        dictionary: SaeConfig::new(2, 4, TopK::new(1)),
        ..plan("a", TopK::new(1), fit)
    };
    // Nothing of the second sample is missing: the first is drawn, whatever the seed.
    let batch = [3.0, 4.0, 0.0, 0.0];
    let mut state = State::begin(&plan, &batch, 2, &Device::flex()).unwrap();
    state.step(&batch, 2, [0, 40], on_host()).unwrap();
    let before = state.sae.weights().to_host();
    state.idle = vec![0, 299, 300, 0];
    for step in [0, 5, 30] {
        state.resample(step, &batch, 2);
    }
    assert_eq!(state.sae.weights().to_host(), before, "it is not time");
    state.resample(10, &batch, 2);
    let weights = state.sae.weights();
    let centre = floats(weights.get::<1>("b_dec"));
    let way = [3.0 - centre[0], 4.0 - centre[1]];
    let norm = way[0].hypot(way[1]);
    let row = floats(weights.get::<2>("W_dec").narrow(0, 2, 1));
    assert!((row[0] - way[0] / norm).abs() < 1e-5 && (row[1] - way[1] / norm).abs() < 1e-5);
    let encoder = floats(weights.get::<2>("W_enc"));
    let column = |latent: usize| encoder[latent].hypot(encoder[4 + latent]);
    let living = (column(0) + column(1) + column(3)) / 3.0;
    assert!((column(2) - 0.5 * living).abs() < 1e-5);
    assert_eq!(state.idle, [0, 299, 0, 0]);
    let moments = state.optimizer.state(weights);
    let of_rows: Vec<_> = moments
        .tensors
        .iter()
        .filter(|(name, _)| name.starts_with("W_dec"))
        .collect();
    assert!(!of_rows.is_empty());
    for (name, values) in of_rows {
        assert_eq!(values[4..6], [0.0, 0.0], "{name}");
    }
}

#[test]
fn a_transcoder_reads_one_part_and_writes_the_other() {
    // y = 2 x, side by side.
    let features = axes(1000);
    let rows = features.values().chunks(10);
    let both = rows.flat_map(|row| row.iter().copied().chain(row.iter().map(|v| 2.0 * v)));
    let samples = Activations::new(both.collect(), 20).unwrap();
    let stream = InMemory {
        activations: &samples,
        seed: 0,
    };
    let skip = false;
    let mut transcoder = plan(
        "t",
        TopK::new(3),
        FitConfig {
            lr: 3e-3,
            unit_norm: false,
            ..FitConfig::default()
        },
    );
    transcoder.dictionary = transcoder
        .dictionary
        .arranged(Arrangement::Transcoder { d_out: 10, skip });
    let mut tell = |_: FitProgress<'_>| ControlFlow::Continue(());
    let fitted = fit(
        &[transcoder],
        &short(400),
        &stream,
        None,
        on_host(),
        &Device::flex(),
        &mut tell,
    );
    let found = fitted.unwrap().dictionaries.remove(0);
    assert!(found.reports[7].explained > 0.7, "{:?}", found.reports[7]);
    let one = Tensor::<1>::from_floats([0., 0., 1., 0., 0., 0., 0., 0., 0., 0.], &Device::flex());
    let written = floats(found.sae.reconstruct(one.unsqueeze()));
    assert!((written[2] - 2.0).abs() < 0.5, "{written:?}");
}

#[test]
fn a_loss_that_stays_ends_the_fit() {
    let plans = [plan(
        "a",
        TopK::new(2),
        FitConfig {
            lr: 1e-9,
            ..FitConfig::default()
        },
    )];
    let early_stop = Some(EarlyStop {
        patience: 2,
        share: 0.5,
    });
    let length = FitLength {
        early_stop,
        report: 5,
        ..short(100)
    };
    let fitted = run(&plans, &length, None, None);
    assert_eq!(fitted.steps, 15);
}

#[test]
fn scale_and_centre_are_measured_on_the_first_load() {
    let values: Vec<f32> = (0..400)
        .map(|i| if i % 2 == 0 { 3.0 } else { 4.0 })
        .collect();
    let samples = Activations::new(values, 2).unwrap();
    let stream = InMemory {
        activations: &samples,
        seed: 0,
    };
    let plans = [Plan {
        name: "a".into(),
        dictionary: SaeConfig::new(2, 4, TopK::new(1)),
        fit: FitConfig {
            normalize: true,
            centre: Centre::Mean,
            lr: 1e-9,
            ..FitConfig::default()
        },
    }];
    let mut tell = |_: FitProgress<'_>| ControlFlow::Continue(());
    let length = FitLength {
        batch_size: 10,
        ..short(1)
    };
    let fitted = fit(
        &plans,
        &length,
        &stream,
        None,
        on_host(),
        &Device::flex(),
        &mut tell,
    );
    let sae = fitted.unwrap().dictionaries.remove(0).sae;
    let Normalization::ExpectedAverage { scale } = sae.config().normalization else {
        panic!("{:?}", sae.config())
    };
    // Norm 5, and the root of 2 is wanted.
    assert!((scale - 2.0f32.sqrt() / 5.0).abs() < 1e-6);
    let centre = floats(sae.weights().get::<1>("b_dec"));
    assert!((centre[0] - 3.0 * scale).abs() < 1e-5 && (centre[1] - 4.0 * scale).abs() < 1e-5);
}
