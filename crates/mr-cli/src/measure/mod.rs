//! What `mr measure` measures.

mod config;

pub(crate) use config::MeasureConfig;
