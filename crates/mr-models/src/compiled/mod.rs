//! Networks whose weights are written by hand, so that what they compute, and by which edges, is known:
//! ground truth for methods that look for circuits (Lindner et al. 2023, "Tracr").
//!
//! They are ordinary [`Network`]s. Each comes with every kind of input that it is asked about, what it says
//! of each to the last digit that rounding leaves, and with its true circuit. What is true depends on what
//! stands in for an edge that is cut. Under zero ablation an edge is needed if the output needs what it
//! carries; under resample ablation only if what it carries is another thing in the other run, so edges that
//! carry positions, or anything else that all inputs share, are not of it. Scores that were found by one and
//! are held against the truth of the other look wrong where they are right.
//!
//! ```
//! use mr_models::{Model, compiled, floats};
//!
//! let reverse = compiled::reverse(&burn::tensor::Device::flex());
//! assert_eq!(reverse.zero.len(), 10);
//! assert_eq!(reverse.resample, ["input->a3.h0<v>", "a3.h0->logits"]);
//! let said = floats(reverse.network.logits(&reverse.clean));
//! let meant = floats(reverse.meant.clone());
//! assert!(said.iter().zip(&meant).all(|(said, meant)| (said - meant).abs() < 1e-3));
//! ```

mod assembler;
mod automaton;
mod backdoor;
mod boolean;
mod induction;
mod proportion;
mod reverse;
mod same;

use burn::tensor::{Device, Tensor, TensorData};

pub use automaton::{automaton, automaton_state};
pub use backdoor::backdoor;
pub use boolean::boolean;
pub use induction::induction;
pub use proportion::proportion;
pub use reverse::reverse;
pub use same::same;

use crate::input::Input;
use crate::network::Network;

/// A network that runs a known program.
#[derive(Debug, Clone)]
pub struct Compiled {
    /// The program's name.
    pub name: &'static str,
    /// The network.
    pub network: Network,
    /// Inputs, as a batch.
    pub clean: Input,
    /// A counterfactual of each.
    pub corrupt: Input,
    /// The logits that the program says for the clean inputs, `[batch, position, class]`.
    pub meant: Tensor<3>,
    /// The edges that are needed where a cut edge carries nothing.
    pub zero: Vec<&'static str>,
    /// The edges that are needed where a cut edge carries what it carries in the corrupt run.
    pub resample: Vec<&'static str>,
}

/// Every program that has edges: all but the [`automaton`].
pub fn all(device: &Device) -> Vec<Compiled> {
    vec![
        proportion(device),
        reverse(device),
        induction(device),
        same(device),
        backdoor(device),
        boolean(device),
    ]
}

/// Every sequence of `length` tokens of these.
fn every(tokens: &[usize], length: usize) -> Vec<Vec<usize>> {
    (0..length).fold(vec![Vec::new()], |all, _| {
        let longer = all.iter().flat_map(|sequence| {
            let with = |&token: &usize| {
                let mut longer = sequence.clone();
                longer.push(token);
                longer
            };
            tokens.iter().map(with)
        });
        longer.collect()
    })
}

/// Every string of `length` tokens of these, after a start, 0.
fn started(tokens: &[usize], length: usize) -> Vec<Vec<usize>> {
    let strings = every(tokens, length).into_iter();
    strings.map(|string| [vec![0], string].concat()).collect()
}

/// The same sequences, each in the place of the one so many places before.
fn rolled(sequences: &[Vec<usize>], by: usize) -> Vec<Vec<usize>> {
    let mut rolled = sequences.to_vec();
    rolled.rotate_left(by % sequences.len());
    rolled
}

fn tokens(sequences: &[Vec<usize>], device: &Device) -> Input {
    Input::of_tokens(sequences, device).expect("sequences of a program have one length")
}

/// Logits `[batch, position, class]` of what a program says for each sequence and position.
fn logits(
    sequences: &[Vec<usize>],
    says: impl Fn(&[usize], usize) -> Vec<f32>,
    device: &Device,
) -> Tensor<3> {
    let rows = sequences
        .iter()
        .flat_map(|sequence| (0..sequence.len()).map(move |at| (sequence, at)));
    let rows: Vec<Vec<f32>> = rows.map(|(sequence, at)| says(sequence, at)).collect();
    let shape = [sequences.len(), sequences[0].len(), rows[0].len()];
    Tensor::from_data(TensorData::new(rows.concat(), shape), device)
}

#[cfg(test)]
mod tests;
