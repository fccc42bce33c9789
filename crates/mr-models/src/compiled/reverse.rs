//! The tokens in reverse: tracr's `reverse`.

use burn::tensor::Device;

use super::assembler::{Assembler, Size, named};
use super::{Compiled, logits, rolled, started, tokens};

/// The longest string after the start.
const LENGTH: usize = 5;

/// How steep a step of two neurons is.
const STEEP: f32 = 200.0;

/// After a start, 0, five tokens of 1, 2, 3; at position i the logit of the token at the position opposite,
/// 6 - i, is 1 and the others are 0. The start stays where it is.
///
/// It works for shorter strings too, as it finds out the length: the head of block 0 looks everywhere and
/// sees what share of it is the start; MLP 0 makes that a length, MLP 1 takes the own index from it, MLP 2
/// marks the position that is wanted, or the start at the start; the head of block 3 fetches the token. Under
/// zero ablation all of that is needed. All strings here are of one length, so that under resample ablation
/// nothing is but the token's own way.
pub fn reverse(device: &Device) -> Compiled {
    let size = Size {
        vocabulary: 4,
        context: 1 + LENGTH,
        layers: 4,
        heads: 1,
        d_head: 2 + LENGTH,
        d_mlp: 2 * (LENGTH + 1) + 2 + LENGTH,
        classes: 4,
        causal: false,
    };
    let mut directions = named("token", 0..4);
    directions.extend(named("position", 0..=LENGTH));
    directions.extend(named("wanted", 0..=LENGTH));
    directions.extend(named("out", 0..4));
    directions.extend(["index", "start share", "length", "opposite"].map(String::from));
    let mut net = Assembler::new(&size, directions, device);
    for token in 0..4 {
        net.token(token, &format!("token:{token}"), 1.0);
        net.unembed(&format!("out:{token}"), token, 1.0);
    }
    for position in 0..=LENGTH {
        net.position(position, &format!("position:{position}"), 1.0);
        net.position(position, "index", position as f32);
    }
    net.head(0, 0).moves("token:0", 0, "start share");
    // The share of the start is 1 / (n + 1): a string has at least k tokens where it is small enough.
    for least in 1..=LENGTH {
        step(&mut net, 1.0 / (least as f32 + 0.5), 1.0);
    }
    // Where there is no start, there is no length either.
    step(&mut net, 1.0 / (LENGTH as f32 + 1.5), -(LENGTH as f32));
    let opposite = [("length", 1.0), ("index", -1.0)];
    net.neuron(1, &opposite, 1.0, &[("opposite", 1.0)]);
    for wanted in 1..=LENGTH {
        // A triangle about the number, which the start puts out.
        let name = format!("wanted:{wanted}");
        for (shift, weight) in [(1.0, 1.0), (0.0, -2.0), (-1.0, 1.0)] {
            let reads = [("opposite", 1.0), ("position:0", -10.0)];
            net.neuron(2, &reads, shift - wanted as f32, &[(&name, weight)]);
        }
    }
    net.neuron(2, &[("position:0", 1.0)], 0.0, &[("wanted:0", 1.0)]);
    let mut head = net.head(3, 0);
    for position in 0..=LENGTH {
        head.asks(&format!("wanted:{position}"), position, 1.0);
        head.answers(&format!("position:{position}"), position, 1.0);
    }
    for token in 0..4 {
        head.moves(&format!("token:{token}"), token, &format!("out:{token}"));
    }
    let strings = started(&[1, 2, 3], LENGTH);
    let opposite = |string: &[usize], at: usize| {
        let from = if at == 0 { 0 } else { string.len() - at };
        let mut logits = vec![0.0; 4];
        logits[string[from]] = 1.0;
        logits
    };
    Compiled {
        name: "reverse",
        network: net.assembled(),
        clean: tokens(&strings, device),
        corrupt: tokens(&rolled(&strings, 100), device),
        meant: logits(&strings, opposite, device),
        zero: vec![
            "input->a0.h0<v>",
            "a0.h0->m0",
            "input->m1",
            "m0->m1",
            "input->m2",
            "m1->m2",
            "m2->a3.h0<q>",
            "input->a3.h0<k>",
            "input->a3.h0<v>",
            "a3.h0->logits",
        ],
        resample: vec!["input->a3.h0<v>", "a3.h0->logits"],
    }
}

/// Adds to the length where the start's share lies below a limit.
fn step(net: &mut Assembler, limit: f32, weight: f32) {
    for (shift, sign) in [(0.0, 1.0), (-1.0, -1.0)] {
        let term = STEEP * limit + shift;
        let writes = [("length", sign * weight)];
        net.neuron(0, &[("start share", -STEEP)], term, &writes);
    }
}
