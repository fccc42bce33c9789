//! Runs with spots changed: patched from another run, or ablated.

mod grid;
mod path;
mod question;
mod rerun;
mod spot;
mod sweep;

pub use grid::Grid;
pub use path::PathPatch;
pub use question::Question;
pub use spot::Spot;
pub use sweep::{Direction, Patches, Progress, Sweep};
