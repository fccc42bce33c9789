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
mod overlap;

pub use choice::Ranking;
pub use diff::{Difference, difference};
pub use drawing::drawing;
pub use graph::Circuit;
pub use length::description_length;
pub use overlap::{Null, Overlaps, overlaps};

#[cfg(test)]
pub(crate) mod tests;
