//! What a network would say if it stopped halfway, and which part makes it say so.

pub(crate) mod direct;
mod logit;
mod tuned;

pub use direct::{DirectAttribution, direct_attribution};
pub use logit::{Reading, Streams};
pub use tuned::TunedLens;
