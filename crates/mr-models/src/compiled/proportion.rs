//! What share of the tokens so far is a 1: tracr's `frac_prevs`.

use burn::tensor::Device;

use super::assembler::{Assembler, Size, named};
use super::{Compiled, logits, rolled, started, tokens};

/// Tokens after the start.
const LENGTH: usize = 5;

/// After a start, 0, five tokens of 1, 2, 3; at each position the first logit is the share of 1 among the
/// tokens up to there (0 at the start), the second is 0.
///
/// The MLP of block 0 marks every 1, the head of block 1 averages the marks of the positions up to its own,
/// which it finds by position alone. So under resample ablation its queries and keys are not needed. The
/// other head and the other MLP do nothing, as in tracr's.
pub fn proportion(device: &Device) -> Compiled {
    let size = Size {
        vocabulary: 4,
        context: 1 + LENGTH,
        layers: 2,
        heads: 1,
        d_head: 1 + LENGTH,
        d_mlp: 1,
        classes: 2,
        causal: false,
    };
    let mut directions = named("token", 0..4);
    directions.extend(named("position", 0..=LENGTH));
    directions.extend(["mark", "share"].map(String::from));
    let mut net = Assembler::new(&size, directions, device);
    for token in 0..4 {
        net.token(token, &format!("token:{token}"), 1.0);
    }
    net.neuron(0, &[("token:1", 1.0)], 0.0, &[("mark", 1.0)]);
    let mut head = net.head(1, 0);
    head.moves("mark", 0, "share");
    for position in 0..=LENGTH {
        let name = format!("position:{position}");
        // Channel i is what position i asks for: those from 1 to i; the start, for itself.
        head.asks(&name, position, 1.0);
        let askers = if position == 0 {
            0..=0
        } else {
            position..=LENGTH
        };
        askers.for_each(|asking| {
            head.answers(&name, asking, 1.0);
        });
    }
    for position in 0..=LENGTH {
        net.position(position, &format!("position:{position}"), 1.0);
    }
    net.unembed("share", 0, 1.0);
    let strings = started(&[1, 2, 3], LENGTH);
    let share = |string: &[usize], at: usize| {
        let ones = string[..=at].iter().filter(|&&token| token == 1).count();
        vec![ones as f32 / at.max(1) as f32, 0.0]
    };
    Compiled {
        name: "proportion",
        network: net.assembled(),
        clean: tokens(&strings, device),
        corrupt: tokens(&rolled(&strings, 100), device),
        meant: logits(&strings, share, device),
        zero: vec![
            "input->m0",
            "input->a1.h0<q>",
            "input->a1.h0<k>",
            "m0->a1.h0<v>",
            "a1.h0->logits",
        ],
        resample: vec!["input->m0", "m0->a1.h0<v>", "a1.h0->logits"],
    }
}
