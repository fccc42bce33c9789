//! What followed the last time: an induction head (Elhage et al. 2021).

use burn::tensor::Device;

use super::assembler::{Assembler, Size, named};
use super::{Compiled, logits, rolled, started, tokens};

/// Tokens after the start.
const LENGTH: usize = 6;
const TOKENS: usize = 4;

/// After a start, 0, six tokens of 1, 2, 3; at each position the logits say what followed the same token
/// before: the share of each token among those that did. Where there is none, the start is said.
///
/// Head 0 of block 0 writes down the token before each position, head 0 of block 1 looks where that is the
/// present token, and else at the start. Head 1 of either block copies tokens to where nobody reads, and
/// there is no MLP. Where the token before is, is a matter of position: queries and keys of block 0, and the
/// key of the start, are needed under zero ablation only.
pub fn induction(device: &Device) -> Compiled {
    let context = 1 + LENGTH;
    let size = Size {
        vocabulary: TOKENS,
        context,
        layers: 2,
        heads: 2,
        d_head: context + TOKENS,
        d_mlp: 0,
        classes: TOKENS,
        causal: true,
    };
    let mut directions = named("token", 0..TOKENS);
    directions.extend(named("position", 0..context));
    directions.extend(named("before", 0..TOKENS));
    directions.extend(named("out", 0..TOKENS));
    directions.extend(named("unread", 0..TOKENS));
    let mut net = Assembler::new(&size, directions, device);
    for token in 0..TOKENS {
        let name = |kind: &str| format!("{kind}:{token}");
        net.token(token, &name("token"), 1.0);
        net.unembed(&name("out"), token, 1.0);
        for layer in [0, 1] {
            let mut idle = net.head(layer, 1);
            idle.asks(&name("token"), token, 1.0);
            idle.answers(&name("token"), token, 1.0);
            idle.moves(&name("token"), token, &name("unread"));
        }
        net.head(0, 0).moves(&name("token"), token, &name("before"));
        let mut head = net.head(1, 0);
        head.asks(&name("token"), token, 1.0);
        head.answers(&name("before"), token, 1.0);
        // Less than a match, more than anything else.
        head.answers("token:0", token, 0.5);
        head.moves(&name("token"), token, &name("out"));
    }
    for position in 0..context {
        let name = format!("position:{position}");
        net.position(position, &name, 1.0);
        if position > 0 {
            net.head(0, 0).asks(&name, position, 1.0);
            let before = format!("position:{}", position - 1);
            net.head(0, 0).answers(&before, position, 1.0);
        }
    }
    let strings = started(&[1, 2, 3], LENGTH);
    let follows = |string: &[usize], at: usize| {
        let next = (1..=at).filter(|&next| string[next - 1] == string[at]);
        let mut next: Vec<usize> = next.map(|next| string[next]).collect();
        if next.is_empty() {
            next = vec![0];
        }
        let mut logits = vec![0.0; TOKENS];
        for &token in &next {
            logits[token] += 1.0 / next.len() as f32;
        }
        logits
    };
    Compiled {
        name: "induction",
        network: net.assembled(),
        clean: tokens(&strings, device),
        corrupt: tokens(&rolled(&strings, 300), device),
        meant: logits(&strings, follows, device),
        zero: vec![
            "input->a0.h0<q>",
            "input->a0.h0<k>",
            "input->a0.h0<v>",
            "input->a1.h0<q>",
            "input->a1.h0<k>",
            "a0.h0->a1.h0<k>",
            "input->a1.h0<v>",
            "a1.h0->logits",
        ],
        resample: vec![
            "input->a0.h0<v>",
            "input->a1.h0<q>",
            "a0.h0->a1.h0<k>",
            "input->a1.h0<v>",
            "a1.h0->logits",
        ],
    }
}
