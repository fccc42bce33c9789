//! Whether the number of ones is even.

use super::draw::Draw;
use super::task::Prompt;
use crate::data::error::DataError;

/// A string of random bits and an equals sign, answered by `even` or `odd`, of its ones: what an automaton of two
/// states tells, and what no part of the string tells by itself. The counterfactual has one bit turned round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parity {
    bits: usize,
}

const ONE: usize = 1;
const EQUALS: usize = 2;
const EVEN: usize = 3;
const NAMES: [&str; 5] = ["0", "1", "=", "even", "odd"];

impl Parity {
    /// Prompts of `positions` tokens, of which the last is no bit.
    ///
    /// # Errors
    /// [`DataError::Setting`] unless they are at least 2.
    pub fn new(positions: usize) -> Result<Self, DataError> {
        if !(2..=1 << 14).contains(&positions) {
            let valid = "from 2 to 16384: bits and an equals sign";
            return Err(DataError::setting("context", positions, valid));
        }
        Ok(Self {
            bits: positions - 1,
        })
    }

    pub(super) fn token_names() -> Vec<String> {
        NAMES.map(String::from).to_vec()
    }

    pub(super) fn prompt(self, draw: &mut Draw) -> Prompt {
        let mut clean: Vec<usize> = (0..self.bits).map(|_| draw.below(2)).collect();
        let ones: usize = clean.iter().sum();
        clean.push(EQUALS);
        let mut corrupt = clean.clone();
        let turned = draw.below(self.bits);
        corrupt[turned] = ONE - corrupt[turned];
        let answer = EVEN + ones % 2;
        Prompt {
            clean,
            corrupt,
            right: vec![answer],
            wrong: vec![2 * EVEN + 1 - answer],
            answer,
            known_from: self.bits,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_the_parity_and_the_counterfactual_the_other() {
        let task = Parity::new(6).unwrap();
        let names = Parity::token_names();
        let mut odd = 0;
        for example in 0..200 {
            let prompt = task.prompt(&mut Draw::new(0, 0, example));
            let says = |tokens: &[usize]| {
                let ones = tokens[..5].iter().filter(|&&bit| bit == 1).count();
                if ones % 2 == 0 { "even" } else { "odd" }
            };
            assert_eq!(names[prompt.answer], says(&prompt.clean));
            assert_eq!(names[prompt.wrong[0]], says(&prompt.corrupt));
            assert_eq!((prompt.clean[5], prompt.corrupt[5]), (2, 2));
            let apart = (0..6).filter(|&at| prompt.clean[at] != prompt.corrupt[at]);
            assert_eq!(apart.count(), 1);
            odd += usize::from(says(&prompt.clean) == "odd");
        }
        assert!((70..130).contains(&odd), "{odd}");
        assert!(Parity::new(1).is_err());
    }
}
