//! Text as tokens, and tokens as text.

use std::path::Path;

use anyhow::{Context, Result};
use mr_models::data::{DataConfig, tokenizer};
use mr_models::{ModelError, Tokenizer};

use crate::subject::Subject;

/// What a network's tokens are called.
pub(super) enum Words {
    /// By a tokenizer.
    Text(Tokenizer),
    /// Words of a task, by number.
    Task(Vec<String>),
    /// By their numbers alone.
    Ids,
}

impl Words {
    /// Those of a tokenizer's file, else of one in the network's folder, else of the text or the task that it learned
    /// from, else none.
    pub(super) fn of(file: Option<&Path>, subject: &Subject) -> Result<Self> {
        if let Some(path) = file {
            return Ok(Self::Text(Tokenizer::open(path).context("--tokenizer")?));
        }
        let beside = Path::new(&subject.path).join("tokenizer.json");
        if beside.is_file() {
            return Ok(Self::Text(Tokenizer::open(&beside)?));
        }
        let data = subject.trained.get("data");
        // A network of other origin does not say what it learned from, and text may be gone since.
        let data = data.and_then(|data| serde_json::from_value::<DataConfig>(data.clone()).ok());
        let Some(data) = data.filter(DataConfig::is_sequences) else {
            return Ok(Self::Ids);
        };
        Ok(match data.task() {
            Ok(Some(task)) => Self::Task(task.token_names()),
            _ => tokenizer(&data).map_or(Self::Ids, Self::Text),
        })
    }

    /// The tokens of a text.
    pub(super) fn encode(&self, text: &str) -> Result<Vec<usize>> {
        let number = |word: &str| word.parse::<usize>().ok();
        let words = text.split_whitespace();
        match self {
            Self::Text(tokenizer) => Ok(tokenizer.encode(text)?),
            Self::Task(names) => {
                let token = |word| {
                    let named = names.iter().position(|name| name == word);
                    named.or_else(|| number(word)).ok_or_else(|| {
                        let valid = names.iter().map(String::as_str);
                        ModelError::unknown("word", word, valid).into()
                    })
                };
                words.map(token).collect()
            }
            Self::Ids => {
                let token = |word| {
                    number(word).with_context(|| {
                        format!(
                            "`{word}` is no token id: give ids such as \"5 2 7\", or a --tokenizer"
                        )
                    })
                };
                words.map(token).collect()
            }
        }
    }

    /// What a token is called.
    pub(super) fn word(&self, token: usize) -> String {
        let named = match self {
            Self::Text(tokenizer) => tokenizer.decode(&[token]).ok(),
            Self::Task(names) => names.get(token).cloned(),
            Self::Ids => None,
        };
        named.map_or(token.to_string(), |word| {
            word.replace('\n', "\\n").replace(' ', "\u{b7}")
        })
    }
}
