//! `mr sae export`.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use mr_sae::write_saelens;
use serde_json::{Value, json};

use super::held;
use crate::console::{Console, Outcome};
use crate::device;
use crate::layout::Listing;

/// Whose format a dictionary is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum To {
    /// A folder that SAELens 6 loads with `SAE.load_from_disk`
    Saelens,
    /// One file of safetensors of this program
    Native,
}

/// Write a dictionary as another library reads it
///
/// SAELens knows neither tied dictionaries nor BatchTopK and Matryoshka ones at inference nor a scale before the encoder:
/// they are written as the dictionary that does the same (untied, as JumpReLU, with the scale in its weights). It has no
/// crosscoders, and transcoders of ReLU and JumpReLU alone.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mr sae export runs/dictionary --format saelens --out for-saelens
  mr sae export dictionary.safetensors --format saelens --out for-saelens --model-name gpt2 \\
    --site blocks.8.hook_resid_pre")]
pub(crate) struct Arguments {
    /// The dictionary: a file, or a folder that `mr sae train`, SAELens or sparsify made
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Whose format
    #[arg(long, value_name = "NAME", value_enum, default_value_t = To::Saelens)]
    format: To,
    /// The folder of SAELens, or the file
    #[arg(long, value_name = "DIR|FILE")]
    out: PathBuf,
    /// What the other library calls the network
    #[arg(long, value_name = "NAME")]
    model_name: Option<String>,
    /// What the other library calls the site [default: as here]
    #[arg(long, value_name = "NAME")]
    site: Option<String>,
}

pub(crate) fn run(arguments: &Arguments, console: &Console) -> Result<Outcome> {
    let device = device::open(None)?.device;
    let opened = held::open(&arguments.path, &device)?;
    let mut about = opened.about.clone();
    let site = arguments.site.as_deref().or(held::site(&opened.about));
    if let Some(site) = site.map(Value::from) {
        let key = match arguments.format {
            To::Saelens => "hook_name",
            To::Native => "site",
        };
        about.insert(key.into(), site);
    }
    if let Some(name) = &arguments.model_name {
        about.insert("model_name".into(), name.as_str().into());
    }
    match arguments.format {
        To::Saelens => write_saelens(&opened.sae, &about, &arguments.out),
        To::Native => opened.sae.save(&about, &arguments.out),
    }
    .context("--out")?;
    let again = mr_sae::open(&arguments.out, &device)?;
    let (from, to) = (held::title(&opened.sae), held::title(&again.sae));
    let mut listing = Listing::new(format!("{}: {from}", arguments.path.display()));
    if from != to {
        listing.line("written as", &to);
    }
    listing.line("wrote", arguments.out.display());
    console.say(listing);
    console.object(&json!({ "dictionary": from, "written": to, "out": arguments.out }))?;
    Ok(Outcome::Done)
}
