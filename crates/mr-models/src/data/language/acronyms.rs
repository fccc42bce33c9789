//! Acronyms of three words.
//!
//! "The Amber Board Centre ( A B" goes on with "C", the first letter of the third word (García-Carrasco
//! et al. 2024). Every word and every letter is a token. In the counterfactual the third word is another
//! one, of another letter.

use super::draw::Draw;
use super::task::{Prompt, tokens_of};

/// Two words for each letter.
const WORDS: [&str; 52] = [
    "Amber", "Arrow", "Board", "Bridge", "Centre", "Cloud", "Delta", "Dollar", "Eagle", "Engine",
    "Forest", "Fund", "Garden", "Group", "Harbour", "House", "Island", "Iron", "Jewel", "Journal",
    "Kite", "Kingdom", "League", "Light", "Market", "Mirror", "Network", "North", "Office",
    "Orbit", "Palace", "Planet", "Quarry", "Quarter", "River", "Royal", "School", "Stone",
    "Temple", "Tower", "Union", "Urban", "Valley", "Velvet", "Winter", "World", "Xenon", "Xylem",
    "Yacht", "Yellow", "Zephyr", "Zone",
];
const LETTERS: usize = 26;

pub(super) fn token_names() -> Vec<String> {
    let letters = ('A'..='Z').map(String::from);
    let words = WORDS.iter().chain(&["The", "("]);
    letters.chain(words.map(|word| (*word).into())).collect()
}

pub(super) fn prompt(draw: &mut Draw) -> Prompt {
    let names = token_names();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let letters = draw.distinct(4, LETTERS);
    let words: Vec<&str> = letters
        .iter()
        .map(|letter| WORDS[2 * letter + draw.below(2)])
        .collect();
    let fill = |third: usize| {
        let text = ["The", words[0], words[1], words[third], "("];
        let mut tokens = tokens_of(&names, text.into_iter());
        tokens.extend(&letters[..2]);
        tokens
    };
    Prompt {
        clean: fill(2),
        corrupt: fill(3),
        right: vec![letters[2]],
        wrong: vec![letters[3]],
        answer: letters[2],
        known_from: 6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_the_third_initial() {
        for (at, word) in WORDS.iter().enumerate() {
            let letter = char::from(b'A' + (at / 2) as u8);
            assert!(word.starts_with(letter), "{word}");
        }
        let names = token_names();
        for example in 0..100 {
            let prompt = super::prompt(&mut Draw::new(0, 0, example));
            let initial = |token: usize| names[token].chars().next();
            for (word, letter) in [(1, 5), (2, 6)] {
                let (word, letter) = (prompt.clean[word], prompt.clean[letter]);
                assert_eq!(initial(word), initial(letter));
            }
            assert_eq!(initial(prompt.clean[3]), initial(prompt.answer));
            assert_eq!(initial(prompt.corrupt[3]), initial(prompt.wrong[0]));
            let apart = (0..7).filter(|&at| prompt.clean[at] != prompt.corrupt[at]);
            assert_eq!(apart.collect::<Vec<_>>(), [3]);
        }
    }
}
