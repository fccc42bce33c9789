use std::ops::ControlFlow;
use std::path::Path;

use burn::tensor::Device;
use mr_attacks::{Norm, ThreatModel};
use mr_models::data::{DataConfig, Split, load_sequences};
use mr_models::{Architecture, Mlp, Network, NormKind, Transformer, TransformerInput};

use super::*;
use crate::config::{AdamW, Augmentation, OptimizerConfig, TrainConfig, Validation};
use crate::loss::{Adversarial, LossConfig};
use crate::trainer::{Ending, Trained, Trainer};

fn net(vocabulary: usize, context: usize) -> Network {
    let net = Transformer {
        input: TransformerInput::Tokens {
            vocabulary,
            context,
            token_types: 0,
        },
        layers: 1,
        d_model: 16,
        heads: 2,
        d_mlp: 32,
        norm: NormKind::None,
        final_norm: false,
        ..Transformer::default()
    };
    Network::init(Architecture::Transformer(net), 0, &Device::flex()).unwrap()
}

fn sums(split: Split) -> Sequences {
    let config = DataConfig {
        vocabulary: Some(6),
        limit: Some(300),
        ..DataConfig::named("modular-addition")
    };
    load_sequences(&config, split).unwrap()
}

fn config() -> TrainConfig {
    TrainConfig {
        epochs: Some(2),
        batch_size: 32,
        optimizer: OptimizerConfig::AdamW(AdamW {
            lr: 1e-2,
            ..AdamW::default()
        }),
        validation: Some(Validation {
            examples: 40,
            ..Validation::default()
        }),
        ..TrainConfig::default()
    }
}

fn train(config: TrainConfig, folder: Option<&Path>, until: usize) -> Trained {
    let data = sums(Split::Train);
    let mut trainer = Trainer::new(config, net(6, 3), &data).unwrap();
    if let Some(folder) = folder {
        trainer = trainer.resume_or_start(folder).unwrap();
    }
    let run = trainer.run(&mut |now| match now.step {
        step if step == until => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    run.unwrap()
}

#[test]
fn a_language_model_learns_sums_and_is_judged_by_their_answers() {
    let config = TrainConfig {
        epochs: Some(30),
        ..config()
    };
    let before = Foretold::of(&net(6, 3), &sums(Split::Test)).unwrap();
    let trained = train(config, None, usize::MAX);
    let after = Foretold::of(&trained.network, &sums(Split::Test)).unwrap();
    assert_eq!((before.tokens, after.tokens), (300, 300));
    assert!(
        (before.bits_per_token - 6_f64.log2()).abs() < 1.0,
        "{before:?}"
    );
    assert!(after.right > 270 && after.bits_per_token < 0.5, "{after:?}");
    let judged = &trained.history.judgements;
    assert_eq!((judged.len(), judged[0].examples), (30, 40));
    let bits = judged.iter().filter_map(|at| at.bits_per_token);
    let least = bits.fold(f64::INFINITY, f64::min);
    let kept = judged.iter().find(|at| at.step == trained.step).unwrap();
    assert_eq!(kept.bits_per_token, Some(least), "the best state is kept");
}

#[test]
fn a_killed_run_resumes_to_the_bits_of_an_unkilled_one() {
    let folder = tempfile::tempdir().unwrap();
    let whole = train(config(), None, usize::MAX);
    let killed = train(config(), Some(folder.path()), 9);
    assert_eq!(killed.ending, Ending::Stopped);
    let resumed = train(config(), Some(folder.path()), usize::MAX);
    let weights = |trained: &Trained| trained.network.weights().to_host();
    assert_eq!(weights(&whole), weights(&resumed));
    assert_eq!(whole.history, resumed.history);
}

#[test]
fn an_even_guess_costs_the_logarithm_of_the_vocabulary() {
    let mut even = net(6, 3);
    let nothing = even.weights().to_host().into_iter();
    let nothing = nothing.map(|(name, shape, values)| (name, shape, vec![0.0; values.len()]));
    even = Network::with_weights(
        mr_models::Architecture::clone(even.architecture()),
        nothing.collect(),
        &Device::flex(),
    )
    .unwrap();
    let data = sums(Split::Test);
    let found = Foretold::of(&even, &data).unwrap();
    assert!(
        (found.bits_per_token - 6_f64.log2()).abs() < 1e-6,
        "{found:?}"
    );
    // Of equal logits the lowest token is the likeliest.
    let zeros = (0..data.len())
        .filter(|&row| data.tokens(row)[3] == 0)
        .count();
    assert_eq!(found.right, zeros);
}

#[test]
fn what_is_generated_depends_on_the_seed_and_not_on_what_was_forgotten() {
    let net = net(6, 3);
    let of = |prompt: &[usize], temperature, seed| {
        generate(&net, prompt, 20, temperature, seed, &mut |_, _| {}).unwrap()
    };
    let first = of(&[1, 2, 3], 1.0, 0);
    assert_eq!(first.len(), 20);
    assert_eq!(first, of(&[5, 0, 1, 2, 3], 1.0, 0));
    assert_ne!(first, of(&[1, 2, 3], 1.0, 1));
    assert_eq!(of(&[1, 2, 3], 0.0, 0), of(&[1, 2, 3], 0.0, 1));
    let said = |prompt: &[usize], temperature| {
        let made = generate(&net, prompt, 2, temperature, 0, &mut |_, _| {});
        made.unwrap_err().to_string()
    };
    assert!(said(&[], 1.0).contains("at least one token"));
    assert!(said(&[6], 1.0).contains("token 6"));
    assert!(said(&[1], -1.0).contains("temperature is -1"));
}

#[test]
fn what_does_not_fit_is_told() {
    let data = sums(Split::Train);
    let said = |config, net| {
        let made = Trainer::new(config, net, &data);
        made.err().unwrap().to_string()
    };
    assert!(said(config(), net(5, 3)).contains("6 different tokens, the model knows 5"));
    assert!(said(config(), net(6, 2)).contains("sequences of 3 tokens, the model takes up to 2"));
    let mlp = Network::init(Architecture::Mlp(Mlp::default()), 0, &Device::flex()).unwrap();
    assert!(said(config(), mlp).contains("the model takes real values"));
    let adversarial = TrainConfig {
        loss: LossConfig::Adversarial(Adversarial::default()),
        ..config()
    };
    assert!(said(adversarial, net(6, 3)).contains("only the loss `cross-entropy`"));
    let turned = TrainConfig {
        augmentation: Augmentation {
            flip: true,
            ..Augmentation::default()
        },
        ..config()
    };
    assert!(said(turned, net(6, 3)).contains("no images"));
    let attacked = TrainConfig {
        validation: Some(Validation {
            examples: 10,
            threat: Some(ThreatModel::new(Norm::Linf, 0.1)),
            ..Validation::default()
        }),
        ..config()
    };
    assert!(said(attacked, net(6, 3)).contains("validation.threat"));
}
