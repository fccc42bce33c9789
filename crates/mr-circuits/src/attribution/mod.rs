//! What a difference between two runs is put down to, by gradients.

mod edges;
mod group;
mod integrated;

pub use edges::{EdgeScores, Path, edge_attribution};
pub use integrated::{IntegratedGradients, integrated_gradients};

#[cfg(test)]
pub(crate) mod tests;
