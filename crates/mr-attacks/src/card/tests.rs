use burn::tensor::{Device, Tensor};
use mr_models::{Architecture, Mlp, Network};
use mr_sae::{Sae, SaeConfig, TopK};

use super::*;
use crate::{Norm, Pgd};

/// The class of the brightest of the first three pixels, past two hidden layers that repeat the pixels.
fn net() -> Network {
    let device = Device::flex();
    let mlp = Mlp {
        input: [1, 2, 2],
        hidden: vec![6, 6],
        classes: 3,
        ..Mlp::default()
    };
    let mut net = Network::init(Architecture::Mlp(mlp), 0, &device).unwrap();
    let weights = net.weights_mut();
    let mut diagonal = |name: &str, [out, width]: [usize; 2], value: f32| {
        let at = |i: usize| if i / width == i % width { value } else { 0.0 };
        let values: Vec<f32> = (0..out * width).map(at).collect();
        weights.set(
            &format!("{name}.weight"),
            Tensor::from_floats(values.as_slice(), &device),
        );
        weights.set(&format!("{name}.bias"), Tensor::zeros([out], &device));
    };
    diagonal("linear1", [6, 4], 1.0);
    diagonal("linear2", [6, 6], 1.0);
    diagonal("linear3", [3, 6], 4.0);
    net
}

fn data(net: &Network) -> Dataset {
    let bytes: Vec<u8> = (0..24 * 4).map(|i| (i * 37 % 251) as u8).collect();
    let names = || vec!["a".into(), "b".into(), "c".into()];
    let some = Dataset::of_bytes("toy", [1, 2, 2], names(), bytes.clone(), vec![0; 24]).unwrap();
    // What the network says is right, so that there is something to break.
    let all: Vec<usize> = (0..24).collect();
    let said = mr_models::predictions(&net.logits(&some.input(&all, &Device::flex())));
    let labels = said.into_iter().map(|row| row[0]).collect();
    Dataset::of_bytes("toy", [1, 2, 2], names(), bytes, labels).unwrap()
}

fn site(net: &Network) -> String {
    let mut sites = net.spec().sites.iter().filter(|site| site.channels == 6);
    sites.next_back().unwrap().name.clone()
}

fn drawn(batch_size: usize, threads: usize) -> Card {
    let net = net();
    let sae = Sae::init(SaeConfig::new(6, 10, TopK::new(3)), 1, &Device::flex()).unwrap();
    let config = CardConfig {
        epsilons: vec![0.2, 0.5],
        count: 3,
        halvings: 3,
        top: 3,
        points: 64,
        ..CardConfig::default()
    };
    let pgd = Pgd {
        steps: 8,
        ..Pgd::default()
    };
    let running = EvaluationConfig {
        batch_size,
        threads,
        ..EvaluationConfig::default()
    };
    let mut told = Vec::new();
    let card = card(
        &net,
        &data(&net),
        (Arc::new(sae), &site(&net)),
        &ThreatModel::new(Norm::Linf, 0.0),
        &pgd,
        &config,
        &running,
        &mut |done, of| {
            told.push((done, of));
            true
        },
    )
    .unwrap();
    assert_eq!(told.last(), Some(&(10 + 3 * 4, 10 + 3 * 4)));
    card
}

fn mean(examples: &[Moved], of: fn(&Moved) -> f32) -> f32 {
    examples.iter().map(of).sum::<f32>() / examples.len() as f32
}

#[test]
fn attacks_move_what_they_are_against_and_noise_moves_less() {
    let card = drawn(64, 1);
    let of = |against, epsilon| {
        let mut all = card.drifts.iter();
        let one = all.find(|d: &&Drift| d.against == against && d.epsilon == epsilon);
        one.unwrap().examples.as_slice()
    };
    assert!(
        card.clean
            .iter()
            .all(|one| one.change == 0.0 && one.jaccard == 1.0 && one.kl == 0.0)
    );
    assert!(card.clean.iter().all(|one| one.l0 <= 3.0), "k is 3");
    let change = |against| mean(of(against, 0.5), |one| one.change);
    let kl = |against| mean(of(against, 0.5), |one| one.kl);
    assert!(change(Against::Codes) > change(Against::Noise));
    assert!(kl(Against::CodesAlone) < kl(Against::Codes));
    assert!(kl(Against::Output) > kl(Against::Noise));
    assert!(change(Against::OutputAlone) < change(Against::Output));
}

#[test]
fn blame_adds_up() {
    let card = drawn(64, 1);
    assert!(!card.blames.is_empty(), "something breaks");
    for blame in &card.blames {
        let sum = blame.latents + blame.error + blame.completeness_error;
        assert!((sum - blame.change).abs() < 1e-4, "{blame:?}");
        assert!(blame.change > 0.0 && blame.label != blame.adversarial);
        // The last layer is linear but for a ReLU, which the points resolve to a 64th of the way.
        let off = blame.completeness_error.abs() / blame.change;
        assert!(off < 0.05, "{blame:?}");
        let sizes: Vec<f32> = blame.top.iter().map(|one| one.carries.abs()).collect();
        assert!(sizes.len() <= 3 && sizes.is_sorted_by(|a, b| a >= b));
    }
}

#[test]
fn a_flip_is_found_on_the_grid_and_counts_those_that_never_flip() {
    let card = drawn(64, 1);
    for flips in &card.flips {
        for flip in &flips.examples {
            let Some(epsilon) = flip.epsilon else {
                continue;
            };
            let step = epsilon / 0.5 * 8.0;
            assert!((step - step.round()).abs() < 1e-5 && step > 0.5, "{flip:?}");
        }
    }
    let flip = |on, epsilon| Flip {
        index: 0,
        on,
        epsilon,
        by_noise: false,
    };
    let examples = vec![
        flip(true, Some(0.3)),
        flip(true, None),
        flip(true, Some(0.1)),
        flip(false, None),
    ];
    let flips = Flips {
        latent: 0,
        examples,
    };
    assert_eq!(flips.median(true), Some(0.3));
    assert_eq!(flips.median(false), None);
    assert_eq!(flips.radii(true).1, 3);
}

#[test]
fn a_card_does_not_depend_on_batches_or_threads() {
    let (one, other) = (drawn(64, 1), drawn(5, 2));
    let flips = |card: &Card| -> Vec<Vec<Option<f32>>> {
        let of = |flips: &Flips| flips.examples.iter().map(|flip| flip.epsilon).collect();
        card.flips.iter().map(of).collect()
    };
    assert_eq!(flips(&one), flips(&other));
    for (a, b) in one.drifts.iter().zip(&other.drifts) {
        for (a, b) in a.examples.iter().zip(&b.examples) {
            assert_eq!((a.index, a.prediction), (b.index, b.prediction));
            assert!((a.change - b.change).abs() < 1e-5 && (a.kl - b.kl).abs() < 1e-5);
        }
    }
}

#[test]
fn named_latents_are_tried_and_unknown_ones_refused() {
    let (net, pgd) = (
        net(),
        Pgd {
            steps: 1,
            ..Pgd::default()
        },
    );
    let of = |data: &Dataset, latents: Vec<usize>| {
        let sae = Sae::init(SaeConfig::new(6, 10, TopK::new(3)), 1, &Device::flex()).unwrap();
        let config = CardConfig {
            epsilons: vec![0.1],
            latents,
            halvings: 1,
            ..CardConfig::default()
        };
        card(
            &net,
            data,
            (Arc::new(sae), &site(&net)),
            &ThreatModel::new(Norm::Linf, 0.0),
            &pgd,
            &config,
            &EvaluationConfig::default(),
            &mut |_, _| true,
        )
    };
    let card = of(&data(&net), vec![7, 2]).unwrap();
    let tried: Vec<usize> = card.flips.iter().map(|flips| flips.latent).collect();
    assert_eq!(tried, [7, 2]);
    let said = of(&data(&net), vec![2, 10]).unwrap_err().to_string();
    assert_eq!(
        said,
        "latents is 10, must be below 10: the dictionary's latents are counted from 0"
    );
    // Every label is another class than the one that the network gives.
    let right = data(&net);
    let wrong: Vec<usize> = right.labels().iter().map(|label| (label + 1) % 3).collect();
    let bytes: Vec<u8> = (0..24 * 4).map(|i| (i * 37 % 251) as u8).collect();
    let names = vec!["a".into(), "b".into(), "c".into()];
    let wrong = Dataset::of_bytes("toy", [1, 2, 2], names, bytes, wrong).unwrap();
    let said = of(&wrong, Vec::new()).unwrap_err().to_string();
    assert!(
        said.starts_with("the network is right on none of 24 examples"),
        "{said}"
    );
}

#[test]
fn bad_settings_are_told() {
    let bad = |config: CardConfig| config.check().unwrap_err().to_string();
    let epsilons = |epsilons: Vec<f32>| CardConfig {
        epsilons,
        ..CardConfig::default()
    };
    assert!(bad(epsilons(vec![])).contains("at least one"));
    assert!(bad(epsilons(vec![0.2, 0.1])).contains("rising order"));
    assert!(bad(epsilons(vec![0.0])).contains("above 0"));
    let halvings = CardConfig {
        halvings: 0,
        ..CardConfig::default()
    };
    assert!(bad(halvings).contains("1 to 16"));
}
