//! Whether a network does what a causal model says, by the same rewrites of both.

mod causal_model;
mod illusion;
mod interchange;
mod scrubbing;
mod subspace;

pub use causal_model::CausalModel;
pub use illusion::{Split, split_effect};
pub use interchange::{Aligned, Interchange, Interchanged, Task, interchange};
pub use scrubbing::{Claim, Scrubbed, scrub};
pub use subspace::Subspace;
