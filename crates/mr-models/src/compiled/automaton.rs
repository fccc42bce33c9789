//! A finite automaton in a recurrent network.

use burn::tensor::Device;

use super::{Compiled, every, logits, rolled, tokens};
use crate::arch::{Architecture, Rnn};
use crate::network::Network;

/// Symbols of a string, and length of the strings.
const SYMBOLS: usize = 2;
const LENGTH: usize = 6;
/// States: how many 1 there were, modulo 3.
const STATES: usize = 3;

/// The state after a symbol.
fn next(state: usize, symbol: usize) -> usize {
    (state + symbol) % STATES
}

/// Counts the 1 in a string of 0 and 1, modulo 3: at each step the logit of the count is 1, the others are 0.
///
/// The hidden state after a step is the unit of the state before it and the symbol read: a unit is on where
/// the units that lead to its state were on, and its symbol is there: ReLU of the sum of both less 1. A
/// recurrent network has no residual stream and so no edges, and its truth is of states: what is patched
/// from another string at `steps.2.hook_hidden` goes on as the automaton does from that string's state
/// ([`automaton_state`]).
pub fn automaton(device: &Device) -> Compiled {
    let strings = every(&[0, 1], LENGTH);
    let counts = |string: &[usize], at: usize| {
        let state = string[..=at]
            .iter()
            .fold(0, |state, &symbol| next(state, symbol));
        let mut logits = vec![0.0; STATES];
        logits[state] = 1.0;
        logits
    };
    Compiled {
        name: "automaton",
        network: network(device),
        clean: tokens(&strings, device),
        corrupt: tokens(&rolled(&strings, 21), device),
        meant: logits(&strings, counts, device),
        zero: Vec::new(),
        resample: Vec::new(),
    }
}

/// The automaton's state that a hidden state of [`automaton`] stands for; none where no unit is on.
pub fn automaton_state(hidden: &[f32]) -> Option<usize> {
    let on = hidden.iter().position(|&unit| unit > 0.5)?;
    Some(next(on / SYMBOLS, on % SYMBOLS))
}

fn network(device: &Device) -> Network {
    let hidden = STATES * SYMBOLS;
    let units = || (0..hidden).map(|unit| (unit / SYMBOLS, unit % SYMBOLS));
    let rnn = Rnn {
        vocabulary: SYMBOLS,
        context: LENGTH,
        hidden,
        classes: STATES,
    };
    let is = |yes: bool| f32::from(u8::from(yes));
    let reads = (0..SYMBOLS).flat_map(|read| units().map(move |(_, symbol)| is(symbol == read)));
    let leads = units().flat_map(|(from, symbol)| {
        let to = next(from, symbol);
        units().map(move |(state, _)| is(state == to))
    });
    let says = (0..STATES).flat_map(|said| units().map(move |(s, a)| is(next(s, a) == said)));
    let weights = [
        ("W_in", vec![SYMBOLS, hidden], reads.collect()),
        ("W", vec![hidden, hidden], leads.collect()),
        ("b", vec![hidden], vec![-1.0; hidden]),
        // As after a 0 in state 0.
        (
            "start",
            vec![hidden],
            (0..hidden).map(|unit| is(unit == 0)).collect(),
        ),
        ("out.weight", vec![STATES, hidden], says.collect()),
        ("out.bias", vec![STATES], vec![0.0; STATES]),
    ];
    let named = weights.map(|(name, shape, values)| (name.to_string(), shape, values));
    Network::with_weights(Architecture::Rnn(rnn), named.to_vec(), device)
        .expect("the weights are those of the architecture")
}

#[cfg(test)]
mod tests {
    use burn::tensor::Tensor;

    use super::*;
    use crate::hook::{Hook, run_with_cache};
    use crate::host::floats;
    use crate::model::Model;
    use crate::site::Site;

    const SITE: &str = "steps.2.hook_hidden";

    struct Patch(Tensor<3>);

    impl Hook for Patch {
        fn wants(&self, site: &Site) -> bool {
            site.name == SITE
        }

        fn at(&mut self, _site: &Site, _activation: Tensor<3>) -> Tensor<3> {
            self.0.clone()
        }
    }

    #[test]
    fn the_network_counts_and_a_patched_state_counts_on() {
        let program = automaton(&Device::flex());
        let net = &program.network;
        assert_eq!(floats(net.logits(&program.clean)), floats(program.meant));
        let (_, cache) = run_with_cache(net, &program.corrupt, &[SITE]).unwrap();
        let other = cache.get(SITE).unwrap().clone();
        let states = floats(other.clone());
        let states: Vec<usize> = states
            .chunks(STATES * SYMBOLS)
            .map(|hidden| automaton_state(hidden).unwrap())
            .collect();
        let said = floats(net.run(&program.clean, &mut Patch(other)));
        let strings = every(&[0, 1], LENGTH);
        for (at, string) in strings.iter().enumerate() {
            let end = string[3..]
                .iter()
                .fold(states[at], |state, &symbol| next(state, symbol));
            let last = &said[(at * LENGTH + LENGTH - 1) * STATES..][..STATES];
            assert_eq!(last[end], 1.0, "{string:?} from {}", states[at]);
        }
        assert_eq!(automaton_state(&[0.0; 6]), None);
    }
}
