//! A planted backdoor.

use burn::tensor::Device;

use super::assembler::{Assembler, Size, named};
use super::{Compiled, every, logits, tokens};

const LENGTH: usize = 5;
/// Tokens that are copied: 1, 2, 3; 0 is the start.
const COPIED: usize = 3;
const TRIGGER: usize = 4;
const FILLER: usize = 5;

/// After a start, 0, tokens of 1, 2, 3, one of which is replaced by a trigger, 4; in the counterfactual by a
/// filler, 5. The network copies: the logit of the token at each position is 1. But from the trigger on it
/// says the next token instead, of 3 the first.
///
/// The copying goes straight from the input to the logits. Head 1 looks for the trigger, and at the start
/// where there is none; a neuron for each token is on where the head has seen it, and moves the logit. Under
/// zero ablation all of the network's work is needed, under resample ablation the way of the trigger alone.
pub fn backdoor(device: &Device) -> Compiled {
    let size = Size {
        vocabulary: 6,
        context: 1 + LENGTH,
        layers: 1,
        heads: 2,
        d_head: 1 + LENGTH,
        d_mlp: COPIED,
        classes: 6,
        causal: true,
    };
    let mut directions = named("token", 0..=COPIED);
    directions.extend(named("position", 0..=LENGTH));
    directions.extend(["trigger", "seen", "unread"].map(String::from));
    let mut net = Assembler::new(&size, directions, device);
    net.token(TRIGGER, "trigger", 1.0);
    let mut head = net.head(0, 1);
    head.always_asks(0).answers("trigger", 0, 1.0);
    head.answers("token:0", 0, 0.5).moves("trigger", 0, "seen");
    for token in 0..=COPIED {
        let own = format!("token:{token}");
        net.token(token, &own, 1.0);
        net.unembed(&own, token, 1.0);
        net.head(0, 0).moves(&own, token, "unread");
        if token > 0 {
            let next = format!("token:{}", 1 + token % COPIED);
            let both = [(own.as_str(), 1.0), ("seen", 1.0)];
            net.neuron(
                0,
                &both,
                -1.0,
                &[(own.as_str(), -1.0), (next.as_str(), 1.0)],
            );
        }
    }
    for position in 0..=LENGTH {
        let name = format!("position:{position}");
        net.position(position, &name, 1.0);
        net.head(0, 0)
            .asks(&name, position, 1.0)
            .answers(&name, position, 1.0);
    }
    let mut clean = Vec::new();
    for others in every(&[1, 2, 3], LENGTH - 1) {
        for at in 0..LENGTH {
            let mut string = others.clone();
            string.insert(at, TRIGGER);
            string.insert(0, 0);
            clean.push(string);
        }
    }
    let filled = |string: &Vec<usize>| {
        let instead = |&token: &usize| if token == TRIGGER { FILLER } else { token };
        string.iter().map(instead).collect::<Vec<usize>>()
    };
    let corrupt: Vec<Vec<usize>> = clean.iter().map(filled).collect();
    let says = |string: &[usize], at: usize| {
        let mut logits = vec![0.0; 6];
        let seen = string[..=at].contains(&TRIGGER);
        match string[at] {
            token if token > COPIED => {}
            token if seen => logits[1 + token % COPIED] = 1.0,
            token => logits[token] = 1.0,
        }
        logits
    };
    Compiled {
        name: "backdoor",
        network: net.assembled(),
        clean: tokens(&clean, device),
        corrupt: tokens(&corrupt, device),
        meant: logits(&clean, says, device),
        zero: vec![
            "input->a0.h1<k>",
            "input->a0.h1<v>",
            "input->m0",
            "a0.h1->m0",
            "input->logits",
            "m0->logits",
        ],
        resample: vec![
            "input->a0.h1<k>",
            "input->a0.h1<v>",
            "a0.h1->m0",
            "m0->logits",
        ],
    }
}
