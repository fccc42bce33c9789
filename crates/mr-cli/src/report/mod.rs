//! Records and verdicts as one self-contained HTML file.
//!
//! The page needs no network and no script. It holds nothing that the same inputs would not give
//! again: no date, no duration, no order that depends on the machine.

mod chart;
mod command;
mod configuration;
mod curves;
mod finding;
mod gather;
mod naming;
mod natural;
mod outcome;
mod page;
mod pictures;
pub(crate) mod png;
mod provenance;
mod record;
mod samples;
mod style;
mod table;
mod variant;
mod verdicts;

pub(crate) use chart::{Heat, Line, Row, band, heat, lines, panel, panels, rows, shares};
pub(crate) use gather::{Located, gather, records};
pub(crate) use natural::natural;
pub(crate) use outcome::{demand_of, observed};
pub(crate) use page::{Report, render};
pub(crate) use style::style;
