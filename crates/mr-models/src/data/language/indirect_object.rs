//! Indirect object identification.

use serde::{Deserialize, Serialize};

use super::draw::Draw;
use super::task::{Prompt, tokens_of};

/// Two names, one of which is said again; the other one is to whom it is given (Wang et al. 2023,
/// "Interpretability in the wild"): "When Mary and John went to the store , John gave a book to" is
/// answered by "Mary", not by "John". Every word is a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IndirectObject {
    /// What the corrupt prompt is.
    pub counterfactual: Counterfactual,
}

/// The corrupt prompt of an [`IndirectObject`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Counterfactual {
    /// Three other names, none said twice, so that there is no indirect object (the paper's ABC).
    #[default]
    Abc,
    /// The same two names, of which the other one is said twice: the wrong answer is its right one.
    Swapped,
}

/// `A` and `B` are the names in the order of the text, `S` the one that is said again.
const TEMPLATES: [&str; 4] = [
    "When A and B went to the PLACE , S gave a THING to",
    "When A and B came from the PLACE , S took a THING to",
    "After A and B left for the PLACE , S lent a THING to",
    "While A and B sat in the PLACE , S passed a THING to",
];
const NAMES: [&str; 24] = [
    "Mary", "John", "Anna", "Paul", "Lisa", "Mark", "Sara", "Tom", "Kate", "James", "Laura",
    "Peter", "Emma", "David", "Alice", "Robert", "Jane", "Simon", "Ruth", "Henry", "Clara",
    "Martin", "Julia", "Andrew",
];
const PLACES: [&str; 8] = [
    "store", "garden", "school", "station", "office", "harbour", "market", "library",
];
const THINGS: [&str; 8] = [
    "book", "drink", "ring", "letter", "key", "coin", "basket", "map",
];

impl IndirectObject {
    fn words() -> Vec<&'static str> {
        let mut all: Vec<&str> = NAMES.into_iter().chain(PLACES).chain(THINGS).collect();
        for word in TEMPLATES.iter().flat_map(|template| template.split(' ')) {
            let is_slot = matches!(word, "A" | "B" | "S" | "PLACE" | "THING");
            if !is_slot && !all.contains(&word) {
                all.push(word);
            }
        }
        all
    }

    pub(super) fn token_names() -> Vec<String> {
        Self::words().into_iter().map(String::from).collect()
    }

    pub(super) fn prompt(self, draw: &mut Draw) -> Prompt {
        let template = draw.one(&TEMPLATES);
        let (place, thing) = (*draw.one(&PLACES), *draw.one(&THINGS));
        let names = draw.distinct(5, NAMES.len());
        let names: Vec<&str> = names.into_iter().map(|name| NAMES[name]).collect();
        // Which of the two is said again.
        let again = draw.below(2);
        let words = Self::words();
        let fill = |a: &str, b: &str, s: &str| {
            let text = template.split(' ').map(|word| match word {
                "A" => a,
                "B" => b,
                "S" => s,
                "PLACE" => place,
                "THING" => thing,
                word => word,
            });
            tokens_of(&words, text)
        };
        let (subject, object) = (names[again], names[1 - again]);
        let answers = tokens_of(&words, [object, subject].into_iter());
        let clean = fill(names[0], names[1], subject);
        Prompt {
            corrupt: match self.counterfactual {
                Counterfactual::Abc => fill(names[2], names[3], names[4]),
                Counterfactual::Swapped => fill(names[0], names[1], object),
            },
            right: vec![answers[0]],
            wrong: vec![answers[1]],
            answer: answers[0],
            known_from: clean.len() - 1,
            clean,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_that_is_said_once_is_the_answer() {
        let names = IndirectObject::token_names();
        let count = |tokens: &[usize], token| tokens.iter().filter(|&&at| at == token).count();
        for counterfactual in [Counterfactual::Abc, Counterfactual::Swapped] {
            let task = IndirectObject { counterfactual };
            let mut first = 0;
            for example in 0..200 {
                let prompt = task.prompt(&mut Draw::new(1, 0, example));
                assert_eq!([prompt.clean.len(), prompt.corrupt.len()], [14, 14]);
                let (right, wrong) = (prompt.right[0], prompt.wrong[0]);
                assert_eq!(count(&prompt.clean, right), 1);
                assert_eq!(count(&prompt.clean, wrong), 2);
                first += usize::from(prompt.clean[1] == right);
                match counterfactual {
                    Counterfactual::Abc => {
                        assert_eq!(count(&prompt.corrupt, right), 0);
                        assert_eq!(count(&prompt.corrupt, wrong), 0);
                    }
                    Counterfactual::Swapped => {
                        assert_eq!(count(&prompt.corrupt, right), 2);
                        assert_eq!(count(&prompt.corrupt, wrong), 1);
                    }
                }
            }
            assert!((60..140).contains(&first), "both orders: {first}");
        }
        let prompt = IndirectObject::default().prompt(&mut Draw::new(1, 0, 0));
        let text: Vec<&str> = prompt.clean.iter().map(|&t| names[t].as_str()).collect();
        assert!(text[13] == "to" && text.contains(&","), "{text:?}");
    }
}
