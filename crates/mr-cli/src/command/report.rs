//! `mr report`.

use anyhow::{Result, bail};
use clap::Args;

use crate::console::{Console, Outcome};

/// Draw records and verdicts as one HTML file
#[derive(Debug, Args)]
pub(crate) struct Arguments {}

pub(crate) fn run(arguments: Arguments, console: &Console) -> Result<Outcome> {
    let _ = (arguments, console);
    bail!("not built yet")
}
