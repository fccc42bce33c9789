//! What a difference between two runs is put down to, by gradients.

mod edges;
mod group;

pub use edges::{EdgeScores, Path, edge_attribution};

#[cfg(test)]
pub(crate) mod tests;
