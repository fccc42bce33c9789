use burn::tensor::{Device, Tensor};
use mr_models::compiled::{self, Compiled};
use mr_models::{Cache, Labels, Model, Objective, floats};

use super::*;
use crate::{Ablation, Cut, Pair, Path, acdc_sweep, edge_attribution};

fn edge(writer: usize) -> Edge {
    Edge { writer, reader: 0 }
}

#[test]
fn golden_rankings() {
    let all: Vec<Edge> = (0..4).map(edge).collect();
    let truth = [edge(0), edge(1)];
    let of = |scores: &[(usize, f32)]| {
        let found: Vec<(Edge, f32)> = scores.iter().map(|&(w, s)| (edge(w), s)).collect();
        edge_auroc(&all, &found, &truth)
    };
    assert_eq!(of(&[(0, 3.0), (1, -2.0), (2, 1.0), (3, 0.0)]), 1.0);
    assert_eq!(of(&[(0, 0.0), (1, 1.0), (2, 2.0), (3, -3.0)]), 0.0);
    assert_eq!(of(&[(0, 1.0), (1, 1.0), (2, 1.0), (3, 1.0)]), 0.5);
    assert_eq!(of(&[(0, 3.0), (1, 1.0), (2, 1.0), (3, 0.0)]), 0.875);
    // One true edge is missing: it does not tie with the false ones that are.
    assert_eq!(of(&[(0, 1.0)]), 0.5);
    assert_eq!(of(&[]), 0.0);
    assert_eq!(of(&[(0, 1.0), (1, 1.0)]), 1.0);
    assert!(edge_auroc(&all, &[], &all).is_nan());
}

/// The same program under both ablations: what stands in, and which edges are true.
fn both(program: &Compiled) -> [(Ablation, Vec<Edge>); 2] {
    let wiring = &program.network.spec().wiring;
    let edges = |names: &[&str]| -> Vec<Edge> {
        names
            .iter()
            .map(|name| wiring.edge(name).unwrap())
            .collect()
    };
    [
        (Ablation::Zero, edges(&program.zero)),
        (
            Ablation::Resample(program.corrupt.clone()),
            edges(&program.resample),
        ),
    ]
}

/// By brute force: without any one of the true edges the output is another one, without all the others
/// together it is the same.
#[test]
fn the_truth_of_every_program_is_true() {
    for program in compiled::all(&Device::flex()) {
        let whole = floats(program.network.logits(&program.clean));
        let all = program.network.spec().wiring.edges();
        for (ablation, truth) in both(&program) {
            let cut = Cut::new(&program.network, &[], &ablation).unwrap();
            let moved = |edges: &[Edge]| {
                let logits = floats(cut.with(edges).logits(&program.clean));
                let far = logits.iter().zip(&whole).map(|(a, b)| (a - b).abs());
                far.fold(0.0, f32::max)
            };
            let rest: Vec<Edge> = all.iter().filter(|e| !truth.contains(e)).copied().collect();
            assert!(rest.len() + truth.len() == all.len() && !rest.is_empty());
            assert!(moved(&rest) < 1e-3, "{}: {}", program.name, moved(&rest));
            for &edge in &truth {
                let name = program.network.spec().wiring.name(edge);
                assert!(moved(&[edge]) > 0.05, "{}: {name}", program.name);
            }
        }
    }
}

fn swept(program: &Compiled, ablation: &Ablation) -> Vec<(Edge, f32)> {
    let pair = Pair::new(program.clean.clone(), program.corrupt.clone()).unwrap();
    let taus = [1e-2, 1e-4];
    acdc_sweep(&program.network, &pair, ablation, &taus, &mut |_, _| {}).unwrap()
}

/// Held against what is true under the ablation that it was run with, ACDC finds all of it.
#[test]
fn acdc_finds_every_program_under_both_ablations() {
    for program in compiled::all(&Device::flex()) {
        let all = program.network.spec().wiring.edges();
        for (ablation, truth) in both(&program) {
            let found = swept(&program, &ablation);
            let auroc = edge_auroc(&all, &found, &truth);
            assert_eq!(auroc, 1.0, "{}: {found:?}", program.name);
        }
    }
}

/// Conmy et al. (2023) hold what ACDC finds by random inputs against what is needed under zero ablation:
/// .600 of x-proportion and .200 of reverse. The edges that it "misses" carry positions and lengths, which
/// are the same in every input, so that another input carries just as well.
#[test]
fn acdc_looks_wrong_by_the_truth_of_another_ablation() {
    let device = Device::flex();
    for (program, expected) in [
        (compiled::proportion(&device), 0.6),
        (compiled::reverse(&device), 0.2),
    ] {
        let all = program.network.spec().wiring.edges();
        let [(_, zero), (resample, _)] = both(&program);
        let found = swept(&program, &resample);
        let auroc = edge_auroc(&all, &found, &zero);
        assert!((auroc - expected).abs() < 1e-9, "{}: {auroc}", program.name);
    }
}

/// The logits along the difference of the two runs, example by example.
struct Along;

impl Objective for Along {
    fn name(&self) -> String {
        "along".into()
    }

    fn value(&self, logits: &Tensor<3>, _cache: &Cache, labels: &Labels) -> Tensor<1> {
        let along = labels.reference.clone().unwrap();
        (logits.clone() * along).sum_dim(2).sum_dim(1).reshape([-1])
    }
}

/// Gradients at the clean input cannot see the backdoor's attention, which is sure of itself: the slope of a
/// softmax is 0 there, and the key scores nothing though all hangs on it. Along the path from the corrupt
/// input attention moves, and EAP-IG finds every edge of every transformer. Neither finds the Boolean
/// function: ReLU is off at most corners of the cube, and what is left cancels in the mean over them.
#[test]
fn eap_misses_sure_attention_and_its_integral_finds_it() {
    for program in compiled::all(&Device::flex()) {
        let net = &program.network;
        let pair = Pair::new(program.clean.clone(), program.corrupt.clone()).unwrap();
        let along = net.logits(pair.clean()) - net.logits(pair.corrupt());
        let labels = Labels::of_classes(&[], &net.device()).with_reference(along);
        let [_, (_, truth)] = both(&program);
        let auroc = |path| {
            let found = edge_attribution(net, &pair, &labels, &Along, path).unwrap();
            edge_auroc(&net.spec().wiring.edges(), &found.scores, &truth)
        };
        let [eap, integrated] = [Path::Clean, Path::Inputs(10)].map(auroc);
        match program.name {
            "boolean" => assert!(eap < 0.7 && integrated < 0.7, "{eap}, {integrated}"),
            "backdoor" => assert_eq!((eap, integrated), (0.875, 1.0)),
            name => assert_eq!(integrated, 1.0, "{name}"),
        }
    }
}
