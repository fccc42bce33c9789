use burn::tensor::{Device, TensorData};
use mr_models::objective::by_name;
use mr_models::{Architecture, Input, Labels, Mlp, Network};
use mr_sae::{Relu, Sae, SaeConfig};

use super::*;
use crate::pair::Pair;

fn net() -> Network {
    let mlp = Mlp {
        input: [1, 2, 2],
        hidden: vec![5, 4],
        classes: 3,
        ..Mlp::default()
    };
    Network::init(Architecture::Mlp(mlp), 2, &Device::flex()).unwrap()
}

fn at(net: &Network, channels: usize, end: &str) -> DictionaryAt {
    let mut sites = net.spec().sites.iter();
    let site = sites.find(|site| site.channels == channels && site.name.ends_with(end));
    let config = SaeConfig::new(channels, 3 * channels, Relu::default());
    DictionaryAt {
        site: site.unwrap().name.clone(),
        dictionary: Arc::new(Sae::init(config, 0, &Device::flex()).unwrap()),
    }
}

fn image(step: usize) -> Input {
    let values: Vec<f32> = (0..8).map(|i| (i * step % 7) as f32 / 7.0).collect();
    Input::Real(Tensor::from_data(
        TensorData::new(values, [2, 1, 2, 2]),
        &Device::flex(),
    ))
}

fn labels() -> Labels {
    Labels::of_classes(&[0, 2], &Device::flex())
}

fn pair() -> Pair {
    Pair::new(image(3), image(5)).unwrap()
}

/// What comes after the last hidden layer is linear: the difference of two logits changes by the sum of all effects, and a
/// latent's effect is what patching it alone does.
#[test]
fn effects_of_a_linear_end_are_exact_and_sum_to_the_change() {
    let net = net();
    let last = at(&net, 4, "hook_out");
    let objective = by_name("logit-difference(0, 1)").unwrap();
    let of = |steps| {
        feature_effects(
            &net,
            &pair(),
            &labels(),
            objective.as_ref(),
            std::slice::from_ref(&last),
            steps,
        )
        .unwrap()
    };
    let found = of(0);
    assert_eq!(found.len(), 13, "12 latents and the error");
    let value = |input: &Input| -> f64 {
        let values = mr_models::values_at(&net, input, &labels(), objective.as_ref(), &[]).unwrap();
        mr_models::floats(values.0)
            .iter()
            .map(|&v| f64::from(v))
            .sum::<f64>()
            / 2.0
    };
    let change = value(&image(5)) - value(&image(3));
    let sum: f64 = found.iter().map(|one| one.effect).sum();
    assert!((sum - change).abs() < 1e-5, "{sum} {change}");
    for (a, b) in of(0).iter().zip(of(3)) {
        assert!(
            (a.effect - b.effect).abs() < 1e-5,
            "the slope is the same all the way"
        );
    }
    assert!(
        found
            .windows(2)
            .all(|two| two[0].effect.abs() >= two[1].effect.abs())
    );
}

#[test]
fn the_whole_circuit_is_the_network_and_none_is_what_ablation_leaves() {
    let net = net();
    let both = [at(&net, 5, "hook_out"), at(&net, 4, "hook_out")];
    let objective = by_name("margin").unwrap();
    // Latents that are never on may go.
    let all = active_nodes(&net, &pair(), &both).unwrap();
    let errors = all
        .iter()
        .filter(|node| matches!(node, FeatureNode::Error { .. }));
    assert!(all.len() < 15 + 1 + 12 + 1 && errors.count() == 2);
    let of = |kept: &[FeatureNode], ablation: &FeatureAblation| {
        let objective = objective.as_ref();
        feature_faithfulness(&net, &image(3), &labels(), objective, &both, kept, ablation).unwrap()
    };
    for ablation in [FeatureAblation::Zero, FeatureAblation::Mean(image(5))] {
        let whole = of(&all, &ablation);
        assert!((whole.faithfulness() - 1.0).abs() < 1e-5, "{whole:?}");
        let none = of(&[], &ablation);
        assert_eq!(none.circuit, none.none);
        assert_eq!(none.faithfulness(), 0.0);
        // What is kept is a set: a random order of all nodes is the whole too.
        let order = shuffled_nodes(&all, 7);
        assert_ne!(order, all);
        assert_eq!(of(&order, &ablation), whole);
    }
    // Without latents and errors the last layer's bias is all that is left.
    let zero = of(&[], &FeatureAblation::Zero).none;
    let bias = net
        .weights()
        .entries()
        .iter()
        .rev()
        .find(|entry| entry.name.ends_with("bias"));
    let bias = mr_models::floats(bias.unwrap().values.clone());
    let margin = |truth: usize| {
        let others = (0..3)
            .filter(|&class| class != truth)
            .map(|class| bias[class]);
        others.fold(f32::NEG_INFINITY, f32::max) - bias[truth]
    };
    let expected = f64::from(margin(0) + margin(2)) / 2.0;
    assert!((zero - expected).abs() < 1e-5, "{zero} {expected}");
}

/// Latents of the last layer that are on are linear in what the layer below writes as long as no unit switches: edges into a
/// latent sum to its first-order change.
#[test]
fn edges_into_a_latent_sum_to_its_change_to_first_order() {
    let net = net();
    let (lower, upper) = (at(&net, 5, "hook_out"), at(&net, 4, "hook_out"));
    let objective = by_name("logit-difference(0, 1)").unwrap();
    let nodes: Vec<FeatureNode> = lower.nodes().chain(upper.nodes()).collect();
    // So near that nothing switches.
    let Input::Real(values) = image(3) else {
        unreachable!()
    };
    let near = Pair::new(image(3), Input::Real(values * 1.0001)).unwrap();
    let found = |nodes: &[FeatureNode]| {
        let objective = objective.as_ref();
        feature_edges(&net, &near, &labels(), objective, [&lower, &upper], nodes).unwrap()
    };
    let edges = found(&nodes);
    assert_eq!(
        edges.len(),
        16 * 12,
        "15 latents and an error into 12 latents"
    );
    let both = [lower.clone(), upper.clone()];
    let effects = feature_effects(&net, &near, &labels(), objective.as_ref(), &both, 0).unwrap();
    for node in upper.nodes() {
        let FeatureNode::Latent { .. } = node else {
            continue;
        };
        let into: f64 = edges
            .iter()
            .filter(|edge| edge.to == node)
            .map(|edge| edge.effect)
            .sum();
        let effect = effects.iter().find(|one| one.node == node).unwrap().effect;
        assert!(
            (into - effect).abs() < 1e-2 * effect.abs() + 2e-7,
            "{node}: {into} {effect}"
        );
    }
    let few = found(&nodes[..3]);
    assert!(few.is_empty(), "no upper node is named");
}

#[test]
fn names_and_misfits() {
    let net = net();
    let (lower, upper) = (at(&net, 5, "hook_out"), at(&net, 4, "hook_out"));
    let node = FeatureNode::Latent {
        site: "a.hook_out".into(),
        latent: 17,
    };
    assert_eq!(node.to_string(), "a.hook_out/17");
    let error = FeatureNode::Error {
        site: "a.hook_out".into(),
    };
    assert_eq!(error.to_string(), "a.hook_out/error");
    let objective = by_name("margin").unwrap();
    let of = |dictionaries: &[DictionaryAt]| {
        let found = feature_effects(
            &net,
            &pair(),
            &labels(),
            objective.as_ref(),
            dictionaries,
            0,
        );
        found.unwrap_err().to_string()
    };
    assert!(of(&[upper.clone(), lower.clone()]).contains("forward order"));
    let wrong = DictionaryAt {
        site: upper.site.clone(),
        ..lower
    };
    assert!(of(&[wrong]).contains("dictionary of 5 channels"));
}
