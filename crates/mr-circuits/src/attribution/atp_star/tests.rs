use mr_models::objective::LogitDifference;
use mr_models::{
    Architecture, Edit, Intervened, Network, NormKind, Rewrite, Transformer, TransformerInput,
    run_with_cache, values_at,
};

use super::*;
use crate::attribution::nodes::node_attribution;
use crate::attribution::tests::pair;

const DIFFERENCE: LogitDifference = LogitDifference { more: 2, less: 5 };

/// Attention alone, and logits that are linear in the pattern of the last block.
fn net(layers: usize, key_value_heads: usize) -> Network {
    let net = Transformer {
        input: TransformerInput::Tokens {
            vocabulary: 7,
            context: 6,
            token_types: 0,
        },
        layers,
        d_model: 8,
        heads: 2,
        key_value_heads,
        d_mlp: 0,
        norm: NormKind::None,
        final_norm: false,
        ..Transformer::default()
    };
    let mut net = Network::init(Architecture::Transformer(net), 3, &Device::flex()).unwrap();
    // Attention that is far from flat, so that a slope is not the change.
    let weights = net.weights().entries().iter();
    let larger: Vec<_> = weights
        .filter(|entry| entry.name.ends_with("W_Q") || entry.name.ends_with("W_E"))
        .map(|entry| (entry.name.clone(), entry.values.clone() * 8.0))
        .collect();
    for (name, values) in larger {
        net.weights_mut().set(&name, values);
    }
    net
}

fn labels() -> Labels {
    Labels::of_classes(&[0, 0], &Device::flex())
}

/// What patching does, averaged over the batch.
fn patched(net: &Network, nodes: &[(String, Region)]) -> Vec<f32> {
    let pair = pair();
    let mean = |model: &dyn Model| {
        let (values, _) = values_at(model, pair.clean(), &labels(), &DIFFERENCE, &[]).unwrap();
        floats(values).iter().sum::<f32>() / 2.0
    };
    let base = mean(net);
    let effect = |(site, region): &(String, Region)| {
        let (_, corrupt) = run_with_cache(net, pair.corrupt(), &[site]).unwrap();
        let patch = Rewrite::patch(region.cut(corrupt.get(site).unwrap()));
        let edit = Edit::at(site, patch).within(region.clone());
        mean(&Intervened::new(net, vec![edit]).unwrap()) - base
    };
    nodes.iter().map(effect).collect()
}

fn close(found: &[NodeScore], expected: &[f32]) {
    for (found, expected) in found.iter().zip(expected) {
        let off = (found.score - expected).abs();
        assert!(
            off < 1e-4 * expected.abs().max(1.0),
            "{found:?} for {expected}"
        );
    }
}

/// Where everything after the pattern is linear, patching through the softmax is patching.
#[test]
fn queries_and_keys_of_one_linear_block_are_exact() {
    for key_value_heads in [2, 1] {
        let net = net(1, key_value_heads);
        let head = |site: &str, head: usize, position: usize| {
            let region = Region {
                positions: Some(position..position + 1),
                channels: Some(head * 4..head * 4 + 4),
            };
            (format!("blocks.0.attn.hook_{site}"), region)
        };
        let mut nodes = Vec::new();
        for position in [1, 4] {
            nodes.extend([
                head("q", 0, position),
                head("q", 1, position),
                head("k", 0, position),
            ]);
        }
        let exact = patched(&net, &nodes);
        assert!(exact.iter().any(|effect| effect.abs() > 1e-3), "{exact:?}");
        let star = atp_star(&net, &pair(), &labels(), &DIFFERENCE, &nodes).unwrap();
        close(&star, &exact);
        let plain = node_attribution(&net, &pair(), &labels(), &DIFFERENCE, &nodes).unwrap();
        let off = plain
            .iter()
            .zip(&exact)
            .map(|(node, exact)| (node.score - exact).abs());
        assert!(off.fold(0.0, f32::max) > 1e-3, "{plain:?} for {exact:?}");
    }
}

/// What is linear in the logits, plain attribution has right; and no block lies behind the last one.
#[test]
fn the_last_block_is_linear_and_has_nothing_to_drop() {
    let net = net(2, 2);
    let nodes = [0, 1].map(|head| {
        let region = Region::channels(head * 4..head * 4 + 4);
        ("blocks.1.attn.hook_z".to_string(), region)
    });
    let exact = patched(&net, &nodes);
    let plain = node_attribution(&net, &pair(), &labels(), &DIFFERENCE, &nodes).unwrap();
    close(&plain, &exact);
    let star = atp_star(&net, &pair(), &labels(), &DIFFERENCE, &nodes).unwrap();
    let sizes: Vec<f32> = exact.iter().map(|effect| effect.abs()).collect();
    close(&star, &sizes);
}

#[test]
fn equal_runs_score_nothing_and_mistakes_are_named() {
    let net = net(2, 2);
    let same = Pair::new(pair().clean().clone(), pair().clean().clone()).unwrap();
    let nodes = ["q", "k", "v", "z"]
        .map(|name| (format!("blocks.0.attn.hook_{name}"), Region::channels(0..4)));
    let found = node_attribution(&net, &same, &labels(), &DIFFERENCE, &nodes).unwrap();
    assert!(found.iter().all(|node| node.score == 0.0));
    let ask = |site: &str, region: Region| {
        let nodes = [(site.to_string(), region)];
        atp_star(&net, &same, &labels(), &DIFFERENCE, &nodes)
            .unwrap_err()
            .to_string()
    };
    let part = ask("blocks.0.attn.hook_q", Region::channels(0..3));
    assert!(part.contains("is no head"), "{part}");
    let unknown = ask("blocks.0.attn.hook_zz", Region::default());
    assert!(unknown.contains("did you mean"), "{unknown}");
}
