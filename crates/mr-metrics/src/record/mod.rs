//! What one stage of an experiment leaves behind: a versioned JSON file.

mod experiment;
mod file;
mod path;
mod values;

pub use experiment::{ExperimentRecord, RECORD_SCHEMA, RecordKind};
pub use path::{lookup, metric};
pub use values::{Number, Series, Table};

pub(crate) use file::{read_versioned, write_json};
