//! Between text and tokens.

use std::path::Path;

use burn::tensor::Device;

use crate::error::ModelError;
use crate::input::Input;

/// Cuts text into tokens: by a `tokenizer.json`, or character by character.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    /// Each of these characters is a token, sorted.
    Characters(Vec<char>),
    File(Box<tokenizers::Tokenizer>),
}

impl Tokenizer {
    /// The tokenizer that a `tokenizer.json` describes.
    ///
    /// # Errors
    /// [`ModelError::File`] or [`ModelError::Format`].
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let bytes = std::fs::read(path).map_err(|source| ModelError::File {
            path: path.into(),
            source,
        })?;
        let read = tokenizers::Tokenizer::from_bytes(bytes);
        let mut tokenizer = read.map_err(|error| ModelError::Format {
            path: path.into(),
            reason: format!("not a tokenizer: {error}"),
        })?;
        // A text is as long as it is: a batch has one length, and no model here skips what fills it up.
        tokenizer.with_padding(None);
        let untruncated = tokenizer.with_truncation(None);
        untruncated.map_err(|error| ModelError::Unfit(error.to_string()))?;
        Ok(Self {
            kind: Kind::File(Box::new(tokenizer)),
        })
    }

    /// One token for each character that occurs in a text, in the order of their code points.
    pub fn of_characters(text: &str) -> Self {
        let mut characters: Vec<char> = text.chars().collect();
        characters.sort_unstable();
        characters.dedup();
        Self {
            kind: Kind::Characters(characters),
        }
    }

    /// Number of different tokens.
    pub fn vocabulary(&self) -> usize {
        match &self.kind {
            Kind::Characters(characters) => characters.len(),
            Kind::File(tokenizer) => tokenizer.get_vocab_size(true),
        }
    }

    /// The text of one token, as the vocabulary writes it.
    pub fn token(&self, id: usize) -> Option<String> {
        match &self.kind {
            Kind::Characters(characters) => characters.get(id).map(char::to_string),
            Kind::File(tokenizer) => tokenizer.id_to_token(u32::try_from(id).ok()?),
        }
    }

    /// The tokens of a text, with whatever the tokenizer puts before and after it.
    ///
    /// # Errors
    /// [`ModelError::Unfit`] naming a character that is no token, or what the tokenizer says.
    pub fn encode(&self, text: &str) -> Result<Vec<usize>, ModelError> {
        match &self.kind {
            Kind::Characters(characters) => {
                let ids = text.chars().enumerate().map(|(at, character)| {
                    characters.binary_search(&character).map_err(|_| {
                        let known: String = characters.iter().collect();
                        ModelError::Unfit(format!(
                            "character {at} of the text, {character:?}, is none of {known:?}"
                        ))
                    })
                });
                ids.collect()
            }
            Kind::File(tokenizer) => {
                let encoded = tokenizer.encode(text, true);
                let encoded = encoded.map_err(|error| ModelError::Unfit(error.to_string()))?;
                Ok(encoded.get_ids().iter().map(|&id| id as usize).collect())
            }
        }
    }

    /// The text of tokens, without what stands only before and after a text.
    ///
    /// # Errors
    /// [`ModelError::Unfit`] naming a token that is not in the vocabulary.
    pub fn decode(&self, tokens: &[usize]) -> Result<String, ModelError> {
        let count = self.vocabulary();
        if let Some(token) = tokens.iter().find(|&&token| token >= count) {
            let last = count.saturating_sub(1);
            return Err(ModelError::Unfit(format!(
                "token {token}: the vocabulary is 0 to {last}"
            )));
        }
        match &self.kind {
            Kind::Characters(characters) => {
                Ok(tokens.iter().map(|&token| characters[token]).collect())
            }
            Kind::File(tokenizer) => {
                let ids: Vec<u32> = tokens.iter().map(|&token| token as u32).collect();
                let text = tokenizer.decode(&ids, true);
                text.map_err(|error| ModelError::Unfit(error.to_string()))
            }
        }
    }

    /// Texts of one number of tokens as a batch.
    ///
    /// # Errors
    /// Those of [`encode`](Self::encode), and [`ModelError::Unfit`] if their lengths differ.
    pub fn batch(&self, texts: &[&str], device: &Device) -> Result<Input, ModelError> {
        let encoded = texts.iter().map(|text| self.encode(text));
        let encoded: Vec<Vec<usize>> = encoded.collect::<Result<_, _>>()?;
        Input::of_tokens(&encoded, device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_tokens_in_the_order_of_their_code_points() {
        let tokenizer = Tokenizer::of_characters("hello, world");
        assert_eq!(tokenizer.vocabulary(), 9);
        assert_eq!(tokenizer.token(1).as_deref(), Some(","));
        let tokens = tokenizer.encode("held").unwrap();
        assert_eq!(tokens, [4, 3, 5, 2]);
        assert_eq!(tokenizer.decode(&tokens).unwrap(), "held");
        let error = tokenizer.encode("held!").unwrap_err().to_string();
        assert!(error.starts_with("character 4 of the text, '!'"), "{error}");
        let error = tokenizer.decode(&[9]).unwrap_err().to_string();
        assert_eq!(error, "token 9: the vocabulary is 0 to 8");
        let device = Device::flex();
        let error = tokenizer.batch(&["he", "hel"], &device).unwrap_err();
        assert!(error.to_string().contains("sequence 1 has 3 tokens"));
    }

    #[test]
    fn a_file_cuts_words_into_the_pieces_that_it_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokenizer.json");
        let json = serde_json::json!({
            "version": "1.0",
            "added_tokens": [],
            "normalizer": { "type": "Lowercase" },
            "pre_tokenizer": { "type": "Whitespace" },
            "model": {
                "type": "WordPiece",
                "unk_token": "?",
                "continuing_subword_prefix": "##",
                "max_input_chars_per_word": 100,
                "vocab": { "?": 0, "play": 1, "##ing": 2, "a": 3 }
            }
        });
        std::fs::write(&path, json.to_string()).unwrap();
        let tokenizer = Tokenizer::open(&path).unwrap();
        assert_eq!(tokenizer.encode("A playing b").unwrap(), [3, 1, 2, 0]);
        assert_eq!(tokenizer.token(2).as_deref(), Some("##ing"));
        std::fs::write(&path, "{}").unwrap();
        let error = Tokenizer::open(&path).unwrap_err().to_string();
        assert!(error.contains("not a tokenizer"), "{error}");
    }
}
