//! Whether brackets are balanced.

use super::draw::Draw;
use super::task::Prompt;
use crate::data::error::DataError;

/// A string of brackets, answered by `balanced` or `unbalanced`, each as often: a start, the brackets, an
/// end. What is not balanced is a balanced string with two brackets exchanged or one turned round, so that
/// counting alone does not tell. The counterfactual is the string of the other kind that it came from or
/// went to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Brackets {
    brackets: usize,
}

const START: usize = 0;
const OPEN: usize = 1;
const CLOSED: usize = 2;
const END: usize = 3;
const NAMES: [&str; 6] = ["start", "(", ")", "end", "balanced", "unbalanced"];

impl Brackets {
    /// Prompts of `positions` tokens, of which two are no brackets.
    ///
    /// # Errors
    /// [`DataError::Setting`] unless they are an even number of at least 6.
    pub fn new(positions: usize) -> Result<Self, DataError> {
        if !(6..=1 << 14).contains(&positions) || !positions.is_multiple_of(2) {
            let valid = "even, from 6 to 16384: a start, pairs of brackets, an end";
            return Err(DataError::setting("context", positions, valid));
        }
        Ok(Self {
            brackets: positions - 2,
        })
    }

    /// The tree of a balanced string by the parent of each token: the start has none, an opening bracket
    /// hangs on the one that it stands in, a closing one on its partner, and the end and the outermost
    /// brackets on the start. `None` of a string that is not balanced.
    pub fn parents(tokens: &[usize]) -> Option<Vec<Option<usize>>> {
        let [START, inner @ .., END] = tokens else {
            return None;
        };
        let mut open = vec![0];
        let mut parents = vec![None];
        for (at, &token) in inner.iter().enumerate() {
            let own = at + 1;
            match token {
                OPEN => {
                    parents.push(open.last().copied());
                    open.push(own);
                }
                // The start is no bracket's partner.
                CLOSED if open.len() > 1 => parents.push(open.pop()),
                _ => return None,
            }
        }
        parents.push(Some(0));
        (open.len() == 1).then_some(parents)
    }

    pub(super) fn token_names() -> Vec<String> {
        NAMES.map(String::from).to_vec()
    }

    pub(super) fn prompt(self, draw: &mut Draw) -> Prompt {
        let balanced = self.balanced(draw);
        let unbalanced = loop {
            let mut other = balanced.clone();
            let at = draw.below(self.brackets);
            if draw.below(2) == 0 {
                other[at] = OPEN + CLOSED - other[at];
            } else {
                other.swap(at, draw.below(self.brackets));
            }
            if !is_balanced(&other) {
                break other;
            }
        };
        let whole = |brackets: Vec<usize>| {
            let mut all = vec![0];
            all.extend(brackets);
            all.push(3);
            all
        };
        let is_clean = draw.below(2) == 0;
        let both = [whole(balanced), whole(unbalanced)];
        let [clean, corrupt] = if is_clean {
            both
        } else {
            let [a, b] = both;
            [b, a]
        };
        let answer = if is_clean { 4 } else { 5 };
        Prompt {
            known_from: clean.len() - 1,
            clean,
            corrupt,
            right: vec![answer],
            wrong: vec![9 - answer],
            answer,
        }
    }

    /// A balanced string: at each place one opens or closes, as far as either can still be balanced.
    fn balanced(self, draw: &mut Draw) -> Vec<usize> {
        let mut depth = 0;
        let places = 0..self.brackets;
        places
            .map(|at| {
                let left = self.brackets - at;
                let opens = depth == 0 || (depth < left && draw.below(2) == 0);
                depth = if opens { depth + 1 } else { depth - 1 };
                if opens { OPEN } else { CLOSED }
            })
            .collect()
    }
}

fn is_balanced(brackets: &[usize]) -> bool {
    let mut depth = 0_usize;
    for &bracket in brackets {
        match depth.checked_sub(usize::from(bracket == CLOSED)) {
            Some(less) => depth = less + usize::from(bracket == OPEN),
            None => return false,
        }
    }
    depth == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_and_their_counterfactuals_are_of_either_kind() {
        let task = Brackets::new(12).unwrap();
        let mut yes = 0;
        for example in 0..300 {
            let prompt = task.prompt(&mut Draw::new(0, 0, example));
            assert_eq!((prompt.clean.len(), prompt.clean[11]), (12, 3));
            let is = |tokens: &[usize]| is_balanced(&tokens[1..11]);
            assert_eq!(is(&prompt.clean), prompt.answer == 4);
            assert_ne!(is(&prompt.clean), is(&prompt.corrupt));
            let apart = (0..12).filter(|&at| prompt.clean[at] != prompt.corrupt[at]);
            assert!((1..=2).contains(&apart.count()));
            assert_eq!(prompt.right[0] + prompt.wrong[0], 9);
            yes += usize::from(prompt.answer == 4);
        }
        assert!((110..190).contains(&yes), "{yes}");
        // start ( ( ) ) ( ) end
        let parents = Brackets::parents(&[0, 1, 1, 2, 2, 1, 2, 3]).unwrap();
        let expected = [
            None,
            Some(0),
            Some(1),
            Some(2),
            Some(1),
            Some(0),
            Some(5),
            Some(0),
        ];
        assert_eq!(parents, expected);
        for wrong in [&[0, 1, 3][..], &[0, 2, 1, 3], &[0, 1, 2], &[]] {
            assert_eq!(Brackets::parents(wrong), None, "{wrong:?}");
        }
        assert!(is_balanced(&[1, 1, 2, 2]) && !is_balanced(&[2, 1]) && !is_balanced(&[1, 1]));
        assert!(Brackets::new(7).is_err() && Brackets::new(4).is_err());
    }
}
