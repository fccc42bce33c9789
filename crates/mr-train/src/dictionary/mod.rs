//! Dictionaries of a site's activations.

mod activations;
mod fit;
mod recovered;
mod stream;
mod tied;

pub use activations::Activations;
pub use fit::{
    Centre, EarlyStop, FitConfig, FitLength, FitProgress, Fitted, FittedSae, Plan, Report,
    Resample, fit, on_host,
};
pub use recovered::{Recovered, recovered};
pub use stream::{
    InMemory, Live, Place, PlantedStream, Positions, Shards, Stream, Tap, Taps, write_shards,
};
pub use tied::{DictionaryConfig, DictionaryStats, FittedDictionary, Reduction, fit_tied};
