//! Which edges are needed, found out by cutting them.

mod acdc;
mod journal;
mod masks;

pub use acdc::{acdc, acdc_sweep};
pub use masks::{MaskConfig, Pressure, learned_masks};
