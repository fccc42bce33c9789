//! Circuits of a net of one block with one head.

use mr_models::{Architecture, Model, ModelSpec, Network, NormKind, Transformer};

use super::*;
use crate::attribution::EdgeScores;
use crate::attribution::tests::net;
use crate::error::CircuitError;

fn spec() -> ModelSpec {
    let one = Transformer {
        layers: 1,
        heads: 1,
        ..Transformer::default()
    };
    let device = burn::tensor::Device::flex();
    let net = Network::init(Architecture::Transformer(one), 0, &device).unwrap();
    net.spec().clone()
}

/// input->a0.h0<q>, <k>, <v>; input->m0, a0.h0->m0; input->, a0.h0->, m0->logits.
fn scores(values: [f32; 8]) -> EdgeScores {
    let wiring = spec().wiring;
    EdgeScores {
        scores: wiring.edges().into_iter().zip(values).collect(),
        wiring,
    }
}

const VALUES: [f32; 8] = [0.5, 0.0, -4.0, 3.0, 0.1, -0.2, 2.0, 1.0];

fn names(circuit: &Circuit) -> Vec<String> {
    let kept = circuit.kept().into_iter();
    kept.map(|edge| circuit.wiring().name(edge)).collect()
}

#[test]
fn the_edges_that_count_most_are_kept() {
    let top = |n, ranking| names(&Circuit::top(scores(VALUES), n, ranking).unwrap());
    let absolute = ["input->a0.h0<v>", "input->m0", "a0.h0->logits"];
    assert_eq!(top(3, Ranking::Absolute), absolute);
    let signed = ["input->m0", "a0.h0->logits", "m0->logits"];
    assert_eq!(top(3, Ranking::Signed), signed);
    let above = Circuit::above(scores(VALUES), 2.0, Ranking::Absolute).unwrap();
    assert_eq!(names(&above), absolute);
    assert_eq!(
        (above.len(), above.edges(), above.cut_edges().len()),
        (3, 8, 5)
    );
    assert_eq!(above.nodes(), ["input", "a0.h0", "m0", "logits"]);
    let equal = Circuit::top(scores([1.0; 8]), 2, Ranking::Absolute).unwrap();
    assert_eq!(names(&equal), ["input->a0.h0<q>", "input->a0.h0<k>"]);
    let error = Circuit::top(scores(VALUES), 9, Ranking::Absolute).unwrap_err();
    assert_eq!(error.to_string(), "a circuit of 9 edges: the network has 8");
}

/// m0 reads the strong edge `input->m0`, but is itself read only after the second step.
#[test]
fn the_greedy_choice_goes_back_from_the_logits() {
    let greedy = |n| names(&Circuit::greedy(scores(VALUES), n, Ranking::Absolute).unwrap());
    assert_eq!(greedy(1), ["a0.h0->logits"]);
    assert_eq!(greedy(2), ["input->a0.h0<v>", "a0.h0->logits"]);
    assert_eq!(
        greedy(3),
        ["input->a0.h0<v>", "a0.h0->logits", "m0->logits"]
    );
    assert_eq!(greedy(4).len(), 4);
    assert!(greedy(4).contains(&"input->m0".into()));
    assert_eq!(greedy(8).len(), 8);
}

#[test]
fn edges_on_no_path_are_pruned() {
    // The MLP gets nothing, and what the head reads goes to the MLP alone.
    let broken = scores([0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0]);
    let circuit = Circuit::above(broken, 0.5, Ranking::Absolute).unwrap();
    assert_eq!(names(&circuit.pruned()), ["input->logits"]);
    let whole = scores([0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0]);
    let circuit = Circuit::above(whole, 0.5, Ranking::Absolute).unwrap();
    assert_eq!(circuit.clone().pruned(), circuit);
    assert_eq!(
        names(&circuit),
        ["input->a0.h0<v>", "a0.h0->m0", "m0->logits"]
    );
}

#[test]
fn a_saved_circuit_loads_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("circuit.json");
    let circuit = Circuit::top(scores(VALUES), 3, Ranking::Absolute).unwrap();
    circuit.save(&path).unwrap();
    assert_eq!(Circuit::load(&path, &spec()).unwrap(), circuit);
    let text = std::fs::read_to_string(&path).unwrap();
    let sizes = r#"{"cfg":{"n_layers":1,"n_heads":1,"parallel_attn_mlp":false,"d_model":64},"nodes":{"input":{"in_graph":true}"#;
    assert!(text.starts_with(sizes), "{text}");
    assert!(
        text.contains(r#""input->m0":{"score":3.0,"in_graph":true}"#),
        "{text}"
    );
}

#[test]
fn files_of_other_models_and_broken_ones_are_told() {
    let circuit = Circuit::top(scores(VALUES), 3, Ranking::Absolute).unwrap();
    let text = circuit.to_json();
    let error = |text: &str| Circuit::from_json(text, &spec()).unwrap_err().to_string();
    let other = net(NormKind::Layer);
    let foreign = Circuit::from_json(&text, other.spec()).unwrap_err();
    assert!(
        foreign.to_string().contains("of 1 layers of 1 heads"),
        "{foreign}"
    );
    let renamed = text.replace("a0.h0->m0", "a0.h7->m0");
    assert!(error(&renamed).contains("unknown edge `a0.h7->m0`; did you mean a0.h0->m0"));
    let missing = text.replace(r#""input->m0":{"score":3.0,"in_graph":true},"#, "");
    assert!(error(&missing).contains("the edge `input->m0` is missing"));
    for bad in ["null", "\"x\"", "1e300"] {
        let text = text.replace("\"score\":3.0", &format!("\"score\":{bad}"));
        assert!(error(&text).contains("must be a finite number"), "{bad}");
    }
    assert!(error(&text.replace("3.0", "NaN")).contains("no circuit"));
    assert!(error("[1, 2]").contains("format of EAP-IG"));
    assert!(error(&text.replace("true", "false")).contains("the circuit is empty"));
    let path = std::path::Path::new("no/such/circuit.json");
    let error = Circuit::load(path, &spec()).unwrap_err().to_string();
    assert!(error.starts_with("no/such/circuit.json: "), "{error}");
    let nan = Circuit::top(scores([f32::NAN; 8]), 1, Ranking::Signed).unwrap_err();
    assert!(matches!(nan, CircuitError::Score { .. }), "{nan}");
    let unfit = circuit.fits(other.spec()).unwrap_err().to_string();
    assert!(unfit.contains("the circuit has no edge"), "{unfit}");
}

#[test]
fn drawings_show_every_edge_and_node() {
    let circuit = Circuit::top(scores(VALUES), 3, Ranking::Absolute).unwrap();
    let svg = drawing(&circuit, "a & b");
    assert!(svg.contains("<title>a &amp; b</title>"));
    // Three edges and the two lines of the legend; the head's one letter.
    assert_eq!(svg.matches("<path").count(), 5);
    assert_eq!(svg.matches("font-size=\"8\"").count(), 1);
    for node in ["input", "a0.h0", "m0", "logits"] {
        assert!(svg.contains(&format!(">{node}</text>")), "{node}");
    }
    let dot = circuit.to_dot();
    assert_eq!(dot.matches(" -> ").count(), 3);
    assert!(
        dot.contains("\"input\" -> \"a0.h0\" [penwidth=4.00, color=\"#D55E00\""),
        "{dot}"
    );
    assert!(dot.contains("headlabel=\"v\""));
    let empty = Circuit::new(scores(VALUES), &[]).unwrap();
    assert_eq!(drawing(&empty, "none").matches("<path").count(), 2);
}

/// A layer of many nodes is drawn as bars, whose names are told on hovering.
#[test]
fn crowded_rows_stay_narrow() {
    let mlp = mr_models::Mlp {
        hidden: vec![64],
        ..mr_models::Mlp::default()
    };
    let net = Network::init(Architecture::Mlp(mlp), 0, &burn::tensor::Device::flex()).unwrap();
    let svg = drawing(&Circuit::whole(&net.spec().wiring), "wide");
    let width = svg.split("width=\"").nth(1).unwrap();
    let width: f64 = width.split('"').next().unwrap().parse().unwrap();
    assert!(width < 2000.0, "{width}");
    assert!(svg.contains("<title>linear1.n63</title>"));
    assert!(!svg.contains(">linear1.n63</text>"));
    assert!(svg.contains(">logits</text>"));
}

#[test]
fn overlaps_are_shares_of_the_union() {
    let top = |n| Circuit::top(scores(VALUES), n, Ranking::Absolute).unwrap();
    let found = difference(&top(3), &top(4)).unwrap();
    assert_eq!(
        (
            found.shared.len(),
            found.only_first.len(),
            found.only_second.len()
        ),
        (3, 0, 1)
    );
    assert_eq!(found.jaccard(), 0.75);
    let empty = Circuit::new(scores(VALUES), &[]).unwrap();
    assert_eq!(difference(&empty, &empty).unwrap().jaccard(), 1.0);
    let other = Circuit::whole(&net(NormKind::Layer).spec().wiring);
    assert!(difference(&top(3), &other).is_err());
}

fn kept(places: &[usize]) -> Circuit {
    let edges = spec().wiring.edges();
    let kept: Vec<_> = places.iter().map(|&at| edges[at]).collect();
    Circuit::new(scores(VALUES), &kept).unwrap()
}

#[test]
fn circuits_of_two_kinds_are_held_against_seeds() {
    let first = [kept(&[0, 1]), kept(&[1, 2]), kept(&[1, 2])];
    let second = [kept(&[0, 1]), kept(&[0, 1, 2, 3])];
    let found = overlaps([&first, &second], 5, 0).unwrap();
    let all: [&[usize]; 2] = [&[0, 1, 2], &[0, 1]];
    // 1, 1/2; 1/3, 1/2; 1/3, 1/2.
    let between = (1.0 + 0.5 + 2.0 * (1.0 / 3.0 + 0.5)) / 6.0;
    assert!((found.between(all) - between).abs() < 1e-12);
    // 1/3, 1/3, 1 of the first kind, 1/2 of the second.
    let within = (2.0 / 3.0 + 1.0 + 0.5) / 4.0;
    assert!((found.within(all) - within).abs() < 1e-12);
    // A circuit drawn twice is not held against itself.
    assert!((found.within([&[0, 0, 1], &[0, 0]]) - 1.0 / 3.0).abs() < 1e-12);
    assert!(found.within([&[0], &[1, 1]]).is_nan());
    assert_eq!(found.counts(), [3, 2]);
    assert!(found.matched().is_empty());
    let found = overlaps([&first[..2], &second], 5, 0).unwrap();
    assert_eq!(found.matched(), [1.0, 0.5]);
    // 1/2 and 1/3.
    assert!((found.crossed([&[0, 1], &[0, 1]]) - 5.0 / 12.0).abs() < 1e-12);
    assert!(found.crossed([&[0], &[0]]).is_nan());
    assert!(overlaps([&first, &[]], 5, 0).is_err());
    let other = Circuit::whole(&net(NormKind::Layer).spec().wiring);
    assert!(overlaps([&first, &[other]], 5, 0).is_err());
}

/// Eight edges: three to q, k and v of the head, two to the MLP, three to the logits.
#[test]
fn chance_has_as_many_edges_in_each_layer() {
    let names: Vec<String> = {
        let wiring = &spec().wiring;
        wiring
            .edges()
            .iter()
            .map(|&edge| wiring.name(edge))
            .collect()
    };
    let layers: Vec<&str> = names
        .iter()
        .map(|name| name.split("->").nth(1).unwrap().split('<').next().unwrap())
        .collect();
    assert_eq!(
        layers,
        [
            "a0.h0", "a0.h0", "a0.h0", "m0", "m0", "logits", "logits", "logits"
        ]
    );
    let null = |a: &[usize], b: &[usize]| {
        let both = [kept(a), kept(b)];
        let found = overlaps([&both[..1], &both[1..]], 3000, 1).unwrap();
        assert_eq!(found, overlaps([&both[..1], &both[1..]], 3000, 1).unwrap());
        found.random
    };
    // A whole layer is drawn whole.
    assert_eq!(null(&[3, 4], &[3, 4]).overlaps, vec![1.0; 3000]);
    // Of different layers none is shared.
    assert_eq!(null(&[0], &[5]).overlaps, vec![0.0; 3000]);
    // One of three is the same one in a third of draws.
    let thirds = null(&[0], &[1]);
    assert!(
        (thirds.mean() - 1.0 / 3.0).abs() < 0.03,
        "{}",
        thirds.mean()
    );
    assert!((thirds.percentile(1.0) - 5.0 / 6.0).abs() < 0.02);
    assert!((thirds.percentile(0.0) - 1.0 / 3.0).abs() < 0.02);
}
