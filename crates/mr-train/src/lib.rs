//! How things are fitted: networks, standard, adversarially and regularised, and dictionaries and probes
//! of their activations.
//!
//! A [`TrainConfig`] says how, a [`Trainer`] does it. A killed run resumes to the bit-identical
//! result of an unkilled one: every random number is keyed by what it is for (seed, step, example),
//! and the state of a run is one file that is replaced whole. The library prints nothing; it tells a
//! callback.
//!
//! ```
//! use std::ops::ControlFlow;
//! use burn::tensor::Device;
//! use mr_models::{Architecture, Mlp, Network, data};
//! use mr_train::{TrainConfig, Trainer};
//!
//! let train = data::load(&data::DataConfig::default(), data::Split::Train)?.take(500)?;
//! let mlp = Mlp { hidden: vec![16], ..Mlp::default() };
//! let net = Network::init(Architecture::Mlp(mlp), 0, &Device::flex())?;
//! let config = TrainConfig { epochs: Some(3), ..TrainConfig::default() };
//! let folder = tempfile::tempdir()?;
//! let trained = Trainer::new(config, net, &train)?
//!     .resume_or_start(folder.path())?
//!     .run(&mut |_| ControlFlow::Continue(()))?;
//! mr_models::save(&trained.network, &serde_json::Map::new(), &folder.path().join("net.safetensors"))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod adam;
mod alignment;
mod canary;
mod checkpoint;
mod config;
mod dictionary;
mod error;
mod foretold;
mod history;
mod loss;
mod optimizer;
mod pools;
mod probe;
mod random;
mod source;
mod step;
#[cfg(test)]
mod tests;
mod trainer;
mod tuned_lens;

pub use alignment::{AlignmentConfig, FittedAlignment, fit_alignment};
pub use canary::{Answer, Canary};
pub use checkpoint::CHECKPOINT;
pub use config::{
    AdamW, Augmentation, CheckpointConfig, OptimizerConfig, Regularizer, ScheduleConfig,
    ScheduleKind, Sgd, TrainConfig, Validation, Vectors, WeightPerturbation,
};
pub use dictionary::{
    Activations, Centre, DictionaryConfig, DictionaryStats, EarlyStop, FitConfig, FitLength,
    FitProgress, Fitted, FittedDictionary, FittedSae, InMemory, Live, Place, Plan, PlantedStream,
    Positions, Recovered, Reduction, Report, Resample, Shards, Stream, Tap, Taps, fit, fit_tied,
    on_host, recovered, write_shards,
};
pub use error::TrainError;
pub use foretold::{Foretold, generate};
pub use history::{History, Judgement, MeanLoss, Sighting};
pub use loss::{
    Adversarial, Fast, Free, InputGradient, IntervalBounds, LossConfig, Mart, Mix, Reconstruction,
    ToyAttack, Trades,
};
pub use probe::{
    FittedProbe, HeldOut, Labelled, ProbeConfig, Sentences, SparseHeldOut, StructuralConfig,
    control_labels, fit_probe, fit_structural, folds, held_out, read_sites, sparse_held_out,
    types_of_inputs,
};
pub use source::TrainingData;
pub use trainer::{Ending, TrainProgress, Trained, Trainer};
pub use tuned_lens::{TunedLensConfig, fit_tuned_lens};
