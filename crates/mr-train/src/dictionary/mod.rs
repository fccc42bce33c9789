//! Dictionaries of a site's activations.

mod activations;
mod tied;

pub use activations::Activations;
pub use tied::{DictionaryConfig, DictionaryStats, FittedDictionary, fit_tied};
