//! Which sequences are meant, and getting them.

use super::text::windows;
use super::{
    Brackets, IndirectObject, ModularAddition, Parity, Prompts, Repeated, Sequences, Task,
};
use crate::data::cache::DataCache;
use crate::data::error::DataError;
use crate::data::source::{DataConfig, Split};
use crate::error::{ModelError, hint};
use crate::tokenizer::Tokenizer;

/// The names of sequences that [`DataConfig::name`] may have.
pub const SEQUENCE_NAMES: [&str; 9] = [
    "repeated",
    "indirect-object",
    "greater-than",
    "brackets",
    "modular-addition",
    "acronyms",
    "parity",
    "shakespeare",
    "text",
];

/// Tokens, where a task has as many as it likes.
const VOCABULARY: usize = 64;
/// Tokens that a model reads, where data have as many as they like.
const CONTEXT: usize = 32;

impl DataConfig {
    /// Whether the data are sequences of tokens.
    pub fn is_sequences(&self) -> bool {
        SEQUENCE_NAMES.contains(&self.name.as_str())
    }

    /// The task that the settings describe; none for text.
    ///
    /// # Errors
    /// An unknown name, a setting outside its range.
    pub fn task(&self) -> Result<Option<Task>, DataError> {
        let context = self.context.unwrap_or(CONTEXT);
        let vocabulary = self.vocabulary.unwrap_or(VOCABULARY);
        Ok(Some(match self.name.as_str() {
            "repeated" => Task::Repeated(Repeated::new(vocabulary, context)?),
            "indirect-object" => Task::IndirectObject(IndirectObject {
                counterfactual: self.counterfactual.unwrap_or_default(),
            }),
            "greater-than" => Task::GreaterThan,
            "brackets" => Task::Brackets(Brackets::new(context)?),
            "modular-addition" => {
                Task::ModularAddition(ModularAddition::new(vocabulary.saturating_sub(1))?)
            }
            "acronyms" => Task::Acronyms,
            "parity" => Task::Parity(Parity::new(context)?),
            "shakespeare" | "text" => return Ok(None),
            name => {
                return Err(DataError::Unknown {
                    what: "set of sequences",
                    name: name.into(),
                    hint: hint(name, SEQUENCE_NAMES),
                });
            }
        }))
    }

    fn count(&self, split: Split) -> Result<usize, DataError> {
        match (self.limit, split) {
            (Some(0), _) => Err(DataError::setting("limit", 0, "at least 1")),
            (Some(limit), _) => Ok(limit),
            (None, Split::Train) => Ok(10_000),
            (None, Split::Test) => Ok(2_000),
        }
    }
}

fn stream(split: Split) -> u64 {
    match split {
        Split::Train => 0,
        Split::Test => 1,
    }
}

/// Draws the prompts of a task.
///
/// # Errors
/// An unknown name, text, which has no prompts, settings outside their range.
pub fn load_prompts(config: &DataConfig, split: Split) -> Result<Prompts, DataError> {
    let Some(task) = config.task()? else {
        return Err(DataError::Unknown {
            what: "task",
            name: config.name.clone(),
            hint: "text asks no question; valid names are those of tasks".into(),
        });
    };
    task.prompts(config.seed, stream(split), config.count(split)?)
}

/// Draws or reads sequences of tokens; fetched text is looked for in
/// [the platform's place](DataCache::platform).
///
/// # Errors
/// An unknown name, settings outside their range, text that has not been fetched or cannot be read.
pub fn load_sequences(config: &DataConfig, split: Split) -> Result<Sequences, DataError> {
    load(config, split, &DataCache::platform)
}

/// Like [`load_sequences`], with the cache in a given place.
///
/// # Errors
/// Those of [`load_sequences`].
pub fn load_sequences_from(
    config: &DataConfig,
    split: Split,
    cache: &DataCache,
) -> Result<Sequences, DataError> {
    load(config, split, &|| Ok(cache.clone()))
}

/// The tokenizer of a text: the file that the settings name, or one token for each character of the text.
///
/// # Errors
/// Those of [`load_sequences`], and a task, whose tokens are no text.
pub fn tokenizer(config: &DataConfig) -> Result<Tokenizer, DataError> {
    read(config, &DataCache::platform).map(|(_, tokenizer)| tokenizer)
}

/// Like [`tokenizer`], with the cache in a given place.
///
/// # Errors
/// Those of [`tokenizer`].
pub fn tokenizer_from(config: &DataConfig, cache: &DataCache) -> Result<Tokenizer, DataError> {
    read(config, &|| Ok(cache.clone())).map(|(_, tokenizer)| tokenizer)
}

type FindCache<'a> = &'a dyn Fn() -> Result<DataCache, DataError>;

fn load(config: &DataConfig, split: Split, cache: FindCache<'_>) -> Result<Sequences, DataError> {
    if let Some(task) = config.task()? {
        return task.sequences(config.seed, stream(split), config.count(split)?);
    }
    let (text, tokenizer) = read(config, cache)?;
    let positions = config.context.unwrap_or(CONTEXT);
    let all = windows(&config.name, &text, &tokenizer, positions, split)?;
    match config.limit {
        Some(0) => Err(DataError::setting("limit", 0, "at least 1")),
        Some(limit) if limit < all.len() => all.subset(&(0..limit).collect::<Vec<_>>()),
        _ => Ok(all),
    }
}

/// A text and its tokenizer.
fn read(config: &DataConfig, cache: FindCache<'_>) -> Result<(String, Tokenizer), DataError> {
    let path = match (config.name.as_str(), &config.text) {
        ("shakespeare", _) => cache()?.file("shakespeare", "shakespeare.txt")?,
        ("text", Some(path)) => path.clone(),
        ("text", None) => {
            return Err(DataError::setting("text", "not set", "a file of text"));
        }
        (name, _) => {
            return Err(DataError::Unknown {
                what: "text",
                name: name.into(),
                hint: "a task's tokens are no text; valid names: shakespeare, text".into(),
            });
        }
    };
    let text = std::fs::read_to_string(&path).map_err(DataError::file(&path))?;
    let tokenizer = match &config.tokenizer {
        None => Tokenizer::of_characters(&text),
        Some(file) => Tokenizer::open(file).map_err(|error| match error {
            ModelError::File { path, source } => DataError::File { path, source },
            other => DataError::format(file, other.to_string()),
        })?,
    };
    Ok((text, tokenizer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_loaded_and_prompts_are_what_sequences_hold() {
        let folder = tempfile::tempdir().unwrap();
        let cache = DataCache::at(folder.path());
        std::fs::create_dir(cache.folder("shakespeare")).unwrap();
        let lines = (0..40).map(|line| format!("{line}: to be, or not to be? "));
        let text: String = lines.collect();
        let file = cache.folder("shakespeare").join("shakespeare.txt");
        std::fs::write(&file, &text).unwrap();
        for name in SEQUENCE_NAMES {
            let config = DataConfig {
                limit: Some(2),
                text: Some(file.clone()),
                ..DataConfig::named(name)
            };
            assert!(config.is_sequences());
            let test = load_sequences_from(&config, Split::Test, &cache).unwrap();
            let train = load_sequences_from(&config, Split::Train, &cache).unwrap();
            assert_eq!((test.len(), test.name()), (2, name));
            assert_ne!(test.tokens(1), train.tokens(1), "{name}");
            let Some(_) = config.task().unwrap() else {
                assert!(load_prompts(&config, Split::Test).is_err());
                assert!(tokenizer_from(&config, &cache).unwrap().vocabulary() > 10);
                continue;
            };
            let prompts = load_prompts(&config, Split::Test).unwrap();
            for (at, prompt) in prompts.prompts().iter().enumerate() {
                let read = &test.tokens(at)[..test.positions()];
                assert!(
                    read.iter()
                        .map(|&token| token as usize)
                        .eq(prompt.clean.clone())
                );
            }
            assert!(tokenizer(&config).is_err());
        }
    }

    #[test]
    fn what_cannot_be_is_told() {
        let said = |config: DataConfig| {
            let loaded = load_sequences(&config, Split::Test);
            loaded.unwrap_err().to_string()
        };
        assert!(said(DataConfig::named("repeatd")).contains("did you mean repeated?"));
        assert!(said(DataConfig::named("text")).contains("text is not set"));
        let config = |name: &str, vocabulary, context| DataConfig {
            context,
            vocabulary,
            ..DataConfig::named(name)
        };
        assert!(said(config("repeated", Some(3), None)).contains("at least 17"));
        assert!(said(config("brackets", None, Some(9))).contains("even"));
        assert!(said(config("modular-addition", Some(0), None)).contains("vocabulary"));
        let none = DataConfig {
            limit: Some(0),
            ..DataConfig::named("acronyms")
        };
        assert!(said(none).contains("limit is 0"));
    }
}
