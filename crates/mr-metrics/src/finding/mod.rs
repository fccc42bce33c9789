//! Machine-checked findings: claims, the records that bear on them, and a verdict.
//!
//! A findings file lists [`Finding`]s. Each selects [records](crate::ExperimentRecord) by conditions
//! on dotted paths (`"config.data.density" = { min = 0.1 }`), tests metrics that are dotted paths
//! too (`numbers.fpd`), and ends in a [`Verdict`]:
//!
//! - **replicated**: every control and every check passed;
//! - **not replicated**: the controls passed and a check failed, which is a result like any other;
//! - **invalid**: a control failed, or records or metrics are missing, so nothing can be said.
//!
//! The seed of a run is the unit of statistics: records of one seed are averaged first, and
//! intervals (BCa) resample seeds. Checks marked `informative` are printed and do not count.
//!
//! ```
//! use mr_metrics::finding::{Findings, Records, Status};
//! use mr_metrics::{ExperimentRecord, RecordKind};
//!
//! let findings = Findings::from_toml(
//!     r#"
//!     [[finding]]
//!     id = "phases"
//!     title = "Superposition has phases"
//!     claim = "Sparse features share dimensions."
//!     source = "Elhage et al. 2022"
//!     kind = "measure"
//!     [[finding.checks]]
//!     name = "features per dimension when sparse"
//!     test = "value"
//!     metric = "numbers.fpd"
//!     where = { "config.density" = 0.1 }
//!     must = { min = 4 }
//!     "#,
//! )?;
//! let runs: Vec<ExperimentRecord> = (0..5)
//!     .map(|seed| {
//!         let config = serde_json::json!({ "density": 0.1 });
//!         let mut run = ExperimentRecord::new(RecordKind::Measure, "toy", config, seed, "flex");
//!         run.number("fpd", 4.4 + 0.01 * seed as f64);
//!         run
//!     })
//!     .collect();
//! let verdicts = findings.evaluate(&Records::new(&runs));
//! assert_eq!(verdicts.verdicts[0].status, Status::Replicated);
//! # Ok::<(), mr_metrics::MetricError>(())
//! ```

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
