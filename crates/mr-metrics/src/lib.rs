//! TBD

mod error;
pub mod finding;
mod interval;
mod record;
pub mod stats;

pub use error::MetricError;
pub use interval::{Interval, Short};
pub use record::{
    ExperimentRecord, Number, RECORD_SCHEMA, RecordKind, Series, Table, lookup, metric,
};
