//! What writes to a transformer's residual stream and what reads from it.

use super::config::{Placement, Transformer};
use crate::wiring::{Joined, Port, Slot, Wiring};

/// The wiring; none where the stream itself is normalised.
pub(super) fn wiring(net: &Transformer) -> Wiring {
    if net.placement == Placement::Post {
        return Wiring::default();
    }
    let (mut writers, mut readers) = (Vec::new(), Vec::new());
    let width = net.d_model;
    let whole = |node: String, site: String, at| Port::new(node, site, 0..width, at);
    writers.push(whole(
        "input".into(),
        "blocks.0.hook_resid_pre".into(),
        [1, 0],
    ));
    let mut stage = 1;
    for layer in 0..net.layers {
        let at = |name: &str| format!("blocks.{layer}.{name}");
        // Heads of a block read and write at one time, its MLP at the next or at the same.
        let order = 2 * layer + 1;
        for head in 0..net.heads {
            let node = format!("a{layer}.h{head}");
            let group = head * net.key_value_heads() / net.heads;
            for (slot, place) in [(Slot::Q, head), (Slot::K, group), (Slot::V, group)] {
                let site = at(&format!("hook_{slot}_input"));
                let channels = place * width..(place + 1) * width;
                let port = Port::new(node.clone(), site, channels, [stage, order]);
                readers.push(port.reading(slot));
            }
            let channels = head * width..(head + 1) * width;
            let site = at("attn.hook_result");
            let port = Port::new(node, site, channels, [stage, order]);
            writers.push(port);
        }
        stage += usize::from(net.is_sequential());
        if net.has_mlp() {
            let order = order + usize::from(net.is_sequential());
            let port = |site: &str| whole(format!("m{layer}"), at(site), [stage, order]);
            readers.push(port("hook_mlp_in"));
            writers.push(port("hook_mlp_out"));
        }
        stage += 1;
    }
    let last = net.layers - 1;
    readers.push(whole(
        "logits".into(),
        format!("blocks.{last}.hook_resid_post"),
        [stage - 1, 2 * net.layers + 1],
    ));
    Wiring {
        writers,
        readers,
        joined: Joined::Stream,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(net: &Transformer) -> Vec<String> {
        let wiring = wiring(net);
        let edges = wiring.edges();
        for &edge in &edges {
            assert_eq!(wiring.edge(&wiring.name(edge)).unwrap(), edge);
        }
        edges.iter().map(|&edge| wiring.name(edge)).collect()
    }

    #[test]
    fn writers_reach_every_later_reader() {
        let one = Transformer {
            layers: 1,
            heads: 1,
            ..Transformer::default()
        };
        let expected = [
            "input->a0.h0<q>",
            "input->a0.h0<k>",
            "input->a0.h0<v>",
            "input->m0",
            "a0.h0->m0",
            "input->logits",
            "a0.h0->logits",
            "m0->logits",
        ];
        assert_eq!(names(&one), expected);
        let parallel = Transformer {
            parallel: true,
            ..one.clone()
        };
        assert!(!names(&parallel).contains(&"a0.h0->m0".into()));
        // The count of EAP-IG for GPT-2 small: 158 nodes, 32,491 edges.
        let gpt2 = Transformer {
            layers: 12,
            heads: 12,
            ..one.clone()
        };
        assert_eq!(names(&gpt2).len(), 32_491);
        let error = wiring(&one).edge("m0->a0.h0<q>").unwrap_err();
        assert!(error.to_string().contains("did you mean"), "{error}");
    }

    #[test]
    fn heads_that_share_keys_share_their_port() {
        let shared = Transformer {
            heads: 4,
            key_value_heads: 2,
            d_model: 8,
            ..Transformer::default()
        };
        let wiring = wiring(&shared);
        let port = |name: &str| {
            let mut readers = wiring.readers.iter();
            readers.find(|port| port.to_string() == name).unwrap()
        };
        assert_eq!(port("a1.h3<k>").channels, 8..16);
        assert_eq!(port("a1.h2<k>").channels, 8..16);
        assert_eq!(port("a1.h3<q>").channels, 24..32);
        assert_eq!(port("a1.h3<q>").stage, 3);
    }
}
