//! Numbers from tensors and masks, never from models.
//!
//! What an experiment claims should follow from numbers that anybody can recompute, with what is
//! known of their uncertainty. So this crate takes tensors, masks and losses, and gives
//!
//! - accuracies and [`SecurityCurve`]s with intervals, [`Vulnerability`], saliency [`alignments`], and how
//!   well distances agree with a [`Tree`];
//! - the measures of [`superposition`], from weights and from activations;
//! - those of a [`dictionary`]: sparsity, fidelity, recovery of known features;
//! - statistics over seeds ([`stats`]): the seed of a run is the unit, never the example;
//! - the [`ExperimentRecord`], a versioned JSON file that a run leaves behind, byte for byte the
//!   same for the same seed;
//! - machine-checked findings ([`finding`]): a file of claims selects records, tests them, and ends
//!   in verdicts: replicated, not replicated, or invalid when a sanity control failed.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use mr_metrics::superposition::FeatureWeights;
//! use mr_metrics::{RobustAccuracy, stats};
//!
//! // Two features share the one hidden unit as an antipodal pair.
//! let w = Tensor::<2>::from_data([[1.0, -1.0]], &Device::flex());
//! let weights = FeatureWeights::new(&w)?;
//! assert_eq!(weights.features_per_dimension(), 2.0);
//! assert_eq!(weights.dimensionality(), [0.5, 0.5]);
//!
//! // Right answers of four examples, clean and under two attacks.
//! let attacked: [&[bool]; 2] = [&[true, false, true, false], &[true, true, false, false]];
//! let accuracy = RobustAccuracy::new(&[true, true, true, false], &attacked, 0.95)?;
//! assert_eq!(accuracy.robust.value, 0.25);
//!
//! let over_seeds = stats::bca_mean(&[4.4, 4.6, 4.5, 4.3, 4.5], Default::default())?;
//! assert!(over_seeds.low > Some(4.0));
//! # Ok::<(), mr_metrics::MetricError>(())
//! ```

mod accuracy;
mod alignment;
mod cka;
mod curve;
pub mod dictionary;
mod error;
pub mod finding;
mod host;
mod interval;
mod optimality;
mod record;
pub mod stats;
pub mod superposition;
mod symmetric;
mod tree;
mod vulnerability;

pub use accuracy::{RobustAccuracy, accuracy, worst_case};
pub use alignment::{Alignment, AlignmentSummary, alignments, alignments_of};
pub use cka::linear_cka;
pub use curve::{CurvePoint, SecurityCurve};
pub use error::MetricError;
pub use interval::{Interval, Short};
pub use optimality::optimality;
pub use record::{
    ExperimentRecord, Number, RECORD_SCHEMA, RecordKind, Series, Table, lookup, metric,
};
pub use tree::{Tree, TreeAgreement, depth_agreement, distance_agreement};
pub use vulnerability::{Damage, Losses, Vulnerability, attack_directions, attack_size};
