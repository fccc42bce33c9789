//! What a difference between two runs is put down to, by gradients.

mod atp_star;
mod edges;
mod group;
mod integrated;
mod nodes;

pub use atp_star::atp_star;
pub use edges::{EdgeScores, Path, edge_attribution};
pub use integrated::{IntegratedGradients, integrated_gradients};
pub use nodes::{NodeScore, node_attribution};

#[cfg(test)]
pub(crate) mod tests;
