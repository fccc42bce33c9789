//! Sequences that repeat themselves: what induction heads go on with.

use super::draw::Draw;
use super::task::Prompt;
use crate::data::error::DataError;

/// Token 0, then a run of different random tokens over and over: from its second time on each next token
/// is the one that followed the last time (Elhage et al. 2021, "induction heads"; Olsson et al. 2022).
///
/// The run is of random length, a third to a half of what there is, so that no fixed distance back holds
/// the answer: a model has to look for the token itself. The counterfactual repeats another run of the
/// same length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeated {
    vocabulary: usize,
    positions: usize,
}

impl Repeated {
    /// Prompts of `positions` tokens of a vocabulary.
    ///
    /// # Errors
    /// [`DataError::Setting`] unless there are at least 7 positions, and tokens enough for two runs.
    pub fn new(vocabulary: usize, positions: usize) -> Result<Self, DataError> {
        if !(7..=1 << 14).contains(&positions) {
            return Err(DataError::setting("context", positions, "from 7 to 16384"));
        }
        let least = 2 + (positions - 1) / 2;
        if vocabulary < least {
            let valid = format!("at least {least}: the tokens of a run are different");
            return Err(DataError::setting("vocabulary", vocabulary, valid));
        }
        Ok(Self {
            vocabulary,
            positions,
        })
    }

    pub(super) fn token_names(self) -> Vec<String> {
        let start = std::iter::once("start".to_string());
        start
            .chain((1..self.vocabulary).map(|token| token.to_string()))
            .collect()
    }

    pub(super) fn prompt(self, draw: &mut Draw) -> Prompt {
        let rest = self.positions - 1;
        let shortest = rest.div_ceil(3);
        let run = shortest + draw.below(rest / 2 - shortest + 1);
        let repeated = |tokens: &[usize]| {
            let mut all = vec![0];
            all.extend((0..=rest).map(|at| 1 + tokens[at % run]));
            all
        };
        let mut clean = repeated(&draw.distinct(run, self.vocabulary - 1));
        // Another run whose answer is another token.
        let mut corrupt = loop {
            let other = repeated(&draw.distinct(run, self.vocabulary - 1));
            if other.last() != clean.last() {
                break other;
            }
        };
        let answers = [clean.pop(), corrupt.pop()];
        let [answer, wrong] = answers.map(|token| token.expect("a token stands at the end"));
        Prompt {
            clean,
            corrupt,
            right: vec![answer],
            wrong: vec![wrong],
            answer,
            known_from: 1 + run,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_the_second_time_on_each_token_follows_as_before() {
        let task = Repeated::new(20, 12).unwrap();
        let mut runs = std::collections::BTreeSet::new();
        for example in 0..200 {
            let prompt = task.prompt(&mut Draw::new(0, 0, example));
            let mut all = prompt.clean.clone();
            assert_eq!((all.len(), all[0]), (12, 0));
            all.push(prompt.answer);
            let run = prompt.known_from - 1;
            runs.insert(run);
            for at in 1 + run..all.len() {
                assert_eq!(all[at], all[at - run]);
            }
            let mut once = all[1..=run].to_vec();
            once.sort_unstable();
            once.dedup();
            assert_eq!(once.len(), run, "the tokens of a run are different");
            let mut other = prompt.corrupt.clone();
            other.push(prompt.wrong[0]);
            assert!((1 + run..12).all(|at| other[at] == other[at - run]));
            assert_ne!(prompt.right, prompt.wrong);
        }
        assert_eq!(runs.into_iter().collect::<Vec<_>>(), [4, 5]);
        assert!(Repeated::new(5, 12).is_err() && Repeated::new(5, 3).is_err());
        assert_eq!(task.token_names().len(), 20);
    }
}
