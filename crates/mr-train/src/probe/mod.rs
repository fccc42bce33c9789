//! Fitting probes: linear read-outs of a site, their control tasks, and structural probes.

mod control;
mod design;
mod fit;
mod folds;
mod lbfgs;
mod logistic;
mod means;
mod reading;
mod ridge;
mod sparse;
mod structural;

pub use control::{control_labels, types_of_inputs};
pub use fit::{FittedProbe, HeldOut, ProbeConfig, fit_probe, held_out};
pub use folds::folds;
pub use reading::{Labelled, read_sites};
pub use sparse::{SparseHeldOut, sparse_held_out};
pub use structural::{Sentences, StructuralConfig, fit_structural};
