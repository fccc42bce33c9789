//! The one result of every way to find a circuit: which edges of a network are in it, and how much
//! each edge of the network counts.

mod choice;
mod diff;
mod dot;
mod drawing;
mod graph;
mod json;
mod length;
mod nodes;

pub use choice::Ranking;
pub use diff::{Difference, Null, difference, random_overlap};
pub use drawing::drawing;
pub use graph::Circuit;
pub use length::description_length;

#[cfg(test)]
pub(crate) mod tests;
