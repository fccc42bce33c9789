//! How well a circuit does what its network does.

mod curve;
mod divergence;
mod measure;
mod missing;
mod random;
mod smallest;

pub use curve::{Curve, FRACTIONS, Point, curve};
pub use divergence::{Divergence, Diverging};
pub use measure::{Faithful, Faithfulness};
pub use missing::{Incompleteness, Need, completeness, minimality};
pub use random::random_faithfulness;
pub use smallest::smallest;

#[cfg(test)]
mod tests;
