use burn::tensor::Device;
use mr_models::{Architecture, Network, NormKind, Rnn, floats};

use super::*;
use crate::attribution::tests::{net, pair, shared, tokens};

fn logits(model: &dyn Model, input: &Input) -> Vec<f32> {
    floats(model.logits(input))
}

fn close(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    let pairs = found.iter().zip(expected);
    pairs.for_each(|(a, b)| assert!((a - b).abs() < 1e-4, "{a} for {b}"));
}

#[test]
fn a_net_with_nothing_cut_is_the_net_bit_for_bit() {
    let (net, pair) = (net(NormKind::Layer), pair());
    let cut = Cut::new(&net, &[], &Ablation::Zero).unwrap();
    assert_eq!(logits(&cut, pair.clean()), logits(&net, pair.clean()));
}

/// With all edges cut, every reader gets what it gets in the other run.
#[test]
fn a_net_with_everything_cut_is_the_other_run() {
    let (net, pair) = (net(NormKind::Layer), pair());
    let edges = net.spec().wiring.edges();
    let resampled = Ablation::Resample(pair.corrupt().clone());
    let cut = Cut::new(&net, &edges, &resampled).unwrap();
    close(&logits(&cut, pair.clean()), &logits(&net, pair.corrupt()));
}

/// Under zero ablation what is left at the logits are terms that no input moves.
#[test]
fn nothing_is_left_of_the_input_under_zero_and_mean_ablation() {
    let (net, pair) = (net(NormKind::Layer), pair());
    let edges = net.spec().wiring.edges();
    let many = tokens([0, 1, 2, 3, 4, 5, 6, 5, 4, 3, 2, 1]);
    for ablation in [
        Ablation::Zero,
        Ablation::Mean(many.clone()),
        Ablation::PositionalMean(many),
    ] {
        let cut = Cut::new(&net, &edges, &ablation).unwrap();
        close(&logits(&cut, pair.clean()), &logits(&cut, pair.corrupt()));
    }
}

/// A cut edge into the logits takes exactly what its writer wrote there, where nothing normalises.
#[test]
fn one_edge_carries_what_its_writer_wrote() {
    let (net, pair) = (net(NormKind::None), pair());
    let wiring = &net.spec().wiring;
    let all: Vec<Edge> = wiring.edges();
    let last = wiring.readers.len() - 1;
    let whole = logits(&net, pair.clean());
    let into: Vec<Edge> = all.into_iter().filter(|edge| edge.reader == last).collect();
    let without = |edges: &[Edge]| {
        let cut = Cut::new(&net, edges, &Ablation::Zero).unwrap();
        logits(&cut, pair.clean())
    };
    let none = without(&into);
    let mut sum = none.clone();
    for edge in &into {
        let left = without(&[*edge]);
        for i in 0..sum.len() {
            sum[i] += whole[i] - left[i];
        }
    }
    close(&sum, &whole);
    assert!(none.iter().zip(&whole).any(|(a, b)| (a - b).abs() > 1e-3));
}

/// Heads that share keys and values are cut once, whichever of them is named.
#[test]
fn a_shared_port_is_cut_once() {
    let (net, pair) = (shared(), pair());
    let wiring = &net.spec().wiring;
    let of = |names: &[&str]| {
        let edges: Vec<Edge> = names
            .iter()
            .map(|name| wiring.edge(name).unwrap())
            .collect();
        logits(
            &Cut::new(&net, &edges, &Ablation::Zero).unwrap(),
            pair.clean(),
        )
    };
    let one = of(&["input->a0.h0<k>"]);
    assert_eq!(one, of(&["input->a0.h1<k>"]));
    assert_eq!(one, of(&["input->a0.h0<k>", "input->a0.h1<k>"]));
    assert_ne!(one, logits(&net, pair.clean()));
    let everything = Cut::new(
        &net,
        &wiring.edges(),
        &Ablation::Resample(pair.corrupt().clone()),
    );
    close(
        &logits(&everything.unwrap(), pair.clean()),
        &logits(&net, pair.corrupt()),
    );
}

#[test]
fn hooks_see_what_is_left_and_nets_without_edges_are_told() {
    let (net, pair) = (net(NormKind::Layer), pair());
    let edge = net.spec().wiring.edge("input->m0").unwrap();
    let cut = Cut::new(&net, &[edge], &Ablation::Zero).unwrap();
    let read = |model: &dyn Model| {
        let site = ["blocks.0.hook_mlp_in"];
        let (_, cache) = mr_models::run_with_cache(model, pair.clean(), &site).unwrap();
        floats(cache.get(site[0]).unwrap().clone())
    };
    assert_ne!(read(&cut), read(&net));
    let rnn = Architecture::Rnn(Rnn::default());
    let rnn = Network::init(rnn, 0, &Device::flex()).unwrap();
    assert!(Cut::new(&rnn, &[], &Ablation::Zero).is_err());
}
