//! Sequences of one length, and what of them is to be foretold.

use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::data::error::DataError;
use crate::data::order::shuffled;
use crate::input::Input;

/// Sequences of tokens of one length, for a model that foretells the next token at each position. Never
/// empty.
///
/// A sequence of `length` tokens is read at its first `length - 1` positions, each of which has the token
/// after it as its truth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequences {
    name: String,
    token_names: Vec<String>,
    length: usize,
    /// `[example, position]`.
    tokens: Vec<u32>,
    /// By example, the first position whose next token can be known.
    known_from: Vec<usize>,
    numbers: Vec<u64>,
}

impl Sequences {
    /// Sequences of `length` tokens one after the other. `known_from` says, by example, from which
    /// position on the next token is to be learned; an empty one, from the first.
    ///
    /// # Errors
    /// No sequence, a `length` below 2, tokens that are not whole sequences, a token without a name, a
    /// position past the end.
    pub fn new(
        name: &str,
        token_names: Vec<String>,
        length: usize,
        tokens: Vec<u32>,
        mut known_from: Vec<usize>,
    ) -> Result<Self, DataError> {
        if length < 2 {
            return Err(DataError::setting("length", length, "at least 2 tokens"));
        }
        if tokens.is_empty() {
            return Err(DataError::Empty { name: name.into() });
        }
        if !tokens.len().is_multiple_of(length) {
            let valid = format!("a multiple of the length, {length}");
            return Err(DataError::setting("number of tokens", tokens.len(), valid));
        }
        let outside = |&token: &u32| token as usize >= token_names.len();
        if let Some(at) = tokens.iter().position(outside) {
            return Err(DataError::Label {
                name: name.into(),
                example: at / length,
                label: tokens[at] as usize,
                classes: token_names.len(),
            });
        }
        let examples = tokens.len() / length;
        if known_from.is_empty() {
            known_from = vec![0; examples];
        }
        if known_from.len() != examples || known_from.iter().any(|&from| from + 1 >= length) {
            let valid = format!("a position below {} for each example", length - 1);
            let value = format!("{known_from:?}");
            return Err(DataError::setting("known_from", value, valid));
        }
        Ok(Self {
            name: name.into(),
            token_names,
            length,
            tokens,
            known_from,
            numbers: (0..examples as u64).collect(),
        })
    }

    /// What they are called, such as `shakespeare`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Number of sequences, at least 1.
    #[expect(
        clippy::len_without_is_empty,
        reason = "no constructor makes an empty set"
    )]
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Tokens that a model reads of each: one less than a sequence has.
    pub fn positions(&self) -> usize {
        self.length - 1
    }

    /// Number of different tokens; not every one need occur.
    pub fn vocabulary(&self) -> usize {
        self.token_names.len()
    }

    /// The text of each token.
    pub fn token_names(&self) -> &[String] {
        &self.token_names
    }

    /// A sequence's number in the set that it was first read in, which stays with it.
    ///
    /// # Panics
    /// If there is no such sequence.
    pub fn number(&self, example: usize) -> u64 {
        self.numbers[example]
    }

    /// Every token of a sequence.
    ///
    /// # Panics
    /// If there is no such sequence.
    pub fn tokens(&self, example: usize) -> &[u32] {
        &self.tokens[example * self.length..(example + 1) * self.length]
    }

    /// The first position of a sequence whose next token is to be learned.
    ///
    /// # Panics
    /// If there is no such sequence.
    pub fn known_from(&self, example: usize) -> usize {
        self.known_from[example]
    }

    /// Number of tokens that are to be foretold.
    pub fn known(&self) -> usize {
        let each = self.known_from.iter();
        each.map(|from| self.positions() - from).sum()
    }

    fn shifted(&self, examples: &[usize], by: usize, device: &Device) -> Tensor<2, Int> {
        let rows = examples.iter().flat_map(|&example| {
            let tokens = &self.tokens(example)[by..by + self.positions()];
            tokens.iter().map(|&token| i64::from(token))
        });
        let data = TensorData::new(rows.collect(), [examples.len(), self.positions()]);
        Tensor::from_data(data, device)
    }

    /// What a model reads of these sequences, `[batch, position]`.
    ///
    /// # Panics
    /// If there is no such sequence.
    pub fn input(&self, examples: &[usize], device: &Device) -> Input {
        Input::Tokens(self.shifted(examples, 0, device))
    }

    /// The token after each position `[batch, position]`.
    ///
    /// # Panics
    /// If there is no such sequence.
    pub fn next(&self, examples: &[usize], device: &Device) -> Tensor<2, Int> {
        self.shifted(examples, 1, device)
    }

    /// 1 where the next token is to be learned, 0 where it is not, `[batch, position]`.
    ///
    /// # Panics
    /// If there is no such sequence.
    pub fn mask(&self, examples: &[usize], device: &Device) -> Tensor<2> {
        let rows = examples.iter().flat_map(|&example| {
            let from = self.known_from[example];
            (0..self.positions()).map(move |position| f32::from(u8::from(position >= from)))
        });
        let data = TensorData::new(rows.collect(), [examples.len(), self.positions()]);
        Tensor::from_data(data, device)
    }

    /// The sequences at these indices, in this order.
    ///
    /// # Errors
    /// [`DataError::Empty`] if there are none, [`DataError::Setting`] for an index past the end.
    pub fn subset(&self, examples: &[usize]) -> Result<Self, DataError> {
        if let Some(&past) = examples.iter().find(|&&example| example >= self.len()) {
            let valid = format!("below {}, the number of sequences", self.len());
            return Err(DataError::setting("example", past, valid));
        }
        let tokens = examples.iter().flat_map(|&example| self.tokens(example));
        let part = Self::new(
            &self.name,
            self.token_names.clone(),
            self.length,
            tokens.copied().collect(),
            examples.iter().map(|&at| self.known_from[at]).collect(),
        )?;
        Ok(Self {
            numbers: examples.iter().map(|&at| self.numbers[at]).collect(),
            ..part
        })
    }

    /// All indices in an order that depends on `seed` and `epoch` alone.
    pub fn order(&self, seed: u64, epoch: u64) -> Vec<usize> {
        shuffled(self.len(), seed, epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{floats, integers};

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|token| token.to_string()).collect()
    }

    fn three() -> Sequences {
        let tokens = vec![0, 1, 2, 3, 3, 2, 1, 0, 1, 1, 2, 2];
        Sequences::new("three", names(4), 4, tokens, vec![0, 2, 1]).unwrap()
    }

    #[test]
    fn each_position_is_asked_for_the_token_after_it() {
        let (data, device) = (three(), Device::flex());
        let Input::Tokens(read) = data.input(&[1, 0], &device) else {
            panic!("sequences are tokens");
        };
        assert_eq!(integers(read), [3, 2, 1, 0, 1, 2]);
        let next = integers(data.next(&[1, 0], &device));
        assert_eq!(next, [2, 1, 0, 1, 2, 3]);
        let mask = floats(data.mask(&[1, 0], &device));
        assert_eq!(mask, [0.0, 0.0, 1.0, 1.0, 1.0, 1.0]);
        assert_eq!(data.known(), 3 + 1 + 2);
    }

    #[test]
    fn parts_keep_their_numbers() {
        let part = three().subset(&[2, 1]).unwrap();
        assert_eq!((part.number(0), part.number(1)), (2, 1));
        assert_eq!((part.tokens(1), part.known_from(1)), (&[3, 2, 1, 0][..], 2));
        assert!(three().subset(&[3]).is_err());
        assert!(three().subset(&[]).is_err());
    }

    #[test]
    fn what_is_no_set_of_sequences_is_told() {
        let said = |tokens: Vec<u32>, length, from| {
            let made = Sequences::new("bad", names(4), length, tokens, from);
            made.unwrap_err().to_string()
        };
        assert_eq!(
            said(vec![0, 1, 4, 0], 2, vec![]),
            "bad: example 1 has label 4, but there are 4 classes"
        );
        assert!(said(vec![0, 1, 2], 2, vec![]).contains("a multiple of the length, 2"));
        assert!(said(vec![0], 1, vec![]).contains("length is 1"));
        assert!(said(vec![], 2, vec![]).contains("empty"));
        assert!(said(vec![0, 1], 2, vec![1]).contains("a position below 1"));
    }
}
