//! `cargo xtask reproduce`: plan, stamp, spawn `mr` stages, `mr verify`, `mr report`.

mod binary;
mod execute;
mod expand;
mod finish;
mod folder;
mod graph;
mod pipeline;
mod run;
mod stamp;
mod template;

pub(crate) use run::{Options, run};
