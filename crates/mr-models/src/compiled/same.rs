//! Whether a token is the first one.

use burn::tensor::Device;

use super::assembler::{Assembler, Size, named};
use super::{Compiled, every, logits, rolled, tokens};

const LENGTH: usize = 4;
const TOKENS: usize = 3;

/// Four tokens of 0, 1, 2; at each position the second logit is 1 where the token is the first of all, 0
/// where it is not; the first logit is 0.
///
/// The head fetches the first token, and the MLP has a neuron for each token that is on where both are it.
/// Every query asks for the first position, by a term that no edge carries.
pub fn same(device: &Device) -> Compiled {
    let size = Size {
        vocabulary: TOKENS,
        context: LENGTH,
        layers: 1,
        heads: 2,
        d_head: TOKENS,
        d_mlp: TOKENS,
        classes: 2,
        causal: true,
    };
    let mut directions = named("token", 0..TOKENS);
    directions.extend(named("first", 0..TOKENS));
    directions.extend(["at start", "same", "unread"].map(String::from));
    let mut net = Assembler::new(&size, directions, device);
    net.position(0, "at start", 1.0);
    net.head(0, 0).always_asks(0).answers("at start", 0, 1.0);
    for token in 0..TOKENS {
        let [own, first] = ["token", "first"].map(|kind| format!("{kind}:{token}"));
        net.token(token, &own, 1.0);
        net.head(0, 0).moves(&own, token, &first);
        net.head(0, 1).moves(&own, token, "unread");
        let both = [(own.as_str(), 1.0), (first.as_str(), 1.0)];
        net.neuron(0, &both, -1.0, &[("same", 1.0)]);
    }
    net.unembed("same", 1, 1.0);
    let strings = every(&[0, 1, 2], LENGTH);
    let is_first = |string: &[usize], at: usize| {
        let same = string[at] == string[0];
        vec![0.0, f32::from(u8::from(same))]
    };
    Compiled {
        name: "same",
        network: net.assembled(),
        clean: tokens(&strings, device),
        corrupt: tokens(&rolled(&strings, 31), device),
        meant: logits(&strings, is_first, device),
        zero: vec![
            "input->a0.h0<k>",
            "input->a0.h0<v>",
            "input->m0",
            "a0.h0->m0",
            "m0->logits",
        ],
        resample: vec!["input->a0.h0<v>", "input->m0", "a0.h0->m0", "m0->logits"],
    }
}
