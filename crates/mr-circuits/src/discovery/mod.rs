//! Which edges are needed, found out by cutting them.

mod acdc;
mod journal;

pub use acdc::{acdc, acdc_sweep};
