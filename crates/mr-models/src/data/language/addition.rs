//! Addition modulo a number.

use super::draw::Draw;
use super::task::Prompt;
use crate::data::error::DataError;

/// `a b =`, answered by a + b modulo `modulus` (Power et al. 2022; Nanda et al. 2023). Numbers are their
/// own tokens. The counterfactual adds another b.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModularAddition {
    modulus: usize,
}

impl ModularAddition {
    /// Addition modulo this number.
    ///
    /// # Errors
    /// [`DataError::Setting`] unless it is from 2 to 65536.
    pub fn new(modulus: usize) -> Result<Self, DataError> {
        if !(2..=1 << 16).contains(&modulus) {
            let valid = "from 3 to 65537: the numbers and an equals sign";
            return Err(DataError::setting("vocabulary", modulus + 1, valid));
        }
        Ok(Self { modulus })
    }

    pub(super) fn token_names(self) -> Vec<String> {
        let numbers = (0..self.modulus).map(|number| number.to_string());
        numbers.chain(["=".to_string()]).collect()
    }

    pub(super) fn prompt(self, draw: &mut Draw) -> Prompt {
        let (a, b) = (draw.below(self.modulus), draw.below(self.modulus));
        let other = (b + 1 + draw.below(self.modulus - 1)) % self.modulus;
        let sum = |b: usize| (a + b) % self.modulus;
        Prompt {
            clean: vec![a, b, self.modulus],
            corrupt: vec![a, other, self.modulus],
            right: vec![sum(b)],
            wrong: vec![sum(other)],
            answer: sum(b),
            known_from: 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_the_sum() {
        let task = ModularAddition::new(7).unwrap();
        for example in 0..100 {
            let prompt = task.prompt(&mut Draw::new(0, 0, example));
            let [a, b, equals] = prompt.clean[..] else {
                panic!("three tokens");
            };
            assert_eq!((prompt.answer, equals), ((a + b) % 7, 7));
            assert_eq!(prompt.corrupt[0], a);
            assert_eq!(prompt.wrong, [(a + prompt.corrupt[1]) % 7]);
            assert_ne!(prompt.right, prompt.wrong);
        }
        let error = ModularAddition::new(1).unwrap_err().to_string();
        assert!(error.starts_with("vocabulary is 2"), "{error}");
    }
}
