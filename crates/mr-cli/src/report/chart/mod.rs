//! Plots as inline SVG: axes, marks and labels over plotters' SVG backend.
//!
//! No font is asked for: widths of text are estimated, and labels are placed so that an estimate
//! that is off by a fifth does no harm. Colours are fixed in the SVG and replaced by the style sheet
//! where a reader prefers a dark page.

mod axis;
mod canvas;
mod figure;
mod file;
mod frame;
mod heat;
mod label;
mod mark;
mod number;
mod panels;
mod plan;
mod rows;

pub(super) use canvas::{INKS, SERIES};
pub(super) use figure::figure;
pub(crate) use file::{band, lines};
pub(crate) use heat::{Heat, heat};
pub(super) use number::{raised, trimmed};
pub(crate) use panels::{Line, panel, panels};
pub(super) use plan::{Chart, Intervals, Size};
pub(crate) use rows::{Row, rows, shares};
