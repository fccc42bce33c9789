//! Tasks of language: each one file, registered in [`Task`].

use super::draw::Draw;
use super::{
    Brackets, IndirectObject, ModularAddition, Parity, Prompts, Repeated, Sequences, acronyms,
    greater_than,
};
use crate::data::error::DataError;

/// One question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// Its tokens.
    pub clean: Vec<usize>,
    /// A counterfactual of the same length.
    pub corrupt: Vec<usize>,
    /// Every token that is a right answer.
    pub right: Vec<usize>,
    /// Tokens that are wrong answers.
    pub wrong: Vec<usize>,
    /// The right answer that a model learns from this example.
    pub answer: usize,
    /// The first position whose next token can be known from what stands before.
    pub known_from: usize,
}

/// A task of language: prompts without end, each with its answers and a counterfactual. A prompt depends
/// on seed, stream and its number alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Task {
    /// Runs of tokens over and over.
    Repeated(Repeated),
    /// To whom it is given.
    IndirectObject(IndirectObject),
    /// Years that end after they began.
    GreaterThan,
    /// Whether brackets are balanced.
    Brackets(Brackets),
    /// Addition modulo a number.
    ModularAddition(ModularAddition),
    /// The third letter of three.
    Acronyms,
    /// Whether the number of ones is even.
    Parity(Parity),
}

impl Task {
    /// Its name in settings and records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Repeated(_) => "repeated",
            Self::IndirectObject(_) => "indirect-object",
            Self::GreaterThan => "greater-than",
            Self::Brackets(_) => "brackets",
            Self::ModularAddition(_) => "modular-addition",
            Self::Acronyms => "acronyms",
            Self::Parity(_) => "parity",
        }
    }

    /// The text of each token of its vocabulary.
    pub fn token_names(self) -> Vec<String> {
        match self {
            Self::Repeated(task) => task.token_names(),
            Self::IndirectObject(_) => IndirectObject::token_names(),
            Self::GreaterThan => greater_than::token_names(),
            Self::Brackets(_) => Brackets::token_names(),
            Self::ModularAddition(task) => task.token_names(),
            Self::Acronyms => acronyms::token_names(),
            Self::Parity(_) => Parity::token_names(),
        }
    }

    /// The prompt of this number.
    pub fn prompt(self, seed: u64, stream: u64, number: u64) -> Prompt {
        let draw = &mut Draw::new(seed, stream, number);
        match self {
            Self::Repeated(task) => task.prompt(draw),
            Self::IndirectObject(task) => task.prompt(draw),
            Self::GreaterThan => greater_than::prompt(draw),
            Self::Brackets(task) => task.prompt(draw),
            Self::ModularAddition(task) => task.prompt(draw),
            Self::Acronyms => acronyms::prompt(draw),
            Self::Parity(task) => task.prompt(draw),
        }
    }

    fn first(self, seed: u64, stream: u64, count: usize) -> impl Iterator<Item = Prompt> {
        (0..count as u64).map(move |number| self.prompt(seed, stream, number))
    }

    /// The first `count` prompts.
    ///
    /// # Errors
    /// [`DataError::Empty`] if `count` is 0.
    pub fn prompts(self, seed: u64, stream: u64, count: usize) -> Result<Prompts, DataError> {
        let prompts = self.first(seed, stream, count).collect();
        Prompts::new(self.name(), self.token_names(), prompts)
    }

    /// The first `count` prompts, each with its answer behind it: what a model learns the task from.
    ///
    /// # Errors
    /// [`DataError::Empty`] if `count` is 0.
    pub fn sequences(self, seed: u64, stream: u64, count: usize) -> Result<Sequences, DataError> {
        let (mut tokens, mut known_from) = (Vec::new(), Vec::with_capacity(count));
        let mut length = 2;
        for prompt in self.first(seed, stream, count) {
            length = prompt.clean.len() + 1;
            let whole = prompt.clean.iter().chain([&prompt.answer]);
            tokens.extend(whole.map(|&token| token as u32));
            known_from.push(prompt.known_from);
        }
        Sequences::new(self.name(), self.token_names(), length, tokens, known_from)
    }
}

/// Words as tokens of a vocabulary that holds them all.
pub(super) fn tokens_of<'a>(
    vocabulary: &[&str],
    words: impl Iterator<Item = &'a str>,
) -> Vec<usize> {
    words
        .map(|word| {
            let mut all = vocabulary.iter();
            all.position(|known| *known == word)
                .expect("a template's words are in its vocabulary")
        })
        .collect()
}
