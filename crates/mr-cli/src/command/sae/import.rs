//! `mr sae import`.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;

use super::held;
use crate::console::{Console, Outcome};
use crate::device;
use crate::output::writable;

/// Read another library's dictionary, say what it is, and keep it as one file
///
/// Reads the folders of SAELens 6 and before and of sparsify, and files of this program. A dictionary need not be imported
/// to be used: every --dictionary takes these folders as well.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mr sae import gpt2-small-res-jb/blocks.8.hook_resid_pre
  mr sae import sparsify/layers.10.mlp --out dictionary.safetensors
  mr sae import runs/dictionary --json")]
pub(crate) struct Arguments {
    /// A folder that SAELens or sparsify wrote, a file of a dictionary, or a folder that `mr sae train` made
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Keep it as this file of safetensors
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments, console: &Console) -> Result<Outcome> {
    writable("--out", arguments.out.as_ref())?;
    let device = device::open(None)?.device;
    let opened = held::open(&arguments.path, &device)?;
    let mut listing = held::listing(&arguments.path, &opened);
    let mut object = held::object(&opened)?;
    if let Some(path) = &arguments.out {
        opened.sae.save(&opened.about, path).context("--out")?;
        listing.line("wrote", path.display());
        object["out"] = json!(path);
    }
    console.say(listing);
    console.object(&object)?;
    Ok(Outcome::Done)
}
