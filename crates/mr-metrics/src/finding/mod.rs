//! Machine-checked findings: claims, the records that bear on them, and a verdict.

mod catalogue;
mod check;
mod condition;
mod demand;
mod plot;
mod records;
mod sample;
mod table;
mod verdict;

pub use catalogue::{Finding, Findings};
pub use check::{
    Check, Comparison, Correlation, Direction, Matched, Monotone, Outcome, OutcomeResult, Test,
    ValueTest,
};
pub use condition::{Condition, Conditions};
pub use demand::Demand;
pub use plot::{Plot, PlotData, PlotGroup, PlotKind, Scale};
pub use records::Records;
pub use sample::Centre;
pub use table::{Column, TableData, TablePlan, TableRow};
pub use verdict::{Status, VERDICTS_SCHEMA, Verdict, Verdicts};
