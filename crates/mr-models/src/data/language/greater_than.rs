//! Greater than: years that end after they began.
//!
//! "The war lasted from the year 17 32 to the year 17" goes on with any number above 32 (Hanna, Liu &
//! Variengien 2023). Every word and every number of two digits is a token. The counterfactual begins in
//! the year 01, after which every number will do but two.

use super::draw::Draw;
use super::task::{Prompt, tokens_of};

const EVENTS: [&str; 12] = [
    "war", "siege", "voyage", "plague", "drought", "reign", "feud", "truce", "journey", "trial",
    "strike", "march",
];
const WORDS: [&str; 7] = ["The", "lasted", "from", "the", "year", "to", "EVENT"];
const TEMPLATE: &str = "The EVENT lasted from the year CC YY to the year CC";

/// Numbers of two digits are tokens 0 to 99.
const NUMBERS: usize = 100;

pub(super) fn token_names() -> Vec<String> {
    let numbers = (0..NUMBERS).map(|number| format!("{number:02}"));
    let words = WORDS[..6].iter().chain(&EVENTS).map(|word| (*word).into());
    numbers.chain(words).collect()
}

pub(super) fn prompt(draw: &mut Draw) -> Prompt {
    let names = token_names();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let event = *draw.one(&EVENTS);
    let century = names[11 + draw.below(7)];
    let start = 2 + draw.below(97);
    let fill = |year: usize| {
        let text = TEMPLATE.split(' ').map(|word| match word {
            "EVENT" => event,
            "CC" => century,
            "YY" => names[year],
            word => word,
        });
        tokens_of(&names, text)
    };
    let clean = fill(start);
    let right: Vec<usize> = (start + 1..NUMBERS).collect();
    Prompt {
        corrupt: fill(1),
        wrong: (0..=start).collect(),
        answer: *draw.one(&right),
        right,
        known_from: clean.len() - 1,
        clean,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_later_year_is_right_and_no_other() {
        for example in 0..100 {
            let prompt = super::prompt(&mut Draw::new(0, 0, example));
            assert_eq!(prompt.clean.len(), 12);
            let start = prompt.clean[7];
            assert!((2..99).contains(&start));
            assert_eq!(prompt.clean[6], prompt.clean[11]);
            assert_eq!(prompt.right, (start + 1..100).collect::<Vec<_>>());
            assert_eq!(prompt.wrong, (0..=start).collect::<Vec<_>>());
            assert!(prompt.right.contains(&prompt.answer));
            let differ = (0..12).filter(|&at| prompt.clean[at] != prompt.corrupt[at]);
            assert_eq!(differ.collect::<Vec<_>>(), [7]);
            assert_eq!(prompt.corrupt[7], 1);
        }
        assert_eq!(token_names().len(), 118);
    }
}
