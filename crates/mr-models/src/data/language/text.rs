//! Windows of a text.

use super::Sequences;
use crate::data::error::DataError;
use crate::data::source::Split;
use crate::tokenizer::Tokenizer;

/// One part in so many, at the end of a text, is for testing.
const TEST_SHARE: usize = 10;

/// A text cut into windows of `positions` tokens, one after the other: each token but the first is
/// foretold once. The last tenth of its characters is the test split. Tokens that fill no whole window
/// are left out.
///
/// # Errors
/// [`DataError::Setting`] if the text is too short for one window, or holds what the tokenizer does not
/// know.
pub(super) fn windows(
    name: &str,
    text: &str,
    tokenizer: &Tokenizer,
    positions: usize,
    split: Split,
) -> Result<Sequences, DataError> {
    if !(1..=1 << 16).contains(&positions) {
        return Err(DataError::setting("context", positions, "from 1 to 65536"));
    }
    let test_from = text.len() - text.len() / TEST_SHARE;
    let test_from = (test_from..=text.len())
        .find(|&at| text.is_char_boundary(at))
        .unwrap_or(text.len());
    let part = match split {
        Split::Train => &text[..test_from],
        Split::Test => &text[test_from..],
    };
    let tokens = tokenizer.encode(part);
    let tokens = tokens.map_err(|error| DataError::setting(name, "text", error.to_string()))?;
    let windows = tokens.len().saturating_sub(1) / positions;
    if windows == 0 {
        let valid = format!("below {}, the tokens of the text", tokens.len());
        return Err(DataError::setting("context", positions, valid));
    }
    let rows = (0..windows).flat_map(|window| {
        let row = &tokens[window * positions..=(window + 1) * positions];
        row.iter().map(|&token| token as u32)
    });
    let names = 0..tokenizer.vocabulary();
    let names = names.map(|token| tokenizer.token(token).unwrap_or_default());
    Sequences::new(
        name,
        names.collect(),
        positions + 1,
        rows.collect(),
        Vec::new(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_overlap_by_the_token_that_is_foretold() {
        let text = "abcdefghijklmnopqrst";
        let tokenizer = Tokenizer::of_characters(text);
        let train = windows("t", text, &tokenizer, 4, Split::Train).unwrap();
        assert_eq!((train.len(), train.positions()), (4, 4));
        assert_eq!(train.tokens(0), [0, 1, 2, 3, 4]);
        assert_eq!(train.tokens(1), [4, 5, 6, 7, 8]);
        assert_eq!((train.vocabulary(), train.known()), (20, 16));
        let test = windows("t", text, &tokenizer, 1, Split::Test).unwrap();
        assert_eq!(test.tokens(0), [18, 19]);
        let error = windows("t", text, &tokenizer, 4, Split::Test).unwrap_err();
        let error = error.to_string();
        assert_eq!(
            error,
            "context is 4, must be below 2, the tokens of the text"
        );
        let other = Tokenizer::of_characters("abc");
        assert!(windows("t", text, &other, 2, Split::Train).is_err());
    }
}
