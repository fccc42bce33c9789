//! What networks are trained and judged on: labelled examples in the host's memory, each value in
//! `[0, 1]`.
//!
//! A [`DataConfig`] names a data set, [`load`] reads or draws it, a [`Dataset`] hands out batches.
//! The default, a part of Fashion-MNIST, is compiled in; full sets are fetched once and lie
//! in a [`DataCache`]; [`SparseFeatures`] and [`SparseParity`] are streams without end,
//! and so are activations of features that are [`Planted`] in them. Tokens come as
//! [`Sequences`], of a text or of a [`Task`], whose questions with their answers and counterfactuals are
//! [`Prompts`].
//!
//! ```
//! use burn::tensor::Device;
//! use mr_models::data::{DataConfig, Split, load};
//!
//! let config = DataConfig { limit: Some(100), ..DataConfig::default() };
//! let data = load(&config, Split::Test)?;
//! assert_eq!(data.shape(), [1, 28, 28]);
//! assert_eq!(data.class_names()[data.labels()[0]], "Ankle boot");
//! let batch = data.input(&[0, 1, 2], &Device::flex());
//! assert_eq!(batch.real().dims(), [3, 1, 28, 28]);
//! # Ok::<(), mr_models::data::DataError>(())
//! ```

mod cache;
mod cifar;
mod dataset;
mod digits;
mod embedded;
mod error;
pub mod fetch;
mod idx;
mod language;
mod order;
mod parity;
mod planted;
mod source;
mod sparse;
mod values;

pub use cache::{CACHE_VARIABLE, DataCache};
pub use dataset::Dataset;
pub use error::DataError;
pub use language::{
    Brackets, Counterfactual, IndirectObject, ModularAddition, Parity, Prompt, Prompts, Repeated,
    SEQUENCE_NAMES, Sequences, Task, load_prompts, load_sequences, load_sequences_from, tokenizer,
    tokenizer_from,
};
pub use parity::SparseParity;
pub use planted::{Correlation, Hierarchy, Planted, PlantedBatch, PlantedConfig, Rates};
pub use source::{DATA_NAMES, DataConfig, Split, load, load_from};
pub use sparse::{SparseFeatures, Teacher};
