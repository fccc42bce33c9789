//! On a net without norms, whose logits are linear in what is written.

use burn::tensor::Device;
use mr_models::objective::LogitDifference;
use mr_models::{Labels, Model, Network, NormKind, Tap, floats, value_and_grad_at};

use super::*;
use crate::attribution::tests::{net, pair};
use crate::attribution::{Path, edge_attribution};
use crate::circuit::{Circuit, Ranking};
use crate::{Ablation, Pair};

const DIFFERENCE: LogitDifference = LogitDifference { more: 2, less: 5 };

fn labels() -> Labels {
    Labels::of_classes(&[0, 0], &Device::flex())
}

/// The network, the pair, and every edge with its score.
fn studied(norm: NormKind) -> (Network, Pair, Circuit) {
    let (net, pair) = (net(norm), pair());
    let scores = edge_attribution(&net, &pair, &labels(), &DIFFERENCE, Path::Clean).unwrap();
    let edges = net.spec().wiring.edges();
    let whole = Circuit::new(scores, &edges).unwrap();
    (net, pair, whole)
}

#[test]
fn the_whole_is_faithful_and_what_reaches_the_logits_adds_up() {
    let (net, pair, whole) = studied(NormKind::None);
    let labels = labels();
    let ablation = Ablation::Resample(pair.corrupt().clone());
    let measure = Faithfulness::new(&net, pair.clean(), &labels, &DIFFERENCE, &ablation).unwrap();
    let all = measure.of(&whole).unwrap();
    assert_eq!(all.faithfulness, 1.0);
    assert_eq!(all.values, measure.whole);
    assert!(all.divergences.iter().all(|&kl| kl == 0.0));
    let edges = whole.wiring().edges();
    assert_eq!(measure.without(&edges).unwrap().faithfulness, 0.0);
    // With every edge to the logits cut but one, the logits get what that one carries, and all of these sum
    // to the whole; `empty` is the corrupt run.
    let last = whole.wiring().readers.len() - 1;
    let into: Vec<_> = edges
        .iter()
        .copied()
        .filter(|edge| edge.reader == last)
        .collect();
    let only = |kept: usize| {
        let cut = into.iter().copied().enumerate();
        let cut: Vec<_> = cut
            .filter(|(at, _)| *at != kept)
            .map(|(_, edge)| edge)
            .collect();
        measure.without(&cut).unwrap().faithfulness
    };
    let sum: f64 = (0..into.len()).map(only).sum();
    assert!((sum - 1.0).abs() < 1e-3, "{sum}");
    assert!(all.tail(0.0) >= 1.0 - 1e-6 && all.divergence(1.0) == 0.0);
}

#[test]
fn a_curve_ends_at_one_and_its_areas_are_those_of_trapezoids() {
    let (net, pair, whole) = studied(NormKind::Layer);
    let (labels, ablation) = (labels(), Ablation::Resample(pair.corrupt().clone()));
    let measure = Faithfulness::new(&net, pair.clean(), &labels, &DIFFERENCE, &ablation).unwrap();
    for is_greedy in [true, false] {
        let fractions = [0.0, 0.5, 1.0];
        let scores = whole.scores();
        let found = curve(
            &measure,
            scores,
            &fractions,
            Ranking::Absolute,
            is_greedy,
            &mut |_, _| {},
        );
        let found = found.unwrap();
        let [none, half, all] = [0, 1, 2].map(|at| found.points[at]);
        assert_eq!((none.edges, none.faithfulness), (0, 0.0));
        assert_eq!((all.edges, all.faithfulness), (whole.edges(), 1.0));
        assert!(half.edges <= whole.edges() / 2);
        assert!((found.cpr - (0.25 + half.faithfulness / 2.0)).abs() < 1e-12);
        let away = (1.0 - half.faithfulness).abs();
        assert!((found.cmd - (0.25 + away / 2.0)).abs() < 1e-12);
    }
}

#[test]
fn what_is_not_needed_and_what_is_missing() {
    let (net, pair, whole) = studied(NormKind::Layer);
    let (labels, ablation) = (labels(), Ablation::Resample(pair.corrupt().clone()));
    let measure = Faithfulness::new(&net, pair.clean(), &labels, &DIFFERENCE, &ablation).unwrap();
    // The network lacks nothing of itself.
    let found = completeness(&measure, &whole, 2, 3, 0, &mut |_, _| {}).unwrap();
    assert_eq!((found.score, found.nodes.len()), (0.0, 0));
    let few = Circuit::top(whole.scores().clone(), 6, Ranking::Absolute).unwrap();
    let found = completeness(&measure, &few, 2, 3, 0, &mut |_, _| {}).unwrap();
    let away = (1.0 - measure.of(&few).unwrap().faithfulness).abs();
    assert!(found.score >= away, "{} of {away}", found.score);
    let needs = minimality(&measure, &few, &mut |_, _| {}).unwrap();
    assert_eq!(needs.len(), 6);
    let mut cut = few.cut_edges();
    cut.push(needs[5].edge);
    let without = measure.without(&cut).unwrap().faithfulness;
    assert_eq!(
        needs[5].change,
        without - measure.of(&few).unwrap().faithfulness
    );
    assert!(
        needs
            .windows(2)
            .all(|pair| pair[0].change.abs() <= pair[1].change.abs())
    );
}

#[test]
fn random_circuits_have_the_size_and_depend_on_the_seed_alone() {
    let (net, pair, whole) = studied(NormKind::Layer);
    let (labels, ablation) = (labels(), Ablation::Zero);
    let measure = Faithfulness::new(&net, pair.clean(), &labels, &DIFFERENCE, &ablation).unwrap();
    let of = |circuit: &Circuit, seed| {
        random_faithfulness(&measure, circuit, 5, seed, &mut |_, _| {}).unwrap()
    };
    assert_eq!(of(&whole, 1), [1.0; 5]);
    let half = Circuit::top(whole.scores().clone(), whole.edges() / 2, Ranking::Absolute).unwrap();
    assert_eq!(of(&half, 1), of(&half, 1));
    assert_ne!(of(&half, 1), of(&half, 2));
}

#[test]
fn the_divergence_is_a_logit_with_a_gradient() {
    let (net, pair, whole) = studied(NormKind::Layer);
    let ablation = Ablation::Resample(pair.corrupt().clone());
    let few = Circuit::top(whole.scores().clone(), 6, Ranking::Absolute).unwrap();
    let labels = labels();
    let measure = Faithfulness::new(&net, pair.clean(), &labels, &DIFFERENCE, &ablation).unwrap();
    let side = Diverging::new(&net, &few, &ablation).unwrap();
    let expected = measure.of(&few).unwrap().divergences;
    let logits = side.logits(pair.clean());
    assert_eq!(logits.dims(), [2, 1, 1]);
    assert_eq!(floats(logits), expected);
    let tap = Tap {
        site: "hook_embed".into(),
        added: None,
    };
    let found =
        value_and_grad_at(&side, pair.clean(), &labels, &Divergence, false, &[tap]).unwrap();
    let steepest = floats(found.site("hook_embed").clone());
    assert!(steepest.iter().any(|slope| slope.abs() > 1e-6));
    let same = Diverging::new(&net, &whole, &ablation).unwrap();
    assert_eq!(floats(same.logits(pair.clean())), [0.0, 0.0]);
    // What is added at a site is added in both runs.
    let channels = net.spec().site("hook_embed").unwrap().channels;
    // Not the same in all channels, which a norm would take out again.
    let added =
        burn::tensor::Tensor::<1, burn::tensor::Int>::arange(0..channels as i64, &net.device());
    let moved = [Tap {
        site: "hook_embed".into(),
        added: Some(
            added
                .float()
                .reshape([1, 1, channels])
                .expand([2, 6, channels]),
        ),
    }];
    let at = |side: &dyn Model| {
        let found = value_and_grad_at(side, pair.clean(), &labels, &Divergence, false, &moved);
        floats(found.unwrap().values)
    };
    assert_eq!(at(&same), [0.0, 0.0]);
    assert!(
        at(&side)
            .iter()
            .zip(&expected)
            .all(|(moved, before)| moved != before)
    );
}

#[test]
fn what_has_no_behaviour_and_circuits_of_others_are_told() {
    let (net, pair, whole) = studied(NormKind::Layer);
    let labels = labels();
    let itself = Ablation::Resample(pair.clean().clone());
    let error = Faithfulness::new(&net, pair.clean(), &labels, &DIFFERENCE, &itself)
        .err()
        .unwrap();
    assert!(error.to_string().contains("finite and differ"), "{error}");
    let ablation = Ablation::Zero;
    let measure = Faithfulness::new(&net, pair.clean(), &labels, &DIFFERENCE, &ablation).unwrap();
    let none = Circuit::new(whole.scores().clone(), &[]).unwrap();
    assert!(measure.of(&none).unwrap_err().to_string().contains("empty"));
    let other = Circuit::whole(&crate::attribution::tests::shared().spec().wiring);
    assert!(measure.of(&other).is_err());
}

#[test]
fn the_smallest_faithful_circuit_is_the_first_along_the_ranking() {
    let (net, pair, whole) = studied(NormKind::Layer);
    let labels = labels();
    let ablation = Ablation::Resample(pair.corrupt().clone());
    let measure = Faithfulness::new(&net, pair.clean(), &labels, &DIFFERENCE, &ablation).unwrap();
    let find = |target| {
        let scores = whole.scores();
        smallest(
            &measure,
            scores,
            target,
            Ranking::Absolute,
            true,
            &mut |_, _| {},
        )
    };
    let (found, faithfulness) = find(0.5).unwrap();
    assert!(
        faithfulness >= 0.5 && found.len() < whole.edges(),
        "{faithfulness}"
    );
    assert_eq!(measure.of(&found).unwrap().faithfulness, faithfulness);
    // Below 20 edges every size was tried.
    for n in 1..found.len().min(20) {
        let less = Circuit::greedy(whole.scores().clone(), n, Ranking::Absolute).unwrap();
        let less = measure.without(&less.pruned().cut_edges()).unwrap();
        assert!(less.faithfulness < 0.5, "{n} edges");
    }
    assert!(find(1.0).unwrap().1 >= 1.0);
    for target in [0.0, 1.1, f64::NAN] {
        let error = find(target).unwrap_err().to_string();
        assert!(error.contains("above 0 and at most 1"), "{error}");
    }
}
