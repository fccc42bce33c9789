//! `mr verify`.

use anyhow::{Result, bail};
use clap::Args;

use crate::console::{Console, Outcome};

/// Compare records with the findings that are expected of them
#[derive(Debug, Args)]
pub(crate) struct Arguments {}

pub(crate) fn run(arguments: Arguments, console: &Console) -> Result<Outcome> {
    let _ = (arguments, console);
    bail!("not built yet")
}
